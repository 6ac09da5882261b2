"""Estimators of the policy gradient: what the score ψ_θ(ŝ,â) of the actor's sample is weighted with.

∇J(θ) = E_{s~d, a~π}[w ψ_θ(s,a)] for each of these weights w, if V is known exactly (Shen et al. 2023 use the first):

- "td": r + γV(s') − V(s), which takes the sampled next state;
- "advantage": Q(s,a) − V(s), its mean over the next state;
- "q": Q(s,a);
- "reinforce": the return G of the transition and all that follows it, which needs no V at all.

They differ in variance, and in bias once V is a critic's V̂_ω and Q is what it implies, Q̂_ω(s,a) = r(s,a) +
γ E_{s'~P(·|s,a)} V̂_ω(s'). The first three have the same mean for every ω, and so the same bias: the second is the
first's mean over s', and a function B of the state alone, a baseline, is free, E_{a~π}[ψ_θ(s,a)] B(s) = 0. The bias of
the fourth is that of a rollout that ends.

An estimator has ``of(mdp, horizon)``, ``num_words`` and ``weight(mdp, dynamics, policy, view, x, words)``.
"""

import math
from typing import Any, Literal, Self

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, UInt32

from a3cjax._core import check
from a3cjax._core.tree import pytree, static
from a3cjax._xla.arithmetic import plus
from a3cjax._xla.compiler import quickly_compiled
from a3cjax._xla.marks import read_row, rounded
from a3cjax._xla.threefry import threefry2x32
from a3cjax.learners.a3c.critic import features, td_error, value_ahead, value_change
from a3cjax.learners.a3c.messages import Params
from a3cjax.learners.sampling.samples import Dynamics, Transition
from a3cjax.problems import FiniteMDP

Estimator = Literal["td", "advantage", "q", "reinforce"]

TRUNCATION = 2.0**-24  # of a return, relative to r_max/(1−γ): the resolution of the working precision


@pytree
class TDError:
    """δ̂(x̂, ω) = r + γ V̂_ω(ŝ') − V̂_ω(ŝ), the paper's."""

    num_words = 0

    @classmethod
    def of(cls, mdp: FiniteMDP, horizon: int | None) -> "TDError":
        """Nothing to prepare."""
        del mdp, horizon
        return cls()

    def weight(
        self, mdp: FiniteMDP, dynamics: Dynamics, policy: Any, view: Params, x: Transition, words: None
    ) -> Float[Array, ""]:
        """From the sampled transition."""
        del dynamics, policy, words
        return td_error(mdp, x, view.omega)


@pytree
class ExpectedStep:
    """r(s,a) and E_{s'~P(·|s,a)} φ(s'), which a simulator knows."""

    reward: Float[Array, "S A"]
    features: Float[Array, "SA d"]

    @classmethod
    def of(cls, mdp: FiniteMDP) -> "ExpectedStep":
        """The tables of an MDP."""
        return cls(mdp.expected_reward(), _expected_features(mdp))

    def at(self, x: Transition) -> tuple[Float[Array, ""], Float[Array, " d"]]:
        """The entries of a state and an action."""
        reward = self.reward.at[x.state, x.action].get(mode="promise_in_bounds")
        return reward, read_row(self.features, x.state * self.reward.shape[1] + x.action)


@pytree
class _FromExpectedStep:
    """What weighs with the step that is to be expected, and needs no words for it."""

    step: ExpectedStep

    num_words = 0

    @classmethod
    def of(cls, mdp: FiniteMDP, horizon: int | None) -> Self:
        """With the tables of an MDP."""
        del horizon
        return cls(ExpectedStep.of(mdp))


@pytree
class ActionValue(_FromExpectedStep):
    """Q̂_ω(ŝ,â) = r(ŝ,â) + γ E_{s'~P(·|ŝ,â)} V̂_ω(s'), the action value that the critic implies."""

    def weight(
        self, mdp: FiniteMDP, dynamics: Dynamics, policy: Any, view: Params, x: Transition, words: None
    ) -> Float[Array, ""]:
        """From the state and the action."""
        del dynamics, policy, words
        reward, ahead = self.step.at(x)
        return plus(reward, value_ahead(mdp.discount, ahead, view.omega))


