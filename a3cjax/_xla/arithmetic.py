"""The few steps of arithmetic that updates are made of, each a stage: formulas read as formulas.

Products are rounded before they are added, and sums are written out in one order (``marks.py``), so that a run's bits
do not depend on how many runs are beside it.
"""

import functools
import operator

from jaxtyping import Array, Float

from a3cjax._xla.marks import dot, rounded, staged

_WRITTEN_OUT = 32  # entries of a sum


@staged
def plus(x: Float[Array, "*n"], y: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """x + y."""
    return x + y


@staged
def minus(x: Float[Array, "*n"], y: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """x − y."""
    return x - y


@staged
def scaled(x: Float[Array, "*n"], factor: Float[Array, ""]) -> Float[Array, "*n"]:
    """factor · x."""
    return x * factor


@staged
def over(x: Float[Array, "*n"], y: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """x / y."""
    return x / y


@staged
def moved(x: Float[Array, "*n"], step: Float[Array, "*#n"], direction: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """x + step · direction.

    >>> import jax.numpy as jnp
    >>> moved(jnp.array([1.0, 2.0]), jnp.float32(0.5), jnp.array([2.0, 4.0])).tolist()
    [2.0, 4.0]
    """
    return x + rounded(step * direction)


@staged
def inner_product(x: Float[Array, " d"], y: Float[Array, " d"]) -> Float[Array, ""]:
    """xᵀy, as a stage of its own."""
    return inner(x, y)


def inner(x: Float[Array, " d"], y: Float[Array, " d"]) -> Float[Array, ""]:
    """xᵀy, written out for few entries: a reduction over a short last axis does not vectorise over runs."""
    if x.shape[0] > _WRITTEN_OUT:
        return dot(x, y)
    products = rounded(x * y)
    return functools.reduce(operator.add, (products[j] for j in range(x.shape[0])))
