"""J_λ in double precision: values, maximisers, and how far below J* a point with a small gradient can be.

Gradient dominance for the J of this package, (1−γ) E_{s~η} V(s), and any prior (η_p, π_p). Write d for d_π, d* for
d_{π*}, and A for the advantage of π. With tabular softmax

    ∂J_λ/∂θ[s,a] = d(s) π(a|s) A(s,a) + λ η_p(s) (π_p(a|s) − π(a|s)),

hence d(s) A(s,a) = λ η_p(s) + (∂J_λ/∂θ[s,a] − λ η_p(s) π_p(a|s)) / π(a|s). Wherever

    ∂J_λ/∂θ[s,a] ≤ λ η_p(s) π_p(a|s)   for the actions that π* takes                                        (i)

— at every stationary point, and for uniform η_p and π_p if ‖∇J_λ‖ ≤ λ/(SA) — the last term is not positive, and
A(s,a) ≤ λ η_p(s) / d(s). By the performance difference lemma J* − J = Σ_s d*(s) Σ_a π*(a|s) A(s,a), so

    J* − J ≤ λ Σ_s η_p(s) d*(s) / d(s) ≤ λ/(1−γ) Σ_s η_p(s) d*(s) / η(s),                                   (ii)

the second because d ≥ (1−γ) η. For a uniform η_p a mean over states is at most a maximum, and (ii) is at most
λ/(1−γ) ‖d*/η‖_∞: half of the ε_λ of Theorem 5, under half of its premise. The (1−γ) in J changes nothing: it
multiplies gap and gradient alike, and the 1/(1−γ) in ε_λ comes from d ≥ (1−γ) η alone.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from a3cjax._xla.compiler import quickly_compiled
from a3cjax.learners.policies import TabularSoftmax
from a3cjax.problems import FiniteMDP, Prior, exact

_POINTS = 2048  # evaluated at once


class Point(NamedTuple):
    """What is known about J_λ at parameters θ; every field has the shape of the batch.

    ``divergence``: E_{s~η_p} KL(π_p ‖ π_θ). ``bound``: λ Σ_s η_p(s) d*(s) / d(s), (ii) of this module.
    ``dominated``: whether (i) holds, so that J* − J is at most ``bound``.
    """

    objective: Float[np.ndarray, "*batch"]
    regularized_objective: Float[np.ndarray, "*batch"]
    divergence: Float[np.ndarray, "*batch"]
    gradient_norm: Float[np.ndarray, "*batch"]
    bound: Float[np.ndarray, "*batch"]
    dominated: Bool[np.ndarray, "*batch"]


class Landscape:
    """J_λ of one MDP with tabular softmax, in double precision whatever JAX's default is.

    >>> import a3cjax
    >>> from a3cjax.studies.regularisation import Landscape
    >>> land = Landscape(a3cjax.families.ring(4, slip=0.0))
    >>> round(land.epsilon(0.1), 4)  # d* is largest at state 0: 2λ/(1−γ) · d*(0)/η(0)
    3.8
    """

    def __init__(self, mdp: FiniteMDP) -> None:
        arrays = [np.asarray(x, np.float64) for x in (mdp.transition, mdp.reward, mdp.initial, mdp.features)]
        transition, reward, initial, features = arrays
        with jax.enable_x64(True):
            # In single precision rows sum to one up to its rounding only.
            transition = transition / transition.sum(-1, keepdims=True)
            self.mdp = FiniteMDP(transition, reward, initial / initial.sum(), float(mdp.discount), features)
            best = exact.optimal_policy(self.mdp)
            self.optimal_policy = np.asarray(best)
            self.optimal_objective = float(exact.objective(self.mdp, best))
            self.optimal_visitation = np.asarray(exact.discounted_visitation(self.mdp, best))

    @property
    def shape(self) -> tuple[int, int]:
        """(S, A)."""
        return self.mdp.num_states, self.mdp.num_actions

    def epsilon(self, weight: float) -> float:
        """ε_λ = (2λ/(1−γ)) ‖d_{π*}/η‖_∞ of Theorem 5; infinite if π* visits a state where η is zero."""
        initial = np.asarray(self.mdp.initial)
        visited = self.optimal_visitation > 0
        if (initial[visited] == 0).any():
            return np.inf
        ratio = (self.optimal_visitation[visited] / initial[visited]).max()
        return float(2 * weight / (1 - float(self.mdp.discount)) * ratio)

    def prior_objective(self, prior: Prior) -> float:
        """J(π_p)."""
        with jax.enable_x64(True):
            return float(exact.objective(self.mdp, _laws(prior)[1]))

    def at(self, prior: Prior, weights: Any, thetas: Any) -> Point:
        """Every quantity at parameters [*batch, S, A], each with its own weight λ [*batch]."""
        thetas = np.asarray(thetas, np.float64)
        batch = thetas.shape[:-2]
        flat = thetas.reshape(-1, *self.shape)
        weights = np.broadcast_to(np.asarray(weights, np.float64), batch).reshape(-1)
        parts = []
        with jax.enable_x64(True):
            given = self.mdp, *_laws(prior), self.optimal_policy, self.optimal_visitation
            for first in range(0, len(flat), _POINTS):
                block, lam = flat[first : first + _POINTS], weights[first : first + _POINTS]
                idle = _POINTS - len(block) if len(flat) > _POINTS else 0  # blocks of one size are compiled once
                block, lam = (np.concatenate([x, np.repeat(x[-1:], idle, axis=0)]) for x in (block, lam))
                found = _points(*given, lam, block)
                parts.append([np.asarray(x)[: len(x) - idle] for x in found])
        return Point(*(np.concatenate(column).reshape(batch) for column in zip(*parts, strict=True)))

    def maximise(self, prior: Prior, weights: Any, tolerance: float = 1e-9) -> Float[np.ndarray, "W S A"]:
        """Parameters that maximise J_λ for each weight: ascent along the exact gradient (L-BFGS), from two starts.

        These are θ = 0, where A3C starts, and the maximiser of the next larger weight; the better end is kept. Ascent
        ends where ‖∇J_λ‖ ≤ ``tolerance``·(1 + λ), or where double precision does. Where η_p is zero no finite θ is a
        maximiser, and θ grows until the gradient is that small.
        """
        import scipy.optimize  # here, because it takes long to import

        weights = np.asarray(weights, np.float64)
        with jax.enable_x64(True):
            given = self.mdp, *_laws(prior)

            def descend(start, weight):
                def loss(flat):
                    value, slope = _value_and_gradient(*given, weight, flat.reshape(self.shape))
                    return -float(value) / (1 + weight), -np.asarray(slope).ravel() / (1 + weight)

                limits = {"maxiter": 5000, "maxfun": 10_000, "maxcor": 20, "ftol": 0.0, "gtol": tolerance}
                found = scipy.optimize.minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options=limits)
                return -found.fun, found.x.reshape(self.shape)

            thetas = np.zeros((len(weights), *self.shape))
            before = np.zeros(self.shape)
            for i in np.argsort(-weights):
                ends = [descend(start, weights[i]) for start in (np.zeros(self.shape), before)]
                thetas[i] = before = max(ends, key=lambda end: end[0])[1]
        return thetas


def _laws(prior: Prior) -> tuple[np.ndarray, np.ndarray]:
    states, policy = (np.asarray(law, np.float64) for law in (prior.states, prior.policy))
    return states / states.sum(), policy / policy.sum(-1, keepdims=True)


def _evaluation(mdp: FiniteMDP, states: Any, policy: Any, weight: Any, theta: Any) -> Any:
    softmax = TabularSoftmax(*theta.shape)
    return softmax, exact.evaluate(mdp, softmax.probabilities(theta), Prior(weight, states, policy))


@quickly_compiled
def _value_and_gradient(mdp: FiniteMDP, states: Any, policy: Any, weight: Any, theta: Any) -> tuple[Any, Any]:
    softmax, at = _evaluation(mdp, states, policy, weight, theta)
    return at.regularized_objective, at.policy_gradient(softmax, theta)


@quickly_compiled
def _points(
    mdp: FiniteMDP, states: Any, policy: Any, best: Any, best_visitation: Any, weights: Any, thetas: Any
) -> Point:
    def one(weight, theta):
        softmax, at = _evaluation(mdp, states, policy, weight, theta)
        gradient = at.policy_gradient(softmax, theta)
        wanted = weight * states[:, None] * policy
        # η_p = 0 adds nothing, also where d = 0.
        terms = jnp.where(states > 0, states * best_visitation / jnp.where(states > 0, at.visitation, 1), 0)
        norm: Any = jnp.sqrt((gradient**2).sum())
        return Point(
            at.objective,
            at.regularized_objective,
            -at.prior.regularizer(at.pi),
            norm,
            weight * terms.sum(),
            ((gradient <= wanted) | (best == 0)).all(),
        )

    return jax.vmap(one)(weights, thetas)
