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
times the latency. A wait that is *not* overlapped is a longer compute time, if it comes after the read; ``cores.py``
has those that come before, and workers that share cores.

Randomness
----------
c(i, t) is ``law.sample(fold_in(fold_in(key, i), t))`` with t = 0, 1, …: it depends on (key, i, t) alone, so a worker
computes at the same speeds whatever the others do, and a shorter schedule is the beginning of a longer one.

Precision
---------
The model is followed exactly, as a loop over events in rational numbers would, with the floats c(i, t), read_latency
and write_time for what they are: who is first, who waits and what a read sees are decided without rounding. The decimal
0.3 is no float, and in float32 three times 0.1 is 2⁻²⁷ short of it: workers with these times do not meet. Where they
should, take another unit: 3 and 1 do, like all whole numbers and multiples of a power of two such as 0.25.

Clocks are pairs of floats, relative to a base that moves up every 64 updates. A pair has twice a float's bits, 48 (106
where JAX has float64 on), and that is the limit of the above: a compute time with bits below 2⁻⁴⁷ of the time that the
slowest worker takes loses them, but no worker that waits for a landing ever misses it. With waits the times of landings
are rounded once, to float64, and otherwise to within a rounding of what a clock shows, a few spans of 64 updates.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int32, Key

from a3cjax._core import check
from a3cjax._xla.compiler import quickly_compiled
from a3cjax.schedules import _columns, _random
from a3cjax.schedules.compute_times import ComputeTime
from a3cjax.schedules.events.pairs import Pair, Triple, add, add_exactly, before, later
from a3cjax.schedules.events.stacked_laws import StackedLaws, are_watched, check_drawn, stack_laws
from a3cjax.schedules.events.ticks import Words, add_words, as_float, at_most, smallest_exponent, tick_below, total

# A constant, because the roundings, and so the results, depend on it.
EPOCH = 64
_FEWEST_STEPS = 256  # and a multiple of them; beyond 4,096 at most an eighth more than are asked for


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
    num_updates = check.integer("num_updates", num_updates, least=1)
    _columns.check_size("num_updates", num_updates)
    for name, value in (("read_latency", read_latency), ("write_time", write_time)):
        check.number(name, value, least=0)
        if np.ndim(value):
            raise ValueError(f"{name} has shape {np.shape(value)}, but must be one number for all workers.")
    laws, count = stack_laws(compute_times, key, spare=True), np.int32(len(compute_times))
    waits, watched = (read_latency, write_time), are_watched(compute_times)
    steps, beginning = steps_for(num_updates), partial(jax.tree.map, lambda column: column[:num_updates])
    if check.is_concrete(waits) and read_latency == 0 and write_time == 0:
        *columns, drawn = _at_once(key, laws, count, steps=steps, watched=watched)
        if not check.is_concrete(columns):
            writes = _beginning(*columns, num_updates=num_updates)
            look_at(compute_times, writes.worker, drawn)
            return writes
        worker, delay, base, since = beginning(jax.tree.map(np.asarray, columns))
        look_at(compute_times, worker, drawn)
        high, low, since = (np.asarray(part, np.float64) for part in (*base, since))
        return Writes(worker, delay, high + (low + since))
    final = jnp.int32(num_updates - 1)
    worker, delay, landed, tick, drawn = _waiting(key, laws, count, *waits, final, steps=steps, watched=watched)
    worker, delay, landed = beginning((worker, delay, landed))
    look_at(compute_times, worker, drawn)
    least = smallest_exponent(jnp.result_type(float))
    if check.is_concrete(worker, delay, landed, tick):
        worker, delay, landed, tick = jax.tree.map(np.asarray, (worker, delay, landed, tick))
    return Writes(worker, delay, as_float(landed, tick, least))


class Drawn(NamedTuple):
    """The compute times of a simulation, to be looked at where a user has written a law."""

    first: Float[Array, "workers"]  # c(i, 0)
    then: Float[Array, "updates"]  # the compute time that begins at each hand-over


