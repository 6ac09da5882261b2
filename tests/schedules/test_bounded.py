"""Workers that wait for the slowest, and gradients that are discarded: event by event, and at their limits."""

import math
from fractions import Fraction

import jax
import numpy as np
import pytest

import a3cjax
from a3cjax import Schedule
from a3cjax import compute_times as ct

KEY = jax.random.key(2)
LAWS = [ct.Exponential(1.0), ct.Exponential(3.0), ct.Pareto(1.0, 1.5)]


def waited(means, updates, bound):
    """Stale synchronous, in rational numbers: who is ahead by more than the bound does not start."""
    times = [Fraction(float(np.float32(mean))) for mean in means]
    done, read, ends = [0] * len(times), [0] * len(times), list(times)
    rows = []
    while len(rows) < updates:
        now, i = min((end, i) for i, end in enumerate(ends) if end is not None)
        rows.append((i, len(rows) - read[i], float(now)))
        done[i], ends[i] = done[i] + 1, None  # type: ignore[call-overload]
        for j, end in enumerate(ends):
            if end is None and done[j] <= min(done) + bound:
                ends[j], read[j] = now + times[j], len(rows)
    return rows


@pytest.mark.parametrize("seed", range(30))
def test_stale_synchronous_event_by_event(seed):
    """Deterministic times with many ties, over more than one move of the clocks' base."""
    rng = np.random.default_rng(seed)
    means = rng.choice([1.0, 2.0, 3.0, 0.5, 1.5, 0.1, 0.3], rng.integers(1, 6))
    bound = int(rng.integers(0, 5))
    schedule = Schedule.stale_synchronous(KEY, [ct.Deterministic(float(mean)) for mean in means], 200, bound)
    worker, delay, time = zip(*waited(means, 200, bound), strict=True)
    assert schedule.worker.tolist() == list(worker)
    assert schedule.delay.tolist() == list(delay)
    np.testing.assert_allclose(schedule.time, time, rtol=1e-6)  # told with a clock's rounding; who is first is exact
    counts = np.array([np.cumsum(schedule.worker == i) for i in range(len(means))])
    assert (counts.max(0) - counts.min(0)).max() <= bound + 1


def test_at_a_bound_of_none_it_is_a_barrier_whose_gradients_are_not_averaged():
    schedule, barrier = Schedule.stale_synchronous(KEY, LAWS, 60, 0), Schedule.barrier(KEY, LAWS, 20)
    np.testing.assert_array_equal(schedule.worker, barrier.worker)
    np.testing.assert_array_equal(schedule.delay, np.tile(np.arange(3), 20))
    np.testing.assert_allclose(schedule.time, barrier.time, rtol=1e-6)


def test_without_a_bound_they_are_workers():
    free = Schedule.from_workers(KEY, LAWS, 300)
    assert free.max_delay > 15
    for other in (
        Schedule.stale_synchronous(KEY, LAWS, 300, math.inf),
        Schedule.stale_synchronous(KEY, LAWS, 300, 10**12),
        Schedule.ringmaster(KEY, LAWS, 300, math.inf),
        Schedule.ringmaster(KEY, LAWS, 300, free.max_delay + 1),
    ):
        for name in ("worker", "delay", "time"):
            np.testing.assert_array_equal(getattr(other, name), getattr(free, name))
        assert other.weight is None


def test_a_batch_of_keys():
    keys = jax.random.split(KEY, 2)
    batch = jax.vmap(lambda key: Schedule.stale_synchronous(key, LAWS, 50, 2))(keys)
    for one, key in zip(batch, keys, strict=True):
        alone = Schedule.stale_synchronous(key, LAWS, 50, 2)
        np.testing.assert_array_equal(one.delay, alone.delay)
        np.testing.assert_allclose(one.time, alone.time, rtol=1e-6)


@pytest.mark.parametrize("threshold", [1, 2, 5])
def test_ringmaster_row_by_row(threshold):
    """The landings of workers; of each the version that its worker read last, and whether it is too old by now."""
    schedule = Schedule.ringmaster(KEY, LAWS, 150, threshold)
    free = Schedule.from_workers(KEY, LAWS, len(schedule))
    np.testing.assert_array_equal(schedule.worker, free.worker)
    np.testing.assert_array_equal(schedule.time, free.time)
    version, read, delays, kept = 0, [0] * len(LAWS), [], []
    for i in schedule.worker:
        delays.append(version - read[i])
        kept.append(int(delays[-1] < threshold))
        version += kept[-1]
        read[i] = version
    assert schedule.delay.tolist() == delays
    assert np.asarray(schedule.weight).tolist() == kept
    assert schedule.num_updates == sum(kept) == 150
    assert kept[-1] == 1
    assert schedule.own_reads is True
    shorter = Schedule.ringmaster(KEY, LAWS, 90, threshold)
    np.testing.assert_array_equal(shorter.delay, schedule.delay[: len(shorter)])


def test_ringmaster_in_the_mailbox():
    """No old versions are needed: each row's message waits where it was computed, and x is as by hand."""
    schedule = Schedule.ringmaster(KEY, LAWS, 20, 2)
    learner = a3cjax.QuadraticSGD(curvature=[1.0], step=0.25, start=[1.0])
    versions = [1.0]
    for read, weight in zip(schedule.reads, np.asarray(schedule.weight), strict=True):
        versions += [versions[-1] - 0.25 * versions[read]] * weight
    result = a3cjax.simulate(learner, schedule, KEY, history="mailbox")
    np.testing.assert_allclose(result.params.x[0], versions[-1], rtol=1e-5)


def test_refusals():
    with pytest.raises(ValueError, match="bound is -1, but must be at least 0"):
        Schedule.stale_synchronous(KEY, LAWS, 5, -1)
    with pytest.raises(ValueError, match="threshold is 0, but must be at least 1"):
        Schedule.ringmaster(KEY, LAWS, 5, 0)
    with pytest.raises(ValueError, match="threshold"):
        Schedule.ringmaster(KEY, LAWS, 5, 1.5)
    with pytest.raises(ValueError, match="bound is being traced, but says who waits"):
        jax.jit(lambda bound: Schedule.stale_synchronous(KEY, LAWS, 5, bound))(2)
    with pytest.raises(ValueError, match="ringmaster is being traced, but how many rows"):
        jax.jit(lambda key: Schedule.ringmaster(key, LAWS, 5, 2))(KEY)
