"""A random stable linear system, of the scale that features and steps are made for."""

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray
from numpy.typing import ArrayLike

from a3cjax._core import check
from a3cjax.problems.lqr import LQR


def random_lqr(
    key: PRNGKeyArray,
    state_dim: int = 2,
    action_dim: int = 1,
    spectral_radius: ArrayLike = 0.9,
    discount: ArrayLike = 0.9,
    *,
    action_cost: ArrayLike = 0.1,
) -> LQR:
    """A random rotation, shrunk: A = ρ·O, columns of B of norm one, W = (1 − ρ²)I, η = N(0, I), Q = I, R = r·I.

    O is a random orthogonal matrix, so ρ(A) is the ``spectral_radius`` ρ, and without actions the stationary
    covariance is the identity: every coordinate has size one, which is the unit of the features. The chain forgets at
    the rate ρ.

    Works under ``jit`` and ``vmap`` with a traced key. Raises ValueError for a dimension below one, or a radius that
    is not in (0, 1).

    >>> import a3cjax, jax
    >>> lqr = a3cjax.families.random_lqr(jax.random.key(0), state_dim=3, action_dim=2)
    >>> lqr.state_matrix.shape, lqr.input_matrix.shape
    ((3, 3), (3, 2))
    """
    n = check.integer("state_dim", state_dim, 1)
    m = check.integer("action_dim", action_dim, 1)
    check.number("spectral_radius", spectral_radius, above=0, below=1)
    check.number("action_cost", action_cost, above=0)
    for_state, for_control = jax.random.split(key)
    radius = jnp.asarray(spectral_radius, jnp.result_type(float))
    control = jax.random.normal(for_control, (n, m), dtype=float)
    return LQR(
        state_matrix=radius * jax.random.orthogonal(for_state, n, dtype=float),
        input_matrix=control / jnp.sqrt((control**2).sum(0, keepdims=True)),
        noise_covariance=(1 - radius**2) * jnp.eye(n),
        state_cost=jnp.eye(n),
        action_cost=jnp.asarray(action_cost, radius.dtype) * jnp.eye(m),
        initial_covariance=jnp.eye(n),
        discount=discount,
    )
