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


def commits(commit: Any) -> Bool[np.ndarray, "*batch messages"]:
    """Which messages commit."""
    array = np.asarray(commit)
    if array.dtype == bool:
        return array
    if array.dtype.kind not in "iuf":
        raise ValueError(f"commit must hold True and False, but is {commit!r}.")
    odd = (array != 0) & (array != 1)
    if odd.any():
        where = _first(odd)
        raise ValueError(f"commit{check.index(where)} is {array[where]}, but must be True or False.")
    return array.astype(bool)


def weights(weight: Any) -> Int[np.ndarray, "*batch messages"]:
    """1, or 0 for a message that is discarded."""
    array = np.asarray(weight)
    if array.dtype.kind not in "iufb":
        raise ValueError(f"weight must hold 0 and 1, but is {weight!r}.")
    odd = (array != 0) & (array != 1)
    if odd.any():
        where = _first(odd)
        raise ValueError(
            f"weight{check.index(where)} is {array[where]}, but must be 1, or 0 for a message that is discarded; "
            "a message counts whole or not at all, and how much a stale one counts is the learner's to say, which is "
            "told the delay."
        )
    return array.astype(np.int32)


def normal(commit: Any, weight: Any) -> tuple[Any, Any]:
    """Both columns, None where they say nothing: if all commit that are not discarded; if none is discarded."""
    if commit is not None and (commit == (True if weight is None else weight == 1)).all():
        commit = None
    return commit, None if weight is None or weight.all() else weight


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


def check_shapes(worker: Any, delay: Any, time: Any, commit: Any, weight: Any) -> None:
    """Refuse columns of different shapes, and empty ones."""
    if not worker.shape == delay.shape == time.shape:
        shapes = f"{worker.shape}, {delay.shape} and {time.shape}"
        raise ValueError(f"worker, delay and time have shapes {shapes}, but must have the same.")
    if not delay.ndim or 0 in delay.shape:
        raise ValueError(
            f"the schedule has shape {delay.shape}; give at least one update, as worker, delay and time [K]."
        )
    for name, column in (("commit", commit), ("weight", weight)):
        if column is not None and column.shape != delay.shape:
            raise ValueError(f"{name} has shape {column.shape}, but must have that of delay, {delay.shape}.")


def check_groups(commit: Any, weight: Any) -> None:
    """Refuse an update of which every message is discarded."""
    if commit is None or weight is None:
        return
    kept = np.cumsum(weight, axis=-1)
    # What was kept by the commit before, which is the greatest so far, for it never falls.
    before = np.maximum.accumulate(np.where(commit, kept, 0), axis=-1)
    before = np.concatenate([np.zeros_like(before[..., :1]), before[..., :-1]], axis=-1)
    empty = commit & (kept == before)
    if empty.any():
        where = _first(empty)
        raise ValueError(
            f"commit{check.index(where)} is True, but every message since the commit before has weight 0, so that "
            "there is nothing to average; commit at a later message, of weight 1."
        )


def check_values(
    worker: np.ndarray,
    delay: np.ndarray,
    time: np.ndarray,
    versions: Int[np.ndarray, "..."],
    num_workers: int,
    counts: str = "commit",
) -> None:
    """Refuse a worker out of range, a delay from before the start, and times that decrease.

    ``counts`` is the column whose entries of 1 make a version, if not every row does.
    """
    if (worker >= num_workers).any():
        where = _first(worker >= num_workers)
        raise ValueError(
            f"worker{check.index(where)} is {worker[where]}, but num_workers is {num_workers}; "
            f"workers are numbered 0 to {num_workers - 1}."
        )
    early = delay > versions
    if early.any():
        where = _first(early)
        plain = versions.ndim == 1 and np.array_equal(versions, np.arange(len(versions)))
        what = "commits" if counts == "commit" else "messages of weight 1"
        count = f"{where[-1]} updates" if plain else f"{versions[where]} {what}"
        raise ValueError(
            f"delay{check.index(where)} is {delay[where]}, but only {count} come before it; a delay is the number of "
            "updates between a read and its write: Schedule.from_log takes it from a log, also one that begins in "
            "mid-run or that counts from 1."
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


def versions(delay: Any, commit: Any, weight: Any = None) -> Any:
    """How many versions come before each row: 0, 1, 2, …, or the commits or the messages of weight 1 so far."""
    counted = weight if commit is None else commit
    if counted is None:
        return np.arange(delay.shape[-1], dtype=np.int32)
    xp: Any = np if isinstance(counted, np.ndarray) else jnp
    return (xp.cumsum(counted, axis=-1) - counted).astype(np.int32)


def mean_delay(delay: Any, weight: Any) -> Any:
    """Over the last axis, of the rows of weight 1; NaN where there is none."""
    if weight is None:
        return delay.mean(-1)
    xp: Any = np if isinstance(weight, np.ndarray) else jnp
    share = weight.mean(-1)
    return xp.where(share > 0, (delay * weight).mean(-1) / xp.where(share > 0, share, 1), np.nan)


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
