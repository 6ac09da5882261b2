"""Workers that wait before they read, or share cores: by hand, against an independent simulator, in closed form."""

import math
from fractions import Fraction

import jax
import numpy as np
import pytest

import a3cjax
from a3cjax.schedules.events.cores import Cores, Rules

ct, waits = a3cjax.compute_times, a3cjax.waits
from_workers = a3cjax.Schedule.from_workers
KEY = jax.random.key(0)


class Reference:
    """The model as events/cores.py states it, from instant to instant: what is left of everything is counted down.

    ``computing[i]`` and ``waiting[i]`` are iterators of rational numbers; ``waiting`` is None for workers that compute
    while they write. Nothing is kept of what is to come.
    """

    def __init__(self, computing, waiting, latency, write, cores, q):
        self.computing, self.waiting, self.latency, self.write, self.q = computing, waiting, latency, write, q
        self.everyone = range(len(computing))
        self.line, self.on, self.cores = list(self.everyone), [], cores
        self.doing = dict.fromkeys(self.everyone, "compute")
        self.left = {i: next(computing[i]) for i in self.everyone}
        self.used, self.until, self.read = {}, {}, dict.fromkeys(self.everyone, 0)
        self.lock, self.now = [], Fraction(0)
        self.worker, self.delay, self.landed, self.own = [], [], [], {}

    def run(self, num_updates):
        while len(self.worker) < num_updates:
            self.fill()
            steps = [self.left[i] for i in self.on] + [time - self.now for time in self.until.values()]
            steps += [self.q - self.used[i] for i in self.on if self.q != math.inf]
            step = min(steps)
            assert step > 0
            self.now += step
            for i in self.on:
                self.left[i] -= step
                self.used[i] += step
            self.instant()
        columns = self.worker, self.delay, self.landed
        return tuple(column[:num_updates] for column in columns)

    def instant(self):
        for i in list(self.on):
            if self.doing[i] == "write" and self.left[i] == 0:
                self.lock.remove(i)
                if self.lock:
                    self.line.append(self.lock[0])
                self.lands(i)
        for i in self.everyone:
            if i in self.on and self.left[i] == 0:
                self.finishes(i)
            elif self.until.get(i) == self.now:
                del self.until[i]
                if self.waiting is None:
                    self.hands_over(i)
                else:
                    self.reads(i)
        self.fill()
        for i in [i for i in self.on if self.used[i] == self.q]:
            self.used[i] = 0
            if self.line:
                self.on.remove(i)
                self.line.append(i)
                self.fill()

    def fill(self):
        while self.line and len(self.on) < self.cores:
            self.on.append(self.line.pop(0))
            self.used[self.on[-1]] = 0

    def finishes(self, i):
        if self.waiting is None:
            if self.own.get(i, 0) > self.now:
                self.on.remove(i)
                self.until[i] = self.own[i]
            else:
                self.hands_over(i)
        elif self.write == 0:
            self.lands(i)
        else:
            self.lock.append(i)
            self.doing[i], self.left[i] = "write", self.write
            if self.lock[0] != i:
                self.on.remove(i)

    def hands_over(self, i):
        self.own[i] = max([self.now, *self.landed[-1:]]) + self.write
        self.row(i, self.own[i])
        self.reads(i)

    def lands(self, i):
        self.row(i, self.now)
        wait = next(self.waiting[i])
        if wait == 0:
            self.reads(i)
        else:
            self.on.remove(i)
            self.until[i] = self.now + wait

    def row(self, i, landed):
        self.delay.append(len(self.worker) - self.read[i])
        self.worker.append(i)
        self.landed.append(landed)

    def reads(self, i):
        self.read[i] = sum(landed <= self.now - self.latency for landed in self.landed)
        self.doing[i], self.left[i] = "compute", next(self.computing[i])
        if i not in self.on:
            self.line.append(i)


def loop(computing, waiting, num_updates, latency=0, write=0, cores=None, q=math.inf):
    """The package's, with whole numbers as times."""
    rules = Rules(num_updates, latency, write, cores or len(computing), None if q == math.inf else int(q))
    computing = [iter(times).__next__ for times in computing]
    waiting = None if waiting is None else [iter(times).__next__ for times in waiting]
    team = Cores(rules, computing, waiting)
    team.run()
    return team.worker, team.delay, team.landed


def both_agree(computing, waiting, num_updates, latency=0, write=0, cores=None, q=math.inf):
    ours = loop(computing, waiting, num_updates, latency, write, cores, q)
    in_eighths = None if waiting is None else eighths(waiting)
    whole = (Fraction(latency, 8), Fraction(write, 8), cores or len(computing), q / Fraction(8))
    told = Reference(eighths(computing), in_eighths, *whole).run(num_updates)
    assert ours[0] == told[0]
    assert ours[1] == told[1]
    assert [Fraction(time, 8) for time in ours[2]] == told[2]
    return ours


def eighths(times):
    return [(Fraction(time, 8) for time in own) for own in times]


