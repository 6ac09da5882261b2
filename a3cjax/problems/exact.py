"""Exact oracles: what a run on a finite MDP is measured against. Every one goes through ``jit`` and ``vmap``.

Symbols and equation numbers are those of Shen et al. 2023; ``pi`` [S, A] holds π(a|s) as rows that sum to one.
All raise ValueError for a ``pi`` of the wrong shape or with rows that are not laws.

*Exact* means solved for, not sampled: what is left is rounding, in float32 unless JAX has x64 on. J, d, advantages and
gradients are then good to about six digits of the largest entry for every γ, μ to six digits of each entry. V and Q are
so for the γ that float32 keeps, within 3e-8 of the one that was given; as they grow like 1/(1 − γ), that alone moves
them by 3e-8/(1 − γ) of their size. ω* is a solution with A_θ, which is nearly singular as γ → 1 or where features are
nearly dependent: its error grows like 1e-7/(1 − γ). With more than that to lose, use double precision:
``jax.config.update("jax_enable_x64", True)``.

Where the chain of a policy forgets its state within a few steps, its laws and values are sums of as many products with
P, which stop at a bound below the working precision (``mixing.py``); everywhere else they are found by elimination. The
bound is found anew for each policy: a value depends on the policy alone, not on what was asked before it or beside it.
"""

import functools
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from a3cjax._core.public import listing
from a3cjax.problems.chains import dobrushin
from a3cjax.problems.evaluation import Evaluation, Policy, evaluate
from a3cjax.problems.lqr import LQR
from a3cjax.problems.mdp import FiniteMDP
from a3cjax.problems.optimal import optimal_objective, optimal_policy
from a3cjax.problems.prior import Prior

__all__ = [
    "Evaluation",
    "action_values",
    "approximation_error",
    "best_objective",
    "critic_optimum",
    "critic_system",
    "discounted_visitation",
    "dobrushin",
    "evaluate",
    "evaluate_policy",
    "objective",
    "optimal_objective",
    "optimal_policy",
    "policy_gradient",
    "state_values",
    "stationary_distribution",
]
__dir__ = listing(__all__)

PolicyTable = Float[Array | np.ndarray, "S A"]


