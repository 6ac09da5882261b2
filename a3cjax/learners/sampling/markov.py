"""Option 2: every worker owns two Markov chains."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num, UInt32

from a3cjax._core.tree import pytree, static
from a3cjax._xla.marks import staged
from a3cjax._xla.threefry import bits
from a3cjax.learners.sampling.linear import LinearDynamics
from a3cjax.learners.sampling.samples import Draw, Dynamics, Transition, dynamics_of
from a3cjax.learners.sampling.words import cut, unit
from a3cjax.problems import LQR, FiniteMDP


class Chains(NamedTuple):
    """Where a worker's critic chain and actor chain stand; None for an actor without a chain of its own."""

    critic: Num[Array, "*n"]
    actor: Num[Array, "*n"] | None


@pytree
class MarkovSampler:
    """The critic's chain follows P and is never reset; the actor's restarts at η with probability 1 − γ.

    With both chains run under a fixed policy, the critic's states follow μ_π in the long run and the actor's follow
    d_π, because d_π is the stationary law of P̂ = γP + (1−γ)η. With ``shared`` there is one chain, the critic's, and its
    sample serves both: then the actor's states follow μ_π as well.
    """

    dynamics: Dynamics | LinearDynamics
    discount: Float[Array, ""]
    shared: bool = static(default=False)

    @classmethod
    def of(cls, mdp: FiniteMDP | LQR, shared: bool = False) -> "MarkovSampler":
        """The sampler of an MDP."""
        return cls(dynamics_of(mdp), mdp.discount, shared)

    @property
    def num_words(self) -> int:
        """An action and a next state for each chain, and the actor's restart."""
        return sum(self._counts)

    @property
    def _counts(self) -> tuple[int, ...]:
        dynamics = self.dynamics
        step = (dynamics.act_words, dynamics.move_words)
        return step if self.shared else (*step, *step, 1, dynamics.start_words)

    def init(self, key: jax.Array) -> Chains:
        """Both chains start at η, independently; a critic starts where it would without sharing."""
        count = self.dynamics.start_words
        pieces = cut(bits(key, 2 * count), count, count)
        start = self.dynamics.start(next(pieces))
        return Chains(start, None if self.shared else self.dynamics.start(next(pieces)))

    def sample(
        self, policy: Any, theta: Any, chains: Chains, words: UInt32[Array, " num_words"]
    ) -> tuple[Draw, Chains]:
        """One step of each chain, with the actions of π_θ."""
        pieces = cut(words, *self._counts)
        action, probabilities = self.dynamics.act(policy, theta, chains.critic, next(pieces))
        critic = Transition(chains.critic, action, self.dynamics.move(chains.critic, action, next(pieces)))
        if self.shared:
            return Draw(critic, critic, probabilities), Chains(critic.next_state, None)
        assert chains.actor is not None
        action, probabilities = self.dynamics.act(policy, theta, chains.actor, next(pieces))
        actor = Transition(chains.actor, action, self.dynamics.move(chains.actor, action, next(pieces)))
        onward = _restarted(next(pieces), actor.next_state, self.dynamics.start(next(pieces)), self.discount)
        return Draw(critic, actor, probabilities), Chains(critic.next_state, onward)


@staged
def _restarted(
    word: UInt32[Array, ""], ahead: Num[Array, "*n"], anew: Num[Array, "*n"], discount: Float[Array, ""]
) -> Num[Array, "*n"]:
    """The state after ``ahead`` of a chain that begins anew with probability 1 − γ."""
    return jnp.where(unit(word) < discount, ahead, anew)
