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
    ``fill``: puts into curves what belongs to a cell, given its numbers, and looks at no other. ``learners``: all that
    run. ``identity``: what bits depend on but platform and versions. ``memory``: bytes that a cell takes at most, by
    part. ``filled``: the variables that ``fill`` fills; not given: those that have all the axes. One that lacks an axis
    is the same in all cells along it. ``unit``: what a cell is called.
    """

    study: str
    curves: Dataset
    axes: tuple[str, ...]
    fill: Callable[[Dataset, tuple[int, ...]], None]
    learners: Mapping[str, Any]
    identity: Mapping[str, Any]
    memory: Callable[[], Mapping[str, float]]
    filled: tuple[str, ...] | None = None
    unit: str = "cell"

    def run(self, blocks: Blocks) -> Dataset:
        """The curves, every cell filled somewhere."""
        curves = self.curves.copy(deep=True)
        for name, array in blocks.run(self.job()).items():
            for n, values in enumerate(array):
                curves[name][self._place(n, name)] = values
        return curves

    def job(self) -> Job:
        """The job. A cell is filled in the same way in blocks of any size, one after the other."""
        told = {**self.identity, **versions_and_platform()}
        count = int(np.prod(self._shape))
        return Job(self.study, count, told, self.make, self._memory_of_block, unit=self.unit)

    def make(self, start: int, stop: int) -> dict[str, np.ndarray]:
        """What these cells are filled with, in one variable after the other."""
        names = self._names
        made = []
        exact = all(is_exact(unwrapped(adopted(learner))) for learner in self.learners.values())
        for n in range(start, stop):
            curves = self.curves.copy(deep=True)
            with as_a_whole(), alone(exact):
                self.fill(curves, self._numbers(n))
            made.append([curves[name][self._place(n, name)].values for name in names])
        return {name: np.stack(values) for name, values in zip(names, zip(*made, strict=True), strict=True)}

    def _memory_of_block(self, cells: int) -> Mapping[str, float]:
        del cells  # one comes after the other
        return self.memory()

    @property
    def _names(self) -> tuple[str, ...]:
        if self.filled is not None:
            return self.filled
        return tuple(str(name) for name, one in self.curves.data_vars.items() if {*self.axes} <= {*one.dims})

    @property
    def _shape(self) -> tuple[int, ...]:
        return tuple(self.curves.sizes[name] for name in self.axes)

    def _numbers(self, n: int) -> tuple[int, ...]:
        return tuple(int(at) for at in np.unravel_index(n, self._shape))

    def _place(self, n: int, name: str) -> dict[str, int]:
        """Where a cell is in a variable."""
        dims = self.curves[name].dims
        return {axis: at for axis, at in zip(self.axes, self._numbers(n), strict=True) if axis in dims}


def identity_of(curves: Dataset, learners: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """What the bits of cells depend on: curves before any run, learners by name, and more.

    A coordinate that is called like one of ``more`` has its plural, as seeds beside the seed of all.
    """
    told: dict[str, Any] = {
        f"{name}s" if name in more else str(name): curves[name].values.tolist() for name in curves.coords
    }
    told |= {str(name): value for name, value in curves.attrs.items() if isinstance(value, _SHOWN)}
    for name, learner in learners.items():
        parts = learner_parts(unwrapped(adopted(learner)))
        told |= {f"{name}: {part}": known.digest for part, known in parts.items()}
    return told | more


def bytes_of_cell(
    learners: Mapping[str, Any], runs: int, num_updates: int, spacing: int, metrics: int = 1, depth: int = 64
) -> dict[str, float]:
    """Bytes that so many runs take at most, by part, with whichever of the learners takes most."""
    found: dict[str, float] = {}
    for learner in learners.values():
        each = bytes_of_a_run(learner_of(adopted(learner), 0), num_updates, spacing, metrics, depth)
        found = {name: max(found.get(name, 0.0), runs * size) for name, size in each.items()}
    return found