def stationary_distribution(mdp: FiniteMDP, pi: PolicyTable) -> Float[Array, "S"]:
    """μ_π [S], the stationary law of the chain P_π: the law of the critic's states.

    Every entry has a small relative error, also in float32 and for chains that mix slowly, nearly decompose or are
    periodic. Where P_π has several recurrent classes no stationary law is unique: the result is then the long-run
    share of time spent in each state from the initial law, lim (1/T) Σ_{t<T} η P_πᵗ, as in any other case.

    >>> import a3cjax, jax.numpy as jnp
    >>> mdp = a3cjax.families.ring(4, slip=0.0)  # always right: a cycle, of period 4
    >>> a3cjax.exact.stationary_distribution(mdp, jnp.array([[0.0, 1.0]] * 4)).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    return evaluate(mdp, pi).stationary


def discounted_visitation(mdp: FiniteMDP, pi: PolicyTable) -> Float[Array, "S"]:
    """d_π(s) = (1−γ) Σ_t γᵗ P(s_t = s | s_0 ~ η, π) [S], the law of the actor's states.

    It is also the stationary law of P̂ = γP + (1−γ)η, the chain that restarts.

    >>> import a3cjax, jax.numpy as jnp
    >>> mdp = a3cjax.families.ring(2, slip=0.0, discount=0.5, initial=[1.0, 0.0])  # visits 0, 1, 0, 1, ...
    >>> [round(float(d), 4) for d in a3cjax.exact.discounted_visitation(mdp, jnp.full((2, 2), 0.5))]
    [0.6667, 0.3333]
    """
    return evaluate(mdp, pi).visitation


def state_values(mdp: FiniteMDP, pi: PolicyTable) -> Float[Array, "S"]:
    """V_π(s) = E[Σ_t γᵗ r_t | s_0 = s] [S].

    >>> import a3cjax, jax.numpy as jnp
    >>> mdp = a3cjax.families.ring(2, slip=0.0, discount=0.5)  # rewards 1, 0, 1, ... from state 0
    >>> [round(float(v), 4) for v in a3cjax.exact.state_values(mdp, jnp.full((2, 2), 0.5))]
    [1.3333, 0.6667]
    """
    return evaluate(mdp, pi).values


def action_values(mdp: FiniteMDP, pi: PolicyTable) -> Float[Array, "S A"]:
    """Q_π(s,a) = r(s,a) + γ E_{s'~P(·|s,a)} V_π(s') [S, A].

    >>> import a3cjax, jax.numpy as jnp
    >>> mdp = a3cjax.families.ring(4)
    >>> a3cjax.exact.action_values(mdp, jnp.full((4, 2), 0.5)).shape
    (4, 2)
    """
    return evaluate(mdp, pi).action_values


def objective(mdp: FiniteMDP, pi: PolicyTable, prior: Prior | None = None) -> Float[Array, ""]:
    """J(π) = (1−γ) E_{s~η} V_π(s); with a prior J_λ(π) = J(π) − λ E_{s~η_p} KL(π_p ‖ π).

    J lies between the smallest and the largest reward.

    >>> import a3cjax, jax.numpy as jnp
    >>> mdp = a3cjax.families.ring(4)  # uniform start and policy: at state 0 a quarter of the time
    >>> uniform = jnp.full((4, 2), 0.5)
    >>> round(float(a3cjax.exact.objective(mdp, uniform)), 6)
    0.25
    >>> round(float(a3cjax.exact.objective(mdp, uniform, a3cjax.Prior.uniform(0.1, 4, 2))), 6)
    0.25
    """
    return evaluate(mdp, pi, prior).regularized_objective


def critic_system(mdp: FiniteMDP, pi: PolicyTable) -> tuple[Float[Array, "d d"], Float[Array, "d"]]:
    """A_θ = E[φ(s)(γφ(s') − φ(s))ᵀ] [d, d] and b_θ = E[r φ(s)] [d], with s ~ μ_π, a ~ π, s' ~ P.

    The critic's mean update at ω is b_θ + A_θ ω.

    >>> import a3cjax, jax.numpy as jnp
    >>> A, b = a3cjax.exact.critic_system(a3cjax.families.ring(4, num_features=3), jnp.full((4, 2), 0.5))
    >>> A.shape, b.shape
    ((3, 3), (3,))
    """
    return evaluate(mdp, pi).critic_system


def critic_optimum(mdp: FiniteMDP, pi: PolicyTable) -> Float[Array, "d"]:
    """ω*(π) = −A_θ⁻¹ b_θ [d], the fixed point of TD(0).

    It is the one that TD(0) reaches from zero. TD(0) moves ω by multiples of φ(s) of states that the chain visits in
    the long run, so it stays in their span. Where these features are linearly dependent (always with more features than
    states; also a feature that is zero in all those states, as are tabular features of transient states), A_θ is
    singular, and ω* is the only solution in the span, the one of least norm. Weights that start outside keep what is
    across the span for ever, and ‖ω − ω*‖² keeps its square. Every entry is NaN if μ is, or if A_θ is singular, to
    working precision, although features are independent.

    >>> import a3cjax, jax.numpy as jnp
    >>> mdp, uniform = a3cjax.families.ring(4), jnp.full((4, 2), 0.5)  # tabular: ω* is V
    >>> bool(jnp.allclose(a3cjax.exact.critic_optimum(mdp, uniform), a3cjax.exact.state_values(mdp, uniform)))
    True
    """
    return evaluate(mdp, pi).critic_optimum


def approximation_error(mdp: FiniteMDP, pi: PolicyTable) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """sqrt(E_s |V_π(s) − φ(s)ᵀω*|²), first under μ_π, then under d_π.

    The paper's ε_app is the largest first number over all policies; its proof for the actor needs the second.

    >>> import a3cjax, jax.numpy as jnp
    >>> stationary, discounted = a3cjax.exact.approximation_error(
    ...     a3cjax.families.ring(8, num_features=3), jnp.full((8, 2), 0.5)
    ... )
    >>> bool(stationary > 0.01)
    True
    """
    return evaluate(mdp, pi).approximation_error


@functools.singledispatch
def evaluate_policy(problem: FiniteMDP, policy: Any, theta: Any, prior: Prior | None = None) -> Any:
    """The exact quantities of π_θ: an ``Evaluation`` on a finite MDP, an ``LQREvaluation`` on an LQR.

    Both have ``objective``, ``regularized_objective``, ``critic_system``, ``critic_optimum``, ``approximation_error``
    and ``policy_gradient(policy, theta)``; an LQR has no ``prior``.

    >>> import a3cjax
    >>> lqr = a3cjax.families.double_integrator()
    >>> policy = a3cjax.policies.LinearGaussian(2, 1, std=0.1)
    >>> found = a3cjax.exact.evaluate_policy(lqr, policy, lqr.optimal_gain())
    >>> bool(abs(found.policy_gradient(policy, lqr.optimal_gain())).max() < 1e-5)
    True
    """
    return evaluate(problem, policy.probabilities(theta), prior)


@evaluate_policy.register
def _(problem: LQR, policy: Any, theta: Any, prior: None = None) -> Any:
    del prior
    return problem.evaluate(policy, theta)


@functools.singledispatch
def best_objective(problem: FiniteMDP, policy: Any) -> Float[Array, ""]:
    """J*, the most that a policy of this kind can have: any policy of a finite MDP, or any gain θ of an LQR.

    An LQR's policy keeps its σ, which is not learned.

    >>> import a3cjax
    >>> lqr = a3cjax.families.double_integrator()
    >>> loud, quiet = (a3cjax.policies.LinearGaussian(2, 1, std) for std in (1.0, 0.1))
    >>> bool(a3cjax.exact.best_objective(lqr, loud) < a3cjax.exact.best_objective(lqr, quiet))
    True
    """
    del policy
    return optimal_objective(problem)


@best_objective.register
def _(problem: LQR, policy: Any) -> Float[Array, ""]:
    return problem.optimal_objective(policy)


def policy_gradient(mdp: FiniteMDP, policy: Policy, theta: Any, prior: Prior | None = None) -> Any:
    """∇_θ J(π_θ), or ∇_θ J_λ(π_θ) with a prior, as an array or pytree like ``theta``.

    From the policy-gradient theorem, ∇J = E_{s~d, a~π}[A(s,a) ∇log π(a|s)], plus λ E_{s~η_p, a~π_p}[∇log π(a|s)].
    ``policy`` is any object with a differentiable ``probabilities(theta)`` → [S, A]. Where a probability that the
    prior wants has underflowed to zero, J_λ is −inf and its gradient is not finite.

    >>> import a3cjax, jax
    >>> class Softmax:
    ...     def probabilities(self, theta):
    ...         return jax.nn.softmax(theta)
    >>> mdp = a3cjax.families.ring(5)  # at 1 left is better, at 4 right: both lead to the reward
    >>> gradient = a3cjax.exact.policy_gradient(mdp, Softmax(), jax.numpy.zeros((5, 2)))
    >>> gradient.argmax(1)[1:].tolist()
    [0, 0, 1, 1]
    """
    return evaluate(mdp, policy.probabilities(theta), prior).policy_gradient(policy, theta)
