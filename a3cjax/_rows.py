"""Rows of tables, read and written by each run at a place of its own.

Within a kernel no scatter is supported, and a gather of short rows would have to be turned around before arithmetic
can vectorise over lanes. So a loop over lanes takes each row from where it is, entry by entry, to where it belongs
(``_lanes.py``), and back.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Int, Num

from a3cjax._kernel import in_kernel, in_lanes, stage, stored
from a3cjax._lanes import LANES_AT_ONCE, lane_axis, settled

T = TypeVar("T")

# Indices come from the schedule and from samplers, which stay in range; checking them again costs as much as the work.
_IN_BOUNDS: Any = {"mode": "promise_in_bounds"}
_PIECE = 4  # entries moved at once: the compiler vectorises loops of more, and they take longer
_LEAST_TURNED = 8  # lanes; rows of fewer are gathered as they are

_slice = functools.partial(lax.dynamic_slice, allow_negative_indices=False)
_update = functools.partial(lax.dynamic_update_slice, allow_negative_indices=False)


def read_row(table: Array, index: Int[Array, ""]) -> Array:
    """Row ``index`` of a table, which must exist."""
    if in_lanes():
        return _window(table, index)
    return _read(table, index) if in_kernel() else stage(gathered, table, index)


def write_row(table: Array, index: Int[Array, ""], row: Array) -> Array:
    """The table with another row ``index``, which must exist."""
    if in_lanes():
        window = lax.ScatterDimensionNumbers(tuple(range(table.ndim - 1)), (0,), (0,))
        return lax.scatter(table, index[None], jnp.asarray(row, table.dtype), window, unique_indices=True, **_IN_BOUNDS)
    if not in_kernel():
        return table.at[index].set(row, unique_indices=True, **_IN_BOUNDS)
    return _write(table, index, row)


def read_difference(
    table: Num[Array, "n d"], index: Int[Array, ""], other: Num[Array, "m d"], other_index: Int[Array, ""]
) -> Num[Array, " d"]:
    """Row ``index`` of a table less row ``other_index`` of another."""
    if not in_kernel():
        return read_row(table, index) - read_row(other, other_index)
    return _read_difference(table, index, other, other_index)


def reshape(x: Array, shape: tuple[int, ...]) -> Array:
    """``x.reshape(shape)``, with lanes that stay where they are."""
    if not in_kernel() or lane_axis(x.shape) == 0:
        return x.reshape(shape)
    call = custom_vmap(lambda x: x.reshape(shape))
    call.def_vmap(lambda lanes, _, x: (jnp.moveaxis(settled(x).reshape(*shape, lanes), -1, 0), True))
    return call(x)


def row_of(entries: Sequence[Array]) -> Array:
    """Scalars as one row."""
    return _stack(*entries) if in_kernel() else jnp.stack(entries)


def gathered(table: Array, index: Int[Array, "..."]) -> Array:
    """Rows ``index`` of a table, as they lie."""
    return table.at[index].get(**_IN_BOUNDS)


def _window(table: Array, index: Int[Array, ""]) -> Array:
    """Row ``index``, with nothing computed to make sure of it."""
    rank = table.ndim - 1
    numbers = lax.GatherDimensionNumbers(tuple(range(rank)), (0,), (0,))
    return lax.gather(table, index[None], numbers, (1, *table.shape[1:]), **_IN_BOUNDS)


@custom_vmap
def _read(table, index):
    return lax.dynamic_index_in_dim(table, index, keepdims=False)


@_read.def_vmap
def _read_lanes(lanes, batched, table, index):
    own_table, own_index = batched
    if not own_index:
        return stored(lambda t, i: lax.dynamic_index_in_dim(t, i, axis=1, keepdims=False), table, index), True
    if not turns(table.shape[1 + own_table :], lanes):
        return stored(lambda t, i: gathered(*_of_all(lanes, t, i, own_table)), table, index), True
    return _rows(lanes, (own_table,), (table, index)), True


@custom_vmap
def _read_difference(table, index, other, other_index):
    return _read(table, index) - _read(other, other_index)


@_read_difference.def_vmap
def _read_difference_lanes(lanes, batched, table, index, other, other_index):
    own_table, own_index, own_other, own_other_index = batched
    if not (own_index and own_other_index and turns(table.shape[1 + own_table :], lanes)):
        axes = [0 if own else None for own in batched]
        return jax.vmap(lambda t, i, u, j: _read(t, i) - _read(u, j), axes)(table, index, other, other_index), True
    return _rows(lanes, (own_table, own_other), (table, index), (other, other_index)), True


@custom_vmap
def _write(table, index, row):
    return lax.dynamic_update_index_in_dim(table, row, index, 0)


@_write.def_vmap
def _write_lanes(lanes, batched, table, index, row):
    table, row = (
        x if own else jnp.broadcast_to(x, (lanes, *x.shape))
        for x, own in zip((table, row), (batched[0], batched[2]), strict=True)
    )
    if not batched[1]:
        return lax.dynamic_update_index_in_dim(table, row, index, 1), True
    return rows_written(lanes, *_of_all(lanes, table, index, True), row).reshape(table.shape), True


@custom_vmap
def _stack(*entries):
    return jnp.stack(entries)


@_stack.def_vmap
def _stack_lanes(lanes, batched, *entries):
    entries = [x if own else jnp.broadcast_to(x, lanes) for x, own in zip(entries, batched, strict=True)]
    return jnp.stack(entries).T, True


def _of_all(lanes: int, table: Array, index: Array, own_table: bool) -> tuple[Array, Array]:
    """All lanes' tables as one, and where in it the rows are."""
    if not own_table:
        return table, index
    rows = table.shape[1]
    first = jnp.arange(lanes, dtype=jnp.int32) * rows
    return table.reshape(lanes * rows, *table.shape[2:]), first + index


