"""A Gaussian action around a linear feedback, for continuous states and actions."""

import dataclasses
import functools
import operator

import jax.numpy as jnp
from jaxtyping import Array, Float
from numpy.typing import ArrayLike

from a3cjax._core import check
from a3cjax._core.tree import pytree, static
from a3cjax._xla.arithmetic import inner, moved
from a3cjax._xla.marks import stage, staged
from a3cjax._xla.small_matrices import times

_UNROLLED_DIRECTIONS = 8


@pytree
class LinearGaussian:
    """π_θ(·|s) = N(θs, σ²I), with θ of shape [m, n] and a standard deviation σ that is not learned.

    ψ_θ(s,a) = (a − θs) sᵀ / σ².

    Args:
        state_dim: n.
        action_dim: m.
        std: σ, positive. A smaller σ explores less and makes ψ larger: the variance of the actor's direction grows as
            1/σ².

    Raises:
        ValueError: if a size is not a positive whole number, or σ is not positive.

    >>> import a3cjax, jax.numpy as jnp
    >>> policy = a3cjax.policies.LinearGaussian(state_dim=2, action_dim=1, std=0.5)
    >>> theta, state = jnp.array([[1.0, 2.0]]), jnp.array([3.0, 4.0])
    >>> mean = policy.mean(theta, state)
    >>> mean.tolist(), policy.score(state, jnp.array([12.0]), mean, 1.0).tolist()
    ([11.0], [[12.0, 16.0]])
    """

    state_dim: int = static()
    action_dim: int = static()
    std: Float[Array, ""]
    precision: Float[Array, ""] = dataclasses.field(init=False)

    def __init__(self, state_dim: int, action_dim: int, std: ArrayLike = 1.0) -> None:
        object.__setattr__(self, "state_dim", check.integer("state_dim", state_dim, 1))
        object.__setattr__(self, "action_dim", check.integer("action_dim", action_dim, 1))
        std = check.float_array("std", std, ())
        check.number("std", std, above=0)
        object.__setattr__(self, "std", std)
        # Kept, because a division by σ² in the loop is a product in some programs and not in others.
        object.__setattr__(self, "precision", 1 / std**2)

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of θ."""
        return (self.action_dim, self.state_dim)

    def init(self) -> Float[Array, "m n"]:
        """θ = 0, actions that are noise alone."""
        return jnp.zeros(self.shape)

    def mean(self, theta: Float[Array, "m n"], state: Float[Array, " n"]) -> Float[Array, " m"]:
        """θs, the mean action at a state."""
        return stage(times, theta, state)

    def describe(self, theta: Float[Array, "m n"], state: Float[Array, " n"]) -> Float[Array, " m"]:
        """θs, which ``score`` takes for π_θ(·|s)."""
        return self.mean(theta, state)

    def action(self, mean: Float[Array, " m"], normal: Float[Array, " m"]) -> Float[Array, " m"]:
        """a = θs + σ·(a standard normal draw)."""
        return moved(mean, self.std, normal)

    def score(
        self,
        state: Float[Array, " n"],
        action: Float[Array, " m"],
        mean: Float[Array, " m"],
        weight: Float[Array, ""],
    ) -> Float[Array, "m n"]:
        """weight·ψ_θ(s,a), from the mean of π_θ(·|s)."""
        return _weighted_score(state, action, mean, self.precision, weight)

    def likelihood(self, mean: Float[Array, " m"], action: Float[Array, " m"]) -> Float[Array, ""]:
        """‖a − θs‖²/σ², that is −2 log π_θ(a|s) up to a constant: a density may be too small for a number."""
        return _squared_distance(mean, action, self.precision)

    def ratio(
        self, mean: Float[Array, " m"], action: Float[Array, " m"], likelihood: Float[Array, ""]
    ) -> Float[Array, ""]:
        """π_θ(a|s) over the density under the policy that acted."""
        return _density_ratio(self.likelihood(mean, action), likelihood)

    def merge(self, directions: Float[Array, "M m n"]) -> Float[Array, "m n"]:
        """A stack of directions as their sum."""
        if directions.shape[0] > _UNROLLED_DIRECTIONS:
            return jnp.sum(directions, axis=0)
        return functools.reduce(operator.add, (directions[j] for j in range(directions.shape[0])))

    def ascend(
        self, theta: Float[Array, "m n"], direction: Float[Array, "m n"], step: Float[Array, ""]
    ) -> Float[Array, "m n"]:
        """θ + step·direction."""
        return moved(theta, step, direction)

    def changed_rows(self, direction: Float[Array, "m n"]) -> None:
        """All of θ changes."""
        del direction


@staged
def _squared_distance(
    mean: Float[Array, " m"], action: Float[Array, " m"], precision: Float[Array, ""]
) -> Float[Array, ""]:
    away = action - mean
    return precision * inner(away, away)


@staged
def _density_ratio(now: Float[Array, ""], then: Float[Array, ""]) -> Float[Array, ""]:
    return jnp.exp((then - now) / 2)


@staged
def _weighted_score(
    state: Float[Array, " n"],
    action: Float[Array, " m"],
    mean: Float[Array, " m"],
    precision: Float[Array, ""],
    weight: Float[Array, ""],
) -> Float[Array, "m n"]:
    pull = weight * precision * (action - mean)
    return pull[:, None] * state[None, :]
