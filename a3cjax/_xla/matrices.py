"""A CPU for learners that multiply matrices: networks.

Their products are calls into a library, which no kernel holds, and most of the time is spent there. What is between them
is left to XLA's own fusion, as in a loop that one would write by hand. Rows are whole networks.
"""

import math
import os
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Int

from a3cjax._xla.backend import IN_BOUNDS, Backend, gathered
from a3cjax._xla.loops import FOR_CPU
from a3cjax._xla.stored import stored


class Matrices(Backend):
    """Plain JAX, in tiles whose parameters stay in a core's cache."""

    name = "loops"
    compiler_options = FOR_CPU
    pads_blocks = True

    def tiles(self, runs: int, shares: int, history: str, num_workers: int) -> tuple[int, int]:
        most = int(os.environ.get("TILE", "16"))
        tiles = math.ceil(math.ceil(runs / most) / shares) * shares
        return tiles, math.ceil(runs / tiles)

    def stage_words(self, function: Any, *args: Any) -> tuple[Array, Array]:
        """Stored, for they are made for many updates at once."""
        return stored(function, *args)

    def read_row(self, table: Array, index: Int[Array, ""]) -> Array:
        """A slice, if it is the same one for all runs."""
        return _read(table, index)

    def write_row(self, table: Array, index: Int[Array, ""], row: Array) -> Array:
        """Likewise."""
        return _write(table, index, row)

    def row_of(self, entries: Sequence[Array]) -> Array:
        """By a chain of choices, which is one operation with what makes the entries and with the write of the row."""
        place = jnp.arange(len(entries))
        row = jnp.broadcast_to(entries[0], place.shape)
        for i, entry in enumerate(entries[1:], 1):
            row = jnp.where(place == i, entry, row)
        return row


MATRICES = Matrices()
if os.environ.get("LEVEL") == "3":
    Matrices.compiler_options = None


@custom_vmap
def _read(table, index):
    return lax.dynamic_index_in_dim(table, index, keepdims=False, allow_negative_indices=False)


@_read.def_vmap
def _read_lanes(lanes, batched, table, index):
    own_table, own_index = batched
    if not own_index:
        return lax.dynamic_index_in_dim(table, index, 1, keepdims=False, allow_negative_indices=False), True
    if not own_table:
        return gathered(table, index), True
    return gathered(*_flat(table, index)), True


@custom_vmap
def _write(table, index, row):
    return lax.dynamic_update_index_in_dim(table, row, index, 0, allow_negative_indices=False)


@_write.def_vmap
def _write_lanes(lanes, batched, table, index, row):
    table, row = (
        x if differs else jnp.broadcast_to(x, (lanes, *x.shape))
        for x, differs in zip((table, row), (batched[0], batched[2]), strict=True)
    )
    if not batched[1]:
        return lax.dynamic_update_index_in_dim(table, row, index, 1, allow_negative_indices=False), True
    flat, places = _flat(table, index)
    return flat.at[places].set(row, unique_indices=True, indices_are_sorted=True, **IN_BOUNDS).reshape(table.shape), True


def _flat(table, index):
    lanes, rows, *row = table.shape
    return table.reshape(lanes * rows, *row), jnp.arange(lanes, dtype=jnp.int32) * rows + index
