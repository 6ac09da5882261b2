"""A walk on a cycle, the simplest MDP that mixes slowly."""

from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import ArrayLike

from a3cjax._core import check
from a3cjax._core.known import numpy_if_known
from a3cjax.problems.families._parts import check_size, initial_law, to_unit_norm
from a3cjax.problems.mdp import FiniteMDP


def ring(
    num_states: int = 20,
    *,
    slip: ArrayLike = 0.1,
    discount: ArrayLike = 0.9,
    num_features: int | None = None,
    initial: ArrayLike | Literal["uniform"] = "uniform",
) -> FiniteMDP:
    """A walk on a cycle of states: action 0 steps left, action 1 right; reward 1 for being at state 0.

    With probability ``slip`` a step goes the other way. A policy that is the same in every state has the uniform
    law as its stationary law. If it goes right with probability q, slips included, the eigenvalues of its kernel are
    cos(2πk/S) + i(2q − 1) sin(2πk/S): at q = 1/2 an odd ring takes about S²/5 steps to forget, an even ring has
    period 2 under every policy (see ``lazy``), and with q at 0 or 1 the walk goes round for ever.

    Features are tabular (the identity, d = S), or the first ``num_features`` of the Fourier basis 1, cos(2πs/S),
    sin(2πs/S), cos(4πs/S), ..., divided by the largest l2 norm.

    Raises ValueError for fewer than two states, a slip outside [0, 1], or more features than states.

    >>> import a3cjax
    >>> a3cjax.families.ring(5, slip=0.25).transition[0, 1].tolist()  # at 0, action right
    [0.0, 0.75, 0.0, 0.0, 0.25]
    """
    num_states = check.integer("num_states", num_states, 2)
    check_size("num_states", num_states, num_states, 2)
    module, slips = numpy_if_known(check.float_array("slip", slip, ()))
    check.number("slip", slips, least=0, most=1)
    identity = module.eye(num_states, dtype=slips.dtype)
    left, right = module.roll(identity, -1, axis=1), module.roll(identity, 1, axis=1)
    steps = [(1 - slips) * left + slips * right, (1 - slips) * right + slips * left]
    return FiniteMDP(
        transition=module.stack(steps, axis=1),
        reward=module.stack([identity[0]] * 2, axis=1),
        initial=initial_law(initial, num_states),
        discount=discount,
        features=identity if num_features is None else _fourier(num_states, num_features),
    )


def _fourier(num_states: int, num_features: int) -> Float[Array | np.ndarray, "S d"]:
    num_features = check.integer("num_features", num_features, 1)
    if num_features > num_states:
        raise ValueError(f"num_features is {num_features}, but must be at most the number of states, {num_states}.")
    dtype, column = jnp.result_type(float), np.arange(num_features)
    frequency = ((column + 1) // 2).astype(dtype)
    angle = dtype.type(2 * np.pi / num_states) * np.arange(num_states, dtype=dtype)[:, None] * frequency
    module, cosine, sine = numpy_if_known(jnp.cos(angle), jnp.sin(angle))  # whose last digits are not NumPy's
    # Columns are 1 (the cosine of nothing), cos, sin, cos, sin, ... with frequencies 0, 1, 1, 2, 2, ...
    return to_unit_norm(module.where((column == 0) | (column % 2 == 1), cosine, sine))
