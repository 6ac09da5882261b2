"""Stretches of a log: that they keep its law and its order, and what independent draws lose."""

import heapq
import itertools
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import a3cjax

ct, Schedule = a3cjax.compute_times, a3cjax.Schedule
KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
DRAWS = 20_000


def autoregressive(phi, count):
    """x_t = φ x_{t − 1} + noise, whose autocorrelation at lag l is φ^l."""
    noise, x = RNG.standard_normal(count + 100), np.zeros(count + 100)
    for t in range(1, len(x)):
        x[t] = phi * x[t - 1] + noise[t]
    return x[100:]


def lag(x, at=1):
    x = np.asarray(x, float) - np.mean(x)
    return (x[at:] * x[:-at]).mean() / (x * x).mean()


GAPS = (10 + autoregressive(-0.5, 2500)).astype(np.float32)  # all positive: the deviation is 1.15


@jax.jit
def turns(law, key):
    """A worker's draws, as the events see them: by its own key and the turn."""
    return jax.vmap(lambda t: law.sample_turn(key, t))(jnp.arange(DRAWS))


def test_stretches_are_the_log_in_its_order_from_places_drawn_anew():
    """values[(s + t mod length) mod M], written out: s is the draw of the stretch t // length."""
    drawn = np.asarray(turns(ct.Stretches(GAPS, length=8), KEY)).reshape(-1, 8)
    starts = [int(np.flatnonzero(first == GAPS)[0]) for first in drawn[:, 0]]
    np.testing.assert_array_equal(drawn, GAPS[(np.array(starts)[:, None] + np.arange(8)) % len(GAPS)])
    # Uniform on 0, …, M − 1: mean, deviation and independence of places, to four standard errors.
    places, many = (np.array(starts) + 0.5) / len(GAPS), len(starts)
    assert places.mean() == pytest.approx(0.5, abs=4 * (1 / 12 / many) ** 0.5)
    assert places.var() == pytest.approx(1 / 12, abs=4 * (1 / 180 / many) ** 0.5)
    assert abs(lag(places)) < 4 / many**0.5


def test_each_draw_has_the_law_of_the_log_exactly():
    """For s = 0, …, M − 1, equally likely, the draw of any turn goes through all values once: as many starts as there
    are values give each one turn's law, so over many keys a turn in mid-stretch is as the log."""
    law = ct.Stretches([1.0, 2.0, 4.0], length=2)
    seen = {(float(a), float(b)) for a, b in np.asarray(turns(law, KEY)).reshape(-1, 2)}
    assert seen == {(1.0, 2.0), (2.0, 4.0), (4.0, 1.0)}
    counts = np.unique(np.asarray(turns(law, KEY))[1::2], return_counts=True)[1]
    np.testing.assert_allclose(counts / (DRAWS / 2), 1 / 3, atol=4 * (2 / 9 / (DRAWS / 2)) ** 0.5)
    assert law.mean == pytest.approx(7 / 3)


@pytest.mark.parametrize(("at", "rho"), [(1, -0.5), (2, 0.25)])
def test_autocorrelation_is_kept_and_independent_draws_lose_it(at, rho):
    """An AR process of φ = −½. Stretches of ℓ keep 1 − l / ℓ of ρ_l; 1 / √n is a standard error beside ρ = 0, the
    process' own no more than twice that (Bartlett)."""
    kept = lag(turns(ct.Stretches(GAPS), KEY), at)
    assert ct.Stretches(GAPS).length == 50
    assert kept == pytest.approx((1 - at / 50) * lag(GAPS, at), abs=4 * 2 / DRAWS**0.5)
    assert kept == pytest.approx((1 - at / 50) * rho, abs=4 * 2 / 2500**0.5)
    assert abs(lag(turns(ct.Stretches(GAPS, length=1), KEY), at)) < 4 / DRAWS**0.5


def test_a_worker_goes_through_its_stretches_among_others():
    """By its own key and its own turns, also in the loop of workers that wait; the doctest has one alone."""
    expected = np.asarray(turns(ct.Stretches(GAPS, length=7), jax.random.fold_in(KEY, 1)), np.float64)[:40]
    waiting = Schedule.from_workers(KEY, [ct.Stretches(GAPS, length=7)] * 2, 100, wait=0.0)
    landings = waiting.time[waiting.worker == 1][:40]
    np.testing.assert_allclose(np.diff(landings, prepend=0.0), expected, rtol=1e-5)


# ------------------------------------------------------------------------------------------------- a schedule resampled


EIGHTHS = np.maximum(1, np.round(8 * np.exp(0.5 * autoregressive(-0.5, 600)))).reshape(3, 200) / 8


def run_of(gaps):
    """The schedule of workers that read at their own landings, these being their gaps."""
    landings = np.cumsum(gaps, axis=1)
    worker = np.repeat(np.arange(len(gaps)), gaps.shape[1])
    order = np.argsort(landings.ravel(), kind="stable")
    order = order[landings.ravel()[order] <= landings[:, -1].min()]
    worker, last, delay = worker[order], [-1] * len(gaps), []
    for k, i in enumerate(worker):
        delay.append(k - 1 - last[i])
        last[i] = k
    return Schedule(worker, delay, landings.ravel()[order], num_workers=len(gaps))


