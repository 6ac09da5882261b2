"""What the classic environments share: numbers that may be one for each run, and a longest episode."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int
from numpy.typing import ArrayLike

from a3cjax._core import check


def set_fields(environment: Any, *numbers: ArrayLike, max_steps: int | None) -> None:
    """Give a new environment its ``run_scalars``, positive numbers in their order, and ``max_steps``.

    Raises:
        ValueError: if one of them is outside its range.
    """
    for name, value in zip(environment.run_scalars, numbers, strict=True):
        check.number(name, value, above=0)
        object.__setattr__(environment, name, check.run_scalar(name, value))
    longest = None if max_steps is None else check.integer("max_steps", max_steps, 1)
    object.__setattr__(environment, "max_steps", longest)


def is_truncated(environment: Any, steps: Int[Array, ""]) -> Bool[Array, ""]:
    """Whether an episode of so many steps is as long as one may be."""
    return jnp.bool_(False) if environment.max_steps is None else steps >= environment.max_steps