def random_team(rng, most=12):
    """Small whole times, so that most events meet others; waits are often 0, or there are none."""
    count, length = int(rng.integers(1, 7)), 400
    longest = rng.integers(1, most, size=count)
    computing = [rng.integers(1, top, size=length, endpoint=True).tolist() for top in longest]
    shares = rng.choice([0.0, 0.3, 1.0], size=count)
    waiting = [(rng.integers(1, 6, size=length) * (rng.random(length) < share)).tolist() for share in shares]
    options = {
        "latency": int(rng.choice([0, 0, 1, 5])),
        "write": int(rng.choice([0, 0, 1, 2, 7])),
        "cores": int(rng.integers(1, count + 1)),
        "q": int(rng.choice([1, 2, 3, 5, 8, 40])),
    }
    return computing, (waiting if rng.random() < 0.7 else None), options


@pytest.mark.parametrize("seed", range(4))
def test_tie_rich_teams_follow_the_reference(seed):
    rng = np.random.default_rng(seed)
    for _ in range(60):
        computing, waiting, options = random_team(rng)
        both_agree(computing, waiting, 40, **options)


def test_slices_that_are_short_beside_computing_follow_the_reference():
    """Hundreds of slices a computation, which the package goes round at once and the reference one by one."""
    rng = np.random.default_rng(5)
    for _ in range(12):
        computing, waiting, options = random_team(rng, most=3000)
        waiting = None if waiting is None else [[400 * wait for wait in own] for own in waiting]
        both_agree(computing, waiting, 12, **options | {"q": int(rng.integers(3, 30))})


# ------------------------------------------------------------------------------------------------------------ by hand


def always(count, time, length=100_000):
    return [[time] * length] * count


def test_a_slice_goes_on_over_the_end_of_a_gradient():
    """One core, slices of 5, gradients of 2: worker 0 finishes at 2, 4, has 1 left at 5; worker 1 at 7, 9; then 0 at
    11, 13 and, its slice up at 15 as its gradient is, 15; then 1 at 16, 18, 20."""
    worker, delay, landed = loop(always(2, 2), None, 10, cores=1, q=5)
    assert landed == [2, 4, 7, 9, 11, 13, 15, 16, 18, 20]
    assert worker == [0, 0, 1, 1, 0, 0, 0, 1, 1, 1]
    assert delay == [0, 0, 2, 0, 2, 0, 0, 3, 0, 0]


def test_whoever_waits_lines_up_anew():
    """One core, gradients of 2, waits of 1, no slices. Worker 0 computes for 0–2 and reads at 3, worker 1 computes for
    2–4 and reads at 5, worker 0 computes for 4–6: each stands in line for 1, and the other lands meanwhile."""
    worker, delay, landed = loop(always(2, 2), always(2, 1), 6, cores=1)
    assert landed == [2, 4, 6, 8, 10, 12]
    assert worker == [0, 1, 0, 1, 0, 1]
    assert delay == [0, 1, 1, 1, 1, 1]


def test_a_slice_that_ends_with_nobody_in_line_goes_on():
    """One core, slices of 4. Worker 1 computes for 4–5, lands and is back at 14; worker 0, from 5 on, is asked at 9, 13
    and 17. Worker 1 computes for 17–18 and is back at 27, worker 0 is asked at 22, 26 and 30, has computed 4 + 12 + 12
    of its 30, and does the rest for 31–33."""
    worker, delay, landed = loop([[30, 30], [1] * 9], [[0] * 9, [9] * 9], 4, cores=1, q=4)
    assert landed == [5, 18, 31, 33]
    assert worker == [1, 1, 1, 0]
    assert delay == [0, 0, 0, 3]


def test_who_is_interrupted_while_writing_keeps_others_from_it():
    """One core, slices of 3, gradients and writes of 2. Worker 0 has half written at 3; worker 1 computes for 3–5 and
    may not write. Worker 0 lands at 6, computes for 6–8 and may not write either, for worker 1 came first: it writes
    for 8–10 and computes for 10–11, worker 0 writes for 11–13 and computes for 13–14; worker 1 computes for 14–15 and
    writes for 15–17."""
    worker, delay, landed = loop(always(2, 2), always(2, 0), 4, write=2, cores=1, q=3)
    assert landed == [6, 10, 13, 17]
    assert worker == [0, 1, 0, 1]
    assert delay == [0, 1, 1, 1]


def test_slices_that_end_together_line_up_as_they_began():
    """Three workers on two cores, slices of 1, gradients of 2: 01, 20, 12 and again, two slices of three for each. The
    first computation of 0 is done at 2, of 1 and of 2 at 3; from then on each has two thirds of a core."""
    worker, _, landed = loop(always(3, 2), None, 9, cores=2, q=1)
    assert landed == [2, 3, 3, 5, 6, 6, 8, 9, 9]
    assert worker == [0, 1, 2, 0, 1, 2, 0, 1, 2]


# ------------------------------------------------------------------------------------------------------- closed forms


