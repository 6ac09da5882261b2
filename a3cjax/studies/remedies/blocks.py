"""A study of remedies as a job in units: a problem with a remedy, its trials and then its runs."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from a3cjax.learners.wrapped import unwrapped
from a3cjax.studies.frame.parts import alone, is_exact
from a3cjax.studies.frame.target import Target
from a3cjax.studies.frame.types import Dataset
from a3cjax.studies.remedies.plan import Plan
from a3cjax.sweeps import Job
from a3cjax.sweeps.fingerprint import versions_and_platform

_OF_CASE = ("trial_samples", "best", "samples", "time")


@dataclasses.dataclass(frozen=True)
class Cases:
    """All cases of a study, in the order (problem, remedy)."""

    plan: Plan
    goals: Mapping[str, Target]

    def job(self) -> Job:
        """The job. A case is a batch of its own, the same in blocks of any size."""
        told, count = self.plan.identity() | versions_and_platform(), len(self.plan.problems) * len(self.plan.remedies)
        return Job("remedies", count, told, self.make, self.memory, unit="case")

    def make(self, start: int, stop: int) -> dict[str, np.ndarray]:
        """Trials and runs of these cases."""
        problems, remedies = list(self.plan.problems), list(self.plan.remedies)
        made, drawn, of = [], None, None
        for n in range(start, stop):
            name, remedy = problems[n // len(remedies)], remedies[n % len(remedies)]
            if drawn is None or of != name:
                drawn, of = self.plan.draw(name, False), name
            case = self.plan.case(name, remedy, self.goals[name], drawn, False)
            with alone(self._exact):
                tried, best = case.tried()
                samples, time = case.judged(best)
            known = dict(zip(_OF_CASE, (tried, best, samples, time), strict=True))
            known |= {"last_time": drawn.last_time, "mean_delay": drawn.mean_delay, "last_sample": case.last_sample}
            made.append(known)
        return {name: np.stack([np.asarray(one[name]) for one in made]) for name in made[0]}

    @property
    def _exact(self) -> bool:
        return all(is_exact(unwrapped(problem.plain())) for problem in self.plan.problems.values())

    def memory(self, cases: int) -> dict[str, float]:
        """Bytes that a block takes at most: those of a case, for one comes after the other."""
        del cases
        plan, found = self.plan, dict[str, float]()
        for name, problem in plan.problems.items():
            drawn = [draw(plan.keys(1, 1)[0], problem.num_updates) for draw in plan.delays.values()]
            greatest = max(int(schedule.max_delay) for schedule in drawn)
            for part, size in plan.bytes_of_case(name, greatest).items():
                found[part] = max(found.get(part, 0.0), size)
        return found

    def put(self, curves: Dataset, arrays: Mapping[str, np.ndarray]) -> None:
        """Put what all cases came to into the curves."""
        shape = len(self.plan.problems), len(self.plan.remedies)
        for name, array in arrays.items():
            array = array.reshape(*shape, *array.shape[1:])
            curves[name].values[...] = np.moveaxis(array, 1, 2) if name in _OF_CASE else array[:, 0]
        curves.done.values[...] = 2
