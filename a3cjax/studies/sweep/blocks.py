"""A sweep's runs as a job in units: a block draws the schedules of its own runs alone."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from a3cjax.engine import Record, simulate
from a3cjax.engine.memory import bytes_of_a_run
from a3cjax.engine.origin import learner_parts
from a3cjax.learners.wrapped import adopted
from a3cjax.schedules import Schedule
from a3cjax.studies.frame.parts import alone, found_in, is_exact, learner_of, recorded
from a3cjax.studies.frame.runs import numbered_keys
from a3cjax.studies.frame.types import Dataset
from a3cjax.studies.sweep.grid import Grid, Scaled, draw_schedule
from a3cjax.sweeps import Job
from a3cjax.sweeps.fingerprint import versions_and_platform

_LEAST_DEPTH = 8  # so that blocks of short delays share a program
_OF_SCHEDULE = ("mean_delay", "max_delay")


@dataclasses.dataclass(frozen=True)
class Runs:
    """All runs of a sweep, in the order (law, delay, step, seed)."""

    scaled: Scaled
    grid: Grid
    num_updates: int
    every: int
    seed: int

    def job(self, options: Mapping[str, Any]) -> Job:
        """The job, with the options that its bits depend on but platform and versions."""
        told = {**options, **versions_and_platform()}
        return Job("sweep", self.grid.runs, told, self.make, self.memory, exact=self._exact)

    def make(self, start: int, stop: int) -> dict[str, np.ndarray]:
        """Simulate these runs; runs that differ by their step alone share a schedule."""
        numbers, of_run = np.unique(self.grid.schedule_of_run()[start:stop], return_inverse=True)
        drawn = Schedule.stack([draw_schedule(self.grid, int(n), self.num_updates, self.seed) for n in numbers])
        seeds = np.arange(start, stop) % self.grid.seeds
        keys = numbered_keys(jax.random.fold_in(jax.random.key(self.seed), 1), self.grid.seeds)[seeds]
        factors = np.asarray(self.grid.factors)[self.grid.step_of_run()[start:stop]]
        batch = jax.tree.map(lambda column: np.asarray(column)[of_run], drawn)
        with alone(self._exact):
            result = simulate(
                self.scaled.times(factors), batch, keys, record=Record(self.every, self.scaled.metrics), history="ring",
                depth=max(_LEAST_DEPTH, 1 << int(drawn.max_delay.max()).bit_length()), throw=False, progress=False,
            )  # fmt: skip
        of_schedule = {name: np.asarray(getattr(drawn, name))[of_run] for name in _OF_SCHEDULE}
        return recorded(result, self.scaled.metrics) | of_schedule

    @property
    def _exact(self) -> bool:
        return is_exact(self.scaled.learner)

    def memory(self, runs: int) -> dict[str, float]:
        """Bytes that so many runs take at most."""
        learner = learner_of(adopted(self.scaled.times(np.ones(1))), 0)
        each = bytes_of_a_run(learner, self.num_updates, self.every, len(self.scaled.metrics), self._depth)
        return {name: runs * size for name, size in each.items()}

    @functools.cached_property
    def _depth(self) -> int:
        """Versions that a run's past has, by one schedule of each law at its longest delays."""
        laws, delays, seeds = len(self.grid.laws), len(self.grid.delays), self.grid.seeds
        last = [((law + 1) * delays - 1) * seeds for law in range(laws)]
        most = max(int(draw_schedule(self.grid, n, self.num_updates, self.seed).max_delay) for n in last)
        return max(_LEAST_DEPTH, 1 << most.bit_length())


def identity(scaled: Scaled, grid: Grid, num_updates: int, every: int, seed: int) -> dict[str, Any]:
    """All that the bits of a sweep depend on but platform and versions."""
    told = {**dataclasses.asdict(grid), "num_updates": num_updates, "record_every": every, "seed": seed}
    fields = {name: part.digest for name, part in learner_parts(scaled.learner).items()}
    return {**told, "metrics": scaled.metrics, **fields}


def put_all(curves: Dataset, arrays: Mapping[str, np.ndarray], metrics: Sequence[str], put: Any) -> None:
    """Put what all runs recorded into the curves, by ``put``, and what their schedules were."""
    shape = tuple(curves.sizes[name] for name in ("law", "delay", "step", "seed"))
    for name in _OF_SCHEDULE:
        curves[name].values[...] = arrays[name].reshape(shape)[:, :, 0]
    kept = {name: array for name, array in arrays.items() if name not in _OF_SCHEDULE}
    put(found_in(kept, slice(0, len(arrays["mean_delay"])), int(curves.attrs["num_updates"])))