@pytest.mark.parametrize(("workers", "cores", "q"), [(6, 2, 1), (5, 3, 7), (4, 1, 100), (8, 2, 64)])
def test_equal_workers_share_the_cores(workers, cores, q):
    """Cores are never idle: C of them do C / c updates a unit of time, but for the N computations under way. With
    slices that are short beside c it is processor sharing, at which all N finish together, about every N c / C."""
    c, updates = 60, 600
    _, delay, landed = loop(always(workers, c), None, updates, cores=cores, q=q)
    assert updates <= landed[-1] * cores / c + 1e-9 <= updates + workers
    assert sum(delay) / updates == pytest.approx(workers - 1, abs=workers * workers / updates)
    if q == 1:
        assert max(landed[:workers]) - min(landed[:workers]) <= workers * q
        assert landed[workers - 1] == pytest.approx(workers * c / cores, abs=workers * q)


@pytest.mark.parametrize(("workers", "many"), [(2, 3), (5, 4), (3, 1)])
def test_short_gradients_come_in_bursts(workers, many):
    """One core and slices of m gradients: a worker's m updates follow each other, m − 1 of delay 0, and one of delay
    (N − 1) m: mean N − 1 and variance (N − 1)² (m − 1). For m = 1 that is a round robin."""
    rounds = 50
    worker, delay, _ = loop(always(workers, 3), None, workers * many * rounds, cores=1, q=3 * many)
    assert worker == [i for _ in range(rounds) for i in range(workers) for _ in range(many)]
    steady = np.array(delay[workers * many :])
    assert steady.mean() == workers - 1
    assert steady.var() == pytest.approx((workers - 1) ** 2 * (many - 1))


def test_one_core_makes_an_update_in_the_mean_compute_time():
    rng = np.random.default_rng(0)
    times = rng.integers(1, 1000, size=(5, 3000)).tolist()
    _, _, landed = loop(times, None, 5000, cores=1, q=170)
    assert 5000 / landed[-1] == pytest.approx(1 / 500, rel=4 * 1000 / 12**0.5 / 500 / 5000**0.5 + 5 / 5000)


def repaired(workers, cores, load):
    """The machine repair model, M/M/C//N, of compute time / wait = ``load``: the mean number of cores in use."""
    weights = [1.0]
    for n in range(1, workers + 1):
        weights.append(weights[-1] * (workers - n + 1) * load / min(n, cores))
    return sum(weight * min(n, cores) for n, weight in enumerate(weights)) / sum(weights)


@pytest.mark.parametrize(
    ("cores", "q", "law"),
    [(1, math.inf, "exponential"), (2, math.inf, "exponential"), (1, 0.5, "exponential"), (1, 0.02, "deterministic")],
)
def test_workers_that_wait_are_machines_that_are_repaired(cores, q, law):
    """Exponential waits of mean 2 and compute times of 1, N = 4: first come first served, M/M/C//4. Slices change
    nothing there. If they are short, processor sharing, the law of compute times does not matter. The rate is that of
    cores in use over the mean compute time, to four standard errors by the spread of 16 stretches."""
    rng, unit, workers, stretch = np.random.default_rng(7), 1_000_000, 4, 500 if law == "exponential" else 250
    shape = workers, 16 * stretch
    waiting = (1 + rng.exponential(2 * unit, size=shape).astype(int)).tolist()
    computing = (1 + rng.exponential(unit, size=shape).astype(int)).tolist()
    computing = computing if law == "exponential" else always(workers, unit)
    _, _, landed = loop(computing, waiting, 16 * stretch, cores=cores, q=q if q == math.inf else int(q * unit))
    spans = np.diff(np.array([0, *landed[stretch - 1 :: stretch]], float)) / unit
    error = 4 * spans.std(ddof=1) / spans.mean() / 4
    assert stretch / spans.mean() == pytest.approx(repaired(workers, cores, 1 / 2), rel=error)
    assert error < 0.06


def test_waits_bring_the_mean_delay_below_what_workers_make():
    """Equal workers that do not depend on each other wait for a share x = w / (w + c) of their time, in which N − 1
    others land at their usual rate: mean (N − 1)(1 − x), and N / (w + c) updates a unit of time."""
    rng, unit, workers, updates = np.random.default_rng(3), 1_000_000, 8, 24_000
    computing = (1 + rng.exponential(unit, size=(workers, 4000)).astype(int)).tolist()
    waiting = (rng.exponential(unit, size=(workers, 4000)).astype(int) * (rng.random((workers, 4000)) < 0.25)).tolist()
    _, delay, landed = loop(computing, waiting, updates)
    stretches = np.array(delay).reshape(24, -1).mean(1)[1:]
    error = 4 * stretches.std(ddof=1) / 23**0.5
    assert stretches.mean() == pytest.approx(7 * 0.8, abs=error)
    assert error < 0.1
    assert landed[-1] / updates * 8 / unit == pytest.approx(1.25, rel=0.03)


def test_a_section_that_never_rests_writes_at_its_own_rate():
    """Six workers, gradients of 10 and writes of 5 that are made one after the other: 1 / 5, and each in its turn."""
    worker, delay, landed = loop(always(6, 10), always(6, 0), 120, write=5)
    assert landed == [15 + 5 * k for k in range(120)]
    assert worker == [k % 6 for k in range(120)]
    assert delay[6:] == [5] * 114
