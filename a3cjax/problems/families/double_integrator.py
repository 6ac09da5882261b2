"""A point mass that is pushed: the textbook regulator."""

from numpy.typing import ArrayLike

from a3cjax._core import check
from a3cjax._core.known import numpy_if_known
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
    module, h, size, cost = numpy_if_known(*(check.floats(value) for value in (step, noise, action_cost)))
    identity = module.eye(2, dtype=h.dtype)
    return LQR(
        state_matrix=identity + h * module.eye(2, k=1, dtype=h.dtype),
        input_matrix=module.stack([h**2 / 2, h])[:, None],
        noise_covariance=size**2 * h * identity,
        state_cost=identity,
        action_cost=cost.reshape(1, 1),
        initial_covariance=identity,
        discount=discount,
        feature_scale=feature_scale,
    )
