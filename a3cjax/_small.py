"""Products of small matrices, written out as sums of slices.

A library's product may split a sum over threads, and a kernel admits no reductions (``_kernel.fits_kernel``); written
out, and each product rounded before it is added, the bits depend neither on threads nor on how many runs are beside.
Meant for dimensions up to a few dozen: the program grows with the length of the sums.
"""

import functools
import operator

import jax.numpy as jnp
from jaxtyping import Array, Float

from a3cjax._kernel import rounded


def inner(x: Float[Array, " n"], y: Float[Array, " n"]) -> Float[Array, ""]:
    """xᵀy."""
    products = rounded(x * y)
    return functools.reduce(operator.add, (products[j] for j in range(x.shape[0])))


def times(matrix: Float[Array, "n m"], x: Float[Array, " m"]) -> Float[Array, " n"]:
    """M x."""
    return functools.reduce(operator.add, (rounded(matrix[:, j] * x[j]) for j in range(x.shape[0])))


def product(one: Float[Array, "n k"], other: Float[Array, "k m"]) -> Float[Array, "n m"]:
    """M N."""
    terms = (rounded(one[:, j, None] * other[None, j, :]) for j in range(other.shape[0]))
    return functools.reduce(operator.add, terms)


def sandwich(matrix: Float[Array, "n k"], middle: Float[Array, "k k"]) -> Float[Array, "n n"]:
    """M X Mᵀ for a symmetric X, made exactly symmetric."""
    whole = product(product(matrix, middle), matrix.T)
    return (whole + whole.T) / 2


def quadratic(matrix: Float[Array, "n n"], x: Float[Array, " n"]) -> Float[Array, ""]:
    """xᵀM x."""
    return inner(x, times(matrix, x))


def trace(one: Float[Array, "n k"], other: Float[Array, "k n"]) -> Float[Array, ""]:
    """tr(M N), without the product."""
    return jnp.sum(one * other.T)
