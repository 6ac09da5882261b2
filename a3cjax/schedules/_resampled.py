"""A schedule put together anew from whole stretches of another: the block bootstrap of a log."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32, Key

from a3cjax._core import check
from a3cjax.schedules import _columns, _random
from a3cjax.schedules.compute_times.stretches import default_length


class _Rounds(NamedTuple):
    """What one worker did from each of its landings to the next, in order."""

    gap: Float[np.ndarray, "rounds"]
    after: Int32[np.ndarray, "rounds"]  # versions that came between the first landing's own and the one read


@jax.ensure_compile_time_eval()  # also inside a jit: nothing here depends on its arguments
def resample(schedule: Any, key: Key[Array, ""], num_updates: int, length: Any) -> tuple[Any, Any, Any]:
    """Worker, delay and time; arguments and errors as in ``Schedule.resampled``."""
    if schedule.batch_shape or not check.is_concrete(schedule, key):
        raise ValueError("resampled is of one schedule whose values are known; choose one with batch[b].")
    if schedule.commit is not None or schedule.weight is not None:
        raise ValueError(
            "resampled puts workers' updates together anew, but in this schedule messages are averaged or discarded; "
            "use one in which every row is an update."
        )
    key = _random.random_key(key)
    num_updates = check.integer("num_updates", num_updates, least=1)
    _columns.check_size("num_updates", num_updates)
    rounds = [_rounds_of(schedule, i) for i in range(schedule.num_workers)]
    fewest = min(len(own.gap) for own in rounds)
    if length is not None:
        length = check.integer("length", length, least=1)
        if length > fewest:
            raise ValueError(
                f"length is {length}, but one worker has only {fewest} gaps between its updates; use at most that."
            )
    lengths = [default_length(len(own.gap)) if length is None else length for own in rounds]
    horizon = 1.1 * num_updates / sum(1 / own.gap.mean() for own in rounds)
    while True:
        drawn = [
            _drawn(_random.fold_in(key, jnp.uint32(i)), own, size, horizon)
            for i, (own, size) in enumerate(zip(rounds, lengths, strict=True))
        ]
        if sum(int((landed <= horizon).sum()) for landed, _ in drawn) >= num_updates:
            return _merged(drawn, num_updates)
        horizon *= 1.3


def _rounds_of(schedule: Any, i: int) -> _Rounds:
    rows = np.flatnonzero(schedule.worker == i)
    gap = np.diff(np.asarray(schedule.time, np.float64)[rows])
    if not gap.sum() > 0:
        raise ValueError(
            f"worker {i} has {len(rows)} updates, but resampled needs gaps between a worker's updates; use a longer "
            "log, or one without this worker."
        )
    return _Rounds(gap, np.asarray(schedule.reads)[rows[1:]] - (rows[:-1] + 1))


def _drawn(key: Any, rounds: _Rounds, length: int, horizon: float) -> tuple[Any, Any]:
    """Landings, up to one beyond the horizon, and what each read after the landing before it."""
    count = len(rounds.gap)
    many = 1 << (int(1.2 * horizon / rounds.gap.mean() / length) + 2).bit_length()  # so that few programs are compiled
    while True:
        starts = np.asarray(_starts(key, jnp.int32(count), many=many))
        where = ((starts[:, None] + np.arange(length)) % count).reshape(-1)
        landed = np.cumsum(rounds.gap[where])
        if landed[-1] > horizon:
            return landed, rounds.after[where]
        many *= 2


@partial(jax.jit, static_argnames="many")
def _starts(key: Key[Array, ""], count: Int32[Array, ""], *, many: int) -> Int32[Array, "stretches"]:
    """Where stretches begin: those of ``compute_times.Stretches``."""
    turns = jnp.arange(many, dtype=jnp.int32)
    return jax.vmap(lambda turn: _random.below(_random.words(_random.fold_in(key, turn))[0], count))(turns)


def _merged(drawn: list[tuple[Any, Any]], num_updates: int) -> tuple[Any, Any, Any]:
    """All landings in order, ties going to the lowest index, and how many others each had not seen."""
    worker = np.repeat(np.arange(len(drawn)), [len(landed) for landed, _ in drawn])
    landed, after = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
    order = np.argsort(landed, kind="stable")[:num_updates]
    update = np.full(len(landed), num_updates)
    update[order] = np.arange(num_updates)
    first = np.append(True, worker[1:] != worker[:-1])
    read = np.where(first, 0, np.roll(update, 1) + 1 + after)[order]
    number = np.arange(num_updates)
    return worker[order], number - np.clip(read, 0, number), landed[order]
