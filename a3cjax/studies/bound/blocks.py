"""A study of bounds as a job in units: a pipeline with a correction, its trials and then its runs."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from a3cjax.learners.wrapped import unwrapped
from a3cjax.studies.bound.plan import Case, Plan
from a3cjax.studies.bound.ranking import CELL
from a3cjax.studies.frame.parts import alone, is_exact
from a3cjax.studies.frame.types import Dataset
from a3cjax.sweeps import Job
from a3cjax.sweeps.fingerprint import versions_and_platform


@dataclasses.dataclass(frozen=True)
class Cases:
    """All cases of a study, in the order (batch, queue, bound, correction)."""

    plan: Plan
    learner: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of these axes."""
        return *(len(self.plan.axes[name]) for name in CELL), len(self.plan.learners)

    def job(self) -> Job:
        """The job. A case is a batch of its own, the same in blocks of any size."""
        told = self.plan.identity(self.learner) | versions_and_platform()
        return Job("bound", int(np.prod(self.shape)), told, self.make, self.memory, unit="case")

    def make(self, start: int, stop: int) -> dict[str, np.ndarray]:
        """Trials and runs of these cases."""
        made, corrections = [], list(self.plan.learners)
        drawn = of = None
        for n in range(start, stop):
            *cell, i = (int(at) for at in np.unravel_index(n, self.shape))
            if drawn is None or of != cell:
                drawn, of = self.plan.draw([tuple(cell)]), cell
            case = Case(self.plan, corrections[i], drawn, (), False)
            with alone(self._exact):
                tried, best = case.tried()
                samples, time = case.judged(best)
            known = {name: numbers[0] for name, numbers in drawn.numbers.items()}
            made.append({"trial_time": tried, "best": best, "samples": samples, "time": time, **known})
        return {name: np.stack([np.asarray(one[name]) for one in made]) for name in made[0]}

    @property
    def _exact(self) -> bool:
        return all(is_exact(unwrapped(learner)) for learner in self.plan.learners.values())

    def memory(self, cases: int) -> dict[str, float]:
        """Bytes that a block takes at most: those of a case, for one comes after the other."""
        del cases
        plan = self.plan
        last = tuple(len(plan.axes[name]) - 1 for name in CELL)  # the loosest bound has the longest delays
        return plan.bytes_of_cell(dataclasses.replace(plan, trials=1, seeds=1).draw([last]).greatest)

    def put(self, curves: Dataset, arrays: Mapping[str, np.ndarray]) -> None:
        """Put what all cases came to into the curves."""
        for name, array in arrays.items():
            array = array.reshape(*self.shape, *array.shape[1:])
            curves[name].values[...] = array if "correction" in curves[name].dims else array[:, :, :, 0]
        curves.done.values[...] = 2
