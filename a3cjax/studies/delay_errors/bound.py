"""What a delay can add at most, from the sizes of rewards, features, steps and the critic's ball."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from a3cjax.learners import A3C
from a3cjax.learners.policies import LinearSoftmax, TabularSoftmax


@dataclass(frozen=True)
class DelayBound:
    """Bounds min(rate·τ, most) on both error norms."""

    critic_rate: float
    critic_most: float
    actor_rate: float
    actor_most: float

    def critic(self, delay: ArrayLike) -> Float[np.ndarray, "..."]:
        """A bound on ‖g(x, ω_{k−τ}) − g(x, ω_k)‖, and, being concave, on its mean where τ is a mean delay."""
        return np.minimum(self.critic_rate * np.asarray(delay, np.float64), self.critic_most)

    def actor(self, delay: ArrayLike) -> Float[np.ndarray, "..."]:
        """Likewise on ‖v(x̂, θ_{k−τ}, ω_{k−τ}) − v(x̂, θ_k, ω_k)‖."""
        return np.minimum(self.actor_rate * np.asarray(delay, np.float64), self.actor_most)


def delay_bound(learner: A3C, num_updates: int, visited: float | None = None) -> DelayBound | None:
    """A bound on both error terms that holds for every sample, delay and schedule; None where there is none.

    Write Φ = max ‖φ(s)‖ ≤ 1, L = max ‖γφ(s') − φ(s)‖ ≤ 1 + γ, α and β for the largest steps of the run.

    1. ‖ω_k‖ ≤ R for all k: R = R_ω, for the start is in the ball and every update projects; or R = ``visited``, the
       largest ‖ω_k‖ that the runs in question had, if that is known. So
       |δ̂(x, ω_k)| = |r + (γφ(s') − φ(s))ᵀω_k| ≤ C_δ := r_max + L R, and ‖g‖ = |δ̂| ‖φ(s)‖ ≤ Φ C_δ.
    2. Π_R does not stretch, and leaves ω_k, which is in the ball, where it is, so ‖ω_{k+1} − ω_k‖ ≤ β ‖g‖ ≤ β Φ C_δ,
       whatever the delay of update k, and ‖ω_k − ω_{k−τ}‖ ≤ τ β Φ C_δ.
    3. g(x, ω) − g(x, ω') = (γφ(s') − φ(s))ᵀ(ω − ω') φ(s), hence ‖g(x, ω_{k−τ}) − g(x, ω_k)‖ ≤ τ · L Φ² C_δ β.
    4. Both policies are softmax with logits f(s,a)ᵀθ (a table: f the unit vectors). Let D = max ‖f(s,a) − f(s,b)‖, √2
       for a table. ψ_θ(s,a) = Σ_b π_θ(b|s) (f(s,a) − f(s,b)), so ‖ψ‖ ≤ C_ψ := D. Its Jacobian in θ is −Cov_π f(s,·);
       a quantity within an interval of length D has variance D²/4 at most, so ψ is Lipschitz with L_ψ := D²/4.
       (A table: C_ψ = √2, L_ψ = ½.)
    5. v = wψ with the estimator's weight w, |w| ≤ W and Lipschitz with L_w in ω: for "td" C_δ and L, for its mean over
       s', "advantage", the same; for "q" r_max + γΦR and γΦ; for "reinforce" r_max/(1−γ) and 0. A baseline adds
       max |B| to W. So ‖v‖ ≤ C_ψ W, and with the prior's pull ‖θ_k − θ_{k−τ}‖ ≤ τ α C_ψ (W + λ).
    6. v' − v = (w' − w) ψ' + w (ψ' − ψ), hence
       ‖v(x̂, θ_{k−τ}, ω_{k−τ}) − v(x̂, θ_k, ω_k)‖ ≤ τ · ( C_ψ L_w Φ C_δ β + W L_ψ C_ψ (W + λ) α ).
    7. Neither can exceed twice what the terms are at most, 2 Φ C_δ and 2 C_ψ W.

    A mini-batch's mean obeys the same bounds. There is none if the start is outside the ball, if neither a radius nor
    ``visited`` is given, or for a policy of another kind, such as a Gaussian one, whose score is not bounded.

    >>> import a3cjax, jax
    >>> mdp = a3cjax.families.ring(4, discount=0.5)  # unit features: Φ = 1, L = √(1 + γ²); rewards within [0, 1]
    >>> bound = delay_bound(a3cjax.A3C(mdp, actor_step=0.1, critic_step=0.01, radius=2.0), num_updates=100)
    >>> round(bound.critic_rate, 6), round(1.25**0.5 * (1 + 1.25**0.5 * 2) * 0.01, 6)
    (0.03618, 0.03618)
    """
    spread = _spread(learner.policy)
    ball = np.inf if learner.radius is None else float(np.max(learner.radius))
    radius = min(ball, np.inf if visited is None else visited)
    outside = np.linalg.norm(np.asarray(learner.omega, np.float64)) > ball * (1 + 1e-6)
    if spread is None or outside or not np.isfinite(radius):
        return None
    weight = 0.0 if learner.prior is None else float(np.max(learner.prior.weight))
    phi, discount = np.asarray(learner.mdp.features, np.float64), float(learner.mdp.discount)
    largest = float(np.linalg.norm(phi, axis=1).max())
    stretch = max(float(np.linalg.norm(discount * phi - here, axis=1).max()) for here in phi)
    reward = float(np.abs(learner.mdp.reward).max())
    td_error = reward + stretch * radius
    size, slope = {
        "td": (td_error, stretch),
        "advantage": (td_error, stretch),
        "q": (reward + discount * largest * radius, discount * largest),
        "reinforce": (reward / (1 - discount), 0.0),
    }[learner.estimator]
    size += 0.0 if learner.baseline is None else float(np.abs(learner.baseline).max())
    actor_step, critic_step = (_largest(step, num_updates) for step in (learner.actor_step, learner.critic_step))
    omega_moves, theta_moves = critic_step * largest * td_error, actor_step * spread * (size + weight)
    return DelayBound(
        critic_rate=stretch * largest * omega_moves,
        critic_most=2 * largest * td_error,
        actor_rate=spread * slope * omega_moves + size * spread**2 / 4 * theta_moves,
        actor_most=2 * spread * size,
    )


def _spread(policy: Any) -> float | None:
    """D."""
    if isinstance(policy, TabularSoftmax):
        return 2**0.5
    if not isinstance(policy, LinearSoftmax):
        return None
    f = np.asarray(policy.features, np.float64)
    return max(float(np.linalg.norm(f - f[:, a : a + 1], axis=-1).max()) for a in range(f.shape[1]))


def _largest(step: Any, num_updates: int) -> float:
    taken: Any = jax.vmap(step)(jnp.arange(num_updates)) if callable(step) else step
    return float(np.max(taken))
