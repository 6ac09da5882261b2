"""``a3cjax delay-errors``."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Literal

from tyro.conf import OmitArgPrefixes

from a3cjax import studies
from a3cjax.cli.commands._problem import ProblemOptions
from a3cjax.cli.commands._radius import paper_radius
from a3cjax.cli.commands._team import TeamOptions
from a3cjax.cli.commands._words import OptionalFloat, counted
from a3cjax.learners import A3C
from a3cjax.studies import DelayErrorStudy


@dataclasses.dataclass(frozen=True)
class DelayErrorsOptions:
    """Measure what delay adds to each update of critic and actor, against the delay, beside a bound.

    Prints a table and writes delay-errors.csv, delay-errors.nc, delay-errors.png and run.json.
    """

    study: ClassVar = DelayErrorStudy

    workers: tuple[int, ...] = (4, 16)
    """Numbers of workers N."""
    sampling: Literal["iid", "markov"] = "markov"
    """Where samples come from: option 1 or option 2."""
    seeds: int = 16
    """Runs for each N."""
    out: Path = Path("out/delay-errors")
    """Folder for the files."""

    updates: int = 4000
    """Updates of every run, K."""
    actor_step: float = 0.12
    """Constant step α of the actor."""
    critic_step: float = 0.03
    """Constant step β of the critic."""
    radius: OptionalFloat = None
    """Radius of the critic's projection; not given: the paper's bound at the start, r_max/(√λ(1−γ))."""
    minibatch: int = 1
    """Samples of each kind per update."""
    record_every: int = 1
    """Measure one update in so many."""
    seed: int = 0
    """Seed of schedules and runs."""

    problem: OmitArgPrefixes[ProblemOptions] = dataclasses.field(default_factory=ProblemOptions)
    team: OmitArgPrefixes[TeamOptions] = dataclasses.field(default_factory=TeamOptions)

    def build_learner(self) -> A3C:
        """The actor-critic on that MDP."""
        learner = A3C(self.problem.build(), actor_step=self.actor_step, critic_step=self.critic_step,
                      sampling=self.sampling, minibatch=self.minibatch)  # fmt: skip
        radius = paper_radius(learner) if self.radius is None else self.radius
        return learner if radius is None else dataclasses.replace(learner, radius=radius)

    def prepare(self) -> tuple[str, Callable[[], DelayErrorStudy]]:
        """What will be done, and the doing of it."""
        learner, team = self.build_learner(), self.team.build()
        counts = ", ".join(map(str, self.workers))
        task = (
            f"Measuring the delay errors of {counted(self.seeds, 'seed')} × N = {counts} workers × "
            f"{self.updates:,} updates, {self.sampling} sampling, α = {self.actor_step:g}, β = {self.critic_step:g}"
        )
        return task, lambda: studies.delay_errors(
            learner,
            workers=self.workers,
            seeds=self.seeds,
            num_updates=self.updates,
            compute_times=team,
            record_every=self.record_every,
            seed=self.seed,
        )
