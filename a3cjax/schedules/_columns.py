"""The columns of a schedule, looked at before anything is done with them."""

import operator
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int

from a3cjax._core import check


def times(time: Any) -> np.ndarray:
    """Landings as float64."""
    try:
        return np.asarray(time, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"time must hold numbers, but is {time!r}.") from error


def commits(commit: Any) -> Bool[np.ndarray, "*batch messages"] | None:
    """Which messages commit, or None if all do."""
    array = np.asarray(commit)
    if array.dtype != bool:
        if array.dtype.kind not in "iuf":
            raise ValueError(f"commit must hold True and False, but is {commit!r}.")
        odd = (array != 0) & (array != 1)
        if odd.any():
            where = _first(odd)
            raise ValueError(f"commit{check.index(where)} is {array[where]}, but must be True or False.")
        array = array.astype(bool)
    return None if array.size and array.all() else array


def check_size(what: str, rows: int) -> None:
    """Refuse more rows than can be counted or held: 16 bytes each are kept, and three times as much while drawn."""
    check.num_rows(what, rows)
    check.memory(what, rows, 48 * rows, "use fewer updates")


def check_lengths(**columns: Any) -> None:
    """Refuse more rows than can be counted, before any column is copied."""
    for name, column in columns.items():
        shape = getattr(column, "shape", None)
        if shape is None and hasattr(column, "__len__"):
            shape = (len(column),)
        if shape:
            check.num_rows(f"the length of {name}", shape[-1])


def check_shapes(worker: Any, delay: Any, time: Any, commit: Any) -> None:
    """Refuse columns of different shapes, and empty ones."""
    if not worker.shape == delay.shape == time.shape:
        shapes = f"{worker.shape}, {delay.shape} and {time.shape}"
        raise ValueError(f"worker, delay and time have shapes {shapes}, but must have the same.")
    if not delay.ndim or 0 in delay.shape:
        raise ValueError(
            f"the schedule has shape {delay.shape}; give at least one update, as worker, delay and time [K]."
        )
    if commit is not None and commit.shape != delay.shape:
        raise ValueError(f"commit has shape {commit.shape}, but must have that of delay, {delay.shape}.")


def check_values(
    worker: np.ndarray, delay: np.ndarray, time: np.ndarray, versions: Int[np.ndarray, "..."], num_workers: int
) -> None:
    """Refuse a worker out of range, a delay from before the start, and times that decrease."""
    if (worker >= num_workers).any():
        where = _first(worker >= num_workers)
        raise ValueError(
            f"worker{check.index(where)} is {worker[where]}, but num_workers is {num_workers}; "
            f"workers are numbered 0 to {num_workers - 1}."
        )
    early = delay > versions
    if early.any():
        where = _first(early)
        if versions.ndim == 1 and np.array_equal(versions, np.arange(len(versions))):
            count, remedy = f"{where[-1]} updates come", "np.minimum(delay, np.arange(K))"
        else:
            count, remedy = f"{versions[where]} commits come", "np.minimum(delay, np.cumsum(commit) - commit)"
        raise ValueError(
            f"delay{check.index(where)} is {delay[where]}, but only {count} before it; "
            f"use {remedy} if the run starts there."
        )
    check.finite("time", time)
    backwards = np.diff(time, axis=-1) < 0
    if backwards.any():
        where = _first(backwards)
        after = (*where[:-1], where[-1] + 1)
        raise ValueError(
            f"time{check.index(after)} is {time[after]:g}, before the update ahead of it at {time[where]:g}; "
            "sort the updates by when they landed."
        )


def versions(delay: Any, commit: Any) -> Any:
    """How many versions come before each row: 0, 1, 2, … or the commits so far."""
    if commit is None:
        return np.arange(delay.shape[-1], dtype=np.int32)
    xp: Any = np if isinstance(commit, np.ndarray) else jnp
    return (xp.cumsum(commit, axis=-1) - commit).astype(np.int32)


def place(item: Any, num_updates: int, batch_shape: tuple[int, ...]) -> Any:
    """Where in the columns the rows of ``schedule[:n]`` or ``batch[b]`` are."""
    if isinstance(item, slice):
        if item.start not in (None, 0) or item.step not in (None, 1):
            raise ValueError("a schedule can be cut at its end only, as in schedule[:n], or its delays lose meaning.")
        if len(range(*item.indices(num_updates))) == 0:
            raise ValueError(f"schedule[:{item.stop}] is empty; keep at least one of {num_updates} updates.")
        return (..., slice(item.stop))
    if not batch_shape:
        raise ValueError("one schedule cannot be indexed by update; use its worker, delay and time, or schedule[:n].")
    where = operator.index(item)
    if not -batch_shape[0] <= where < batch_shape[0]:
        raise IndexError(f"schedule {where} was asked for, but the batch has {batch_shape[0]}.")
    return where


def _first(bad: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argwhere(bad)[0])