def steps_for(num_updates: int) -> int:
    """How many updates are simulated for so many: schedules of about the same length share a compiled program."""
    grain = max(_FEWEST_STEPS, 1 << max(0, num_updates.bit_length() - 4))
    return -(-num_updates // grain) * grain


@partial(quickly_compiled, static_argnames=("steps", "watched"))
def _at_once(
    key: Key[Array, ""], laws: StackedLaws, count: Int32[Array, ""], *, steps: int, watched: bool
) -> tuple[Int32[Array, "steps"], Int32[Array, "steps"], Pair, Float[Array, "steps"], Drawn | None]:
    """Worker, delay, base and landing since the base, of every update, where nobody waits."""
    events, (high, low, _), drawn = _events(key, laws, count, None, steps, watched)
    number = jnp.arange(steps, dtype=jnp.int32)
    return events.worker, number - (events.previous + 1), (high, low), events.landed[0], drawn


@partial(jax.jit, static_argnames="num_updates")
def _beginning(
    worker: Int32[Array, "steps"],
    delay: Int32[Array, "steps"],
    base: Pair,
    since: Float[Array, "steps"],
    *,
    num_updates: int,
) -> Writes:
    """The first updates, at times in working precision; one program also where draws are mapped over."""
    return jax.tree.map(lambda column: column[:num_updates], Writes(worker, delay, add(base, since)[0]))


@partial(quickly_compiled, static_argnames=("steps", "watched"))
def _waiting(
    key: Key[Array, ""],
    laws: StackedLaws,
    count: Int32[Array, ""],
    read_latency: Float[Array, ""],
    write_time: Float[Array, ""],
    final: Int32[Array, ""],
    *,
    steps: int,
    watched: bool,
) -> tuple[Int32[Array, "steps"], Int32[Array, "steps"], Words, Int32[Array, ""], Drawn | None]:
    """Worker, delay and landing of every update, and the tick of the landings up to update ``final``."""
    float_type = jnp.result_type(float)
    latency = jnp.asarray(read_latency, float_type)
    events, base, drawn = _events(key, laws, count, jnp.asarray(write_time, float_type), steps, watched)
    tick = tick_below(base[0][final] + events.landed[0][final] + latency)
    landed = total(tick, (*base, *events.landed))
    handed = total(tick, (*base, *events.handed))
    # Who waited for a landing hands over at that very instant, whatever has been rounded on the way.
    handed = tuple(
        jnp.where(events.waited, there[events.previous], here) for there, here in zip(landed, handed, strict=True)
    )
    late = add_words(landed, total(tick, (latency,)))
    version = jnp.where(events.previous < 0, 0, _count(late, handed)[events.previous])
    return events.worker, jnp.arange(steps, dtype=jnp.int32) - version, landed, tick, drawn


class _Event(NamedTuple):
    worker: Int32[Array, "*updates"]
    previous: Int32[Array, "*updates"]  # the worker's update before this one, −1 if none
    waited: Bool[Array, "*updates"]  # for the landing of that one
    handed: Pair  # f and L, relative to the base
    landed: Pair


class _Clocks(NamedTuple):
    handover: Float[Array, "workers"]  # the pair of when each worker will hand over, relative to the base
    rounding: Float[Array, "workers"]
    draws: Int32[Array, "workers"]
    previous: Int32[Array, "workers"]
    waits: Bool[Array, "workers"]
    last: _Event


def _events(
    key: Key[Array, ""], laws: StackedLaws, count: Int32[Array, ""], write_time: Float[Array, ""] | None,
    num_updates: int, watched: bool,
) -> tuple[_Event, Triple, Drawn | None]:  # fmt: skip
    """Every hand-over in order; the base, in three floats, that its times are relative to; the times that were drawn.

    These last only where a user has written a law: ours need not be looked at.
    """
    float_type = jnp.result_type(float)
    # Parameters written into the user's own jitted function are not folded into its constants, so that they round as
    # the ones that are passed in.
    laws = jax.lax.optimization_barrier(laws)
    workers = jnp.arange(len(laws.kind), dtype=jnp.int32)
    idle = workers >= count  # places for more workers than there are: they never hand over
    keys = jax.vmap(partial(_random.fold_in, key))(workers)

    def compute_time(i, t):
        drawn = laws.draw(keys[i], i, t)
        return drawn if write_time is None else _rounded(drawn, t)

    def update(clocks: _Clocks, k):
        # Plain minima: XLA vectorises them, and argmin not.
        first = clocks.handover == clocks.handover.min()
        first &= clocks.rounding == jnp.where(first, clocks.rounding, jnp.inf).min()
        i = jnp.where(first, workers, len(workers)).min()
        f = clocks.handover[i], clocks.rounding[i]
        t = clocks.draws[i] + 1
        drawn = compute_time(i, t)
        finished = add(f, drawn)
        landed = f if write_time is None else add(later(f, clocks.last.landed), write_time)
        handover, rounding = later(finished, landed)
        # Times may swap by a rounding when the base moves; what is told never runs backwards.
        told = [pair if write_time is not None else (pair[0], zero) for pair in (f, landed)]
        told = [later(pair, last) for pair, last in zip(told, (clocks.last.handed, clocks.last.landed), strict=True)]
        event = _Event(i, clocks.previous[i], clocks.waits[i], *told)
        return _Clocks(
            clocks.handover.at[i].set(handover),
            clocks.rounding.at[i].set(rounding),
            clocks.draws.at[i].set(t),
            clocks.previous.at[i].set(k),
            clocks.waits.at[i].set(before(finished, landed)),
            event,
        ), (event, drawn if watched else None)

    def epoch(carry, numbers):
        clocks, base = carry
        clocks, (events, drawn) = jax.lax.scan(update, clocks, numbers)
        clocks, shift = _moved_to_now(clocks, idle)
        return (clocks, add_exactly(base, shift)), (events, base, drawn)

    zero, none = jnp.zeros((), float_type), jnp.int32(0)
    start = _Clocks(
        handover=jnp.where(idle, jnp.inf, jax.vmap(compute_time)(workers, jnp.zeros_like(workers))),
        rounding=jnp.zeros(workers.shape, float_type),
        draws=jnp.zeros_like(workers),
        previous=jnp.full_like(workers, -1),
        waits=jnp.zeros(workers.shape, bool),
        last=_Event(none, none, jnp.bool_(False), (zero, zero), (zero, zero)),
    )
    epochs = -(-num_updates // EPOCH)
    numbers = jnp.arange(epochs * EPOCH, dtype=jnp.int32).reshape(epochs, EPOCH)
    _, told = jax.lax.scan(epoch, (start, (zero, zero, zero)), numbers)
    events, base, drawn = jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf.reshape(epochs, -1), (epochs, EPOCH)).reshape(-1)[:num_updates],
        told,
    )
    return events, base, None if drawn is None else Drawn(start.handover, drawn)


