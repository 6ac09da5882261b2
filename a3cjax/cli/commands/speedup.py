"""``a3cjax speedup``."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal

from tyro.conf import OmitArgPrefixes

from a3cjax import studies
from a3cjax.cli.commands._problem import ProblemOptions
from a3cjax.cli.commands._radius import paper_radius
from a3cjax.cli.commands._team import TeamOptions
from a3cjax.cli.commands._words import OptionalFloat, OptionalInt, counted
from a3cjax.learners import A3C
from a3cjax.studies import SpeedupStudy


@dataclasses.dataclass(frozen=True)
class SpeedupOptions:
    """Measure how much sooner a target is met by more asynchronous workers: Fig. 3 of arXiv:2012.15511.

    Prints a table beside the paper's figures and writes speedup.csv, speedup.nc, speedup.png and run.json.
    """

    study: ClassVar = SpeedupStudy

    workers: tuple[int, ...] = (1, 2, 4, 8, 16)
    """Numbers of workers N; 1 must be among them."""
    sampling: Literal["both", "iid", "markov"] = "both"
    """Where samples come from: option 1, option 2, or both."""
    seeds: int = 32
    """Runs for each N and sampling."""
    out: Path = Path("out/speedup")
    """Folder for the files."""

    updates: int = 60_000
    """Updates of every run, K."""
    target: float = 0.8
    """Share of the gap from the start's J(θ_0) to the optimum J* that a run has to close."""
    actor_step: float = 0.12
    """Constant step α of the actor."""
    critic_step: float = 0.03
    """Constant step β of the critic."""
    radius: OptionalFloat = None
    """Radius of the critic's projection; not given: the paper's bound at the start, r_max/(√λ(1−γ))."""
    minibatch: int = 1
    """Samples of each kind per update."""
    record_every: OptionalInt = None
    """Updates between records; not given: a hundredth of the updates."""
    seed: int = 0
    """Seed of schedules and runs."""

    problem: OmitArgPrefixes[ProblemOptions] = dataclasses.field(default_factory=ProblemOptions)
    team: OmitArgPrefixes[TeamOptions] = dataclasses.field(default_factory=TeamOptions)

    def build_learner(self) -> A3C:
        """The actor-critic on that MDP."""
        learner = A3C(self.problem.build(), actor_step=self.actor_step, critic_step=self.critic_step,
                      minibatch=self.minibatch)  # fmt: skip
        radius = paper_radius(learner) if self.radius is None else self.radius
        return learner if radius is None else dataclasses.replace(learner, radius=radius)

    def prepare(self) -> tuple[str, Callable[[], SpeedupStudy]]:
        """What will be done, and the doing of it."""
        return prepare_speedup(self, self.build_learner())


def prepare_speedup(options: Any, learner: A3C) -> tuple[str, Callable[[], SpeedupStudy]]:
    """A speedup study of ``learner`` as the options, which are those of any such study, want it."""
    team = options.team.build()
    samplings = studies.SAMPLING if options.sampling == "both" else (options.sampling,)
    counts = ", ".join(map(str, options.workers))
    task = (
        f"Simulating {counted(options.seeds, 'seed')} × N = {counts} workers × {options.updates:,} updates, "
        f"{' and '.join(samplings)} sampling"
    )
    return task, lambda: studies.speedup(
        learner,
        workers=options.workers,
        sampling=samplings,
        seeds=options.seeds,
        num_updates=options.updates,
        target=options.target,
        compute_times=team,
        record_every=options.record_every,
        seed=options.seed,
    )
