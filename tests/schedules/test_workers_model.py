"""The event-driven model: by hand, against an independent simulator, and at its limits."""

import heapq
from bisect import bisect_right
from fractions import Fraction
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import a3cjax

ct = a3cjax.compute_times
from_workers = a3cjax.Schedule.from_workers
KEY = jax.random.key(0)


TICK = Fraction(2) ** -149  # the smallest positive float32, of which every other is a whole multiple


def reference(draws, num_updates, read_latency: float = 0.0, write_time: float = 0.0):
    """The model in whole numbers of 2⁻¹⁴⁹, fed with ``draws[i][t]``: a heap of hand-overs, a list of landings.

    Every float32 is such a number, so that nothing is rounded but the landings, once, when they are given back.
    """
    draws = [[ticks(time) for time in own] for own in draws]
    latency, write = ticks(read_latency), ticks(write_time)
    heap = [(times[0], i) for i, times in enumerate(draws)]
    heapq.heapify(heap)
    drawn = [1] * len(draws)
    version = [0] * len(draws)
    worker, delay, landings = [], [], []
    for k in range(num_updates):
        handed, i = heapq.heappop(heap)
        landed = max(handed, landings[-1] if landings else 0) + write
        landings.append(landed)
        worker.append(i)
        delay.append(k - version[i])
        version[i] = min(bisect_right(landings, handed - latency), k + 1)
        heapq.heappush(heap, (max(handed + draws[i][drawn[i]], landed), i))
        drawn[i] += 1
    return np.array(worker), np.array(delay), np.array([float(landed * TICK) for landed in landings])


def ticks(number: float) -> int:
    whole = Fraction(float(np.float32(number))) / TICK
    assert whole.denominator == 1
    return whole.numerator


def assert_follows(schedule, draws, **waits):
    """To the last bit, times too: they are the exact ones, rounded once to float64."""
    worker, delay, time = reference(draws, len(schedule), **waits)
    np.testing.assert_array_equal(schedule.worker, worker)
    np.testing.assert_array_equal(schedule.delay, delay)
    if any(waits.values()):
        np.testing.assert_array_equal(schedule.time, time)
    else:
        np.testing.assert_allclose(schedule.time, time, rtol=1e-6)


@partial(jax.jit, static_argnums=2)
def times(law, key, count):
    return jax.vmap(lambda t: law.sample(jax.random.fold_in(key, t)))(jnp.arange(count))


def draws_of(key, laws, count):
    """c(i, t) as the documentation defines it."""
    keys = [jax.random.fold_in(key, i) for i in range(len(laws))]
    return [np.asarray(times(law, key, count), np.float64) for law, key in zip(laws, keys, strict=True)]


# ------------------------------------------------------------------------------------------------------------ by hand


def test_two_unequal_workers_by_hand():
    """Means 1 and 2.5: landings 1, 2, 2.5, 3, 4, then both at 5 (worker 0 first), 6, 7, 7.5."""
    schedule = from_workers(KEY, [ct.Deterministic(1.0), ct.Deterministic(2.5)], 10)
    np.testing.assert_array_equal(schedule.time, [1, 2, 2.5, 3, 4, 5, 5, 6, 7, 7.5])
    np.testing.assert_array_equal(schedule.worker, [0, 0, 1, 0, 0, 0, 1, 0, 0, 1])
    np.testing.assert_array_equal(schedule.delay, [0, 0, 2, 1, 0, 0, 3, 1, 0, 2])
    assert schedule.time.dtype == np.float64
    assert schedule.worker.dtype == schedule.delay.dtype == np.int32


def test_one_worker_with_a_write_section_misses_its_own_write():
    """It hands over at 1, 2, 3, … and reads then; its write lands ¼ later, so it always misses one."""
    schedule = from_workers(KEY, [ct.Deterministic(1.0)], 4, write_time=0.25)
    np.testing.assert_array_equal(schedule.time, [1.25, 2.25, 3.25, 4.25])
    np.testing.assert_array_equal(schedule.delay, [0, 1, 1, 1])


