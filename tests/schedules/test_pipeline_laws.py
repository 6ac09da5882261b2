"""Pipelines with a known answer: queues of theory, rounds, weights that are late, and two real runs."""

from typing import Any

import jax
import numpy as np
import pytest

import a3cjax
from a3cjax import Schedule
from a3cjax import compute_times as ct

KEY = jax.random.key(1)
FIXED, RANDOM = ct.Deterministic, ct.Exponential


def listed(column):
    return np.asarray(column).tolist()


def drawn(generators, learner, updates, key=KEY, **options: Any):
    return Schedule.from_pipeline(key, generators, learner, updates, **{"batch": 1, "queue": None} | options)


# -------------------------------------------------------------------------------------------------------- closed forms


def test_a_learner_faster_than_its_only_generator():
    """D/D/1 with 2/3: it is busy for 2 of 3 units. Sample t ends at 3(t + 1), when t updates have landed, and is taken
    at once; it began at 3t, when t − 1 had."""
    schedule = drawn([FIXED(3.0)], FIXED(2.0), 300)
    assert schedule.delay.tolist() == [0] + [1] * 299
    assert (schedule.commit, schedule.weight) == (None, None)
    assert schedule.time.tolist() == [3.0 * t + 2 for t in range(1, 301)]
    report = schedule.report
    assert report.learner_idle == pytest.approx(1 - 2 / 3, abs=2e-3)
    assert set(report.lag_in_queue) == {0}
    assert report.lag_in_flight.mean() == pytest.approx(1, abs=4e-3)
    assert report.mean_waiting == 0
    assert report.generator_idle == pytest.approx([0])


def test_a_full_queue_is_as_old_as_it_is_long():
    """D/D/1 with 2: the learner never waits again. Who is blocked puts a sample behind two others when one is taken:
    its lag is bound + blocked = 3 + 1, nothing of it in flight. It is idle for 1 of 2 units."""
    report = drawn([FIXED(1.0)], FIXED(2.0), 400, queue=3).report
    assert set(report.lag_in_queue[10:]) == {4}
    assert set(report.lag_in_flight[10:]) == {0}
    assert report.learner_idle == pytest.approx(0, abs=2e-3)
    assert report.generator_idle == pytest.approx([0.5], abs=0.01)
    assert report.mean_waiting == pytest.approx(3.5, abs=0.05)  # 3, and one more for half the time


def test_poisson_samples_and_an_exponential_learner():
    """M/M/1 with ρ = 0.6: busy for ρ; who is done finds a geometric number of samples at the learner, and as many
    updates land before it is taken; ρ²/(1 − ρ) wait. One update lands in a generation, on average."""
    rho = 0.6
    report = drawn([RANDOM(1.0)], RANDOM(rho), 40_000).report
    assert 1 - report.learner_idle == pytest.approx(rho, rel=0.02)
    share = np.bincount(report.lag_in_queue)[:4] / 40_000
    np.testing.assert_allclose(share, (1 - rho) * rho ** np.arange(4), atol=0.012)
    assert report.lag_in_queue.mean() == pytest.approx(rho / (1 - rho), rel=0.08)
    assert report.mean_waiting == pytest.approx(rho**2 / (1 - rho), rel=0.1)
    assert report.lag_in_flight.mean() == pytest.approx(1, rel=1e-3)


def test_generators_that_wait_for_a_learner_as_machines_for_a_mechanic():
    """Machine repair, of one who serves from hand to hand: N generators at rate λ, the learner at rate μ. With n
    blocked and the learner at work, N − n generate; p(n) ∝ Π (N − j) λ/μ, and it is idle with 1/(N λ/μ) of p(0)."""
    count, rate, mu = 4, 1.0, 2.0
    weights = [mu / (count * rate), 1.0]  # idle, at work with nobody blocked
    for n in range(count):
        weights.append(weights[-1] * (count - n) * rate / mu)
    p = np.array(weights) / np.sum(weights)
    report = drawn([RANDOM(1 / rate)] * count, RANDOM(1 / mu), 30_000, queue=0).report
    blocked = np.arange(count + 1) @ p[1:]
    assert report.learner_idle == pytest.approx(p[0], rel=0.1)
    assert report.mean_waiting == pytest.approx(blocked, rel=0.02)
    assert report.generator_idle == pytest.approx([blocked / count] * count, rel=0.04)
    assert report.samples_per_time == pytest.approx(mu * (1 - p[0]), rel=0.02)


def test_without_staleness_it_is_a_barrier():
    """max_staleness 0 and a batch of one sample each: rounds of the slowest and then the learner, as at a barrier."""
    laws = [RANDOM(1.0), ct.Pareto(0.5, 1.5), FIXED(0.75)]
    schedule = drawn(laws, FIXED(2.0), 40, batch=3, max_staleness=0, on_stale="wait")
    barrier = Schedule.barrier(KEY, laws, 40)
    assert not schedule.delay.any()
    np.testing.assert_array_equal(schedule.worker, barrier.worker)
    np.testing.assert_array_equal(schedule.commit, barrier.commit)
    np.testing.assert_allclose(schedule.time[2::3], barrier.time[2::3] + 2.0 * np.arange(1, 41), rtol=1e-6)


