"""Mean and variance of a sampled direction, in closed form, in float64."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from a3cjax.learners.a3c.estimators import ESTIMATORS, Estimator, Return
from a3cjax.problems import FiniteMDP, exact


class Moments(NamedTuple):
    """Of w ψ_θ(s,a) with s ~ d, a ~ π, s' ~ P: its mean, the trace of its covariance, the norm of its mean less ∇J."""

    mean: Float[np.ndarray, "S A"]
    variance: float
    bias: float


def direction_moments(
    mdp: FiniteMDP,
    theta: ArrayLike,
    omega: ArrayLike,
    estimator: Estimator = "td",
    baseline: ArrayLike | None = None,
    horizon: int | None = None,
) -> Moments:
    """Moments of the actor's direction without its prior, for a tabular softmax, one sample, and an actor's own chain.

    E[w | s,a] and E[w² | s,a] are sums over s'; for "reinforce" both go through the rollout backwards, step by step:
    E G_n = E[r + γ G_{n−1}'] and E G_n² = E[r² + 2γ r G_{n−1}' + γ² G_{n−1}'²]. So nothing is sampled.

    Args:
        mdp: the problem.
        theta: θ, shape [S, A].
        omega: ω, shape [d].
        estimator, baseline, horizon: as in ``A3C``.

    >>> import a3cjax, numpy as np
    >>> mdp = a3cjax.families.ring(4)
    >>> at = np.zeros((4, 2)), a3cjax.exact.state_values(mdp, np.full((4, 2), 0.5))  # tabular features: ω = V
    >>> td, advantage, q = (direction_moments(mdp, *at, name) for name in ("td", "advantage", "q"))
    >>> advantage.variance < td.variance < q.variance, q.bias < 1e-6
    (True, True)
    """
    transition, discount = np.asarray(mdp.transition, np.float64), float(mdp.discount)
    reward = np.asarray(mdp.reward, np.float64)
    reward = np.broadcast_to(reward[..., None] if reward.ndim == 2 else reward, transition.shape)
    logits = np.asarray(theta, np.float64)
    policy = np.exp(logits - logits.max(-1, keepdims=True))
    policy /= policy.sum(-1, keepdims=True)
    estimate = np.asarray(mdp.features, np.float64) @ np.asarray(omega, np.float64)

    def mean_over_next(values):
        return (transition * values).sum(-1)

    system = np.eye(mdp.num_states) - discount * np.einsum("sa,sat->st", policy, transition)
    visitation = np.linalg.solve(system.T, (1 - discount) * np.asarray(mdp.initial, np.float64))
    values = np.linalg.solve(system, (policy * mean_over_next(reward)).sum(-1))
    if estimator == "reinforce":
        first, second = _returns(transition, reward, discount, policy, Return.of(mdp, horizon).horizon)
    else:
        sampled = reward + discount * estimate
        first = mean_over_next(sampled)
        second = mean_over_next(sampled**2) if estimator == "td" else first**2
        if estimator != "q":
            first, second = _less(first, second, estimate)
    if baseline is not None:
        first, second = _less(first, second, np.asarray(baseline, np.float64))
    mean = _mean_direction(visitation, policy, first)
    # ‖ψ(s,a)‖² = ‖e_a − π(·|s)‖².
    norms = 1 - 2 * policy + (policy**2).sum(-1, keepdims=True)
    variance = (visitation[:, None] * policy * second * norms).sum() - (mean**2).sum()
    gradient = _mean_direction(visitation, policy, mean_over_next(reward) + discount * transition @ values)
    return Moments(mean, float(variance), float(np.linalg.norm(mean - gradient)))


KINDS: dict[str, tuple[Estimator, bool]] = {
    # Names of estimators, and whether V_π is subtracted; "td" and "advantage" have V̂ in them already.
    "advantage": ("advantage", False),
    "td": ("td", False),
    "q+baseline": ("q", True),
    "q": ("q", False),
    "reinforce+baseline": ("reinforce", True),
    "reinforce": ("reinforce", False),
}
assert {name for name, _ in KINDS.values()} == set(ESTIMATORS)


def moments_at(mdp: FiniteMDP, theta: np.ndarray, kinds: Sequence[str] = tuple(KINDS)) -> dict[str, Moments]:
    """Each kind at θ, with the critic at its TD fixed point and V_π for a baseline."""
    weights = np.exp(theta - theta.max(-1, keepdims=True))
    at = exact.evaluate(mdp, weights / weights.sum(-1, keepdims=True))
    omega, values = np.asarray(at.critic_optimum), np.asarray(at.values)
    return {
        kind: direction_moments(mdp, theta, omega, estimator, values if less else None)
        for kind, (estimator, less) in ((kind, KINDS[kind]) for kind in kinds)
    }


def _returns(
    transition: np.ndarray, reward: np.ndarray, discount: float, policy: np.ndarray, horizon: int
) -> tuple[np.ndarray, np.ndarray]:
    """E[G | s,a] and E[G² | s,a] of returns of ``horizon`` rewards."""
    value, square = np.zeros(len(transition)), np.zeros(len(transition))
    first, second = np.zeros(policy.shape), np.zeros(policy.shape)
    for _ in range(horizon):
        first = (transition * (reward + discount * value)).sum(-1)
        second = (transition * (reward**2 + 2 * discount * reward * value + discount**2 * square)).sum(-1)
        value, square = (policy * first).sum(-1), (policy * second).sum(-1)
    return first, second


def _less(first: np.ndarray, second: np.ndarray, baseline: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The moments of w − B(s)."""
    b = baseline[:, None]
    return first - b, second - 2 * b * first + b**2


def _mean_direction(visitation: np.ndarray, policy: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return visitation[:, None] * policy * (weights - (policy * weights).sum(-1, keepdims=True))
