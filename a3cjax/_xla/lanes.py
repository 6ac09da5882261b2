"""Where the runs of a batch, its lanes, lie within a kernel: last in what is short, first in everything else.

An operation on a short row is written out entry by entry, and vectorises over lanes if the same entry of all lanes is
contiguous. Tables stay whole, one after the other, because a lane reads and writes rows of its own.
"""

import math

import jax.numpy as jnp
from jaxtyping import Array

SHORT = 32  # entries
LANES_AT_ONCE = 4  # lanes that one round of a loop over lanes takes, if their number is a multiple of it


def lane_axis(shape: tuple[int, ...]) -> int:
    """The place of the lane axis among the axes of one run's array of this shape."""
    return len(shape) if math.prod(shape) <= SHORT else 0


def lanes_in_place(x: Array) -> Array:
    """[lanes, …] with the lanes where they belong."""
    return jnp.moveaxis(x, 0, lane_axis(x.shape[1:]))


def lanes_first(x: Array, shape: tuple[int, ...]) -> Array:
    """The inverse of ``lanes_in_place``, for one run's arrays of this shape."""
    return jnp.moveaxis(x, lane_axis(shape), 0)
