"""A finite MDP as an environment, so that what a network learns can be held against exact values."""

import functools
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt32
from numpy.typing import ArrayLike

from a3cjax._core import check
from a3cjax.environments.protocol import AbstractEnvironment, Step
from a3cjax.problems import FiniteMDP

_WORDS = 2.0**32


class Finite(AbstractEnvironment):
    """A ``FiniteMDP``, step by step: s ~ η, s' ~ P(·|s,a), reward r(s,a,s').

    The observation is the state as a unit vector e_s of [S]: a layer on it is a table with a row for each state, and
    ``mdp.features`` applied to it are the features. Laws are met to 2⁻³² per entry (2⁻²⁴ where the MDP is being
    traced), and what has probability 0 is never drawn.

    An MDP has no end. Each step is the last of its episode with probability ``restart``: then the episode is truncated
    and the next one begins at η. By default that is 1 − γ, so that states follow d_π, the law that the policy gradient
    asks for; values are those of the MDP all the same, because a truncated episode is continued by the critic's value.
    And an episode's return, without a discount, then has the mean Σ_t γᵗ r_t = J/(1 − γ). With ``restart=0`` states
    follow the chain of P, and in the long run μ_π.

    Args:
        mdp: the problem.
        restart: a probability, or one for each run, [B]; None for 1 − γ.

    Raises:
        ValueError: if ``mdp`` is no ``FiniteMDP`` or ``restart`` is no probability.

    >>> import a3cjax, jax
    >>> environment = a3cjax.environments.Finite(a3cjax.families.ring(4))
    >>> state, observation = environment.reset(jax.random.key(0))
    >>> step = environment.step(jax.random.key(1), state, 1)
    >>> environment.num_actions, int(observation[state])
    (2, 1)
    """

    mdp: FiniteMDP
    restart: Float[Array, "*B"]
    # For each law the words at which its entries end, and its last entry of positive probability.
    moves: tuple[UInt32[Array, "S A S"], Int[Array, "S A"]]
    starts: tuple[UInt32[Array, "S"], Int[Array, ""]]

    num_actions: ClassVar[Any] = property(lambda self: self.mdp.num_actions)
    run_scalars: ClassVar[tuple[str, ...]] = ("restart",)

    def __init__(self, mdp: FiniteMDP, restart: ArrayLike | None = None) -> None:
        put = functools.partial(object.__setattr__, self)
        if not isinstance(mdp, FiniteMDP):
            raise ValueError(f"mdp must be an a3cjax.FiniteMDP, but is a {type(mdp).__name__}.")
        put("mdp", mdp)
        restart = 1 - mdp.discount if restart is None else restart
        check.number("restart", restart, least=0, most=1)
        put("restart", check.run_scalar("restart", restart))
        put("moves", _ends(mdp.transition))
        put("starts", _ends(mdp.initial))

    def reset(self, key: jax.Array) -> tuple[Int[Array, ""], Float[Array, "S"]]:
        """A state of η."""
        ends, last = self.starts
        state = _drawn(ends, last, jax.random.bits(key, (), jnp.uint32))
        return state, self.observe(state)

    def step(self, key: jax.Array, state: Int[Array, ""], action: Int[Array, ""] | int) -> Step:
        """A state of P(·|s,a); one step in 1/restart is an episode's last."""
        words = jax.random.bits(key, (2,), jnp.uint32)
        ends, last = self.moves
        following = _drawn(ends[state, action], last[state, action], words[0])
        reward = self.mdp.reward_at(state, action, following)
        dtype = jnp.result_type(float)
        last_step = (words[1] >> 8).astype(dtype) * jnp.asarray(2.0**-24, dtype) < self.restart
        return Step(following, self.observe(following), reward, jnp.bool_(False), last_step)

    def observe(self, state: Int[Array, ""]) -> Float[Array, "S"]:
        """e_s."""
        return (jnp.arange(self.mdp.num_states) == state).astype(jnp.result_type(float))


def _ends(law: Float[Array, "*rows n"]) -> tuple[UInt32[Array, "*rows n"], Int[Array, "*rows"]]:
    """The words below which a draw is of an entry or one before it, and the last entry that can be drawn."""
    if check.is_concrete(law):
        sums = np.cumsum(np.asarray(law, np.float64), axis=-1)
        sums = sums / sums[..., -1:]
        ends = jax.device_put(np.minimum(np.rint(sums * _WORDS), _WORDS - 1).astype(np.uint32))
    else:
        sums = jnp.cumsum(law, axis=-1)
        ends = jnp.minimum(sums / sums[..., -1:] * _WORDS, _WORDS - 256).astype(jnp.uint32)
    last = law.shape[-1] - 1 - jnp.argmax(law[..., ::-1] > 0, axis=-1)
    return ends, last.astype(jnp.int32)


def _drawn(ends: UInt32[Array, " n"], last: Int[Array, ""], word: UInt32[Array, ""]) -> Int[Array, ""]:
    """The first entry that ends beyond the word."""
    return jnp.minimum(jnp.sum(word >= ends, dtype=jnp.int32), last)
