"""Workers whose messages are averaged before they are applied: the synchronous barrier and the buffer.

Both take c(i, t), worker i's t-th compute time, from the same draws as ``workers.py``, so that for one key a barrier,
a buffer and always-busy workers have the same compute times and differ in who waits for whom alone.

* **Barrier.** In round n every worker computes one gradient from version n, worker i in the time c(i, n). The round
  ends when the slowest is done, T_{n+1} = T_n + max_i c(i, n), T_0 = 0, with one update by the mean of the N gradients.
  Every delay is 0. A round lasts E max_i c_i on average, N samples of always-busy workers last 1 / Σ_i (1 / E c_i): for
  exponential laws of mean one H_N = 1 + 1/2 + … + 1/N against 1.
* **Buffer.** Workers are always busy and read right after their own landings. Every ``size``-th landing makes one
  update by the mean of the ``size`` gradients since the last (Rennala SGD, Tyurin and Richtárik 2023; FedBuff, Nguyen
  et al. 2022). A gradient that was under way at an update stays, and is stale.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32, Key

from a3cjax._core import check
from a3cjax.schedules import _columns, _random
from a3cjax.schedules.compute_times import ComputeTime
from a3cjax.schedules.events.pairs import add
from a3cjax.schedules.events.stacked_laws import StackedLaws, check_drawn, stack_laws
from a3cjax.schedules.events.workers import simulate_workers


class Messages(NamedTuple):
    """The columns of a schedule, as NumPy arrays or traced."""

    worker: Any
    delay: Any
    time: Any
    commit: Any


def simulate_barrier(key: Key[Array, ""], compute_times: Sequence[ComputeTime], num_updates: int) -> Messages:
    """``num_updates`` rounds; arguments and errors as in ``Schedule.barrier``."""
    key = _random.random_key(key)
    num_updates = check.integer("num_updates", num_updates, least=1)
    laws = stack_laws(compute_times, key)
    _columns.check_size("num_updates times the number of workers", num_updates * len(laws.kind))
    worker, arrival = _rounds(key, laws, num_updates=num_updates)
    if check.is_concrete(worker, arrival):
        check_drawn(compute_times, np.ravel(worker), np.ravel(arrival))
        worker, arrival = np.asarray(worker), np.asarray(arrival, np.float64)
        time = np.concatenate([[0.0], np.cumsum(arrival[:-1, -1])])[:, None] + arrival
    else:
        time = _landings(arrival)
    num_workers = len(laws.kind)
    commit = np.arange(worker.size) % num_workers == num_workers - 1
    return Messages(worker.reshape(-1), np.zeros(worker.size, np.int32), time.reshape(-1), _or_none(commit))


def simulate_buffer(key: Key[Array, ""], compute_times: Sequence[ComputeTime], num_updates: int, size: int) -> Messages:
    """Always-busy workers with a commit at every ``size``-th landing; see ``Schedule.buffered``."""
    num_updates = check.integer("num_updates", num_updates, least=1)
    size = check.integer("size", size, least=1)
    _columns.check_size("num_updates times size", num_updates * size)
    writes = simulate_workers(key, compute_times, num_updates * size)
    message = np.arange(num_updates * size, dtype=np.int32)
    # Message k's worker last read when k − delay messages had landed, of which every size-th had committed.
    delay = message // size - (message - writes.delay) // size
    return Messages(writes.worker, delay, writes.time, _or_none(message % size == size - 1))


def _or_none(commit: np.ndarray) -> np.ndarray | None:
    return None if commit.all() else commit


@partial(jax.jit, static_argnames="num_updates")
def _rounds(
    key: Key[Array, ""], laws: StackedLaws, *, num_updates: int
) -> tuple[Int32[Array, "rounds workers"], Float[Array, "rounds workers"]]:
    """Who arrives, and how long after the round's start, in order of arrival; ties go to the lowest index."""
    laws = jax.lax.optimization_barrier(laws)  # as in workers.py, so that the draws round alike
    workers = jnp.arange(len(laws.kind), dtype=jnp.int32)
    keys = jax.vmap(partial(_random.fold_in, key))(workers)
    rounds = jnp.arange(num_updates, dtype=jnp.int32)
    draw = jax.vmap(jax.vmap(laws.draw, in_axes=(0, 0, None)), in_axes=(None, None, 0))
    times = draw(keys, workers, rounds)
    order = jnp.argsort(times, axis=1, stable=True).astype(jnp.int32)
    return order, jnp.take_along_axis(times, order, axis=1)


def _landings(arrival: Float[Array, "rounds workers"]) -> Float[Array, "rounds workers"]:
    """When each landed, in the default float."""

    def advance(start, longest):
        return add(start, longest), start

    zero = jnp.zeros((), arrival.dtype)
    _, starts = jax.lax.scan(advance, (zero, zero), arrival[:, -1])
    time = add((starts[0][:, None], starts[1][:, None]), arrival)[0]
    return jax.lax.cummax(time.reshape(-1)).reshape(time.shape)  # roundings do not run backwards
