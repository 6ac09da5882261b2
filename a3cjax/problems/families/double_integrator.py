"""A point mass that is pushed: the textbook regulator."""

import jax.numpy as jnp
from numpy.typing import ArrayLike

from a3cjax._core import check
from a3cjax.problems.lqr import LQR


def double_integrator(
    step: ArrayLike = 0.5,
    *,
    noise: ArrayLike = 0.3,
    action_cost: ArrayLike = 1.0,
    discount: ArrayLike = 0.9,
    feature_scale: ArrayLike | None = None,
) -> LQR:
    """Position and velocity of a unit mass under a force, in time steps of ``step``; cost position² + velocity² + Ra².

        A = [[1, h], [0, 1]],  B = [h²/2, h],  W = noise²·h·I,  η = N(0, I)

    Without control it is not stable: both eigenvalues are one, so θ = 0 has no stationary law. A3C must start at a gain
    that is stable, such as ``theta=[[-0.5, -1.0]]``.

    Raises ValueError for a step or an action cost that is not positive, or a negative noise.

    >>> import a3cjax
    >>> lqr = a3cjax.families.double_integrator()
    >>> lqr.state_matrix.tolist(), lqr.input_matrix.tolist()
    ([[1.0, 0.5], [0.0, 1.0]], [[0.125], [0.5]])
    """
    check.number("step", step, above=0)
    check.number("noise", noise, least=0)
    check.number("action_cost", action_cost, above=0)
    h, noise = (jnp.asarray(value, jnp.result_type(float)) for value in (step, noise))
    return LQR(
        state_matrix=jnp.eye(2).at[0, 1].set(h),
        input_matrix=jnp.stack([h**2 / 2, h])[:, None],
        noise_covariance=noise**2 * h * jnp.eye(2),
        state_cost=jnp.eye(2),
        action_cost=jnp.asarray(action_cost, h.dtype).reshape(1, 1),
        initial_covariance=jnp.eye(2),
        discount=discount,
        feature_scale=feature_scale,
    )
