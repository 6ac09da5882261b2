"""``a3cjax knee``."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp

from a3cjax import families, studies
from a3cjax._core import check
from a3cjax.cli.commands._words import counted
from a3cjax.learners import A3C
from a3cjax.problems import FiniteMDP
from a3cjax.studies import KneeStudy

Problem = Literal["dense", "ring", "garnet", "lazy"]


@dataclasses.dataclass(frozen=True)
class KneeOptions:
    """Find the number of workers N* at which linear speedup breaks, on MDPs that mix fast and slowly.

    All MDPs have two actions and a critic with a feature for each state, and start in one state, half-way round the
    ring: dense is the paper's; ring a cycle; garnet has few successors for each action; lazy is garnet that mostly
    stays where it is. Prints a table and writes knee.csv, knee.nc, knee.png and run.json.
    """

    study: ClassVar = KneeStudy

    problems: tuple[Problem, ...] = ("dense", "ring", "garnet", "lazy")
    """MDPs to compare."""
    states: int = 12
    """States of each."""
    branching: int = 2
    """Successors of each state and action of garnet and lazy."""
    stay: float = 0.9
    """Probability of staying put in lazy."""
    discount: float = 0.9
    """Discount γ."""
    workers: tuple[int, ...] = (1, 16, 64, 256, 1024)
    """Numbers of workers N; 1 must be among them."""
    factors: tuple[float, ...] = (0.25, 0.5, 1.0)
    """What the actor's step is multiplied by."""
    sampling: Literal["markov", "iid"] = "markov"
    """Where samples come from: option 2 or option 1."""
    seeds: int = 8
    """Runs for each MDP, step and N."""
    out: Path = Path("out/knee")
    """Folder for the files."""

    updates: int = 40_000
    """Updates of every run, K."""
    target: float = 0.8
    """Share of the gap from J(θ_0) to J* that a run has to close."""
    actor_step: float = 0.1
    """Step α of the actor at factor 1."""
    critic_step: float = 0.1
    """Step β of the critic, whatever the factor."""
    radius: float = 100.0
    """Radius of the critic's projection."""
    seed: int = 0
    """Seed of MDPs, schedules and runs."""

    def build(self) -> dict[str, A3C]:
        """A learner for each MDP."""
        if not self.problems or len(set(self.problems)) < len(self.problems):
            raise ValueError(f"--problems is {list(self.problems)}; name one or more MDPs, each once.")
        states = check.integer("--states", self.states, 2)
        key = jax.random.key(check.integer("--seed", self.seed, 0))
        build: dict[str, Callable[[], FiniteMDP]] = {
            "dense": lambda: families.synthetic(key, states, 2, 1, self.discount),
            "ring": lambda: families.ring(states, discount=self.discount),
            "garnet": lambda: families.garnet(key, states, 2, self.branching, discount=self.discount),
            "lazy": lambda: families.lazy(build["garnet"](), self.stay),
        }
        start, features = jnp.zeros(states).at[states // 2].set(1), jnp.eye(states)

        def learner(mdp: FiniteMDP) -> A3C:
            same = FiniteMDP(mdp.transition, mdp.reward, start, mdp.discount, features)
            return A3C(same, actor_step=self.actor_step, critic_step=self.critic_step, radius=self.radius)

        return {name: learner(build[name]()) for name in self.problems}

    def prepare(self) -> tuple[str, Callable[[], KneeStudy]]:
        """What will be done, and the doing of it."""
        learners = self.build()
        task = (
            f"Simulating {counted(self.seeds, 'seed')} × N = {', '.join(map(str, self.workers))} workers × "
            f"{self.updates:,} updates on {counted(len(learners), 'MDP')} with "
            f"{counted(len(self.factors), 'step size')}, {self.sampling} sampling"
        )
        return task, lambda: studies.knee(
            learners,
            factors=self.factors,
            workers=self.workers,
            sampling=self.sampling,
            seeds=self.seeds,
            num_updates=self.updates,
            target=self.target,
            seed=self.seed,
        )
