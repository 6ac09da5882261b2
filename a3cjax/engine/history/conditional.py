"""What is done for some of a tile's runs, and not for others."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Int

T = TypeVar("T")


def chosen(wanted: Int[Array, ""], new: T, old: T) -> T:
    """``new`` where ``wanted`` is 1, else ``old``; bit for bit, whatever the other holds."""
    return jax.tree.map(lambda x, y: jnp.where(wanted > 0, x, y), new, old)


def if_any(wanted: Int[Array, ""], function: Callable[[Any, T], T], given: Any, loop: T) -> T:
    """``function(given, loop)`` where a run, or one beside it, has ``wanted`` = 1; otherwise ``loop``.

    What is done for a run must leave the others as they are. As a loop of one turn or none it is done in place.
    """

    @jax.custom_batching.custom_vmap
    def run(wanted, given, loop):
        return lax.fori_loop(0, wanted, lambda _, message: function(given, message), loop)

    @run.def_vmap
    def run_lanes(lanes, batched, wanted, given, loop):
        wanted, loop = (
            jax.tree.map(lambda x, differs: x if differs else jnp.broadcast_to(x, (lanes, *jnp.shape(x))), tree, whose)
            for tree, whose in ((wanted, batched[0]), (loop, batched[2]))
        )
        axes = [0 if differs else None for differs in jax.tree.leaves(batched[1])]
        leaves, structure = jax.tree.flatten(given)

        def one(leaves, message):
            return function(jax.tree.unflatten(structure, leaves), message)

        each = jax.vmap(one, in_axes=(axes, 0))
        somebody = lax.fori_loop(0, lanes, lambda lane, found: found | wanted[lane], jnp.int32(0))
        loop = lax.fori_loop(0, somebody, lambda _, loop: each(leaves, loop), loop)
        return loop, jax.tree.map(lambda _: True, loop)

    return run(wanted, given, loop)
