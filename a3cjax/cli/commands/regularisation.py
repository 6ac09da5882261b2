"""``a3cjax regularisation``."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Literal

from tyro.conf import OmitArgPrefixes

from a3cjax import studies
from a3cjax.cli.commands._radius import paper_radius
from a3cjax.cli.commands._small import SmallProblemOptions
from a3cjax.cli.commands._words import OptionalFloat, counted
from a3cjax.learners import A3C
from a3cjax.studies import RegularisationStudy


@dataclasses.dataclass(frozen=True)
class RegularisationOptions:
    """Measure what the weight λ of a KL prior does to J, J_λ and the distance to the prior: Theorem 5 of the paper.

    Three priors: one uniform, one that helps, one that misleads at a single state. Prints a table beside the bounds and
    writes regularisation.csv, regularisation.nc, regularisation.png and run.json.
    """

    study: ClassVar = RegularisationStudy

    weights: tuple[float, ...] = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
    """Weights λ."""
    workers: int = 8
    """Asynchronous workers N, with exponential compute times."""
    sampling: Literal["iid", "markov"] = "markov"
    """Where samples come from: option 1 or option 2."""
    seeds: int = 8
    """Runs for each prior and weight."""
    out: Path = Path("out/regularisation")
    """Folder for the files."""

    updates: int = 40_000
    """Updates of every run, K."""
    actor_step: float = 0.2
    """α(1 + λ): the actor's step α is this over 1 + λ."""
    critic_step: float = 0.1
    """Constant step β of the critic."""
    radius: OptionalFloat = None
    """Radius of the critic's projection; not given: the paper's bound at the start, r_max/(√λ(1−γ))."""
    seed: int = 0
    """Seed of schedules and runs."""

    problem: OmitArgPrefixes[SmallProblemOptions] = dataclasses.field(default_factory=SmallProblemOptions)

    def prepare(self) -> tuple[str, Callable[[], RegularisationStudy]]:
        """What will be done, and the doing of it."""
        mdp = self.problem.build()
        radius = self.radius
        if radius is None:
            radius = paper_radius(A3C(mdp, actor_step=self.actor_step, critic_step=self.critic_step))
        priors = studies.typical_priors(mdp)
        task = (
            f"Maximising J_λ and simulating {counted(self.seeds, 'seed')} × {counted(self.workers, 'worker')} × "
            f"{self.updates:,} updates for {counted(len(priors), 'prior')} ({', '.join(priors)}) × "
            f"λ = {', '.join(f'{weight:g}' for weight in self.weights)}"
        )
        return task, lambda: studies.regularisation(
            mdp,
            priors=priors,
            weights=self.weights,
            workers=self.workers,
            sampling=self.sampling,
            seeds=self.seeds,
            num_updates=self.updates,
            actor_step=self.actor_step,
            critic_step=self.critic_step,
            radius=radius,
            seed=self.seed,
        )