def test_workers_that_read_at_their_landings_are_workers_whose_times_are_stretches():
    """The same places for one key, so the very schedule of ``from_workers``, whose model is held elsewhere."""
    log = run_of(EIGHTHS)
    gaps = [np.diff(log.time[log.worker == i]) for i in range(3)]
    expected = Schedule.from_workers(KEY, [ct.Stretches(own, length=6) for own in gaps], 1000, wait=0.0)
    again = log.resampled(KEY, 1000, length=6)
    assert again.own_reads
    for name in ("worker", "delay", "time"):
        np.testing.assert_array_equal(getattr(again, name), getattr(expected, name))
    longer = log.resampled(KEY, 5000, length=6)
    np.testing.assert_array_equal(longer.delay[:1000], again.delay)


def test_delays_keep_their_autocorrelation_and_those_of_a_law_lose_it():
    """Two workers of nearly equal, dependent gaps: delays of 1, now and then 0 and 2. Twenty stretches of the log tell
    its own lag-1 autocorrelation to their spread."""
    log = run_of(np.round(64 * np.exp(0.1 * autoregressive(0.6, 6000))).reshape(2, 3000) / 64)
    pieces = [lag(piece) for piece in np.array_split(np.asarray(log.delay[2:]), 20)]
    error = 4 * float(np.std(pieces, ddof=1)) / 20**0.5
    kept, law = log.resampled(KEY, 6000), Schedule.from_law(KEY, a3cjax.delays.Empirical(log.delay), 6000)
    assert lag(log.delay) < -0.3
    assert lag(kept.delay) == pytest.approx(lag(log.delay), abs=2**0.5 * error)
    assert abs(lag(law.delay)) < 4 / 6000**0.5


def by_hand(log, num_updates, length):
    """Round by round, from a heap of who lands next; the places are those of the documented draws."""
    rounds = []
    for i in range(log.num_workers):
        rows = [k for k in range(len(log)) if log.worker[k] == i]
        own = [
            (log.time[after] - log.time[before], log.reads[after] - before - 1)
            for before, after in itertools.pairwise(rows)
        ]
        places = turns(ct.Stretches(1.0 + np.arange(len(own)), length), jax.random.fold_in(KEY, i))
        rounds.append([own[int(place) - 1] for place in np.asarray(places)])
    heap = [(own[0][0], i) for i, own in enumerate(rounds)]
    heapq.heapify(heap)
    turn, read, columns = [0] * len(rounds), [0] * len(rounds), []
    for k in range(num_updates):
        now, i = heapq.heappop(heap)
        columns.append((i, k - min(max(read[i], 0), k), now))
        turn[i] += 1
        gap, after = rounds[i][turn[i]]
        read[i] = k + 1 + after
        heapq.heappush(heap, (now + gap, i))
    return tuple(zip(*columns, strict=True))


def test_reads_of_any_version_are_resampled_with_their_gaps():
    """Workers, delays and gaps of quarters at random, so that every tie is a tie."""
    k, rng = np.arange(300), np.random.default_rng(1)
    delay, time = np.minimum(rng.integers(0, 20, 300), k), np.cumsum(rng.integers(0, 4, 300)) / 4
    log = Schedule(rng.integers(0, 3, 300), delay, time)
    again = log.resampled(KEY, 800, length=5)
    for name, column in zip(("worker", "delay", "time"), by_hand(log, 800, 5), strict=True):
        np.testing.assert_array_equal(getattr(again, name), column)


@pytest.mark.parametrize("side", [-1, 1], ids=["before", "after"])
def test_the_mean_delay_is_that_of_always_busy_workers_less_what_reads_see(side):
    """One read in five sees one version less, or more, than its worker's own: mean 2 ± 0.2, of landings in turn."""
    k = np.arange(3000)
    log = Schedule(k % 3, np.minimum(2 - side * (k % 5 == 0), k), k + 1.0)
    assert log.resampled(KEY, 3000).mean_delay == pytest.approx(2 - side * 0.2, abs=0.02)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: run_of(EIGHTHS).resampled(KEY, 0), "num_updates is 0, but must be at least 1"),
        (lambda: run_of(EIGHTHS).resampled(cast(Any, 3), 9), "key must be a JAX random key"),
        (lambda: run_of(EIGHTHS).resampled(KEY, 9, length=0), "length is 0, but must be at least 1"),
        (lambda: run_of(EIGHTHS).resampled(KEY, 9, length=10**6), "length is 1000000, but one worker has only 1"),
        (lambda: Schedule.sequential(1).resampled(KEY, 9), "worker 0 has 1 updates, but resampled needs gaps"),
        (lambda: Schedule([0, 0], [0, 0], [1, 1]).resampled(KEY, 9), "needs gaps between a worker's updates; use a"),
        (lambda: Schedule.stack([run_of(EIGHTHS)] * 2).resampled(KEY, 9), "resampled is of one schedule"),
        (lambda: Schedule([0, 0], [0, 0], [1, 2], weight=[1, 0]).resampled(KEY, 9), "averaged or discarded; use one"),
        (lambda: ct.Stretches([1.0, 2.0], length=3), "length is 3, but must be at most 2"),
        (lambda: ct.Stretches([1.0, 0.0]), r"values\[1\] is 0, but must be greater than 0"),
        (lambda: a3cjax.waits.Sometimes(0.5, ct.Stretches([1.0])), "law is Stretches, whose draws follow each other"),
    ],
)
def test_what_cannot_be_is_refused(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
