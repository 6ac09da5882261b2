"""Everything that can be known about one policy, each piece computed once and only if asked for."""

from functools import cached_property
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from a3cjax._core import check
from a3cjax._xla.compiler import quickly_compiled
from a3cjax.problems import solutions
from a3cjax.problems.fixed_point import td_fixed_point
from a3cjax.problems.mdp import FiniteMDP
from a3cjax.problems.mixing import Laws, Mixing, mixing
from a3cjax.problems.prior import Prior
from a3cjax.problems.resolvent import Values, flow


class Policy(Protocol):
    """What an oracle needs of a policy: its probabilities."""

    def probabilities(self, theta: Any) -> Float[Array, "S A"]:
        """π_θ(a|s) as rows that sum to one."""
        ...


def evaluate(mdp: FiniteMDP, pi: Float[Array | np.ndarray, "S A"], prior: Prior | None = None) -> "Evaluation":
    """An ``Evaluation`` of the policy ``pi`` [S, A]: its oracles, sharing what they have in common.

    Ask it for several quantities of one policy where single functions of this module would factor the same matrix
    again. Its pieces are kept, so it must be made and used inside the same ``jit``, ``vmap`` or loop body.

    Raises ValueError for a ``pi`` of the wrong shape or with rows that are not laws.

    >>> import a3cjax, jax.numpy as jnp
    >>> mdp = a3cjax.families.ring(4)
    >>> found = a3cjax.exact.evaluate(mdp, jnp.full((4, 2), 0.5))
    >>> found.values.shape, found.critic_optimum.shape
    ((4,), (4,))
    """
    pi = check.laws("pi", pi, (mdp.num_states, mdp.num_actions))
    if prior is not None and prior.policy.shape != pi.shape:
        raise ValueError(
            f"prior has a policy of shape {prior.policy.shape}, but pi has shape {pi.shape}; "
            "make the prior for the states and actions of this MDP."
        )
    return Evaluation(mdp, pi, prior)


class Evaluation:
    """The exact quantities of one policy on one MDP; made by ``evaluate``. Symbols as in Shen et al. 2023."""

    def __init__(self, mdp: FiniteMDP, pi: Float[Array, "S A"], prior: Prior | None):
        self.mdp = mdp
        self.pi = pi
        self.prior = prior

    @cached_property
    def kernel(self) -> Float[Array, "S S"]:
        """P_π(s'|s)."""
        return _kernel(self.pi, self.mdp.transition)

    @cached_property
    def reward(self) -> Float[Array, "S"]:
        """r_π(s)."""
        return (self.pi * self.mdp.expected_reward()).sum(1)

    @cached_property
    def values(self) -> Float[Array, "S"]:
        """V_π = (I − γP_π)⁻¹ r_π."""
        return self._values.total()

    @cached_property
    def action_values(self) -> Float[Array, "S A"]:
        """Q_π(s,a) = r(s,a) + γ E V_π(s')."""
        return self.values[:, None] + self.advantage

    @cached_property
    def advantage(self) -> Float[Array, "S A"]:
        """A_π = Q_π − V_π."""
        mdp = self.mdp
        return solutions.action_advantages(
            mdp.transition, mdp.expected_reward(), self._values, mdp.discount, self._mixing
        )

    @cached_property
    def visitation(self) -> Float[Array, "S"]:
        """d_π = (1−γ) η (I − γP_π)⁻¹."""
        mdp = self.mdp
        return solutions.visitation_law(
            self.kernel, mdp.initial, mdp.discount, self._mixing, self._walked, self._system
        )

    @cached_property
    def stationary(self) -> Float[Array, "S"]:
        """μ_π, or the long-run law from η where the chain has several recurrent classes."""
        return solutions.stationary_law(self.kernel, self.mdp.initial, self._walked)

    @cached_property
    def objective(self) -> Float[Array, ""]:
        """J(π)."""
        return (self.visitation * self.reward).sum()

    @cached_property
    def regularized_objective(self) -> Float[Array, ""]:
        """J_λ(π) = J(π) + λR(π), which without a prior is J(π)."""
        if self.prior is None:
            return self.objective
        return self.objective + self.prior.weight * self.prior.regularizer(self.pi)

    @cached_property
    def critic_system(self) -> tuple[Float[Array, "d d"], Float[Array, "d"]]:
        """A_θ and b_θ."""
        return _critic_system(self.kernel, self.reward, self.stationary, self.mdp.features, self.mdp.discount)

    @cached_property
    def critic_optimum(self) -> Float[Array, "d"]:
        """ω* = −A_θ⁻¹ b_θ, or what TD(0) reaches from zero where features depend on each other."""
        return td_fixed_point(*self.critic_system, self.mdp.features, self.stationary)

    @cached_property
    def approximation_error(self) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """The root mean squared V_π − φᵀω*, under μ_π and under d_π."""
        squared = (self.values - _matmul(self.mdp.features, self.critic_optimum)) ** 2
        return jnp.sqrt((self.stationary * squared).sum()), jnp.sqrt((self.visitation * squared).sum())

    def policy_gradient(self, policy: Policy, theta: Any) -> Any:
        """∇_θ of ``regularized_objective``, shaped as ``theta``; ``pi`` must be ``policy.probabilities(theta)``."""
        _, pull_back = jax.vjp(policy.probabilities, theta)
        # Σ d A ∇π is Σ d π A ∇log π without the logarithm of a probability that may have underflowed.
        ascent = self.visitation[:, None] * self.advantage
        if (prior := self.prior) is not None:
            wanted = prior.weight * prior.states[:, None] * prior.policy
            ascent += jnp.where(wanted > 0, wanted / jnp.where(wanted > 0, self.pi, 1), 0)
        return pull_back(ascent)[0]

    @cached_property
    def _values(self) -> Values:
        return solutions.state_values(self.kernel, self.reward, self.mdp.discount, self._mixing, self._system)

    @cached_property
    def _mixing(self) -> Mixing:
        return mixing(self.kernel)

    @cached_property
    def _walked(self) -> Laws:
        return solutions.laws_if_fast(self.kernel, self.mdp.initial, self.mdp.discount, self._mixing)

    @cached_property
    def _system(self) -> tuple[Array, Array]:
        return solutions.system_if_slow(self.kernel, self.mdp.discount, self._mixing)


# They are compiled wherever they are called, so that no product is ever an array of its own.


@quickly_compiled
def _kernel(pi: Float[Array, "S A"], transition: Float[Array, "S A S"]) -> Float[Array, "S S"]:
    # Held, or it would be computed again for each of the passes over it.
    return lax.optimization_barrier((pi[:, :, None] * transition).sum(1))


@quickly_compiled
def _critic_system(
    kernel: Float[Array, "S S"],
    reward: Float[Array, "S"],
    mu: Float[Array, "S"],
    phi: Float[Array, "S d"],
    discount: Float[Array, ""],
) -> tuple[Float[Array, "d d"], Float[Array, "d"]]:
    difference = discount * _matmul(flow(kernel), phi) - (1 - discount) * phi
    return _matmul(phi.T, mu[:, None] * difference), _matmul(mu * reward, phi)


@quickly_compiled
def _matmul(a: Float[Array, "*m k"], b: Float[Array, "k *n"]) -> Float[Array, "..."]:
    """a·b as a plain sum: a library's product may split the sum over threads, and then its last bits are theirs."""
    b = b.reshape((1,) * (a.ndim - 1) + b.shape)
    return (a * b).sum(-1) if a.ndim == b.ndim else (a[..., None] * b).sum(-2)
