"""The schedule of workers: its arguments looked at, and handed to the program or the loop that simulates them."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from a3cjax._core import check
from a3cjax.schedules import _columns, _random
from a3cjax.schedules.compute_times import ComputeTime, Deterministic
from a3cjax.schedules.events.cores import Cores, Rules
from a3cjax.schedules.events.stacked_laws import stack_laws
from a3cjax.schedules.events.streams import Stream, Ticks, own_key
from a3cjax.schedules.events.workers import Writes, simulate_workers

_WAITS = (1 << 32) - 1  # the number of the key that waits are drawn from


def draw_workers(
    key: Key[Array, ""],
    compute_times: Sequence[ComputeTime],
    num_updates: int,
    *,
    read_latency: Any,
    write_time: Any,
    wait: Any,
    cores: Any,
    time_slice: Any,
) -> Writes:
    """The first ``num_updates`` writes; arguments and errors as in ``Schedule.from_workers``."""
    if cores is None and time_slice is not None:
        raise ValueError(
            f"time_slice is {time_slice!r}, which has no effect where no cores are shared; give cores, or leave it out."
        )
    if wait is None and cores is None:
        return simulate_workers(key, compute_times, num_updates, read_latency, write_time)
    key = _random.random_key(key)
    num_updates = check.integer("num_updates", num_updates, least=1)
    _columns.check_size("num_updates", num_updates)
    laws, ticks = stack_laws(compute_times, key, spare=True), Ticks()
    count = len(compute_times)
    cores = count if cores is None else check.integer("cores", cores, least=1)
    q = None if time_slice is None else _slice(time_slice, ticks)
    if wait is None and cores >= count:
        return simulate_workers(key, compute_times, num_updates, read_latency, write_time)
    if not check.is_concrete(key, compute_times, read_latency, write_time, wait):
        raise ValueError(
            "Schedule.from_workers with wait, or with cores to share, goes from event to event outside of JAX, but is "
            "being traced; draw it outside of jit and vmap, and put several together with Schedule.stack."
        )
    waits = None if wait is None else _waits(wait, count)
    if cores < count and q is None:
        _check_turns(waits, cores, count)
    latency, write = (
        _time(name, value, ticks) for name, value in (("read_latency", read_latency), ("write_time", write_time))
    )
    with jax.ensure_compile_time_eval():  # also inside a jit: nothing here depends on its arguments
        computing = [
            Stream(f"compute_times[{i}]", law, laws, i, own_key(key, i), ticks).next
            for i, law in enumerate(compute_times)
        ]
        waiting = None if waits is None else _waiting(key, waits, ticks)
        team = Cores(Rules(num_updates, latency, write, min(cores, count), q), computing, waiting)
        team.run()
    worker, delay = (np.array(column, np.int32) for column in (team.worker, team.delay))
    return Writes(worker, delay, ticks.as_floats(team.landed))


def _slice(value: Any, ticks: Ticks) -> int | None:
    if not check.is_concrete(value):
        raise ValueError("time_slice is being traced, but says who computes when; give a number, outside of jit.")
    if np.ndim(value) == 0 and not isinstance(value, str) and value == math.inf:
        return None
    ticks_of_slice = _time("time_slice", value, ticks)
    if not ticks_of_slice:
        raise ValueError(f"time_slice is {value!r}, but must be greater than 0 (as {jnp.result_type(float).name}).")
    return ticks_of_slice


def _time(name: str, value: Any, ticks: Ticks) -> int:
    """In ticks: a float of JAX's default type, as compute times are."""
    check.number(name, value, least=0)
    if np.ndim(value):
        raise ValueError(f"{name} has shape {np.shape(value)}, but must be one number for all workers.")
    return ticks.of(float(np.asarray(value, jnp.result_type(float))))


def _waits(wait: Any, count: int) -> list[Any]:
    """A law, or a number, for each worker."""
    if isinstance(wait, ComputeTime):
        return [wait] * count
    several = isinstance(wait, Sequence) and not isinstance(wait, str)
    if not several and np.ndim(wait) == 0:
        check.number("wait", wait, least=0)
        return [wait] * count
    given = list(wait)
    if len(given) != count:
        raise ValueError(
            f"wait has {len(given)} entries for {count} workers; give one law or number for all, or one for each."
        )
    for i, entry in enumerate(given):
        if not isinstance(entry, ComputeTime):
            if isinstance(entry, Sequence) or np.ndim(entry):
                raise ValueError(f"wait[{i}] is {entry!r}, but must be one law or number.")
            check.number(f"wait[{i}]", entry, least=0)
    return given


def _check_turns(waits: list[Any] | None, cores: int, count: int) -> None:
    """Refuse workers that might never get a core."""
    stay = count if waits is None else sum(not np.any(getattr(wait, "mean", wait)) for wait in waits)
    if stay >= cores:
        raise ValueError(
            f"cores is {cores}, and {stay} of {count} workers have no wait, so that without a time slice they may keep "
            "the cores, and others never compute; give time_slice, or a wait to each worker."
        )


def _waiting(key: Any, waits: list[Any], ticks: Ticks) -> list[Callable[[], int]]:
    if not any(isinstance(wait, ComputeTime) for wait in waits):
        return [_always(_time("wait", wait, ticks)) for wait in waits]
    # A number has a law in its place that nobody draws from, so that each worker's law is at its index.
    laws = [wait if isinstance(wait, ComputeTime) else Deterministic(1.0) for wait in waits]
    stacked = stack_laws(laws, key, spare=True, name="wait")
    key = own_key(key, _WAITS)
    return [
        Stream(f"wait[{i}]", wait, stacked, i, own_key(key, i), ticks, may_be_zero=True).next
        if isinstance(wait, ComputeTime)
        else _always(_time("wait", wait, ticks))
        for i, wait in enumerate(waits)
    ]


def _always(number: int) -> Callable[[], int]:
    return lambda: number
