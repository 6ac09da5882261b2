"""From logs back to the laws that made them.

The logs are made here by a loop over events that shares no code with the package: a worker reads, computes, waits for
the lock, writes, pauses, and reads again.
"""

import heapq
import math
from typing import Any

import jax
import numpy as np
import pytest
from scipy import special

import a3cjax
from a3cjax.schedules.calibration import fitting
from a3cjax.schedules.calibration.families import FAMILIES, kolmogorov
from a3cjax.schedules.calibration.symptoms import symptoms

KEY = jax.random.key(0)
calibrate: Any = a3cjax.calibrate
fit_law: Any = fitting.fit_law
Team: Any = a3cjax.Team


def run(computing, pauses, num_updates, *, writing=0.0, latency=0.0):
    """The log of workers whose t-th computation takes computing[i][t], as columns of a table."""
    events = [(0.0, 0, i, 0) for i in range(len(computing))]  # when, what next (0 reads, 1 is ready), who, which turn
    free, landed, versions, begun = 0.0, [], {}, {}
    rows = {name: [] for name in ("worker", "read", "written", "read_time", "ready_time", "time")}
    while len(landed) < num_updates:
        now, what, i, turn = heapq.heappop(events)
        if what == 0:
            versions[i], begun[i] = sum(t <= now - latency for t in landed), now
            heapq.heappush(events, (now + computing[i][turn], 1, i, turn))
            continue
        free = max(free, now) + writing
        for name, value in zip(rows, (i, versions[i], len(landed), begun[i], now, free), strict=True):
            rows[name].append(value)
        landed.append(free)
        heapq.heappush(events, (free + pauses[i][turn], 0, i, turn + 1))
    return rows


def drawn(kind, workers, turns, seed=0):
    """Times of a law of mean 1."""
    rng = np.random.default_rng(seed)
    return {
        "exponential": lambda: rng.exponential(size=(workers, turns)),
        "lognormal": lambda: np.exp(rng.normal(-0.125, 0.5, size=(workers, turns))),
        "gamma": lambda: rng.gamma(4.0, 0.25, size=(workers, turns)),
        "pareto": lambda: 0.6 * (1 + rng.pareto(2.5, size=(workers, turns))),
        "uniform": lambda: rng.uniform(0.5, 1.5, size=(workers, turns)),
        "mixture": lambda: np.where(rng.random((workers, turns)) < 0.5, 0.5, 1.5) + 0.01 * rng.random((workers, turns)),
    }[kind]()


@pytest.mark.parametrize("kind", ["exponential", "lognormal", "gamma", "pareto", "uniform"])
def test_the_law_is_found_and_its_parameters_solve_the_likelihoods_equations(kind):
    times = drawn(kind, 1, 2000)[0]
    fit = fit_law(times, "auto", np.random.default_rng(0))
    assert fit.family == kind, fit.criteria
    assert fit.probability > 0.01
    law: Any = fit.law
    logs = np.log(times)
    if kind == "exponential":
        assert law.mean == pytest.approx(times.mean(), rel=1e-12)
    elif kind == "lognormal":
        assert law.mean == pytest.approx(math.exp(logs.mean() + logs.var() / 2), rel=1e-12)
        assert law.cv == pytest.approx(math.sqrt(math.exp(logs.var()) - 1), rel=1e-12)
    elif kind == "gamma":
        k = 1 / law.cv**2
        assert law.mean == pytest.approx(times.mean(), rel=1e-12)
        assert math.log(k) - special.digamma(k) == pytest.approx(math.log(times.mean()) - logs.mean(), rel=1e-9)
    elif kind == "pareto":
        assert law.shape == pytest.approx(1 / (logs.mean() - logs.min()), rel=1e-12)
        assert law.mean * (law.shape - 1) / law.shape == pytest.approx(times.min(), rel=1e-12)
    else:
        assert (law.low, law.high) == (times.min(), times.max())