@pytree
class Advantage(_FromExpectedStep):
    """Q̂_ω(ŝ,â) − V̂_ω(ŝ)."""

    def weight(
        self, mdp: FiniteMDP, dynamics: Dynamics, policy: Any, view: Params, x: Transition, words: None
    ) -> Float[Array, ""]:
        """From the state and the action."""
        del dynamics, policy, words
        reward, ahead = self.step.at(x)
        change = value_change(mdp.discount, ahead, features(mdp, x.state), view.omega)
        return plus(reward, change)


@pytree
class Return:
    """G = Σ_{t<T} γᵗ r_t along a rollout: r_0 is the transition's, then on from ŝ' with the policy that was read.

    The rollout draws with words of its own, and the worker's chains stay where they are. A proposal has two words for
    it; they key the cipher that makes two more for each step, so that a long rollout is no larger a program.
    """

    horizon: int = static()

    @classmethod
    def of(cls, mdp: FiniteMDP, horizon: int | None) -> "Return":
        """With ``horizon`` T, or the least one with γᵀ ≤ 2⁻²⁴."""
        if horizon is None:
            if not check.is_concrete(mdp.discount):
                raise ValueError("horizon must be given where the MDP's discount is traced: it shapes the program.")
            discount = float(np.max(mdp.discount))
            horizon = 1 if discount == 0 else max(1, math.ceil(math.log(TRUNCATION) / math.log(discount)))
        return cls(check.integer("horizon", horizon, 1))

    @property
    def num_words(self) -> int:
        """A key, if there is a second step."""
        return 2 if self.horizon > 1 else 0

    def weight(
        self,
        mdp: FiniteMDP,
        dynamics: Dynamics,
        policy: Any,
        view: Params,
        x: Transition,
        words: UInt32[Array, " num_words"] | None,
    ) -> Float[Array, ""]:
        """From the transition and a rollout."""
        first = mdp.reward_at(x.state, x.action, x.next_state)
        if words is None:
            return first
        key = words[0], words[1]

        def advance(t, at):
            state, action, scale, total = at
            of_state, of_action = threefry2x32(key, (t.astype(jnp.uint32), jnp.uint32(0)))
            ahead = dynamics.move(state, action, of_state)
            scale = scale * mdp.discount
            total = total + rounded(scale * mdp.reward_at(state, action, ahead))
            # Drawn at the end, as in the rollouts of IIDSampler, and for the same reason.
            return ahead, dynamics.choose(policy, view.theta, ahead, of_action), scale, total

        _, of_action = threefry2x32(key, (jnp.uint32(0), jnp.uint32(0)))
        action = dynamics.choose(policy, view.theta, x.next_state, of_action)
        start: tuple[Int[Array, ""], ...] = (x.next_state, action, jnp.ones_like(first), first)
        return lax.fori_loop(1, self.horizon, advance, start)[3]

    def truncation_bias(self, mdp: FiniteMDP) -> Float[Array, ""]:
        """γᵀ r_max/(1−γ), with r_max the largest absolute reward."""
        return mdp.discount**self.horizon * jnp.max(jnp.abs(mdp.reward)) / (1 - mdp.discount)


ESTIMATORS = {"td": TDError, "advantage": Advantage, "q": ActionValue, "reinforce": Return}


@quickly_compiled
def _expected_features(mdp: FiniteMDP) -> Float[Array, "SA d"]:
    """Summed over s' in order, so that the last bits are nobody's threads'."""
    to = mdp.transition.reshape(-1, mdp.num_states).T

    def add(total, step):
        probability, phi = step
        return total + probability[:, None] * phi[None, :], None

    start = jnp.zeros((to.shape[1], mdp.num_features), mdp.features.dtype)
    return lax.scan(add, start, (to, mdp.features))[0]
