"""A random stable linear system, of the scale that features and steps are made for."""

import jax
from jaxtyping import PRNGKeyArray
from numpy.typing import ArrayLike

from a3cjax._core import check
from a3cjax._core.known import numpy_if_known
from a3cjax._xla.threefry import split
from a3cjax.problems.families._parts import divided, sums
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
    for_state, for_control = split(key, 2)
    rotation = jax.random.orthogonal(for_state, n, dtype=float)
    control = jax.random.normal(for_control, (n, m), dtype=float)
    radius, cost = check.floats(spectral_radius), check.floats(action_cost)
    module, rotation, control, radius, cost = numpy_if_known(rotation, control, radius, cost)
    identity = module.eye(n, dtype=radius.dtype)
    return LQR(
        state_matrix=radius * rotation,
        input_matrix=divided(control, module.sqrt(sums(control**2, axis=0))),
        noise_covariance=(1 - radius**2) * identity,
        state_cost=identity,
        action_cost=cost * module.eye(m, dtype=radius.dtype),
        initial_covariance=identity,
        discount=discount,
    )
