"""``a3cjax critical-step``."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from tyro.conf import OmitArgPrefixes

from a3cjax import studies
from a3cjax.cli.commands._problem import ProblemOptions
from a3cjax.cli.commands._words import OptionalInt
from a3cjax.studies import CriticalStepStudy


@dataclasses.dataclass(frozen=True)
class CriticalStepOptions:
    """Measure the step at which a constant delay makes updates unstable, beside 2 sin(π/(2(2τ+1)))/|λ|.

    Prints a table and writes critical-step.csv, critical-step.nc, critical-step.png and run.json.
    """

    study: ClassVar = CriticalStepStudy

    delays: tuple[int, ...] = (0, 1, 2, 3, 7, 15, 31)
    """Constant delays τ, in updates."""
    resolution: float = 0.01
    """Ratio of neighbouring steps, less one."""
    updates: OptionalInt = None
    """Updates of every run; not given: enough for the largest delay."""
    out: Path = Path("out/critical-step")
    """Folder for the files."""

    problem: OmitArgPrefixes[ProblemOptions] = dataclasses.field(default_factory=ProblemOptions)

    def prepare(self) -> tuple[str, Callable[[], CriticalStepStudy]]:
        """What will be done, and the doing of it."""
        mdp = self.problem.build()
        task = f"Trying twenty steps around the closed form for τ = {', '.join(map(str, self.delays))}"
        return task, lambda: studies.critical_step(
            mdp, delays=self.delays, resolution=self.resolution, num_updates=self.updates
        )
