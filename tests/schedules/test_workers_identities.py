"""What is known of the delays of always-busy workers that read right after their own writes (paper.md, section 4)."""

import heapq

import jax
import numpy as np
import pytest
from scipy import stats

import a3cjax

ct = a3cjax.compute_times
RUNS, UPDATES, START = 32, 12_000, 2_000

LAWS = {
    "deterministic": ct.Deterministic(1.0),
    "exponential": ct.Exponential(1.0),
    "lognormal": ct.Lognormal(1.0, cv=0.5),
    "gamma": ct.Gamma(1.0, cv=1.5),
    "pareto": ct.Pareto(1.0, shape=2.5),
    "uniform": ct.Uniform(0.5, 1.5),
    "empirical": ct.Empirical([0.7, 1.0, 1.9]),
}


def steady_delays(laws, runs=RUNS):
    """Delays [runs, UPDATES − START] of independent runs, without their starts.

    One by one, so that teams of one law share its program; test_workers_model.py maps over keys.
    """
    keys = jax.random.split(jax.random.key(5), runs)
    drawn = [a3cjax.Schedule.from_workers(key, laws, UPDATES).delay[START:] for key in keys]
    return np.stack(drawn).astype(float)


def mean_and_error(per_run):
    """The mean over runs and four of its standard errors, by the spread between runs."""
    return per_run.mean(), 4 * per_run.std(ddof=1) / len(per_run) ** 0.5


@pytest.mark.parametrize("name", LAWS)
def test_identities_for_every_law(name):
    """Between two writes of a worker every other update is somebody's, so over a run the delays add up to
    Σ_i (last update of i) − (K − N) − Σ_i 0, whatever the law: the mean is N − 1 but for the two ends."""
    workers, updates = 5, UPDATES
    schedule = a3cjax.Schedule.from_workers(jax.random.key(1), [LAWS[name]] * workers, updates)
    k = np.arange(updates)
    last = [k[schedule.worker == i][-1] for i in range(workers)]
    assert schedule.delay.sum() == sum(last) - (updates - workers)
    assert schedule.mean_delay == pytest.approx(workers - 1, abs=0.05)
    first = schedule.ranks() == 0
    assert first.sum() == workers
    np.testing.assert_array_equal(schedule.delay[first], k[first])
    later = schedule.reads[~first]
    assert len(np.unique(later)) == len(later)  # no two updates read the same version
    assert later.min() >= 1
    assert schedule.own_reads
    assert np.all(np.diff(schedule.time) >= 0)


@pytest.mark.parametrize("workers", [2, 4, 8])
def test_exponential_workers_make_geometric_delays(workers):
    """Mean N − 1 and variance N(N − 1)."""
    delays = steady_delays([ct.Exponential(2.0)] * workers)
    mean, error = mean_and_error(delays.mean(1))
    assert mean == pytest.approx(workers - 1, abs=max(error, 1e-3))
    variance, error = mean_and_error(delays.var(1))
    assert variance == pytest.approx(workers * (workers - 1), abs=error)
    # Delays 100 updates apart share a worker's gap with probability (7/8)^100 = 2e-6: as good as independent.
    apart = delays[:, ::100].ravel().astype(int)
    cells = int(np.ceil(np.log(len(apart) / 20) / np.log(workers / (workers - 1))))  # the rest expects about 20
    probabilities = (1 / workers) * (1 - 1 / workers) ** np.arange(cells)
    probabilities = np.append(probabilities, 1 - probabilities.sum())
    counts = np.bincount(np.minimum(apart, cells), minlength=cells + 1)
    enough = len(apart) * probabilities >= 5
    expected = np.append(len(apart) * probabilities[enough], len(apart) * probabilities[~enough].sum())
    observed = np.append(counts[enough], counts[~enough].sum())
    kept = expected > 0
    statistic = ((observed[kept] - expected[kept]) ** 2 / expected[kept]).sum()
    assert statistic < stats.chi2(kept.sum() - 1).ppf(1 - 1e-4)


