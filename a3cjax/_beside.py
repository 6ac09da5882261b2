"""Versions of something, in a store where the same version of all runs lies side by side.

A run's store is [versions, …]. Within a kernel all lanes' stores are one, [versions · lanes, …], so that what is
written at an update is one stretch of memory and not a piece for each lane: a store that has left the cache is then
fetched ahead. ``versions_first`` and ``runs_first`` go from a lane axis to there and back.
"""

from typing import Any

import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Int

from a3cjax._kernel import in_kernel, stage, stored
from a3cjax._rows import gathered, read_row, rows_taken, rows_written, turns, write_row


def versions_first(store: Any) -> Any:
    """[lanes, versions, …] → [versions · lanes, …], of JAX or NumPy."""
    return store.swapaxes(0, 1).reshape(-1, *store.shape[2:])


def runs_first(store: Any, lanes: int) -> Any:
    """[versions · lanes, …] → [lanes, versions, …], of JAX or NumPy."""
    return store.reshape(-1, lanes, *store.shape[1:]).swapaxes(0, 1)


def read_version(store: Array, version: Int[Array, ""]) -> Array:
    """Entry ``version`` of a store, which must exist."""
    return _read(store, version) if in_kernel() else read_row(store, version)


def write_version(store: Array, version: Int[Array, ""], value: Array) -> Array:
    """The store with another entry ``version``, which must exist."""
    return _write(store, version, value) if in_kernel() else write_row(store, version, value)


def read_entry(store: Array, version: Int[Array, ""], column: Int[Array, ""]) -> Array:
    """Entry ``column`` of row ``version``, at a place of each run's own."""
    return _read_entry(store, version, column) if in_kernel() else stage(_entry, store, version, column)


def read_entries(store: Array, version: Int[Array, ""], first: Int[Array, ""], count: int) -> Array:
    """``count`` entries of row ``version`` from ``first`` on, places that are the same for all runs."""

    def read(store, version, first):
        return lax.dynamic_slice(store, (version, first), (1, count))[0]

    def read_all(lanes, batched, store, version, first):
        del batched
        place = (version * lanes, first)
        return stored(lambda x, place: lax.dynamic_slice(x, place, (lanes, count)), versions_first(store), place), True

    if not in_kernel():
        return read(store, version, first)
    call = custom_vmap(read)
    call.def_vmap(read_all)
    return call(store, version, first)


def write_entries(store: Array, version: Int[Array, ""], first: Int[Array, ""], entries: Array) -> Array:
    """The store with other entries of row ``version`` from ``first`` on, places that are the same for all runs."""
    return (_write_entries if in_kernel() else _written_entries)(store, version, first, entries)


def _entry(store, version, column):
    return store.at[version, column].get(mode="promise_in_bounds")


def _written_entries(store, version, first, entries):
    return lax.dynamic_update_slice(store, entries[None], (version, first))


@custom_vmap
def _read(store, version):
    return lax.dynamic_index_in_dim(store, version, keepdims=False)


@_read.def_vmap
def _read_lanes(lanes, batched, store, version):
    everything = versions_first(store)
    if not batched[1]:
        return stored(lambda x, v: lax.dynamic_slice_in_dim(x, v * lanes, lanes), everything, version), True
    if not turns(store.shape[2:], lanes):
        return stored(lambda x, v: gathered(x, _places(v, lanes)), everything, version), True
    return stored(lambda x, v: rows_taken(lanes, (x, _places(v, lanes))), everything, version).T, True


@custom_vmap
def _write(store, version, value):
    return lax.dynamic_update_index_in_dim(store, value, version, 0)


@_write.def_vmap
def _write_lanes(lanes, batched, store, version, value):
    everything = versions_first(store)
    if batched[1]:
        everything = rows_written(lanes, everything, _places(version, lanes), value)
    else:
        everything = lax.dynamic_update_slice_in_dim(everything, value, version * lanes, 0)
    return runs_first(everything, lanes), True


@custom_vmap
def _read_entry(store, version, column):
    return store[version, column]


@_read_entry.def_vmap
def _read_entry_lanes(lanes, batched, store, version, column):
    del batched
    return stored(lambda x, v, j: _entry(x, _places(v, lanes), j), versions_first(store), version, column), True


_write_entries = custom_vmap(_written_entries)


@_write_entries.def_vmap
def _write_entries_lanes(lanes, batched, store, version, first, entries):
    del batched
    everything = lax.dynamic_update_slice(versions_first(store), entries, (version * lanes, first))
    return runs_first(everything, lanes), True


def _places(version: Int[Array, " lanes"], lanes: int) -> Int[Array, " lanes"]:
    """Where each lane's entry is, if each has a version of its own."""
    return version * lanes + jnp.arange(lanes, dtype=version.dtype)
