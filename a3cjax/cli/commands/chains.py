"""``a3cjax chains``."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import jax
import numpy as np

from a3cjax import families, studies
from a3cjax._core import check
from a3cjax.cli.commands._words import counted
from a3cjax.problems import FiniteMDP
from a3cjax.studies import ChainsStudy


@dataclasses.dataclass(frozen=True)
class ChainsOptions:
    """Compare separate chains of actor and critic with one shared chain: Fig. 2 of arXiv:2012.15511.

    One worker, the paper's kind of random MDP with one feature for each state, every episode from state 0. Prints a
    table of what one chain costs, in the exact mean and simulated, and writes chains.csv, chains.nc, chains.png and
    run.json.
    """

    study: ClassVar = ChainsStudy

    discounts: tuple[float, ...] = (0.3, 0.6, 0.9)
    """Discounts γ."""
    weights: tuple[float, ...] = (0.3, 0.0)
    """Weights λ of the uniform prior; 0 is the control."""
    mdps: int = 8
    """Random MDPs."""
    seeds: int = 8
    """Runs for each MDP, γ and λ."""
    out: Path = Path("out/chains")
    """Folder for the files."""

    states: int = 10
    """States."""
    actions: int = 4
    """Actions."""
    updates: int = 20_000
    """Updates of every run, K."""
    actor_step: float = 0.06
    """Constant step α of the actor; a tenth of the paper's, which is noisier."""
    critic_step: float = 0.07
    """Constant step β of the critic; likewise."""
    mdp_seed: int = 0
    """Seed of the first MDP; the others have the next ones."""
    seed: int = 0
    """Seed of the runs."""

    def build(self) -> list[FiniteMDP]:
        """The MDPs."""
        count, first = check.integer("--mdps", self.mdps, 1), check.integer("--mdp-seed", self.mdp_seed, 0)
        check.integer("--states", self.states, 1)
        identity = np.eye(self.states)
        drawn = [
            families.synthetic(jax.random.key(first + i), self.states, self.actions, 1, initial=identity[0])
            for i in range(count)
        ]
        return [FiniteMDP(mdp.transition, mdp.reward, mdp.initial, mdp.discount, identity) for mdp in drawn]

    def prepare(self) -> tuple[str, Callable[[], ChainsStudy]]:
        """What will be done, and the doing of it."""
        mdps = self.build()
        gammas, lambdas = (", ".join(f"{x:g}" for x in values) for values in (self.discounts, self.weights))
        task = (
            f"Simulating separate and shared chains on {counted(len(mdps), 'MDP')} × {counted(self.seeds, 'seed')} × "
            f"γ = {gammas} × λ = {lambdas}, {self.updates:,} updates"
        )
        return task, lambda: studies.chains(
            mdps,
            discounts=self.discounts,
            weights=self.weights,
            actor_step=self.actor_step,
            critic_step=self.critic_step,
            seeds=self.seeds,
            num_updates=self.updates,
            seed=self.seed,
        )