def test_equal_exponential_workers_write_in_random_order():
    """Memoryless workers: each update is any worker's, independently, so pairs fill 16 cells evenly."""
    keys = jax.random.split(jax.random.key(2), 6)
    drawn = [a3cjax.Schedule.from_workers(key, [ct.Exponential(1.0)] * 4, UPDATES).worker for key in keys]
    pairs = np.concatenate([4 * worker[::2] + worker[1::2] for worker in drawn])
    assert stats.chisquare(np.bincount(pairs, minlength=16)).pvalue > 1e-4


def test_equal_deterministic_workers_take_turns():
    schedule = a3cjax.Schedule.from_workers(jax.random.key(0), [ct.Deterministic(0.1)] * 8, UPDATES)
    np.testing.assert_array_equal(schedule.worker, np.arange(UPDATES) % 8)
    np.testing.assert_array_equal(schedule.delay, np.minimum(np.arange(UPDATES), 7))


def heap_delays(rng, sigma, updates):
    """Eight lognormal workers in NumPy, with draws and order of its own."""
    times = np.exp(sigma * rng.standard_normal(updates + 8) - sigma**2 / 2)
    heap = [(times[i], i) for i in range(8)]
    heapq.heapify(heap)
    last, delays = [-1] * 8, np.empty(updates)
    for k in range(updates):
        now, i = heap[0]
        delays[k] = k - 1 - last[i]
        last[i] = k
        heapq.heapreplace(heap, (now + times[8 + k], i))
    return delays


@pytest.mark.parametrize(("cv", "variance"), [(0.05, 0.52), (0.1, 1.2), (0.2, 3.2)])
def test_lognormal_workers_have_the_variance_on_record(cv, variance):
    """N = 8: the table of paper.md, section 4, whose two digits are taken to 5 %, plus four standard errors."""
    measured, error = mean_and_error(steady_delays([ct.Lognormal(1.0, cv=cv)] * 8).var(1))
    assert measured == pytest.approx(variance, abs=error + 0.05 * variance)


@pytest.mark.parametrize("cv", [0.5, 1.0])
def test_lognormal_workers_have_the_variance_of_a_plain_simulation(cv):
    """Also at least (N − 1)² cv²: given its own compute time c, a worker expects (N − 1) c writes of others."""
    measured, error = mean_and_error(steady_delays([ct.Lognormal(1.0, cv=cv)] * 8).var(1))
    rng = np.random.default_rng(0)
    plain = np.array([heap_delays(rng, np.log1p(cv**2) ** 0.5, UPDATES)[START:].var() for _ in range(16)])
    expected, plain_error = mean_and_error(plain)
    assert measured == pytest.approx(expected, abs=np.hypot(error, plain_error))
    assert measured > 49 * cv**2


def test_one_straggler():
    """Seven lognormal workers of cv 0.2 and one ten times slower: mean 7, variance about 62, longest about 114."""
    law = ct.Lognormal(1.0, cv=0.2)
    delays = steady_delays([law] * 7 + [law.scaled(10.0)])
    assert delays.mean() == pytest.approx(7, abs=0.02)
    assert delays.var(1).mean() == pytest.approx(62, abs=1)
    # The straggler is away for 10 units of time in which the others write 70: 114 is four of its deviations of 14.
    assert 100 < np.median(delays.max(1)) < 130


def test_pareto_workers_have_stragglers_of_every_size():
    """Shape 1.5: mean 7 all the same, but a variance that no run pins down; on record are 422 and a maximum of 1142."""
    delays = steady_delays([ct.Pareto(1.0, shape=1.5)] * 8)
    assert delays.mean() == pytest.approx(7, abs=0.1)
    assert 200 < np.median(delays.var(1)) < 1000
    assert 500 < np.median(delays.max(1)) < 3000


def test_teams_of_up_to_sixteen_share_a_program(monkeypatch):
    from a3cjax.schedules.events import workers

    def draw(count):
        return a3cjax.Schedule.from_workers(jax.random.key(0), [ct.Uniform(0.25, 4.0)] * count, UPDATES)

    draw(16)
    traced, events = [], workers._events
    monkeypatch.setattr(workers, "_events", lambda *args: traced.append(args) or events(*args))
    assert [int(draw(count).worker.max()) for count in (1, 3, 15)] == [0, 2, 14]
    assert not traced
    assert int(draw(17).worker.max()) == 16
    assert traced
