"""A CPU for learners that multiply matrices: networks.

Their products are calls into a library, which no kernel holds, and most of the time is spent there. What is between
them is left to XLA's own fusion, as in a loop that one would write by hand. A row is a whole network.
"""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Int

from a3cjax._xla.backend import IN_BOUNDS, Backend, gathered
from a3cjax._xla.compiler import FOR_CPU
from a3cjax._xla.stored import stored

_VIEWS_OF_TILE = 600_000  # bytes: with optimiser and gradients some six times that, about what a core's cache holds
_LEAST_LANES, _MOST_LANES = 8, 256


@dataclass(frozen=True, repr=False)
class Matrices(Backend):
    """Plain JAX, in tiles whose parameters stay in a core's cache."""

    lanes: int  # of a tile, at most

    name = "loops"
    compiler_options = FOR_CPU
    pads_blocks = True

    def tiles(self, runs: int, shares: int, history: str, num_workers: int) -> tuple[int, int]:
        """A single run is a single lane: with products of matrices in it its last digits are its own anyway."""
        del history, num_workers
        tiles = math.ceil(math.ceil(runs / self.lanes) / shares) * shares
        return tiles, math.ceil(runs / tiles)

    def stage_words(self, function: Callable[..., tuple[Array, Array]], *args: Any) -> tuple[Array, Array]:
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


@functools.cache
def matrices(view_bytes: int) -> Matrices:
    """The backend for views of this size."""
    lanes = _VIEWS_OF_TILE // max(1, view_bytes)
    return Matrices(min(max(1 << max(0, lanes.bit_length() - 1), _LEAST_LANES), _MOST_LANES))


_slice = functools.partial(lax.dynamic_index_in_dim, keepdims=False, allow_negative_indices=False)
_update = functools.partial(lax.dynamic_update_index_in_dim, allow_negative_indices=False)


@custom_vmap
def _read(table, index):
    return _slice(table, index)


@_read.def_vmap
def _read_lanes(lanes, batched, table, index):
    del lanes
    own_table, own_index = batched
    if not own_index:
        return _slice(table, index, 1), True
    return gathered(*_of_all(table, index)) if own_table else gathered(table, index), True


@custom_vmap
def _write(table, index, row):
    return _update(table, row, index, 0)


@_write.def_vmap
def _write_lanes(lanes, batched, table, index, row):
    table, row = (
        x if differs else jnp.broadcast_to(x, (lanes, *x.shape))
        for x, differs in zip((table, row), (batched[0], batched[2]), strict=True)
    )
    if not batched[1]:
        return _update(table, row, index, 1), True
    flat, places = _of_all(table, index)
    written = flat.at[places].set(row, unique_indices=True, indices_are_sorted=True, **IN_BOUNDS)
    return written.reshape(table.shape), True


def _of_all(table: Array, index: Int[Array, " lanes"]) -> tuple[Array, Array]:
    """All lanes' tables as one, and where in it the rows are."""
    lanes, rows, *row = table.shape
    return table.reshape(lanes * rows, *row), jnp.arange(lanes, dtype=index.dtype) * rows + index