def test_a_saturated_write_section_by_hand():
    """Two workers of mean 1 and writes of ¾. Hand-overs at 1, 1, 2, 2.5, 3.25, 4 (from the third on a worker waits for
    its own landing) and landings from 1.75 every ¾; the reads see 0, 0, 1, 2, 3, 4 of them."""
    schedule = from_workers(KEY, [ct.Deterministic(1.0)] * 2, 6, write_time=0.75)
    np.testing.assert_array_equal(schedule.time, 1.75 + 0.75 * np.arange(6))
    np.testing.assert_array_equal(schedule.worker, [0, 1, 0, 1, 0, 1])
    np.testing.assert_array_equal(schedule.delay, [0, 1, 2, 3, 3, 3])


# ------------------------------------------------------------------------------------- against an independent simulator


MIXED = [
    ct.Exponential(1.0),
    ct.Lognormal(0.7, cv=0.5),
    ct.Gamma(1.3, cv=0.8),
    ct.Pareto(1.0, shape=1.5),
    ct.Uniform(0.2, 2.0),
    ct.Empirical([0.31, 0.77, 2.05]),
    ct.Lognormal(1.0, cv=0.1).scaled(5.0),
    ct.Deterministic(0.9),
]


@pytest.mark.parametrize(
    ("read_latency", "write_time"), [(0.0, 0.0), (0.37, 0.0), (0.0, 0.011), (0.53, 0.041), (40.0, 0.0), (0.3, 0.27)]
)
def test_mixed_laws_follow_the_reference(read_latency, write_time):
    """The order of 3000 events, every delay and every time are the same."""
    schedule = from_workers(KEY, MIXED, 3000, read_latency=read_latency, write_time=write_time)
    draws = draws_of(KEY, MIXED, 3000)
    assert_follows(schedule, draws, read_latency=read_latency, write_time=write_time)


DECIMALS = {
    "0.3 against 0.1": [0.3, 0.1],
    "0.1 against 0.3": [0.1] * 4 + [0.3] * 3,
    "0.6 against 0.2": [0.6, 0.2],
    "0.7 against 0.1": [0.1, 0.7],
    "a straggler": [0.1, 300.0, 0.3],
    "alone": [0.1],
}


@pytest.mark.parametrize("waits", [(0.0, 0.0), (0.3, 0.0), (0.0, 0.1), (0.0, 0.3), (0.2, 0.1)], ids=str)
@pytest.mark.parametrize("means", DECIMALS.values(), ids=DECIMALS)
def test_decimals_are_the_floats_that_they_are(means, waits):
    """3 · 0.1 is 2⁻²⁷ short of 0.3 in float32: who is first, and what a read sees, hangs on the last bit."""
    named = dict(zip(("read_latency", "write_time"), waits, strict=True))
    schedule = from_workers(KEY, [ct.Deterministic(mean) for mean in means], 1000, **named)
    assert_follows(schedule, [[mean] * 1001 for mean in means], **named)


def test_a_worker_that_waits_for_its_landing_reads_it():
    """Alone with writes that take three times as long as computing, it hands over at its own landings: from the second
    hand-over on it sees all landings but the write under way, so that every delay after the first is 1."""
    schedule = from_workers(jax.random.key(7), [ct.Deterministic(0.1)], 20_000, write_time=0.3)
    assert schedule.delay[0] == 0
    np.testing.assert_array_equal(schedule.delay[1:], 1)
    np.testing.assert_array_equal(
        schedule.time, [float((ticks(0.1) + (k + 1) * ticks(0.3)) * TICK) for k in range(20_000)]
    )


def test_random_workers_that_wait_for_their_landings_read_them():
    """A tenth of these hand-overs is at the worker's own landing, times that no other path of sums gives."""
    laws = [ct.Exponential(1.0)] * 8
    schedule = from_workers(KEY, laws, 20_000, write_time=0.25)
    assert_follows(schedule, draws_of(KEY, laws, 20_000), write_time=0.25)


def test_compute_times_beyond_a_pairs_bits_change_nothing_but_last_digits():
    """Gamma times of cv 5 go down to 1e-30 of the mean; a pair of floats has 48 bits."""
    laws = [ct.Gamma(1.0, cv=5.0)] * 4
    schedule = from_workers(KEY, laws, 2000, read_latency=0.3, write_time=0.001)
    worker, delay, time = reference(draws_of(KEY, laws, 2001), 2000, 0.3, 0.001)
    np.testing.assert_array_equal(schedule.worker, worker)
    np.testing.assert_array_equal(schedule.delay, delay)
    np.testing.assert_allclose(schedule.time, time, rtol=1e-13)


