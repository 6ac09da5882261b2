"""Runs are not differentiable, and say so wherever a derivative reaches them."""

from typing import TypeVar

import jax
from jax.core import Tracer

T = TypeVar("T")


def without_derivatives(tree: T) -> T:
    """The same pytree, through which no derivative goes: JAX asks for one now, or when it differentiates the caller's
    jitted program, and is refused.

    Samples are drawn by comparisons, and the loops run inside kernels and over lengths that the program does not know:
    a derivative of that would be zero where the mean has another.
    """
    leaves, structure = jax.tree.flatten(tree)
    traced = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tracer)]
    if not traced:
        return tree
    for i, leaf in zip(traced, _identity(*(leaves[i] for i in traced)), strict=True):
        leaves[i] = leaf
    return jax.tree.unflatten(structure, leaves)


@jax.custom_jvp
def _identity(*leaves):
    return leaves


@_identity.defjvp
def _refuse(primals, tangents):
    del primals, tangents
    raise ValueError(
        "simulate is being differentiated, but runs are not differentiable: their samples are drawn by comparisons, "
        "whose derivative is zero. Take differences of runs with the same key (common random numbers), or the exact "
        "gradients of a3cjax.exact; keep a run out of a derivative with jax.lax.stop_gradient on what it is given."
    )
