"""Products of small matrices, written out as sums of slices.

A library's product may split a sum over threads, and a kernel admits no reductions (``kernel.fits_kernel``); written
out, and each product rounded before it is added, the bits depend neither on threads nor on how many runs are beside.
Meant for dimensions up to a few dozen: the program grows with the length of the sums.
"""

import functools
import operator

import jax.numpy as jnp
from jaxtyping import Array, Float

from a3cjax._xla.marks import dot, rounded


def times(matrix: Float[Array, "n m"], x: Float[Array, " m"]) -> Float[Array, " n"]:
    """M x."""
    return functools.reduce(operator.add, (rounded(matrix[:, j] * x[j]) for j in range(x.shape[0])))


def product(one: Float[Array, "n k"], other: Float[Array, "k m"]) -> Float[Array, "n m"]:
    """M N."""
    terms = (rounded(one[:, j, None] * other[None, j, :]) for j in range(other.shape[0]))
    return functools.reduce(operator.add, terms)


def sandwich(matrix: Float[Array, "n k"], middle: Float[Array, "k k"]) -> Float[Array, "n n"]:
    """M X Mᵀ for a symmetric X, made exactly symmetric."""
    full = product(product(matrix, middle), matrix.T)
    return (full + full.T) / 2


def quadratic(matrix: Float[Array, "n n"], x: Float[Array, " n"]) -> Float[Array, ""]:
    """xᵀM x."""
    return dot(x, times(matrix, x))


def largest(matrix: Float[Array, "n m"]) -> Float[Array, ""]:
    """max |M_ij|, or NaN if an entry is."""
    return functools.reduce(jnp.maximum, functools.reduce(jnp.maximum, jnp.abs(matrix)))


def lower_root(matrix: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """The lower triangular L with L Lᵀ = M for a positive semidefinite M: Cholesky's, entry by entry.

    A pivot that rounding leaves at or below zero counts as zero, and so does the column below it.
    """
    n = matrix.shape[0]
    rows: list[list[Array]] = [[jnp.zeros_like(matrix[0, 0])] * n for _ in range(n)]
    for j in range(n):
        left = matrix[j, j] - sum(rounded(rows[j][k] * rows[j][k]) for k in range(j))
        pivot = jnp.sqrt(jnp.where(left <= 0, 0, left))  # not a maximum, which would lose a NaN
        rows[j][j] = pivot
        for i in range(j + 1, n):
            below = matrix[i, j] - sum(rounded(rows[i][k] * rows[j][k]) for k in range(j))
            rows[i][j] = jnp.where(pivot == 0, 0, below / jnp.where(pivot == 0, 1, pivot))
    return jnp.stack([jnp.stack(row) for row in rows])


def trace(one: Float[Array, "n k"], other: Float[Array, "k n"]) -> Float[Array, ""]:
    """tr(M N), without the product."""
    return jnp.sum(one * other.T)