def test_lag_in_flight_is_generators_over_batch():
    """If nobody is blocked and nothing dropped: so many updates land in the time that all generators need for one."""
    report = drawn([RANDOM(1.0)] * 6, FIXED(0.05), 5000, batch=4).report
    assert report.lag_in_flight.mean() == pytest.approx(6 / 4, rel=0.01)


@pytest.mark.parametrize(
    "options",
    [{"queue": 2}, {"queue": None}, {"queue": 4, "max_staleness": 1}, {"queue": 3, "order": "newest", "batch": 2}],
    ids=["blocked", "unbounded", "dropped", "newest"],
)
def test_littles_law(options):
    """Waiting samples are samples taken per unit of time times how long they wait, whoever is first."""
    report = drawn([RANDOM(1.0)] * 3, RANDOM(0.3), 4000, **options).report
    rate, wait = len(report.taken) / report.duration, (report.taken - report.finished).mean()
    assert report.mean_waiting == pytest.approx(rate * wait, rel=5e-3)


def test_weights_on_their_way():
    """D/D/1 with 2/3, where sample t begins when t − 1 updates have landed, and 1 unit after the last of them: a lag of
    updates is added to every delay, a journey of more than 1 unit is one update more, and of every three versions one
    is seen. The version seen after v updates is 3 ⌊v/3⌋."""

    def delays(**options):
        return drawn([FIXED(3.0)], FIXED(2.0), 30, **options).delay[9:].tolist()

    assert delays() == [1] * 21
    assert delays(publish_lag=2) == [3] * 21
    assert delays(publish_time=1.0) == [1] * 21
    assert delays(publish_time=1.5) == [2] * 21
    began = np.arange(9, 30) - 1  # updates landed when sample t began
    assert delays(publish_every=3) == (np.arange(9, 30) - 3 * (began // 3)).tolist()


def test_replays_are_rows_once_more():
    """A batch of two, three times: 6 rows and 3 updates, each a version further from the same first ones."""
    schedule = drawn([FIXED(1.0)] * 2, FIXED(0.25), 9, batch=2, replays=3)
    assert schedule.worker.tolist() == [0, 1] * 9
    assert listed(schedule.commit) == [False, True] * 9
    assert schedule.delay.tolist() == [0, 0, 1, 1, 2, 2] + [3, 3, 4, 4, 5, 5] * 2
    assert schedule.time[1::2].tolist() == [i + j / 4 for i in (1, 2, 3) for j in (1, 2, 3)]
    assert schedule.report.lag.tolist() == [0, 0, 3, 3, 3, 3]


def test_versions_that_change_in_flight():
    """Samples of 4 units, an update every unit by the quick one: the slow one begins and ends with versions that are 3
    to 4 apart; its delay is by the first. Otherwise it ends with what it began with."""
    laws = [FIXED(1.0), FIXED(4.0)]
    for in_flight in (False, True):
        report = drawn(laws, FIXED(0.5), 40, in_flight=in_flight, queue=4).report
        slow = report.generator == 1
        apart = (report.last_version - report.first_version)[slow]
        assert set(apart[1:]) == ({5} if in_flight else {0})
        assert report.lag.tolist() == drawn(laws, FIXED(0.5), 40, queue=4).delay.tolist()
        assert ("of last" in str(report)) == in_flight


# ----------------------------------------------------------------------------------------------------------- real runs

# Four processes that slept for Pareto(1.5) times, a multiprocessing queue, and a learner that slept 10 ms for each
# batch of 4, where a sleep took 0.3 ms more. The first 4,000 and 2,563 samples: shares of lags 0, 1, 2 in flight and of
# lags 0, 1 in the queue (others are rare), the mean of both, the share dropped, and what was trained on over the mean.
REAL = {
    "loaded": (12.0, {"queue": 4}, 1000, [0.503, 0.400, 0.0553, 0.1782, 0.6048, 0.745, 1.039, 0.0, 1.0]),
    "starved, dropped": (
        40.0,
        {"queue": 16, "max_staleness": 2},
        606,
        [0.3469, 0.5945, 0.0586, 0.8144, 0.1856, 0.712, 0.186, 0.0531, 0.722],
    ),
}


@pytest.mark.parametrize("run", REAL)
def test_real_runs(run):
    """Within four standard deviations of runs of that length, which ten simulated ones show: there is no other scale,
    for the times of a Pareto law of shape 1.5 have no variance, and lags in a row depend on each other. Shares of small
    lags and means of bounded ones are what so many samples tell well; a mean that a single long sample moves has a wide
    band of its own accord."""
    mean, options, updates, real = REAL[run]
    found = []
    for key in jax.random.split(KEY, 10):
        schedule = drawn([ct.Pareto(mean, 1.5)] * 4, FIXED(10.3), updates, key, batch=4, **options)
        report = schedule.report
        flight, queue = report.lag_in_flight, report.lag_in_queue
        shares = [(flight == lag).mean() for lag in (0, 1, 2)] + [(queue == lag).mean() for lag in (0, 1)]
        found.append([*shares, flight.mean(), queue.mean(), report.share_dropped, report.trained_generation])
    centre, spread = np.mean(found, axis=0), np.std(found, axis=0, ddof=1)
    assert (spread < [0.03, 0.03, 0.012, 0.06, 0.03, 0.1, 0.12, 0.01, 0.06]).all()  # the bands do say something
    assert (np.abs(np.array(real) - centre) <= 4 * spread).all()


# ------------------------------------------------------------------------------------------------------------ the rest


def test_a_learner_replays_it():
    """Every row's worker proposes, and only what was not dropped counts: x as by hand from the columns."""
    schedule = drawn([FIXED(1.0), FIXED(5.0)], FIXED(2.0), 12, batch=2, queue=1, max_staleness=1)
    learner = a3cjax.QuadraticSGD(curvature=[1.0], step=0.25, start=[1.0])
    versions, group = [1.0], []
    for read, commits, weight in zip(schedule.reads, listed(schedule.commit), listed(schedule.weight), strict=True):
        group += [versions[read]] * weight
        if commits:
            versions.append(versions[-1] - 0.25 * float(np.mean(group)))
            group = []
    assert len(versions) == 13
    assert schedule.report.share_dropped > 0
    np.testing.assert_allclose(a3cjax.simulate(learner, schedule, KEY).params.x[0], versions[-1], rtol=1e-5)


def test_the_report_belongs_to_one_object(tmp_path):
    schedule = drawn([FIXED(1.0)], FIXED(1.0), 4)
    schedule.save(tmp_path / "schedule.npz")
    others = schedule[:2], Schedule.load(tmp_path / "schedule.npz"), Schedule.sequential(3), jax.tree.map(str, schedule)
    assert [other.report for other in others] == [None] * 4
    assert repr(schedule.report) == "PipelineReport(4 updates, 4 samples taken)"


LAW = FIXED(1.0)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"generators": LAW}, r"generators is one law, but must be a list with a law for each generator"),
        ({"generators": []}, "generators is empty"),
        ({"generators": [LAW, 3.0]}, r"generators\[1\] is 3.0, which has no mean and sample"),
        ({"learner_time": [LAW]}, r"learner_time is \[.*\], but must be one law"),
        ({"batch": 0}, "batch is 0, but must be at least 1"),
        ({"queue": -1}, "queue is -1, but must be at least 0"),
        ({"replays": 0}, "replays is 0, but must be at least 1"),
        ({"replays": 3}, r"num_updates is 4, but each batch makes 3 \(replays\); use a multiple of that"),
        ({"publish_every": 0}, "publish_every is 0"),
        ({"publish_lag": -1}, "publish_lag is -1"),
        ({"publish_time": -1.0}, "publish_time is -1"),
        ({"publish_time": [1.0]}, r"publish_time has shape \(1,\), but must be one number"),
        ({"on_stale": "keep"}, "on_stale"),
        ({"on_stale": "wait"}, "on_stale is 'wait', which has no effect without a bound; give max_staleness"),
        ({"order": "newest"}, "order is 'newest', which has no effect on a queue of 1"),
        ({"order": "lifo"}, "order"),
        ({"in_flight": 2}, "in_flight is 2, but must be True or False"),
        ({"max_staleness": 1, "publish_lag": 1, "publish_every": 2}, r"up to 2 updates old .* use at least 2"),
    ],
)
def test_refusals(given, sentence):
    options: dict[str, Any] = {"generators": [LAW], "learner_time": LAW, "num_updates": 4, "batch": 1, "queue": 1}
    with pytest.raises(ValueError, match=sentence):
        Schedule.from_pipeline(KEY, **options | given)


def test_times_that_are_none_and_traces_are_refused():
    class Broken:
        """Gives minus one, once in a while."""

        mean = 1.0

        def sample(self, key):
            return jax.random.choice(key, np.array([1.0, -1.0]))

    with pytest.raises(ValueError, match=r"generators\[1\].sample of Broken gave -1.0 at turn \d+, but a compute time"):
        drawn([LAW, Broken()], LAW, 50)
    with pytest.raises(ValueError, match="from_pipeline is being traced, but how many rows"):
        jax.jit(lambda key: drawn([LAW], LAW, 4, key))(KEY)
