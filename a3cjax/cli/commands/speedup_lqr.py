"""``a3cjax speedup-lqr``."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Literal

import jax
from tyro.conf import OmitArgPrefixes

from a3cjax import families
from a3cjax._core import check
from a3cjax.cli.commands._team import TeamOptions
from a3cjax.cli.commands._words import OptionalFloat, OptionalInt
from a3cjax.cli.commands.speedup import prepare_speedup
from a3cjax.learners import A3C
from a3cjax.learners.policies import LinearGaussian
from a3cjax.studies import SpeedupStudy


@dataclasses.dataclass(frozen=True)
class LQRSpeedupOptions:
    """Measure the speedup on a random linear-quadratic regulator: continuous actions, and J* from Riccati's equation.

    The system is a shrunk rotation with Gaussian noise, the policy a ~ N(θs, σ²I) from θ = 0, the critic quadratic.
    Prints a table and writes speedup.csv, speedup.nc, speedup.png and run.json.
    """

    study: ClassVar = SpeedupStudy

    workers: tuple[int, ...] = (1, 2, 4, 8, 16)
    """Numbers of workers N; 1 must be among them."""
    sampling: Literal["both", "iid", "markov"] = "both"
    """Where samples come from: option 1, option 2, or both."""
    seeds: int = 32
    """Runs for each N and sampling."""
    out: Path = Path("out/speedup-lqr")
    """Folder for the files."""

    updates: int = 10_000
    """Updates of every run, K."""
    target: float = 0.9
    """Share of the gap from the start's J(θ_0) to the best gain's J* that a run has to close."""
    actor_step: float = 5e-5
    """Constant step α of the actor."""
    critic_step: float = 0.01
    """Constant step β of the critic."""
    radius: OptionalFloat = None
    """Radius of the critic's projection; not given: none."""
    minibatch: int = 1
    """Samples of each kind per update."""
    record_every: OptionalInt = None
    """Updates between records; not given: a hundredth of the updates."""
    seed: int = 0
    """Seed of schedules and runs."""

    state_dim: int = 2
    """Dimension of the state."""
    action_dim: int = 1
    """Dimension of the action."""
    spectral_radius: float = 0.9
    """Rate at which the uncontrolled state forgets, below 1."""
    action_cost: float = 0.1
    """Cost of a unit of squared action, beside 1 for a unit of squared state."""
    discount: float = 0.9
    """Discount γ."""
    std: float = 0.5
    """Standard deviation σ of the actions around their mean."""
    lqr_seed: int = 0
    """Seed of the system."""

    team: OmitArgPrefixes[TeamOptions] = dataclasses.field(default_factory=TeamOptions)

    def build_learner(self) -> A3C:
        """The actor-critic on that regulator."""
        key = jax.random.key(check.integer("--lqr-seed", self.lqr_seed, 0))
        lqr = families.random_lqr(
            key, self.state_dim, self.action_dim, self.spectral_radius, self.discount, action_cost=self.action_cost
        )
        policy = LinearGaussian(self.state_dim, self.action_dim, self.std)
        return A3C(lqr, self.actor_step, self.critic_step, radius=self.radius, policy=policy, minibatch=self.minibatch)

    def prepare(self) -> tuple[str, Callable[[], SpeedupStudy]]:
        """What will be done, and the doing of it."""
        return prepare_speedup(self, self.build_learner())
