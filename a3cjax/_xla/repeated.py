"""The same for a few things, or for many."""

from collections.abc import Callable
from typing import TypeVar

from jax import lax
from jaxtyping import Array, Int

T = TypeVar("T")

MOST_UNROLLED = 8  # beyond, a loop: written out, a program would be as long as there are things, and as slow to compile


def one_by_one(count: int, body: Callable[[int | Int[Array, ""], T], T], value: T) -> T:
    """``body(i, value)`` for i = 0, 1, … below ``count``, each of what the one before gave.

    >>> one_by_one(3, lambda i, total: total + i, 0), int(one_by_one(10, lambda i, total: total + i, 0))
    (3, 45)
    """
    if count > MOST_UNROLLED:
        return lax.fori_loop(0, count, body, value)
    for i in range(count):
        value = body(i, value)
    return value
