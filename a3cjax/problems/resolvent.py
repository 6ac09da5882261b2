"""(I − γP)⁻¹ without losing digits as γ → 1.

The matrix has the eigenvalue 1 − γ for the constant vector, so what is rounded in P, or in a solution, comes back
divided by 1 − γ. Two things keep that away from the results:

- The diagonal of P is not used. With P(i|i) = 1 − Σ_{j≠i} P(j|i) the chain is stochastic by construction, and
  I − γP = (1 − γ)I + γ(diag of the outflows − outflows) is made without a subtraction of like numbers.
- V = c + h, as in average-reward problems, with c the value that is nearest to zero: (I − γP)h = r − (1 − γ)c, and h,
  which says how states differ, does not grow with 1/(1 − γ) where the chain mixes.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from a3cjax._xla.compiler import quickly_compiled
from a3cjax.problems.chains import factor, solve_factored


class Values(NamedTuple):
    """V = ``level`` + ``relative``."""

    level: Float[Array, ""]
    relative: Float[Array, "S"]

    def total(self) -> Float[Array, "S"]:
        """V, put together from its level and what varies around it."""
        return self.level + self.relative


@quickly_compiled
def flow(kernel: Float[Array, "S S"]) -> Float[Array, "S S"]:
    """P − I, its rows adding up to zero: the diagonal of ``kernel`` is not looked at.

    >>> import jax.numpy as jnp
    >>> flow(jnp.array([[7.0, 0.25], [0.5, 7.0]])).tolist()
    [[-0.25, 0.25], [0.5, -0.5]]
    """
    index = jnp.arange(kernel.shape[0])
    diagonal = index[:, None] == index[None, :]
    onward = jnp.where(diagonal, 0, kernel)
    return jnp.where(diagonal, -onward.sum(1, keepdims=True), onward)


@quickly_compiled
def factored(kernel: Float[Array, "S S"], discount: Float[Array, ""]) -> tuple[Array, Array]:
    """(I − γP)ᵀ, factored for ``solve_factored``: transposed, it lies in memory by columns, as LAPACK wants it."""
    identity = jnp.eye(kernel.shape[0], dtype=kernel.dtype)
    return factor(((1 - discount) * identity - discount * flow(kernel)).T)


@quickly_compiled
def discounted_values(system: tuple[Array, Array], reward: Float[Array, "S"], discount: Float[Array, ""]) -> Values:
    """V = (I − γP)⁻¹ r as its entry nearest to zero, and what is left.

    A solution is off along the constant vector, by the relative error 1e-7/(1 − γ) in single precision at first. So is
    the one of V = 1, solved for beside it, and the ratio of both gives the level. Nearest to zero, so that small values
    keep their own relative precision: they are never a difference of large ones.

    >>> import jax.numpy as jnp
    >>> flip = jnp.array([[0.0, 1.0], [1.0, 0.0]])
    >>> found = discounted_values(factored(flip, 0.5), jnp.array([1.0, 0.0]), 0.5)  # V = (4/3, 2/3)
    >>> round(float(found.level), 4), [round(float(v), 4) for v in found.total()]
    (0.6667, [1.3333, 0.6667])
    """
    ones = jnp.full_like(reward, 1 - discount)
    values, one = solve_factored(system, jnp.stack([reward, ones], axis=1), transpose=True).T
    # V does not depend on the level, so neither does a derivative of it.
    values = lax.stop_gradient(values / one)
    level = values[jnp.argmin(jnp.abs(values))]
    return Values(level, solve_factored(system, reward - (1 - discount) * level, transpose=True))


@quickly_compiled
def visits(system: tuple[Array, Array], initial: Float[Array, "S"], discount: Float[Array, ""]) -> Float[Array, "S"]:
    """d = (1 − γ) η (I − γP)⁻¹.

    >>> import jax.numpy as jnp
    >>> flip = jnp.array([[0.0, 1.0], [1.0, 0.0]])
    >>> [round(float(d), 4) for d in visits(factored(flip, 0.5), jnp.array([1.0, 0.0]), 0.5)]
    [0.6667, 0.3333]
    """
    found = jnp.maximum(solve_factored(system, (1 - discount) * initial), 0)
    # What is rounded comes out along μ, divided by 1 − γ: all but a scale, where γ is near one.
    return found / found.sum()


@quickly_compiled
def advantages(
    transition: Float[Array, "S A S"], reward: Float[Array, "S A"], values: Values, discount: Float[Array, ""]
) -> Float[Array, "S A"]:
    """r(s,a) + γ E V(s') − V(s), from differences of V: its level drops out."""
    level, relative = values
    change = (transition * (relative[None, None, :] - relative[:, None, None])).sum(-1)
    return reward - (1 - discount) * (level + relative[:, None]) + discount * change