def test_densities_are_the_distributions_derivatives():
    x = np.array([0.7, 1.1, 2.3])
    for name, known in (
        ("exponential", (2.0,)), ("gamma", (1.5, 3.0)), ("lognormal", (0.2, 0.8)), ("pareto", (0.5, 1.7)),
        ("uniform", (0.1, 4.0)),
    ):  # fmt: skip
        family = FAMILIES[name]
        slope = (family.distribution(x + 1e-6, *known) - family.distribution(x - 1e-6, *known)) / 2e-6
        np.testing.assert_allclose(np.exp(family.log_density(x, *known)), slope, rtol=1e-6, err_msg=name)


def test_the_distance_is_the_greatest_on_either_side_of_a_step():
    exponential = FAMILIES["exponential"]
    median, late = math.log(2), -math.log(0.01)  # the distribution is 0.5 and 0.99 there
    assert kolmogorov(exponential, (np.array(1.0),), np.array([median, median])) == pytest.approx(0.5)
    assert kolmogorov(exponential, (np.array(1.0),), np.array([late])) == pytest.approx(0.99)


def test_a_distance_at_the_published_critical_value_has_about_its_probability():
    """Stephens (1974), exponential with fitted mean, 5 %: (D − 0.2/n)(√n + 0.26 + 0.5/√n) = 1.094."""
    n = 400
    wanted = 1.094 / (math.sqrt(n) + 0.26 + 0.5 / math.sqrt(n)) + 0.2 / n
    quantiles = -np.log1p(-(np.arange(n) + 0.5) / n)

    def apart(power):
        times = np.sort(quantiles**power)
        return kolmogorov(FAMILIES["exponential"], (times.mean(),), times)

    low, high = 1.0, 1.5
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if apart(middle) < wanted else (low, middle)
    fit = fit_law(quantiles**low, "exponential", np.random.default_rng(1))
    assert fit.distance == pytest.approx(wanted, rel=1e-6)
    assert 0.015 <= fit.probability <= 0.1


def test_a_law_that_does_not_fit_gives_way_to_the_times_themselves():
    times = drawn("mixture", 1, 500)[0]
    fit = fit_law(times, "auto", np.random.default_rng(0))
    assert fit.family == "empirical"
    assert fit.law.mean == pytest.approx(times.mean())
    assert fit_law(times, "lognormal", np.random.default_rng(0)).verdict.startswith("lognormal, as was asked for, does")
    few = fit_law(times, "empirical", np.random.default_rng(0), most=10)
    np.testing.assert_array_equal(few.law.values, np.sort(times)[25::50])  # the middle of every tenth


def test_turns_are_what_happened_and_a_straggler_is_alone():
    computing = drawn("exponential", 4, 400)
    computing[2] *= 5
    log = run(computing, np.full((4, 400), 0.125), 600, writing=0.01)
    team = calibrate(log, law="exponential")
    found = team.calibration
    for i, turns in enumerate(found.turns):
        n = len(turns.computing)
        np.testing.assert_allclose(found.computing[i], computing[i][1 : n + 1])  # the lock and the pause are apart
        assert np.all(turns.writing >= 0.01 - 1e-9)
        np.testing.assert_allclose(turns.waiting[1:], 0.125)
    assert found.stragglers == (2,)
    assert found.groups == ((0, 1, 3), (2,))
    assert (found.writing.serial, found.writing.service) == (True, pytest.approx(0.01))
    assert team.write_time == pytest.approx(0.01)
    np.testing.assert_allclose(team.wait.values, 0.125)
    times = np.concatenate([found.computing[i] for i in (0, 1, 3)])
    assert team.compute_times[0].mean == pytest.approx(times.mean(), rel=1e-12)
    assert team.rate == pytest.approx(sum(1 / (law.mean + 0.135) for law in team.compute_times))
    assert "Worker 2 is a straggler" in str(team)


def test_short_pauses_and_quick_writes_are_computing():
    log = run(drawn("exponential", 3, 300), np.full((3, 300), 0.002), 600, writing=0.0005)
    team = calibrate(log)
    assert (team.wait, team.write_time) == (None, 0.0)
    turns = team.calibration.turns[1]
    np.testing.assert_allclose(team.calibration.computing[1], turns.computing + turns.waiting)


