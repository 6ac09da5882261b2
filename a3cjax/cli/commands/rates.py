"""``a3cjax rates``."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Literal

from tyro.conf import OmitArgPrefixes

from a3cjax import studies
from a3cjax._core import check
from a3cjax.cli.commands._radius import paper_radius
from a3cjax.cli.commands._small import SmallProblemOptions
from a3cjax.cli.commands._words import OptionalFloat, OptionalInt, counted
from a3cjax.learners import A3C
from a3cjax.problems import Prior
from a3cjax.studies import RatesStudy


@dataclasses.dataclass(frozen=True)
class RatesOptions:
    """Measure how fast critic and actor converge with the number of updates: Theorems 1 to 4 of arXiv:2012.15511.

    Prints slopes beside the theorems' exponents and writes rates.csv, rates.nc, rates.png and run.json.
    """

    study: ClassVar = RatesStudy

    updates: tuple[int, ...] = (100, 560, 3_200, 18_000, 100_000)
    """Numbers of updates K, over several decades."""
    delays: tuple[str, ...] = ("0", "K^1/5", "K^2/5", "K^1/2")
    """Maximal delays K_0: whole numbers, or powers of K rounded up."""
    law: Literal["constant", "uniform"] = "constant"
    """Law of the delays: all K_0, or uniform on 0, ..., K_0."""
    sampling: Literal["both", "iid", "markov"] = "both"
    """Where samples come from: option 1, option 2, or both."""
    seeds: int = 16
    """Runs for each K, delay and sampling."""
    out: Path = Path("out/rates")
    """Folder for the files."""

    actor_constant: float = 5.0
    """c_α of the actor's step α = c_α K^(-3/5)."""
    critic_constant: float = 3.0
    """c_β of the critic's step β = c_β K^(-2/5)."""
    weight: float = 0.1
    """λ, the weight of the uniform prior; 0 for none."""
    radius: OptionalFloat = None
    """Radius of the critic's projection; not given: the paper's bound at the start, r_max/(√λ(1−γ))."""
    record_every: OptionalInt = None
    """Updates between records; not given: K^(2/5) / 5."""
    seed: int = 0
    """Seed of schedules and runs."""

    problem: OmitArgPrefixes[SmallProblemOptions] = dataclasses.field(default_factory=SmallProblemOptions)

    def build_learner(self) -> A3C:
        """The actor-critic on that MDP; the study gives it its steps."""
        mdp = self.problem.build()
        check.number("--weight", self.weight, least=0)
        prior = Prior.uniform(self.weight, mdp.num_states, mdp.num_actions) if self.weight else None
        learner = A3C(mdp, actor_step=0.0, critic_step=0.0, prior=prior)
        radius = paper_radius(learner) if self.radius is None else self.radius
        return learner if radius is None else dataclasses.replace(learner, radius=radius)

    def prepare(self) -> tuple[str, Callable[[], RatesStudy]]:
        """What will be done, and the doing of it."""
        learner = self.build_learner()
        samplings = studies.SAMPLING if self.sampling == "both" else (self.sampling,)
        task = (
            f"Simulating {counted(self.seeds, 'seed')} × K_0 = {', '.join(self.delays)} × K = "
            f"{', '.join(f'{count:,}' for count in self.updates)} updates, {' and '.join(samplings)} sampling"
        )
        return task, lambda: studies.rates(
            learner,
            num_updates=self.updates,
            delays=self.delays,
            law=self.law,
            sampling=samplings,
            actor_constant=self.actor_constant,
            critic_constant=self.critic_constant,
            seeds=self.seeds,
            record_every=self.record_every,
            seed=self.seed,
        )
