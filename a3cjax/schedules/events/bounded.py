"""Workers whose staleness is bounded: the quick ones wait, or what is too old is discarded.

Both take c(i, t), worker i's t-th compute time, from the same draws as ``workers.py``, and are as exact. Ties of
landings go to the worker of lowest index.

* **Stale synchronous** (Ho et al. 2013). Worker i's clock n_i counts the gradients that it has finished, which land at
  once. It starts the next only while n_i ≤ min_j n_j + bound, and reads the newest version when it starts. A landing
  that raises the slowest clock lets all that wait for it start at that instant, from the version that this landing has
  made. With a bound of 0 all workers compute one gradient in every round, as at a barrier, where each is an update of
  its own; without one nobody waits, as in ``workers.py``.
* **Ringmaster** (Maranjyan, Tyurin and Richtárik 2025, https://arxiv.org/abs/2501.16168, without stops). Workers are
  always busy and read at their own landings. A gradient of delay δ, counted in updates, is applied if δ < threshold and
  discarded otherwise; its worker reads again either way. Without a threshold that is ``workers.py``.
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
from a3cjax.schedules.events.pairs import Pair, add, add_exactly, later
from a3cjax.schedules.events.stacked_laws import StackedLaws, are_watched, stack_laws
from a3cjax.schedules.events.workers import EPOCH, Drawn, Writes, exact_shift, look_at, simulate_workers, steps_for


def check_bound(name: str, bound: Any, least: int) -> int | None:
    """A whole number of updates or of gradients; None for infinity."""
    if not check.is_concrete(bound):
        raise ValueError(
            f"{name} is being traced, but says who waits for whom; give a number, outside of jit and vmap."
        )
    if np.ndim(bound) == 0 and not isinstance(bound, str) and bound == np.inf:
        return None
    return min(check.integer(name, bound, least=least), check.MOST)


@jax.ensure_compile_time_eval()  # also inside a jit: nothing here depends on its arguments
def simulate_ringmaster(
    key: Key[Array, ""], compute_times: Sequence[ComputeTime], num_updates: int, threshold: int
) -> tuple[Writes, np.ndarray]:
    """The landings up to the ``num_updates``-th that is applied, and their weights; see ``Schedule.ringmaster``."""
    if not check.is_concrete(key, compute_times):
        raise ValueError(
            "Schedule.ringmaster is being traced, but how many rows its schedule has is known only once it is drawn; "
            "draw it outside of jit and vmap."
        )
    num_updates = check.integer("num_updates", num_updates, least=1)
    rows = num_updates
    while True:
        writes = simulate_workers(key, compute_times, rows)
        padded = np.zeros(steps_for(rows), np.int32)
        padded[:rows] = writes.worker
        delay, counts = (np.asarray(x)[:rows] for x in _discarded(padded, len(compute_times), jnp.int32(threshold)))
        applied = np.flatnonzero(counts)
        if len(applied) >= num_updates:
            break
        # A shorter schedule is the beginning of a longer one. The first landing is always applied.
        rows = 1 + int(1.1 * rows * num_updates / len(applied))
    end = int(applied[num_updates - 1]) + 1
    return Writes(writes.worker[:end], delay[:end], writes.time[:end]), counts[:end].astype(np.int32)


@partial(quickly_compiled, static_argnums=1)
def _discarded(
    worker: Int32[Array, "rows"], num_workers: int, threshold: Int32[Array, ""]
) -> tuple[Int32[Array, "rows"], Bool[Array, "rows"]]:
    """Of each landing, in updates, the delay, and whether it is applied."""

    def land(known, i):
        version, read = known
        delay = version - read[i]
        version = version + (delay < threshold)
        return (version, read.at[i].set(version)), (delay, delay < threshold)

    return jax.lax.scan(land, (jnp.int32(0), jnp.zeros(num_workers, jnp.int32)), worker)[1]


def simulate_stale_synchronous(
    key: Key[Array, ""], compute_times: Sequence[ComputeTime], num_updates: int, bound: int
) -> Writes:
    """The first ``num_updates`` landings; arguments and errors as in ``Schedule.stale_synchronous``."""
    key = _random.random_key(key)
    num_updates = check.integer("num_updates", num_updates, least=1)
    _columns.check_size("num_updates", num_updates)
    laws, count = stack_laws(compute_times, key, spare=True), jnp.int32(len(compute_times))
    told = _events(key, laws, count, jnp.int32(bound), steps=steps_for(num_updates), watched=are_watched(compute_times))
    worker, delay, base, since, drawn = jax.tree.map(lambda column: column[:num_updates], told[:-1]) + told[-1:]
    look_at(compute_times, worker, drawn)
    if check.is_concrete(worker, delay, base, since):
        high, low, since = (np.asarray(part, np.float64) for part in (*base, since))
        return Writes(np.asarray(worker), np.asarray(delay), high + (low + since))
    return Writes(worker, delay, add(base, since)[0])


class _Clocks(NamedTuple):
    handover: Pair  # when each worker lands next, relative to the base; infinite for one that waits
    draws: Int32[Array, "workers"]  # gradients finished
    waits: Bool[Array, "workers"]
    time: Float[Array, "workers"]  # that the next gradient of one that waits will take
    read: Int32[Array, "workers"]
    last: Pair


@partial(quickly_compiled, static_argnames=("steps", "watched"))
def _events(
    key: Key[Array, ""],
    laws: StackedLaws,
    count: Int32[Array, ""],
    bound: Int32[Array, ""],
    *,
    steps: int,
    watched: bool,
) -> tuple[Int32[Array, "steps"], Int32[Array, "steps"], Pair, Float[Array, "steps"], Drawn | None]:
    """Worker, delay, base and landing since the base, of every update, as in ``workers.py``."""
    laws = jax.lax.optimization_barrier(laws)  # so that the draws round as there
    workers = jnp.arange(len(laws.kind), dtype=jnp.int32)
    idle = workers >= count
    keys = jax.vmap(partial(_random.fold_in, key))(workers)

    def update(clocks: _Clocks, k):
        high, low = clocks.handover
        first = high == high.min()
        first &= low == jnp.where(first, low, jnp.inf).min()
        i = jnp.where(first, workers, len(workers)).min()
        f = high[i], low[i]
        drawn = laws.draw(keys[i], i, clocks.draws[i] + 1)
        draws, time = clocks.draws.at[i].add(1), clocks.time.at[i].set(drawn)
        waits = clocks.waits.at[i].set(True)
        starts = waits & (draws - jnp.where(idle, check.MOST, draws).min() <= bound)
        waits &= ~starts
        begun = add((jnp.broadcast_to(f[0], time.shape), jnp.broadcast_to(f[1], time.shape)), time)
        high, low = (jnp.where(starts, new, old) for new, old in zip(begun, (high, low), strict=True))
        handover = jnp.where(waits, jnp.inf, high), jnp.where(waits, 0, low)
        told = later((f[0], jnp.zeros_like(f[0])), clocks.last)
        after = _Clocks(handover, draws, waits, time, jnp.where(starts, k + 1, clocks.read), told)
        return after, (i, k - clocks.read[i], told[0], drawn if watched else None)

    def epoch(carry, numbers):
        clocks, base = carry
        clocks, told = jax.lax.scan(update, clocks, numbers)
        clocks, shift = _moved_to_now(clocks, idle)
        return (clocks, add_exactly(base, shift)), (told, base)

    zero = jnp.zeros((), jnp.result_type(float))
    none, still = jnp.zeros_like(workers), jnp.zeros(workers.shape, zero.dtype)
    drawn = jax.vmap(laws.draw)(keys, workers, none)
    start = _Clocks((jnp.where(idle, jnp.inf, drawn), still), none, none > 0, still, none, (zero, zero))
    epochs = -(-steps // EPOCH)
    numbers = jnp.arange(epochs * EPOCH, dtype=jnp.int32).reshape(epochs, EPOCH)
    _, ((worker, delay, since, then), (high, low, _)) = jax.lax.scan(epoch, (start, (zero, zero, zero)), numbers)
    worker, delay, since, then, high, low = jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf.reshape(epochs, -1), (epochs, EPOCH)).reshape(-1)[:steps],
        (worker, delay, since, then, high, low),
    )
    return worker, delay, (high, low), since, Drawn(drawn, then) if watched else None


def _moved_to_now(clocks: _Clocks, idle: Bool[Array, "workers"]) -> tuple[_Clocks, Float[Array, ""]]:
    """The clocks relative to a later base, and how much later: so times stay small, and keep their last digits."""
    still = idle | clocks.waits
    high, _ = clocks.handover
    shift = exact_shift(clocks.last[0], jnp.maximum(jnp.where(still, 0, high).max(), clocks.last[0]))
    moved = add(clocks.handover, -shift)
    handover = jnp.where(still, jnp.inf, moved[0]), jnp.where(still, 0, moved[1])
    return clocks._replace(handover=handover, last=add(clocks.last, -shift)), shift