def test_writes_that_overlap_are_no_lock():
    """Here each write takes 0.1 from its own end of computing on, whoever else writes."""
    computing = drawn("exponential", 4, 300)
    ready = np.cumsum(computing + 0.1, axis=1) - 0.1
    landed = (ready + 0.1).ravel()
    order = np.argsort(landed)
    begun = (ready - computing).ravel()
    log = {"worker": np.repeat(range(4), 300)[order], "time": landed[order], "read_time": begun[order],
           "ready_time": ready.ravel()[order]}  # fmt: skip
    team = calibrate({name: column[:800] for name, column in log.items()})
    assert team.calibration.writing.serial is False
    assert team.write_time == 0


@pytest.mark.parametrize("latency", [0.0, 0.3])
def test_a_latency_of_reads_is_found(latency):
    team = calibrate(run(drawn("exponential", 3, 300), np.zeros((3, 300)), 600, latency=latency))
    assert team.read_latency == pytest.approx(latency, abs=0.005)
    assert team.calibration.latency_share == pytest.approx(1.0, abs=0.01)


def test_without_times_of_reads_a_pause_is_the_least_that_the_versions_allow():
    log = {"worker": [0, 1, 1, 0, 0, 1], "read": [0, 0, 2, 3, 4, 3], "written": [0, 1, 2, 3, 4, 5],
           "time": [1.0, 2.0, 3.0, 5.0, 6.0, 7.0]}  # fmt: skip
    turns = calibrate(log).calibration.turns
    # Worker 0 wrote at 1 and read version 3, which is there from 3 on; then it read after its own write.
    np.testing.assert_allclose(turns[0].waiting, [2.0, 0.0])
    np.testing.assert_allclose(turns[0].computing, [2.0, 1.0])
    np.testing.assert_allclose(turns[1].waiting, [0.0, 0.0])
    np.testing.assert_allclose(turns[1].computing, [1.0, 4.0])


def test_a_teams_own_schedule_calibrates_it_again():
    laws = [a3cjax.compute_times.Lognormal(2.0, cv=0.3)] * 3 + [a3cjax.compute_times.Lognormal(9.0, cv=0.9)]
    schedule = Team(laws).schedule(KEY, 3000)
    team = calibrate(schedule)
    assert team.calibration.stragglers == (3,)
    ordinary, slow = team.compute_times[0], team.compute_times[3]
    assert ordinary is team.compute_times[2]
    n, m = (len(team.calibration.computing[i]) for i in (0, 3))
    assert ordinary.mean == pytest.approx(2.0, abs=4 * 0.6 / math.sqrt(3 * n))
    assert slow.mean == pytest.approx(9.0, abs=4 * 8.1 / math.sqrt(m))
    seen = team.calibration.seen
    assert seen.mean_delay == pytest.approx(schedule.mean_delay)
    assert seen.rate == pytest.approx(3000 / float(schedule.time[-1]))
    assert team.rate == pytest.approx(seen.rate, rel=0.05)


def test_reads_before_the_own_landing_are_a_latency():
    log = run(drawn("exponential", 4, 600), np.zeros((4, 600)), 2000, latency=0.25)
    team = calibrate({name: log[name] for name in ("worker", "read", "written", "time")})
    assert team.calibration.overlaps
    assert team.read_latency == pytest.approx(0.25, abs=0.01)
    assert team.rate == pytest.approx(4, rel=4 / math.sqrt(2000))


def test_workers_that_share_cores_have_their_time_on_a_core_and_their_slice():
    """While no core is idle an update takes C / rate of core time, whatever is computed."""
    true = Team([a3cjax.compute_times.Lognormal(1.0, cv=0.2)] * 4, cores=2, time_slice=2.0)
    team = calibrate(true.schedule(KEY, 1500), cores=2)
    assert team.compute_times[0].mean == pytest.approx(2 / team.calibration.seen.rate, rel=0.01)
    assert team.compute_times[0].mean == pytest.approx(1.0, rel=0.02)
    assert team.rate == pytest.approx(2.0, rel=0.02)
    again = [each.schedule(jax.random.key(1), 1500) for each in (true, team)]
    assert np.var(again[1].delay) == pytest.approx(np.var(again[0].delay), rel=0.25)
    assert 1.0 < team.time_slice < 4.0
    more = [each.with_workers(8).schedule(jax.random.key(1), 1500) for each in (true, team)]
    assert np.var(more[1].delay) == pytest.approx(np.var(more[0].delay), rel=0.5)
    assert team.with_cores(None).rate == pytest.approx(4.0, rel=0.02)
    assert "Workers share 2 cores" in str(team)


