"""Arrays of different ranks, where they are meant."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax

P = ParamSpec("P")
T = TypeVar("T")


def broadcasting(function: Callable[P, T]) -> Callable[P, T]:
    """``function`` with ``jax_numpy_rank_promotion`` at "allow", as is usual.

    A user who is warned of it, or has it refused, means his own code. The engine broadcasts on purpose.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        with jax.numpy_rank_promotion("allow"):
            return function(*args, **kwargs)

    return call
