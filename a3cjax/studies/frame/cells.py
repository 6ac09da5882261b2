"""A study's cells as a job in units: what fills a cell depends on its place alone, so that any can be made anywhere."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from a3cjax.engine.memory import bytes_of_a_run
from a3cjax.engine.origin import learner_parts
from a3cjax.learners.wrapped import adopted, unwrapped
from a3cjax.studies.frame.parts import alone, is_exact, learner_of
from a3cjax.studies.frame.types import Dataset
from a3cjax.sweeps import Blocks, Job, as_a_whole
from a3cjax.sweeps.fingerprint import versions_and_platform

_SHOWN = str | int | float | list


@dataclasses.dataclass(frozen=True)
class Cells:
    """Cells of a study, along axes of its curves.

    ``study``: its name. ``curves``: before any run. ``axes``: those that number the cells, the last one fastest.
    ``fill``: puts into curves what belongs to a cell, given its numbers, and looks at no other. ``learners``: by name.
    ``runs``: of a cell. ``identity``: what bits depend on beside curves and learners. ``num_updates``, ``spacing``,
    ``metrics``, ``depth``: of a run, for the memory that it takes.
    """

    study: str
    curves: Dataset
    axes: tuple[str, ...]
    fill: Callable[[Dataset, tuple[int, ...]], None]
    learners: Mapping[str, Any]
    runs: int
    identity: Mapping[str, Any]
    num_updates: int
    spacing: int
    metrics: int = 1
    depth: int = 64

    def run(self, blocks: Blocks) -> Dataset:
        """The curves, every cell filled somewhere."""
        curves = self.curves.copy(deep=True)
        for name, array in blocks.run(self.job()).items():
            for n, values in enumerate(array):
                curves[name][self._place(n)] = values
        return curves

    def job(self) -> Job:
        """The job. A cell is filled in the same way in blocks of any size."""
        told: dict[str, Any] = {str(name): self.curves[name].values.tolist() for name in self.curves.coords}
        told |= {str(name): value for name, value in self.curves.attrs.items() if isinstance(value, _SHOWN)}
        for name, learner in self.learners.items():
            told |= {
                f"{name}: {part}": known.digest for part, known in learner_parts(unwrapped(adopted(learner))).items()
            }
        told |= {**self.identity, **versions_and_platform()}
        return Job(self.study, int(np.prod(self._shape)), told, self.make, self.memory, unit="cell")

    def make(self, start: int, stop: int) -> dict[str, np.ndarray]:
        """What these cells are filled with, in one variable after the other."""
        names = [str(name) for name, one in self.curves.data_vars.items() if {*self.axes} <= {*one.dims}]
        made = []
        exact = all(is_exact(unwrapped(adopted(learner))) for learner in self.learners.values())
        for n in range(start, stop):
            curves = self.curves.copy(deep=True)
            with as_a_whole(), alone(exact):
                self.fill(curves, tuple(self._place(n).values()))
            made.append([curves[name][self._place(n)].values for name in names])
        return {name: np.stack(values) for name, values in zip(names, zip(*made, strict=True), strict=True)}

    def memory(self, cells: int) -> dict[str, float]:
        """Bytes that a block takes at most: those of a cell, for one comes after the other."""
        del cells
        found: dict[str, float] = {}
        for learner in self.learners.values():
            one = learner_of(adopted(learner), 0)
            each = bytes_of_a_run(one, self.num_updates, self.spacing, self.metrics, self.depth)
            found = {name: max(found.get(name, 0.0), self.runs * size) for name, size in each.items()}
        return found

    @property
    def _shape(self) -> tuple[int, ...]:
        return tuple(self.curves.sizes[name] for name in self.axes)

    def _place(self, n: int) -> dict[str, int]:
        return {name: int(at) for name, at in zip(self.axes, np.unravel_index(n, self._shape), strict=True)}
