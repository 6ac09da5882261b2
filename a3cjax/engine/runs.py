"""A batch of runs: which of learner, schedule and key differ from run to run, and their slices."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, UInt32

from a3cjax._core import check
from a3cjax.engine.layout import Layout
from a3cjax.engine.origin import Origin, origin_of
from a3cjax.engine.plan import Block
from a3cjax.engine.randomness import run_key_words
from a3cjax.engine.record import SCHEDULE_METRICS
from a3cjax.learners.wrapped import unwrapped
from a3cjax.schedules import Schedule
from a3cjax.schedules._columns import mean_delay
from a3cjax.schedules.slots import Places

_ALIGNED = 64  # bytes; a CPU device then takes an array as it is


@dataclass(frozen=True)
class Runs:
    """B runs; without any run axis in the input, one run and ``batched`` is False."""

    learner_leaves: list[Any]
    axes: tuple[int | None, ...]
    structure: Any
    worker: Any  # [1 or B, K], and so are the next three
    delay: Any
    turn: Any
    time: Any
    commit: Any  # likewise, or None, and so is the next
    weight: Any
    num_workers: int
    own_reads: Any
    keys: UInt32[Array, "B 2"]
    count: int
    batched: bool
    places: Places | None = None  # of versions, where they have slots

    @classmethod
    def of(cls, learner: Any, schedule: Schedule, key: jax.Array) -> "Runs":
        """Find the run axes and check that they agree."""
        if not isinstance(schedule, Schedule):
            raise ValueError(f"schedule must be an a3cjax.Schedule, but is a {type(schedule).__name__}.")
        leaves, structure = jax.tree.flatten(learner)
        axes = run_axes(learner)
        words = key_words(key)
        names = paths(unwrapped(learner))
        sizes = {name: np.shape(leaf)[0] for name, leaf, axis in zip(names, leaves, axes, strict=True) if axis == 0}
        if schedule.worker.ndim == 2:
            sizes["schedule"] = schedule.worker.shape[0]
        if words.ndim == 2:
            sizes["key"] = words.shape[0]
        if schedule.worker.ndim > 2 or words.ndim > 2:
            raise ValueError("schedule and key may have one run axis at most; flatten further axes into it.")
        if len(set(sizes.values())) > 1:
            listed = ", ".join(f"{name} has {size}" for name, size in sizes.items())
            raise ValueError(f"The run axes do not agree: {listed} runs; give each the same number, or one to share.")
        count = next(iter(sizes.values()), 1)
        if count == 0:
            raise ValueError("The run axis has length 0; give at least one run.")
        columns: list[Any] = [schedule.worker, schedule.delay, schedule.ranks(), schedule.time]
        optional = schedule.commit, schedule.weight
        columns += [column for column in optional if column is not None]
        if check.is_concrete(schedule):
            columns = [np.asarray(column) for column in columns]
        columns = [column if column.ndim == 2 else column[None] for column in columns]
        keys = jnp.broadcast_to(words, (count, 2))
        own_reads = schedule.own_reads
        worker, delay, turn, time, *given = columns
        commit, weight = (None if column is None else given.pop(0) for column in optional)
        return cls(
            leaves,
            axes,
            structure,
            worker,
            delay,
            turn,
            time,
            commit,
            weight,
            schedule.num_workers,
            own_reads,
            keys,
            count,
            bool(sizes),
        )

    @property
    def num_updates(self) -> int:
        """K, the schedule's rows."""
        return self.worker.shape[1]

    @property
    def _counted(self) -> Any:
        """Which rows make a version, [1 or B, K]; None if all do."""
        return self.weight if self.commit is None else self.commit

    @property
    def versions(self) -> Any:
        """How many versions come before each row, [K] or [B, K]."""
        if self._counted is None:
            return np.arange(self.num_updates)
        return self._counted.cumsum(1) - self._counted

    def oldest_reads(self, k: int) -> Iterator[tuple[int, int]]:
        """For each schedule the versions there are before row k, and the oldest that is read from there on."""
        now = np.full(1, k) if self._counted is None else self._counted[:, :k].sum(1)
        reads = self.versions[..., k:] - self.delay[:, k:]
        oldest = np.minimum(now, reads.min(1, initial=self.num_updates))
        yield from ((int(n), int(o)) for n, o in zip(np.broadcast_to(now, oldest.shape), oldest, strict=True))

    def one_learner(self) -> Any:
        """The learner of the first run."""
        leaves = [leaf if axis is None else leaf[0] for leaf, axis in zip(self.learner_leaves, self.axes, strict=True)]
        return jax.tree.unflatten(self.structure, leaves)

    def most_updates(self, rows: int) -> int:
        """How often the learner of a run has been updated after so many rows, at most; all rows if that is traced."""
        if self._counted is None or not check.is_concrete(self._counted):
            return rows
        return int(self._counted[:, :rows].sum(1).max(initial=0))

    def origin(self, updates: int) -> Origin:
        """What the first ``updates`` rows depend on."""
        learner = unwrapped(jax.tree.unflatten(self.structure, self.learner_leaves))
        columns = (self.worker, self.delay, self.time, self.commit, self.weight)
        return origin_of(learner, self.keys, columns, updates, self.most_updates(updates))

    def split_learner(self, layout: Layout) -> Any:
        """The learner with run axes as [tiles, lanes]."""
        leaves = [
            leaf if axis is None else layout.split(np.asarray(leaf) if check.is_concrete(leaf) else leaf)
            for leaf, axis in zip(self.learner_leaves, self.axes, strict=True)
        ]
        return jax.tree.unflatten(self.structure, leaves)

    def block(
        self, layout: Layout, first: int, updates: int, chunk: int, room: dict[int, np.ndarray] | None = None
    ) -> Block:
        """``updates`` updates from ``first`` on, with the chunk in which they begin and two more at the end.

        Where the schedule ends the columns go on with zeros. They are put into ``room``, if it is given, in place of
        the block before, of the same size: memory that is used for the first time costs more than the copy.
        """
        first -= first % chunk
        columns = Block(self.worker, self.delay, self.turn)
        if self.commit is not None:
            columns = columns._replace(commit=self.commit.astype(np.int32))
        if self.weight is not None:
            columns = columns._replace(weight=self.weight)
        if self.places is not None:
            columns = columns._replace(write=self.places.write, read=self.places.read)
        length = updates + 2 * chunk
        room = {} if room is None else room
        padded: list[Any] = [
            None if column is None else _padded(column[:, first : first + length], length, i, room)
            for i, column in enumerate(columns)
        ]
        return jax.tree.map(lambda part: part[None] if part.shape[0] == 1 else layout.split(part), Block(*padded))

    def times(self, updates: np.ndarray) -> Any:
        """Virtual time after each of ``updates`` updates, [B, R]."""
        return self._spread(self.time[:, updates - 1])

    @staticmethod
    def is_schedule_metric(metric: Any) -> bool:
        """Whether the metric is one of the schedule alone."""
        return isinstance(metric, str) and metric in SCHEDULE_METRICS

    def schedule_metric(self, metric: str, updates: np.ndarray, spacing: int) -> Any:
        """Mean, largest or last delay of the ``spacing`` updates before each record, [B, R].

        The mean is that of messages of weight 1, and NaN where there is none.
        """
        if len(updates) == 0:
            return np.zeros((self.count, 0))
        delay = self.delay[:, updates[0] - spacing : updates[-1]]
        window = delay.reshape(delay.shape[0], len(updates), spacing)
        weight = None if self.weight is None else self.weight[:, updates[0] - spacing : updates[-1]]
        counts = None if weight is None else weight.reshape(window.shape)
        reduced = {"max_delay": lambda: window.max(-1), "mean_delay": lambda: mean_delay(window, counts)}
        return self._spread(window[..., -1] if metric == "delay" else reduced[metric]())

    def honoured(self, history: str, depth: int) -> Any:
        """Whether each run's (traced) schedule is one that the history replays exactly, [B]."""
        fits = (self.worker >= 0) & (self.worker < self.num_workers)
        fits = fits & (self.delay >= 0) & (self.delay <= self.versions)
        kept = (self.delay < depth).all(1) if history == "ring" else self.own_reads
        if history == "versions":  # has looked at the schedule
            kept = True
        return self._spread(fits.all(1) & kept)

    def _spread(self, rows: Any) -> Any:
        module = np if isinstance(rows, np.ndarray) else jnp
        return module.broadcast_to(rows, (self.count, *rows.shape[1:]))