def _moved_to_now(clocks: _Clocks, idle: Bool[Array, "workers"]) -> tuple[_Clocks, Float[Array, ""]]:
    """The clocks relative to a later base, and how much later: so times stay small, and keep their last digits."""
    last = clocks.last
    shift = exact_shift(last.handed[0], jnp.maximum(jnp.where(idle, 0, clocks.handover).max(), last.landed[0]))
    handover, rounding = add((clocks.handover, clocks.rounding), -shift)
    moved = clocks._replace(
        handover=jnp.where(idle, jnp.inf, handover),
        rounding=jnp.where(idle, 0, rounding),
        last=last._replace(handed=add(last.handed, -shift), landed=add(last.landed, -shift)),
    )
    return moved, shift


def look_at(compute_times: Sequence[ComputeTime], worker: Any, drawn: Drawn | None) -> None:
    """Refuse what a user's law has drawn, if it is no time; ``worker`` is that of each update."""
    if drawn is not None and check.is_concrete(worker, drawn):
        check_drawn(
            compute_times,
            np.concatenate([np.arange(len(compute_times)), worker]),
            np.concatenate([drawn.first[: len(compute_times)], drawn.then[: len(worker)]]),
        )


def _rounded(drawn: Float[Array, ""], turn: Int32[Array, ""]) -> Float[Array, ""]:
    """A compute time as it was drawn: a compiler could make one operation, which rounds once, of the product that a
    law ends with and the sum that follows. ``turn`` is never negative, which the compiler cannot know."""
    bits = jnp.uint32 if drawn.dtype.itemsize == 4 else jnp.uint64
    zero = (turn >> 31).astype(bits)
    return jax.lax.bitcast_convert_type(jax.lax.bitcast_convert_type(drawn, bits) ^ zero, drawn.dtype)


def _count(landed: Words, seen: Words) -> Int32[Array, "updates"]:
    """min(#{j: landed_j ≤ seen_k}, k + 1) for every k, by bisection among the first k + 1 landings."""
    num_updates = landed[0].shape[0]

    def halve(_, bounds):
        low, high = bounds
        middle = (low + high) // 2
        counts = (low < high) & at_most(tuple(word[middle] for word in landed), seen)
        return jnp.where(counts, middle + 1, low), jnp.where(counts, high, middle)

    low = jnp.zeros(num_updates, jnp.int32)
    high = jnp.arange(1, num_updates + 1, dtype=jnp.int32)
    return jax.lax.fori_loop(0, num_updates.bit_length(), halve, (low, high))[0]


def exact_shift(elapsed: Float[Array, ""], latest: Float[Array, ""]) -> Float[Array, ""]:
    """``elapsed`` cut to a multiple of the spacing of floats at ``latest``.

    A multiple of that spacing which is at most a clock can be subtracted from the clock without rounding, so that
    moving the base loses nothing. If it cuts everything away, a worker is so slow that ``elapsed`` is below its clock's
    rounding anyway.
    """
    _, exponent = jnp.frexp(latest)
    spacing = jnp.ldexp(jnp.ones_like(latest), exponent - jnp.finfo(latest.dtype).nmant - 1)
    cut = jnp.floor(elapsed / spacing) * spacing
    return jnp.where(cut > 0, cut, elapsed)
