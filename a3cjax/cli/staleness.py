"""The commands that ask what to do about staleness."""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import jax
import optax

from a3cjax import environments, networks, studies
from a3cjax._core import check
from a3cjax.cli.blocks import BlockOptions
from a3cjax.cli.derive import options_of
from a3cjax.cli.groups import mixing_mdp
from a3cjax.learners import A3C, ActorCritic
from a3cjax.schedules import Schedule, delays
from a3cjax.schedules.compute_times import Deterministic, Exponential, Pareto
from a3cjax.studies import Chain, Problem

_STRAGGLER = 10.0
_EPISODE = 250  # steps that an evaluation follows an episode for: its cost, and enough for the target


@dataclasses.dataclass(frozen=True)
class RemediesOptions(options_of(studies.remedies, "partial", blocks=BlockOptions)):
    """Compare remedies against staleness, each at its own best step: which helps, and which cannot be told apart.

    The MDPs have two actions, a feature for each state and one start, half-way round: dense is the paper's, ring a
    cycle, garnet has few successors. Prints a line for each remedy and writes remedies.csv, remedies.nc, remedies.png
    and run.json. Until these are written, what is done is kept in remedies.partial in the same folder; after Ctrl-C or
    whatever else ended it the same command goes on from there, to the same bits.
    """

    problems: tuple[Literal["dense", "ring", "garnet", "cartpole"], ...] = ("dense", "ring", "garnet", "cartpole")
    """What is learned."""
    delays: tuple[Literal["workers", "straggler", "geometric", "bursts", "pipeline"], ...] = (
        "workers", "geometric", "pipeline",
    )  # fmt: skip
    """Where delays come from: equal workers, the same with the last ten times slower, a geometric law of the same mean,
    a law that grows to twice that mean and starts again, or heavy-tailed generators, a queue and a learner."""
    workers: int = 16
    """Workers or generators N; the delays have mean N − 1, in the pipeline more."""
    states: int = 12
    """States of each MDP."""
    updates: int = 4000
    """Updates of every run on an MDP."""
    actor_step: float = 1.0
    """Step α of the actor at factor 1."""
    critic_step: float = 0.2
    """Step β of the critic at factor 1."""
    radius: float = 100.0
    """Radius of the critic's projection."""
    target: float = 0.8
    """Share of the gap from the start's J(θ_0) to the optimum J* that a run on an MDP has to close."""
    learning_rate: float = 4e-3
    """Learning rate of RMSProp at factor 1, on CartPole."""
    network_updates: int = 500
    """Updates of every run on CartPole, of 20 steps each."""
    target_value: float = 195.0
    """Return to be met on CartPole."""

    def made(self) -> dict[str, Any]:
        """Problems and sources of delays by name, and the folder for what is unfinished."""
        for name, chosen in (("--problems", self.problems), ("--delays", self.delays)):
            if not chosen or len(set(chosen)) < len(chosen):
                raise ValueError(f"{name} is {list(chosen)}; name one or more, each once.")
        return {
            "problems": {name: self._problem(name) for name in self.problems},
            "delays": {name: self._draw(name) for name in self.delays},
            "partial": self.out / "remedies.partial",
        }

    def _problem(self, name: str) -> Problem:
        options: Any = self
        if name == "cartpole":
            check.number("--learning-rate", self.learning_rate, above=0)
            updates = check.integer("--network-updates", self.network_updates, 1)
            check.number("--target-value", self.target_value)
            return Problem(self._network, updates, "episode_return", target_value=self.target_value, records=20)
        states = check.integer("--states", self.states, 2)
        check.number("--target", self.target, above=0, most=1)
        for step in ("actor_step", "critic_step", "radius"):
            check.number(f"--{step.replace('_', '-')}", getattr(self, step), above=0)
        mdp = mixing_mdp(name, jax.random.key(check.integer("--seed", options.seed, 0)), states, 0.9, 2, 0.0)

        def build(chain: Chain) -> A3C:
            actor, critic = chain(self.actor_step), chain(self.critic_step)
            return A3C(mdp, actor_optimizer=actor, critic_optimizer=critic, radius=self.radius)

        return Problem(build, check.integer("--updates", self.updates, 1), target=self.target)

    def _network(self, chain: Chain) -> ActorCritic:
        optimizer = chain(self.learning_rate, optax.scale_by_rms(decay=0.99, eps=1e-5))
        network = networks.MLP((32,), shared=False)
        return ActorCritic(
            environments.CartPole(), network, optimizer, rollout=20, trace=0.95, evaluation_episodes=4,
            evaluation_steps=_EPISODE,
        )  # fmt: skip

    def _draw(self, name: str) -> Callable[[jax.Array, int], Schedule]:
        workers = check.integer("--workers", self.workers, 2)
        team = [Exponential(1.0)] * workers
        if name == "straggler":
            team = [*team[1:], Exponential(_STRAGGLER)]
        laws = {
            "geometric": delays.Geometric(workers - 1),
            "bursts": delays.Cyclic(list(range(2 * workers - 1))),
        }
        if name in laws:
            return lambda key, num_updates: Schedule.from_law(key, laws[name], num_updates)
        if name == "pipeline":
            generators, learner = [Pareto(float(workers), 1.5)] * workers, Deterministic(1.0)
            return lambda key, num_updates: Schedule.from_pipeline(
                key, generators, learner, num_updates, batch=1, queue=workers
            )
        return lambda key, num_updates: Schedule.from_workers(key, team, num_updates)
