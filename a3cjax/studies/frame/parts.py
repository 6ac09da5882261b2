"""A study's runs as a job in units, each run one: what a part of a batch is, what it leaves, and what it takes."""

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from a3cjax.engine import Record, simulate
from a3cjax.engine.memory import bytes_of_a_run
from a3cjax.engine.origin import origin_of
from a3cjax.engine.runs import may_differ, paths
from a3cjax.engine.tiles import at_most_cores
from a3cjax.learners import A3C
from a3cjax.learners.wrapped import adopted, unwrapped
from a3cjax.schedules import Schedule
from a3cjax.studies.frame.types import Dataset
from a3cjax.sweeps import Job
from a3cjax.sweeps.fingerprint import versions_and_platform

LOST, UPDATES = "nonfinite_from", "updates"


class Found(NamedTuple):
    """Of a batch that was made in parts, what ``put_runs`` asks of a result."""

    updates: np.ndarray
    metrics: Mapping[str, np.ndarray]
    nonfinite_from: np.ndarray
    state: Any


class _Stand(NamedTuple):
    updates: int


@dataclasses.dataclass(frozen=True)
class Whole:
    """A batch: its learner, its schedules [B, K], and the words of its keys [B, 2]."""

    learner: Any
    schedule: Schedule
    words: np.ndarray

    @classmethod
    def of(cls, learner: Any, schedule: Schedule, keys: jax.Array) -> "Whole":
        """Of what ``simulate`` takes; arrays are on the host, to go to any process."""
        words = np.asarray(jax.random.key_data(keys) if jnp.issubdtype(keys.dtype, jax.dtypes.prng_key) else keys)
        columns = jax.tree.map(np.asarray, schedule)
        if columns.worker.ndim == 1:
            columns = jax.tree.map(lambda column: np.broadcast_to(column, (len(words), *column.shape)), columns)
        return cls(adopted(learner), columns, words)

    @property
    def runs(self) -> int:
        """B."""
        return len(self.words)

    def part(self, start: int, stop: int) -> tuple[Any, Schedule, jax.Array]:
        """The learner, schedules and keys of some of the runs."""
        rows = slice(start, stop)
        keys = jax.random.wrap_key_data(jnp.asarray(self.words[rows]))
        return learner_of(self.learner, rows), jax.tree.map(lambda column: column[rows], self.schedule), keys

    def told(self) -> dict[str, str]:
        """A digest of each thing that its bits depend on."""
        counted = self.schedule.num_messages
        columns = (self.schedule.worker, self.schedule.delay, self.schedule.time, *_optional(self.schedule))
        parts = origin_of(unwrapped(self.learner), self.words, columns, self.schedule.num_messages, counted)
        return {name: part.digest for name, part in parts.items()}


def learner_of(learner: Any, rows: slice | int) -> Any:
    """The learner of some of the runs: its fields that are one for each run, cut."""
    leaves, structure = jax.tree.flatten(learner)
    names = paths(learner)
    cut = [
        leaf[rows] if np.ndim(leaf) == 1 and may_differ(learner, name) else leaf
        for name, leaf in zip(names, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, cut)


def is_exact(learner: Any) -> bool:
    """Whether a run of this learner has the same bits whatever is beside it: the actor-critic without optimisers.

    Products of matrices round otherwise where there are other rows, and a learner of the user's own may be compiled to
    fused products in one batch and not in another.
    """
    return isinstance(learner, A3C) and learner.actor_optimizer is None and learner.critic_optimizer is None


def alone(exact: bool) -> contextlib.AbstractContextManager[None]:
    """Within, what decides last digits beside the size of a block is the same on all machines: one core."""
    return contextlib.nullcontext() if exact else at_most_cores(1)


def recorded(result: Any, metrics: Sequence[str]) -> dict[str, np.ndarray]:
    """What a block keeps of its runs: metrics, and where they stopped being finite; a row for each run."""
    runs = len(np.atleast_1d(np.asarray(result.nonfinite_from)))
    rows = np.broadcast_to(np.asarray(result.updates), (runs, len(result.updates)))
    return {
        **{name: np.asarray(result.metrics[name]) for name in metrics},
        LOST: np.atleast_1d(np.asarray(result.nonfinite_from)),
        UPDATES: rows,
    }


def found_in(arrays: Mapping[str, np.ndarray], rows: slice, num_updates: int) -> Found:
    """Of some of the runs what ``put_runs`` puts into its place."""
    metrics = {name: array[rows] for name, array in arrays.items() if name not in (LOST, UPDATES)}
    return Found(arrays[UPDATES][rows.start], metrics, arrays[LOST][rows], _Stand(num_updates))


@dataclasses.dataclass(frozen=True)
class Batches:
    """Batches of runs in a row, as one job."""

    batches: tuple[Whole, ...]
    record: Record

    def job(self, study: str, curves: Dataset) -> Job:
        """The job; the curves, before any run, tell what it is called in sentences."""
        told: dict[str, Any] = {str(name): curves[name].values.tolist() for name in curves.coords}
        told |= {name: value for name, value in curves.attrs.items() if isinstance(value, str | int | float)}
        told["record_every"] = self.record.every
        metrics: Any = self.record.metrics
        told |= {"metrics": list(metrics), **versions_and_platform()}
        for i, batch in enumerate(self.batches):
            told |= {f"batch {i}, {name}": digest for name, digest in batch.told().items()}
        count = sum(batch.runs for batch in self.batches)
        return Job(study, count, told, self.make, self.memory, exact=self.exact)

    @property
    def exact(self) -> bool:
        """See ``is_exact``."""
        return all(is_exact(unwrapped(batch.learner)) for batch in self.batches)

    @property
    def places(self) -> list[tuple[int, int]]:
        """Where each batch's runs begin and end."""
        ends = np.cumsum([batch.runs for batch in self.batches]).tolist()
        return list(zip([0, *ends[:-1]], ends, strict=True))

    def make(self, start: int, stop: int) -> dict[str, np.ndarray]:
        """Simulate these runs, batch by batch."""
        metrics: Any = self.record.metrics
        made = []
        for batch, (first, end) in zip(self.batches, self.places, strict=True):
            mine = max(start, first) - first, min(stop, end) - first
            if mine[0] < mine[1]:
                with alone(self.exact):
                    result = simulate(*batch.part(*mine), record=self.record, throw=False, progress=False)
                made.append(recorded(result, metrics))
        return {name: np.concatenate([each[name] for each in made]) for name in made[0]}

    def memory(self, runs: int) -> dict[str, float]:
        """Bytes that so many runs take at most."""
        largest = max(self.batches, key=lambda batch: batch.schedule.num_messages)
        depth = 1 << int(np.max([np.max(batch.schedule.max_delay) for batch in self.batches])).bit_length()
        metrics: Any = self.record.metrics
        spacing = self.record.spacing(largest.schedule.num_messages)
        each = bytes_of_a_run(
            learner_of(largest.learner, 0), largest.schedule.num_messages, spacing, len(metrics), depth
        )
        return {name: runs * size for name, size in each.items()}


def _optional(schedule: Schedule) -> tuple[Any, Any]:
    return schedule.commit, schedule.weight