def test_few_workers_on_many_cores_tell_no_slice():
    team = calibrate(run(drawn("exponential", 2, 300), np.zeros((2, 300)), 400), cores=2)
    assert team.time_slice is None
    assert team.compute_times[0].mean == pytest.approx(1.0, rel=0.2)
    assert "give time_slice= for more of them" in str(team)
    assert team.with_cores(2, 0.5).with_workers(6).rate == pytest.approx(team.rate)


def test_one_core_and_waits_are_the_machine_repair_model():
    """N machines, one repairman: P(idle) = 1 / Σ_n N!/(N − n)! (c / z)^n, and the rate is (1 − P(idle)) / c."""
    team = Team([a3cjax.compute_times.Exponential(1.0)] * 3, wait=a3cjax.compute_times.Exponential(2.0), cores=1)
    idle = 1 / sum(math.factorial(3) / math.factorial(3 - n) * 0.5**n for n in range(4))
    schedule = team.schedule(KEY, 3000)
    assert 3000 / schedule.time[-1] == pytest.approx(1 - idle, rel=4 / math.sqrt(3000))


def test_reads_that_just_miss_the_own_landing_overlap():
    """Two workers in turn, each of whom reads the version before its own last one."""
    log = {"worker": [0, 1] * 20, "written": range(40), "read": [max(k - 2, 0) for k in range(40)]}
    team = calibrate(log | {"time": np.arange(40) + 1.0})
    assert team.calibration.overlaps
    assert 0 < team.read_latency <= 1


def test_more_fewer_and_slower_workers():
    computing = drawn("exponential", 4, 400)
    computing[3] *= 5
    team = calibrate(run(computing, np.zeros((4, 400)), 600), law="exponential")
    fast, slow = team.compute_times[0], team.compute_times[3]
    for n in range(2, 9):
        laws = team.with_workers(n).compute_times
        assert [law is slow for law in laws].count(True) == 1
        assert team.with_workers(n).num_workers == n
    assert team.with_workers(1).compute_times == (fast,)
    assert team.with_workers(4).compute_times == team.compute_times
    assert slow not in team.with_workers(8, stragglers="none").compute_times
    assert [i for i, law in enumerate(team.with_workers(8, stragglers="share").compute_times) if law is slow] == [3, 7]
    assert team.with_workers(5).names == ("0", "1", "2", "3", "0 (2)")
    assert team.with_workers(3).names == ("0", "1", "3")
    slowed = team.slowed("1", 3).with_workers(9)
    assert [law.mean / fast.mean for law in slowed.compute_times if law is not slow] == pytest.approx(
        [1, 3, 1, 1, 3, 1, 1, 3]
    )
    with pytest.raises(ValueError, match=r"all workers are stragglers"):
        Team([slow], calibration=team.calibration, like=[3]).with_workers(2)


def test_stretches_keep_what_follows_what():
    """Turns that alternate between 1 and 2 beside turns of 3/4, all multiples of a power of two: sums are exact."""
    computing = [np.tile([1.0, 2.0], 200), np.full(400, 0.75)]
    team = calibrate(run(computing, np.full((2, 400), 0.25), 500))
    schedule = team.schedule(KEY, 300, draws="stretches", stretch=1000)
    mine = np.asarray(schedule.time)[np.asarray(schedule.worker) == 0]
    gaps = np.diff(mine)
    assert set(gaps) == {1.25, 2.25}
    assert (gaps[2:] == gaps[:-2]).mean() > 0.95  # but where a stretch ends
    # Delays, by counting: a read is 1/4 after the own landing, at the start of the turn.
    landed, worker = np.asarray(schedule.time), np.asarray(schedule.worker)
    for k in range(20, 300):
        own = landed[:k][worker[:k] == worker[k]][-1]
        assert schedule.delay[k] == k - (landed[:k] <= own + 0.25).sum()
    shorter = team.schedule(KEY, 100, draws="stretches", stretch=1000)
    np.testing.assert_array_equal(shorter.delay, schedule.delay[:100])


