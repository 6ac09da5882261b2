"""``a3cjax sweep``."""

import dataclasses
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Literal

from tyro.conf import OmitArgPrefixes

from a3cjax import studies
from a3cjax.cli.commands._problem import ProblemOptions
from a3cjax.cli.commands._radius import paper_radius
from a3cjax.cli.commands._words import OptionalFloat, OptionalInt, counted
from a3cjax.learners import A3C
from a3cjax.studies import SweepStudy
from a3cjax.studies.sweep.partial import updates_kept


@dataclasses.dataclass(frozen=True)
class SweepOptions:
    """Sweep delay laws × delays × step sizes × seeds: what J comes to, and where runs diverge.

    Prints a line for each law and delay and writes sweep.csv, sweep.nc, sweep.png and run.json. Until these are
    written, where the runs stand is kept in sweep.partial in the same folder; after Ctrl-C or whatever else ended it
    the same command goes on from there, to the same bits.
    """

    study: ClassVar = SweepStudy

    laws: tuple[str, ...] = ("constant", "uniform", "geometric")
    """Laws of the delays: constant, uniform, geometric, poisson, sawtooth, zipf."""
    delays: tuple[int, ...] = (0, 1, 3, 7, 15, 31)
    """Delays in updates, each law's mean or maximum."""
    delay_is: Literal["mean", "maximum"] = "mean"
    """Whether --delays are means or maxima."""
    factors: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
    """What the steps are multiplied by."""
    scale: Literal["both", "actor", "critic"] = "both"
    """Whose step is multiplied."""
    seeds: int = 4
    """Runs for each law, delay and step."""
    out: Path = Path("out/sweep")
    """Folder for the files."""

    updates: int = 10_000
    """Updates of every run, K."""
    actor_step: float = 0.02
    """Step α of the actor at factor 1."""
    critic_step: float = 0.1
    """Step β of the critic at factor 1."""
    radius: OptionalFloat = None
    """Radius of the critic's projection; not given: the paper's bound at the start, r_max/(√λ(1−γ))."""
    sampling: Literal["markov", "iid"] = "markov"
    """Where samples come from: option 2 or option 1."""
    diverged_above: float = 10.0
    """A run has diverged if it ends with a critic gap of this many times the start's."""
    record_every: OptionalInt = None
    """Updates between records; not given: a twentieth of the updates."""
    seed: int = 0
    """Seed of schedules and runs."""

    problem: OmitArgPrefixes[ProblemOptions] = dataclasses.field(default_factory=ProblemOptions)

    def build_learner(self) -> A3C:
        """The actor-critic on that MDP, at factor 1."""
        learner = A3C(
            self.problem.build(), actor_step=self.actor_step, critic_step=self.critic_step, sampling=self.sampling
        )
        radius = paper_radius(learner) if self.radius is None else self.radius
        return learner if radius is None else dataclasses.replace(learner, radius=radius)

    def prepare(self) -> tuple[str, Callable[[], SweepStudy]]:
        """What will be done, and the doing of it."""
        learner, partial = self.build_learner(), self.out / "sweep.partial"
        task = (
            f"Simulating {counted(self.seeds, 'seed')} × {counted(len(self.laws), 'law')} × "
            f"{counted(len(self.delays), 'delay')} × {counted(len(self.factors), 'step size')} × "
            f"{self.updates:,} updates"
        )
        before, trouble = updates_kept(partial)
        if before:
            task += f", going on after update {before:,}"
        if trouble is not None:
            task = f"{trouble} {task}"

        def work() -> SweepStudy:
            with warnings.catch_warnings():
                if trouble is not None:  # it is said above
                    warnings.filterwarnings("ignore", message=re.escape(trouble))
                return self._sweep(learner, partial)

        return task, work

    def _sweep(self, learner: A3C, partial: Path) -> SweepStudy:
        return studies.sweep(
            learner,
            laws=self.laws,
            delays=self.delays,
            delay_is=self.delay_is,
            factors=self.factors,
            scale=self.scale,
            seeds=self.seeds,
            num_updates=self.updates,
            record_every=self.record_every,
            diverged_above=self.diverged_above,
            seed=self.seed,
            partial=partial,
        )