def test_what_comes_after_the_last_update_costs_no_digit():
    """A worker whose first four times are 0.1, and whose fifth is 2¹⁰⁰, beside which 0.1 is nothing. More is simulated
    than is asked for, but four landings at 0.4, 0.7, 1 and 1.3 or so are told to the last bit."""
    law, seed = ct.Empirical([0.1] * 3 + [2.0**100]), 0
    while (draws := draws_of(jax.random.key(seed), [law], 5))[0].tolist() != [np.float32(0.1)] * 4 + [2.0**100]:
        seed += 1
    schedule = from_workers(jax.random.key(seed), [law], 4, write_time=0.3)
    assert_follows(schedule, draws, write_time=0.3)
    assert schedule.time[-1] < 2


@settings(deadline=None, max_examples=60)
@given(
    eighths=st.lists(st.integers(1, 24), min_size=1, max_size=3),
    latency=st.integers(0, 20),
    write=st.integers(0, 6),
)
def test_ties_follow_the_reference_exactly(eighths, latency, write):
    """Multiples of 1/8 are exact in float32, so that every tie is a tie: order, delays and times agree exactly."""
    laws = [ct.Deterministic(n / 8) for n in eighths]
    schedule = from_workers(KEY, laws, 150, read_latency=latency / 8, write_time=write / 8)
    worker, delay, time = reference([[n / 8] * 151 for n in eighths], 150, latency / 8, write / 8)
    np.testing.assert_array_equal(schedule.worker, worker)
    np.testing.assert_array_equal(schedule.delay, delay)
    np.testing.assert_array_equal(schedule.time, time)


# ------------------------------------------------------------------------------------------------- what waiting does


def test_a_write_section_spaces_the_landings_and_adds_delay():
    laws = [ct.Exponential(1.0)] * 8
    without = from_workers(KEY, laws, 20_000)
    schedule = from_workers(KEY, laws, 20_000, write_time=0.05)
    assert np.diff(schedule.time).min() >= 0.05 - 1e-6  # differences of two float32 roundings
    assert schedule.mean_delay > without.mean_delay + 1
    assert len(np.unique(schedule.reads)) < len(schedule)  # two workers see the same landings


def test_a_saturated_section_writes_at_its_own_rate():
    """Eight workers could make 8 updates a unit of time; a section of ½ lets 2 through."""
    schedule = from_workers(KEY, [ct.Exponential(1.0)] * 8, 20_000, write_time=0.5)
    rate = 19_000 / (schedule.time[-1] - schedule.time[999])
    assert rate == pytest.approx(2, rel=2e-3)


def test_a_read_latency_adds_the_landings_it_hides():
    """Equal exponential workers land as a Poisson process of rate 8. A read at a landing misses that one and, in the
    half unit before it, 4 more on average: mean 7 + 1 + 4. Runs with 16 keys give the standard error."""
    laws = [ct.Exponential(1.0)] * 8
    schedules = [from_workers(key, laws, 20_000, read_latency=0.5) for key in jax.random.split(KEY, 16)]
    means = np.array([schedule.delay[500:].mean() for schedule in schedules])
    assert means.mean() == pytest.approx(12, abs=4 * means.std(ddof=1) / 16**0.5)
    assert not any(schedule.own_reads for schedule in schedules)
    assert len(np.unique(schedules[0].reads)) < 20_000


# ---------------------------------------------------------------------------------------- one draw, however it is made


WAITS: dict[str, Any] = {"read_latency": 0.3, "write_time": 0.02}


@pytest.mark.parametrize(("laws", "waits"), [(MIXED, {}), (MIXED[1:3], WAITS)], ids=["at once", "waiting"])
def test_vmap_and_jit_change_no_bit(laws, waits):
    draw = partial(from_workers, compute_times=laws, num_updates=3000, **waits)
    keys = jax.random.split(KEY, 3)
    together = jax.jit(jax.vmap(lambda key: draw(key)))(keys)
    compiled = jax.jit(lambda key: draw(key))
    for b in range(3):
        eager, traced = draw(keys[b]), compiled(keys[b])
        for one in (eager, traced):
            np.testing.assert_array_equal(one.worker, together.worker[b])
            np.testing.assert_array_equal(one.delay, together.delay[b])
        np.testing.assert_array_equal(traced.time, together.time[b])
        np.testing.assert_allclose(eager.time, together.time[b], rtol=2**-24)  # float64, rounded once to float32


