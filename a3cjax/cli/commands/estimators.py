"""``a3cjax estimators``."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Literal, get_args

from tyro.conf import OmitArgPrefixes

from a3cjax import studies
from a3cjax.cli.commands._problem import ProblemOptions
from a3cjax.cli.commands._radius import paper_radius
from a3cjax.cli.commands._team import TeamOptions
from a3cjax.cli.commands._words import counted
from a3cjax.learners import A3C
from a3cjax.studies import EstimatorsStudy

Kind = Literal["advantage", "td", "q+baseline", "q", "reinforce+baseline", "reinforce"]


@dataclasses.dataclass(frozen=True)
class EstimatorsOptions:
    """Rank four estimators of the policy gradient by variance, and learn with each of them under delay.

    TD error, advantage, action value and return, the last two with and without a baseline. Prints a table and writes
    estimators.csv, estimators.nc, estimators.png and run.json.
    """

    study: ClassVar = EstimatorsStudy

    kinds: tuple[Kind, ...] = get_args(Kind)
    """Estimators."""
    workers: tuple[int, ...] = (1, 16)
    """Numbers of workers N."""
    seeds: int = 16
    """Runs for each estimator and N."""
    out: Path = Path("out/estimators")
    """Folder for the files."""

    updates: int = 20_000
    """Updates of every run, K."""
    actor_step: float = 0.12
    """Constant step α of the actor."""
    critic_step: float = 0.03
    """Constant step β of the critic."""
    seed: int = 0
    """Seed of schedules and runs."""

    problem: OmitArgPrefixes[ProblemOptions] = dataclasses.field(default_factory=ProblemOptions)
    team: OmitArgPrefixes[TeamOptions] = dataclasses.field(default_factory=TeamOptions)

    def prepare(self) -> tuple[str, Callable[[], EstimatorsStudy]]:
        """What will be done, and the doing of it."""
        learner = A3C(self.problem.build(), actor_step=self.actor_step, critic_step=self.critic_step)
        learner = dataclasses.replace(learner, radius=paper_radius(learner))
        team = self.team.build()
        counts = ", ".join(map(str, self.workers))
        task = (
            f"Simulating {counted(len(self.kinds), 'estimator')} × {counted(self.seeds, 'seed')} × N = {counts} "
            f"workers × {self.updates:,} updates"
        )
        return task, lambda: studies.estimators(
            learner,
            kinds=self.kinds,
            workers=self.workers,
            seeds=self.seeds,
            num_updates=self.updates,
            compute_times=team,
            seed=self.seed,
        )