def _padded(part: Any, length: int, i: int, room: dict[int, np.ndarray]) -> Any:
    """[rows, …] with zeros up to [rows, length]; what is on the host goes to place ``i`` of the room."""
    rows, known = part.shape
    if not isinstance(part, np.ndarray):
        return jnp.pad(part, ((0, 0), (0, length - known)))
    if i not in room:
        size = rows * length * part.itemsize
        memory = np.empty(size + _ALIGNED, np.uint8)
        start = -memory.ctypes.data % _ALIGNED
        room[i] = memory[start : start + size].view(part.dtype).reshape(rows, length)
    room[i][:, :known] = part
    room[i][:, known:] = 0
    return room[i]


def key_words(key: Any) -> UInt32[Array, "*B 2"]:
    """Of a key, or of B of them; a sentence if it is none."""
    if isinstance(key, int | np.integer):
        raise ValueError(f"key is the number {key}; give a JAX key such as jax.random.key({key}).")
    try:
        return run_key_words(jnp.asarray(key))
    except (TypeError, ValueError) as error:
        raise ValueError(f"key must be a JAX key such as jax.random.key(0), but is {key!r}.") from error


def run_axes(learner: Any) -> tuple[int | None, ...]:
    """For each leaf of the learner 0 if it carries a run axis, else None."""
    leaves = zip(paths(learner), jax.tree.leaves(learner), strict=True)
    return tuple(0 if np.ndim(leaf) == 1 and may_differ(learner, path) else None for path, leaf in leaves)


def may_differ(learner: Any, path: str) -> bool:
    """Whether the leaf of that name is one that the learner's ``run_scalars`` names, or part of one."""
    return any(path == name or path.startswith((f"{name}.", f"{name}[")) for name in learner.run_scalars)


def paths(learner: Any) -> list[str]:
    """What each leaf is called, such as "prior.weight"."""
    return [jax.tree_util.keystr(path).lstrip(".") for path, _ in jax.tree_util.tree_flatten_with_path(learner)[0]]