def test_traced_zeros_give_what_zeros_give():
    laws = [ct.Exponential(1.0), ct.Deterministic(0.9)]
    traced = jax.jit(lambda wait: from_workers(KEY, laws, 5000, read_latency=wait, write_time=wait))(0.0)
    np.testing.assert_array_equal(traced.delay, from_workers(KEY, laws, 5000).delay)


def test_laws_can_be_mapped_over():
    """One compiled call for several parameters, each as if drawn alone."""
    spreads = jnp.array([0.1, 0.5, 1.0])
    draw = jax.jit(jax.vmap(lambda cv: from_workers(KEY, [ct.Lognormal(1.0, cv=cv)] * 4, 500)))
    together = draw(spreads)
    for b, cv in enumerate(spreads):
        np.testing.assert_array_equal(from_workers(KEY, [ct.Lognormal(1.0, cv=cv)] * 4, 500).delay, together.delay[b])


def test_a_shorter_schedule_begins_a_longer_one():
    laws = [ct.Exponential(1.0), ct.Exponential(0.5)]
    long = from_workers(KEY, laws, 1000, **WAITS)
    short = from_workers(KEY, laws, 333, **WAITS)
    for name in ("worker", "delay", "time"):
        np.testing.assert_array_equal(getattr(short, name), getattr(long, name)[:333])


def test_a_workers_draws_do_not_depend_on_the_others():
    law = ct.Exponential(1.0)
    alone = from_workers(KEY, [law], 100)
    among = from_workers(KEY, [law, ct.Pareto(1.0, shape=2.0), law], 600)
    np.testing.assert_allclose(among.time[among.worker == 0][:100], alone.time, rtol=1e-6)


# --------------------------------------------------------------------------------------------------------- precision


def test_clocks_do_not_drift():
    """Worker i lands for the t-th time at t · mean, in float64. Clocks read below 32 (64 updates are 14 units of time,
    the slowest worker takes 7), where half a float32 spacing is 1e-6; after 400 000 updates nothing has been added."""
    means = [1.0, 0.3, 7.0]
    schedule = from_workers(KEY, [ct.Deterministic(mean) for mean in means], 400_000)
    for i, mean in enumerate(means):
        landings = schedule.time[schedule.worker == i]
        exact = np.float64(np.float32(mean)) * np.arange(1, len(landings) + 1)
        assert np.abs(landings - exact).max() < 1.0e-6
    assert schedule.time[-1] > 89_000  # where float32 times would be 0.008 apart


def test_times_never_run_backwards():
    """0.1 and 0.3 are not exact, so that every meeting of these workers is a tie up to rounding; validation sees it."""
    laws = [ct.Deterministic(0.1)] * 8 + [ct.Deterministic(0.3)] * 3
    for write_time in (0.0, 0.005):
        schedule = from_workers(KEY, laws, 100_000, write_time=write_time)
        assert np.diff(schedule.time).min() >= 0.99 * write_time
    traced = jax.jit(lambda wait: from_workers(KEY, laws, 100_000, read_latency=wait))(0.0)
    assert np.diff(traced.time).min() >= 0
    assert bool(traced.own_reads)


def test_double_precision_where_jax_has_it():
    with jax.enable_x64(True):
        wide = from_workers(jax.random.key(0), [ct.Lognormal(1.0, cv=0.3)] * 4, 500)
    narrow = from_workers(KEY, [ct.Lognormal(1.0, cv=0.3)] * 4, 500)
    np.testing.assert_array_equal(wide.delay, narrow.delay)
    np.testing.assert_allclose(wide.time, narrow.time, rtol=1e-5)


def test_decimals_in_double_precision():
    """Three times 0.1 is more than 0.3 in float64, so that here 0.3 is first. By hand, in units of about 0.1 and with
    writes of that length: 0.1 hands over at 1, 2, and at 3 after 0.3, which the write section then has first."""
    assert Fraction(0.1) * 3 > Fraction(0.3)
    with jax.enable_x64(True):
        laws = [ct.Deterministic(0.1), ct.Deterministic(0.3)]
        schedule = from_workers(jax.random.key(0), laws, 4, read_latency=0.0, write_time=0.1)
    np.testing.assert_array_equal(schedule.worker, [0, 0, 1, 0])
    exact = [Fraction(0.1) * 2, Fraction(0.1) * 3, Fraction(0.1) * 4, Fraction(0.1) * 5]
    np.testing.assert_array_equal(schedule.time, [float(time) for time in exact])
