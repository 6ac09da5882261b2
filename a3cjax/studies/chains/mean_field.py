"""The actor's mean motion, with the critic at its TD fixed point: exact expectations instead of samples, in float64."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

from a3cjax.problems import FiniteMDP

LONGEST_STEP = 0.5  # of Euler's method, in units of α·k


class MeanField(NamedTuple):
    """J and J_λ along the way, and at its end the length of the mean direction, which is zero at a fixed point."""

    objective: Float[np.ndarray, "cells R"]
    regularized_objective: Float[np.ndarray, "cells R"]
    speed: Float[np.ndarray, " cells"]


def mean_field(
    mdps: Sequence[FiniteMDP], weights: ArrayLike, shared: Sequence[bool] | Bool[np.ndarray, " cells"], times: ArrayLike
) -> MeanField:
    """Solve dθ/dt = E_{s~ν, a~π}[δ̄(s,a) ψ_θ(s,a)] + λ∇R(θ) from θ = 0 for a tabular softmax; t stands for α·k.

    δ̄ is the TD error's mean over s' at ω*(θ): eq. (13b) with the critic at its fixed point. ν is d_θ with an actor's
    chain of its own, μ_θ with the critic's; R has the uniform prior of eq. (23).

    Args:
        mdps: one for each cell, with the same numbers of states, actions and features.
        weights: λ, one for each cell or one for all.
        shared: whether the actor uses the critic's samples, for each cell.
        times: where J is wanted, ascending.

    >>> import a3cjax
    >>> mdp = a3cjax.families.ring(3, slip=0.0)
    >>> found = mean_field([mdp, mdp], 0.0, [False, True], [1.0, 100.0])
    >>> found.objective.shape, bool((found.objective[:, 1] > found.objective[:, 0]).all())
    ((2, 2), True)
    """
    cells = _Cells(mdps, weights, shared)
    theta, at = np.zeros(cells.reward.shape), 0.0
    direction, objective, regularized = cells.look(theta)
    along = []
    for time in np.asarray(times, np.float64):
        steps = int(np.ceil((time - at) / LONGEST_STEP))
        for _ in range(steps):
            theta += (time - at) / steps * direction
            direction, objective, regularized = cells.look(theta)
        at = time
        along.append((objective, regularized))
    speed = np.linalg.norm(direction.reshape(len(mdps), -1), axis=-1)
    objectives, regularizeds = (np.stack(column, axis=-1) for column in zip(*along, strict=True))
    return MeanField(objectives, regularizeds, speed)


class _Cells:
    """MDPs stacked on a leading axis, so that each step is a handful of NumPy calls for all of them."""

    def __init__(self, mdps: Sequence[FiniteMDP], weights: ArrayLike, shared: ArrayLike):
        def stack(of):
            return np.stack([np.asarray(of(mdp), np.float64) for mdp in mdps])

        self.transition = stack(lambda mdp: mdp.transition)
        self.reward = stack(lambda mdp: mdp.expected_reward())
        self.initial = stack(lambda mdp: mdp.initial)
        self.discount = stack(lambda mdp: mdp.discount)
        self.features = stack(lambda mdp: mdp.features)
        self.weights = np.broadcast_to(np.asarray(weights, np.float64), len(mdps))
        self.shared = np.asarray(shared, bool)

    def look(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The mean direction, J and J_λ at θ."""
        policy, logs = _softmax(theta)
        discount = self.discount[:, None, None]
        kernel = np.einsum("csa,csat->cst", policy, self.transition)
        reward = (policy * self.reward).sum(-1)
        identity = np.eye(kernel.shape[-1])
        system = identity - discount * kernel
        values = _solve(system, reward)
        visitation = _solve(system.mT, (1 - self.discount)[:, None] * self.initial)
        stationary = _stationary(kernel)
        # A_θ ω* = −b_θ, with A_θ = φᵀ diag(μ) (γP − I) φ.
        weighted = (stationary[..., None] * self.features).mT
        omega = _solve(weighted @ system @ self.features, (weighted @ reward[..., None])[..., 0])
        estimate = (self.features @ omega[..., None])[..., 0]
        ahead = (self.transition @ estimate[:, None, :, None])[..., 0]
        delta = self.reward + discount * ahead - estimate[..., None]
        where = np.where(self.shared[:, None], stationary, visitation)
        centred = delta - (policy * delta).sum(-1, keepdims=True)
        states, actions = theta.shape[1:]
        pull = self.weights[:, None, None] / states * (1 / actions - policy)
        objective = (1 - self.discount) * (self.initial * values).sum(-1)
        regularizer = logs.mean((-1, -2)) + np.log(actions)
        return where[..., None] * policy * centred + pull, objective, objective + self.weights * regularizer


def direction_error(mdps: Sequence[FiniteMDP]) -> Float[np.ndarray, " cells"]:
    """‖E_μ[A ψ] − ∇J‖ / ‖∇J‖ at θ = 0: how far off one chain's mean direction is, with an exact critic and no prior."""
    exact, off = (
        _Cells(mdps, 0.0, [shared] * len(mdps)).look(np.zeros((len(mdps), mdps[0].num_states, mdps[0].num_actions)))[0]
        for shared in (False, True)
    )
    return np.linalg.norm(off - exact, axis=(1, 2)) / np.linalg.norm(exact, axis=(1, 2))


def _softmax(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    logits = theta - theta.max(-1, keepdims=True)
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return np.exp(logs), logs


def _stationary(kernel: np.ndarray) -> np.ndarray:
    """μ from μ(P − I) = 0 with the last equation replaced by Σμ = 1."""
    system = kernel.mT - np.eye(kernel.shape[-1])
    system[:, -1] = 1
    right = np.zeros(kernel.shape[:-1])
    right[:, -1] = 1
    return _solve(system, right)


def _solve(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.linalg.solve(matrix, right[..., None])[..., 0]