def test_a_resampled_teams_mean_varies_as_a_mean_does():
    """The mean of n exponential times has the standard deviation 1/√n; of n in blocks, that of the log's blocks."""
    team = calibrate(run(drawn("exponential", 2, 400), np.zeros((2, 400)), 500), law="exponential")
    means = [team.resampled(jax.random.key(i)).compute_times[0].mean for i in range(150)]
    n = sum(len(team.calibration.computing[i]) for i in range(2))
    assert np.mean(means) == pytest.approx(team.compute_times[0].mean, abs=0.02)
    assert np.std(means) == pytest.approx(1 / math.sqrt(n), rel=0.35)
    slowed = team.slowed(0, 2).resampled(KEY)
    assert slowed.compute_times[0].mean == pytest.approx(2 * slowed.compute_times[1].mean)


class TestSymptoms:
    """Each on times that have it, and on independent ones, that have none."""

    def of(self, times):
        ends = [np.cumsum(x) for x in times]
        worker, landed = np.repeat(np.arange(len(times)), [len(x) for x in times]), np.concatenate(ends)
        order = np.argsort(landed)
        worker, landed = worker[order], landed[order]
        worker, landed = (x[landed <= min(end[-1] for end in ends)] for x in (worker, landed))
        return symptoms(times, worker, landed)

    def test_none(self):
        for kind in ("exponential", "lognormal", "uniform", "pareto"):
            assert self.of(list(drawn(kind, 4, 500, seed=3))).sentences() == [], kind

    def test_ties(self):
        found = self.of([np.round(drawn("exponential", 1, 1000)[0] + 0.1, 1)])
        assert found.ties > 0.9

    def test_serial_dependence(self):
        alternating = drawn("uniform", 1, 1000)[0] + np.tile([0.0, 2.0], 500)
        found = self.of([alternating])
        assert found.serial_certain
        assert found.serial < -0.7

    def test_drift(self):
        found = self.of([drawn("exponential", 1, 2000)[0] * np.linspace(1, 2, 2000)])
        assert found.drift_certain
        assert 1.5 < found.drift < 2.4  # tenths differ by 1.95 / 1.05 = 1.86

    def test_turns_that_are_taken_and_shared_speed(self):
        n = 2000
        rng = np.random.default_rng(0)
        turns = symptoms([np.ones(n)] * 2, rng.integers(0, 2, n), np.arange(n) * 1.0)
        assert turns.between_certain
        assert turns.between < 0.05  # whoever lands, someone does
        speed = np.repeat(rng.exponential(size=n // 20), 20)
        together = self.of([drawn("uniform", 1, n, seed=s)[0] * speed for s in (1, 2)])
        assert together.between_certain
        assert together.between > 1.3

    def test_two_groups(self):
        assert self.of([drawn("mixture", 1, 500)[0]]).modes == pytest.approx((0.505, 1.505), abs=0.01)


def test_a_saved_team_is_the_same(tmp_path):
    computing = drawn("mixture", 3, 200)
    computing[1] *= 4
    team = calibrate(run(computing, np.full((3, 200), 0.1), 300)).slowed(0, 2).with_latency(read=0.5)
    path = tmp_path / "team"
    team.save(path)
    again = Team.load(path)
    assert str(again) == str(team)
    for known, law in zip(team.compute_times, again.compute_times, strict=True):
        np.testing.assert_array_equal(law.values, known.values)
    stretched = (each.with_latency(read=0).schedule(KEY, 50, draws="stretches").delay for each in (again, team))
    np.testing.assert_array_equal(*stretched)
    assert again.resampled(KEY).compute_times[2].mean == team.resampled(KEY).compute_times[2].mean
    a3cjax.Schedule.sequential(3).save(path)
    with pytest.raises(ValueError, match=r"is not a saved team \(it holds other arrays\)"):
        Team.load(path)

    class Own:
        mean = 1.0

        def sample(self, key):
            return 1.0

    with pytest.raises(ValueError, match=r"compute_times\[0\] is a Own, and only laws"):
        Team([Own()]).save(path)
