"""Who updates when, and how stale, when N workers compute at random speeds: an event-driven simulation.

The model
---------
Worker i's t-th computation takes c(i, t), drawn from its own law. Every worker starts at time 0 from version 0.

* **Hand-over.** A worker hands a gradient over when it is computed and the worker's previous one has landed, so that at
  most one is in flight: f = max(f' + c, L'), with f' and L' the hand-over and the landing of its previous gradient.
* **Write.** Gradients are written in the order in which they are handed over, through one serialised section:
  L_k = max(f_k, L_{k−1}) + write_time. Update k is the k-th to land, at time L_k.
* **Read.** At f_k the worker at once begins its next computation from the newest version that it can see, namely
  r_k = min(#{j: L_j ≤ f_k − read_latency}, k + 1), and the update that comes of it, number k', has τ = k' − r_k.
* **Ties** of hand-over times go to the worker of lowest index.

With read_latency = write_time = 0 a worker reads right after its own write: r_k = k + 1. Then no two updates share a
read after the start, τ_k = k − 1 − (the worker's previous update), τ_k = k at a worker's first update, and the mean
delay tends to N − 1 whatever the laws are.

Communication overlaps with computing (double buffering), so it costs staleness, not time, until the write section is
always busy. A positive write_time, however short, makes a worker read before its own write has landed, and a
read_latency of l means versions l time units old: reads then repeat and delays grow, by about the rate of updates
times the latency. A wait that is *not* overlapped is simply a longer compute time.

Randomness
----------
c(i, t) is ``law.sample(fold_in(fold_in(key, i), t))`` with t = 0, 1, …: it depends on (key, i, t) alone, so a worker
computes at the same speeds whatever the others do, and a shorter schedule is the beginning of a longer one.

Precision
---------
Clocks are floats relative to a base that moves up every 64 updates. The base and each clock carry what rounding has
taken from them, so that errors do not add up: a time is off by no more than a rounding of what a clock shows, a few
spans of 64 updates, however long the run. Events closer than that may change places; times that are multiples of a
power of two, such as 0.25, are exact, and so are their ties.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32, Key

from a3cjax import _check
from a3cjax.schedules import _columns, _random
from a3cjax.schedules._pairs import Pair, add, later
from a3cjax.schedules._team import Team, team_of
from a3cjax.schedules.compute_times import ComputeTime

# A constant, because the roundings, and so the results, depend on it.
_EPOCH = 64


class Writes(NamedTuple):
    """The columns of a schedule: NumPy arrays with float64 times, or traced arrays with times in the default float."""

    worker: Any
    delay: Any
    time: Any


def simulate_workers(
    key: Key[Array, ""],
    compute_times: Sequence[ComputeTime],
    num_updates: int,
    read_latency: Float[Array, ""] | float = 0.0,
    write_time: Float[Array, ""] | float = 0.0,
) -> Writes:
    """The first ``num_updates`` writes of the workers; arguments and errors as in ``Schedule.from_workers``."""
    key = _random.random_key(key)
    num_updates = _check.integer("num_updates", num_updates, least=1)
    _columns.check_size("num_updates", num_updates, num_updates)
    for name, value in (("read_latency", read_latency), ("write_time", write_time)):
        _check.number(name, value, least=0)
        if np.ndim(value):
            raise ValueError(f"{name} has shape {np.shape(value)}, but must be one number for all workers.")
    team = team_of(compute_times, key)
    waits = (read_latency, write_time)
    at_once = _check.is_concrete(waits) and read_latency == 0 and write_time == 0
    worker, delay, base, since = _simulate(key, team, *waits, num_updates=num_updates, at_once=bool(at_once))
    if _check.is_concrete(worker, delay, base, since):
        high, low, since = (np.asarray(part, np.float64) for part in (*base, since))
        return Writes(np.asarray(worker), np.asarray(delay), high + (low + since))
    return Writes(worker, delay, add(base, since)[0])


class _Event(NamedTuple):
    worker: Int32[Array, "updates"]
    previous: Int32[Array, "updates"]  # the worker's update before this one, −1 if none
    handed: Float[Array, "updates"]  # f and L, relative to the base
    landed: Float[Array, "updates"]


class _Clocks(NamedTuple):
    handover: Float[Array, "workers"]  # the pair of when each worker will hand over, relative to the base
    rounding: Float[Array, "workers"]
    draws: Int32[Array, "workers"]
    previous: Int32[Array, "workers"]
    landed: Pair  # the last landing, relative to the base
    told: tuple[Float[Array, ""], Float[Array, ""]]  # the last event's f and L


@partial(jax.jit, static_argnames=("num_updates", "at_once"))
def _simulate(
    key: Key[Array, ""],
    team: Team,
    read_latency: Float[Array, ""],
    write_time: Float[Array, ""],
    *,
    num_updates: int,
    at_once: bool,
) -> tuple[Int32[Array, "updates"], Int32[Array, "updates"], Pair, Float[Array, "updates"]]:
    """Worker, delay, base and landing since the base, of every update."""
    float_type = jnp.result_type(float)
    # Parameters written into the user's own jitted function are not folded into its constants, so that they round as
    # the ones that are passed in.
    team = jax.lax.optimization_barrier(team)
    workers = jnp.arange(len(team.kind), dtype=jnp.int32)
    keys = jax.vmap(partial(_random.fold_in, key))(workers)
    write_time = jnp.asarray(write_time, float_type)

    def compute_time(i, t):
        return team.draw(keys[i], i, t)

    def update(clocks: _Clocks, k):
        # Two plain minima: XLA vectorises them, and argmin not.
        first = clocks.handover == clocks.handover.min()
        i = jnp.where(first, workers, len(workers)).min()
        f = clocks.handover[i], clocks.rounding[i]
        t = clocks.draws[i] + 1
        finished = add(f, compute_time(i, t))
        landed = add(later(f, clocks.landed), write_time)
        handover, rounding = later(finished, landed)
        # Times that differ by less than a rounding may swap when the base moves; what is told never runs backwards.
        told = jnp.maximum(f[0], clocks.told[0]), jnp.maximum(landed[0], clocks.told[1])
        event = _Event(i, clocks.previous[i], *told)
        return _Clocks(
            clocks.handover.at[i].set(handover),
            clocks.rounding.at[i].set(rounding),
            clocks.draws.at[i].set(t),
            clocks.previous.at[i].set(k),
            landed,
            told,
        ), event

    def epoch(carry, numbers):
        clocks, base = carry
        clocks, events = jax.lax.scan(update, clocks, numbers)
        handed, landed = clocks.told
        shift = _exact_shift(handed, jnp.maximum(clocks.handover.max(), landed))
        handover, rounding = add((clocks.handover, clocks.rounding), -shift)
        moved = clocks._replace(
            handover=handover,
            rounding=rounding,
            landed=add(clocks.landed, -shift),
            told=(handed - shift, landed - shift),
        )
        return (moved, add(base, shift)), (events, base)

    zero = jnp.zeros((), float_type)
    start = _Clocks(
        handover=jax.vmap(compute_time)(workers, jnp.zeros_like(workers)),
        rounding=jnp.zeros(workers.shape, float_type),
        draws=jnp.zeros_like(workers),
        previous=jnp.full_like(workers, -1),
        landed=(zero, zero),
        told=(zero, zero),
    )
    epochs = -(-num_updates // _EPOCH)
    numbers = jnp.arange(epochs * _EPOCH, dtype=jnp.int32).reshape(epochs, _EPOCH)
    _, (events, base) = jax.lax.scan(epoch, (start, (zero, zero)), numbers)
    events, base = jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf.reshape(epochs, -1), (epochs, _EPOCH)).reshape(-1)[:num_updates],
        (events, base),
    )
    if at_once:
        version = events.previous + 1
    else:
        handed, landed = add(base, events.handed), add(base, events.landed)
        reads = _count_landed(landed, add(handed, -jnp.asarray(read_latency, float_type)))
        version = jnp.where(events.previous < 0, 0, reads[events.previous])
    return events.worker, numbers.reshape(-1)[:num_updates] - version, base, events.landed


def _count_landed(landed: Pair, seen: Pair) -> Int32[Array, "updates"]:
    """min(#{j: landed_j ≤ seen_k}, k + 1) for every k, by bisection among the first k + 1 landings."""
    num_updates = landed[0].shape[0]

    def halve(_, bounds):
        low, high = bounds
        middle = (low + high) // 2
        there = jax.tree.map(lambda part: part[middle], landed)
        counts = (there[0] < seen[0]) | ((there[0] == seen[0]) & (there[1] <= seen[1]))
        counts &= low < high
        return jnp.where(counts, middle + 1, low), jnp.where(counts, high, middle)

    low = jnp.zeros(num_updates, jnp.int32)
    high = jnp.arange(1, num_updates + 1, dtype=jnp.int32)
    return jax.lax.fori_loop(0, num_updates.bit_length(), halve, (low, high))[0]


def _exact_shift(elapsed: Float[Array, ""], latest: Float[Array, ""]) -> Float[Array, ""]:
    """``elapsed`` cut to a multiple of the spacing of floats at ``latest``.

    A multiple of that spacing which is at most a clock can be subtracted from the clock without rounding, so that
    moving the base loses nothing. If it cuts everything away, a worker is so slow that ``elapsed`` is below its clock's
    rounding anyway.
    """
    _, exponent = jnp.frexp(latest)
    spacing = jnp.ldexp(jnp.ones_like(latest), exponent - jnp.finfo(latest.dtype).nmant - 1)
    cut = jnp.floor(elapsed / spacing) * spacing
    return jnp.where(cut > 0, cut, elapsed)