def turns(row: tuple[int, ...], lanes: int) -> bool:
    """Whether rows of this shape are short vectors, of so many lanes that turning them around pays."""
    return len(row) == 1 and lane_axis(row) > 0 and lanes >= _LEAST_TURNED


def _rows(lanes: int, owned: tuple[bool, ...], *given: tuple[Array, Array]) -> Array:
    """A row of the first table for each lane, less those of the others; ``owned`` are the lanes' own tables."""

    # Stored, so that a table that is written later is not copied for the sake of this loop.
    def taken(*given):
        whole = [_of_all(lanes, table, index, own) for (table, index), own in zip(given, owned, strict=True)]
        return rows_taken(lanes, *whole)

    return stored(taken, *given).T


def rows_taken(lanes: int, *given: tuple[Array, Any]) -> Array:
    """Rows of the first table [n, w] at each lane's place, less those of the others, as columns [w, lanes]."""
    tables, indices = zip(*given, strict=True)
    indices = [index.astype(jnp.uint32) for index in indices]
    width = tables[0].shape[1]

    def read(some, rows):
        places = [[_entry(index, lane) for index in indices] for lane in some]
        for j, size in _pieces(width):
            for lane, mine in zip(some, places, strict=True):
                pieces = [_slice(t, (place, jnp.uint32(j)), (1, size)) for t, place in zip(tables, mine, strict=True)]
                rows = _update(rows, functools.reduce(lax.sub, pieces).T, (jnp.uint32(j), lane))
        return rows

    return _over_lanes(lanes, read, jnp.zeros((width, lanes), tables[0].dtype))


def rows_written(lanes: int, table: Array, places: Int[Array, " lanes"], row: Array) -> Array:
    """The table [n, …] with each lane's row, of [lanes, …], at its place."""
    if not turns(table.shape[1:], lanes):

        def write(lane, rows):
            return lax.dynamic_update_index_in_dim(rows, row[lane], places[lane], 0)

        return lax.fori_loop(0, lanes, write, table)
    columns = row.T
    places = places.astype(jnp.uint32)

    def write_pieces(some, rows):
        for lane in some:
            place = _entry(places, lane)
            for j, size in _pieces(table.shape[1]):
                rows = _update(rows, _slice(columns, (jnp.uint32(j), lane), (size, 1)).T, (place, jnp.uint32(j)))
        return rows

    return _over_lanes(lanes, write_pieces, table)


def _pieces(width: int) -> list[tuple[int, int]]:
    return [(j, min(_PIECE, width - j)) for j in range(0, width, _PIECE)]


def _entry(x: Int[Array, " lanes"], lane: Int[Array, ""]) -> Int[Array, ""]:
    return lax.squeeze(_slice(x, (lane,), (1,)), (0,))


def _over_lanes(lanes: int, body: Callable[[Any, T], T], init: T) -> T:
    some = math.gcd(lanes, LANES_AT_ONCE)

    def several(i, value):
        return body([i * some + j for j in range(some)], value)

    return lax.fori_loop(jnp.uint32(0), jnp.uint32(lanes // some), several, init)
