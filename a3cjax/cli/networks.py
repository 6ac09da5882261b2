"""The commands that train networks: what the studies of returns are asked of."""

import dataclasses
from typing import Any, Literal

import optax

from a3cjax import environments, networks, studies
from a3cjax._core import check
from a3cjax.cli.blocks import BlockOptions
from a3cjax.cli.derive import options_of
from a3cjax.cli.groups import TeamOptions
from a3cjax.learners import ActorCritic


@dataclasses.dataclass(frozen=True)
class NetworkOptions:
    """Actor and critic networks, and RMSProp on the server, as in A3C."""

    hidden: tuple[int, ...] = (64, 64)
    """Widths of the hidden layers, of the actor's network and of the critic's."""
    learning_rate: float = 5e-4
    """Learning rate of RMSProp, whose mean of squares decays by 0.99."""
    rollout: int = 20
    """Steps in the environment for each update."""
    discount: float = 0.99
    """Discount γ."""
    trace: float = 0.95
    """λ of generalised advantages; 1 for n-step returns."""
    entropy: float = 0.01
    """Weight of the policy's entropy."""
    episodes: int = 16
    """Episodes of each evaluation."""

    def build(self, environment: Any) -> ActorCritic:
        """The actor-critic on that environment."""
        check.number("--learning-rate", self.learning_rate, above=0)
        check.integer("--episodes", self.episodes, 1)
        return ActorCritic(
            environment,
            networks.MLP(self.hidden, shared=False),
            optax.rmsprop(self.learning_rate, decay=0.99, eps=1e-5),
            rollout=self.rollout,
            discount=self.discount,
            trace=self.trace,
            entropy=self.entropy,
            evaluation_episodes=self.episodes,
        )


@dataclasses.dataclass(frozen=True)
class CartPoleSpeedupOptions(
    options_of(
        studies.speedup_to_return,
        out="out/speedup-cartpole",
        network=NetworkOptions,
        team=TeamOptions,
        blocks=BlockOptions,
    )
):
    """Measure the speedup of networks that learn to balance a pole: Fig. 5 of arXiv:2012.15511.

    Prints a table beside the paper's figures and writes speedup.csv, speedup.nc, speedup.png and run.json.
    """

    def build_learner(self) -> ActorCritic:
        """The actor-critic on CartPole."""
        return self.network.build(environments.CartPole())


@dataclasses.dataclass(frozen=True)
class MinAtarNetworkOptions(NetworkOptions):
    """Networks without convolutions, which lay the 10 × 10 places of the screen out in a row."""

    hidden: tuple[int, ...] = (128,)
    """Widths of the hidden layers, of the actor's network and of the critic's."""
    learning_rate: float = 1e-3
    """Learning rate of RMSProp, whose mean of squares decays by 0.99."""
    entropy: float = 0.02
    """Weight of the policy's entropy; with 0.01 one of 24 seeds does not learn breakout."""
    episodes: int = 32
    """Episodes of each evaluation."""


@dataclasses.dataclass(frozen=True)
class MinAtarSpeedupOptions(
    options_of(
        studies.speedup_to_return, seeds=24, updates=15_000, target_value=4.0, out="out/speedup-minatar",
        network=MinAtarNetworkOptions, team=TeamOptions, blocks=BlockOptions,
    )
):  # fmt: skip
    """Measure the speedup of networks that play a game of MinAtar: the question of Figs. 6 to 8 of arXiv:2012.15511.

    Needs pip install 'a3cjax[gymnax]'. Prints a table and writes speedup.csv, speedup.nc, speedup.png and run.json.
    """

    game: Literal["asterix", "breakout", "freeway", "seaquest", "space_invaders"] = "breakout"
    """The game; the default target is for breakout."""

    def build_learner(self) -> ActorCritic:
        """The actor-critic on that game."""
        return self.network.build(environments.MinAtar(self.game))
