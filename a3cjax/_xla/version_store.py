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

from a3cjax._xla.kernel import in_kernel, stored
from a3cjax._xla.rows import gathered, read_row, rows_taken, rows_written, turns, write_row


def versions_first(store: Any) -> Any:
    """[lanes, versions, …] → [versions · lanes, …], of JAX or NumPy."""
    return store.swapaxes(0, 1).reshape(store.shape[0] * store.shape[1], *store.shape[2:])


def runs_first(store: Any, lanes: int) -> Any:
    """[versions · lanes, …] → [lanes, versions, …], of JAX or NumPy."""
    return store.reshape(store.shape[0] // lanes, lanes, *store.shape[1:]).swapaxes(0, 1)


def whole(store: Array) -> tuple[Array, int, Any]:
    """A store for reading only: all runs' as one, [versions · lanes, …], the number of lanes, and this run's lane.

    A loop mapped over runs would have the store turned around, run by run, before it begins. This it takes as it lies.
    """
    if not in_kernel():
        return store, 1, 0
    everything, lane = _whole(store)
    return everything, everything.shape[0] // store.shape[0], lane


def read_version(store: Array, version: Int[Array, ""]) -> Array:
    """Entry ``version`` of a store, which must exist."""
    return _read(store, version) if in_kernel() else read_row(store, version)


def write_version(store: Array, version: Int[Array, ""], value: Array) -> Array:
    """The store with another entry ``version``, the same one for all runs."""
    return write_versions(store, version, value[None])


def read_versions(store: Array, first: Int[Array, ""], count: int) -> Array:
    """``count`` entries of a store from ``first`` on, the same ones for all runs."""

    def read(store, first):
        return lax.dynamic_slice_in_dim(store, first, count)

    def read_all(lanes, batched, store, first):
        del batched
        found = stored(lambda x, v: lax.dynamic_slice_in_dim(x, v * lanes, count * lanes), versions_first(store), first)
        return runs_first(found, lanes), True

    if not in_kernel():
        return read(store, first)
    call = custom_vmap(read)
    call.def_vmap(read_all)
    return call(store, first)


def write_versions(store: Array, first: Int[Array, ""], values: Array) -> Array:
    """The store with other entries from ``first`` on, the same ones for all runs."""
    return (_write_versions if in_kernel() else _written_versions)(store, first, values)


def write_each(store: Array, versions: Int[Array, " r"], values: Array) -> Array:
    """The store with other entries, one after the other, at places of each run's own."""
    return (_write_each if in_kernel() else _written_each)(store, versions, values)


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


def _written_each(store, versions, values):
    for i in range(versions.shape[0]):
        store = write_row(store, versions[i], values[i])
    return store


def _written_versions(store, first, values):
    return lax.dynamic_update_slice_in_dim(store, values, first, 0)


def _written_entries(store, version, first, entries):
    return lax.dynamic_update_slice(store, entries[None], (version, first))


@custom_vmap
def _whole(store):
    return store, jnp.int32(0)


@_whole.def_vmap
def _whole_lanes(lanes, batched, store):
    del batched
    return (versions_first(store), jnp.arange(lanes, dtype=jnp.int32)), (False, True)


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


_write_each = custom_vmap(_written_each)


@_write_each.def_vmap
def _write_each_lanes(lanes, batched, store, versions, values):
    del batched
    everything = versions_first(store)
    for i in range(versions.shape[1]):
        everything = rows_written(lanes, everything, _places(versions[:, i], lanes), values[:, i])
    return runs_first(everything, lanes), True


_write_versions = custom_vmap(_written_versions)


@_write_versions.def_vmap
def _write_versions_lanes(lanes, batched, store, first, values):
    del batched
    everything = lax.dynamic_update_slice_in_dim(versions_first(store), versions_first(values), first * lanes, 0)
    return runs_first(everything, lanes), True


_write_entries = custom_vmap(_written_entries)


@_write_entries.def_vmap
def _write_entries_lanes(lanes, batched, store, version, first, entries):
    del batched
    everything = lax.dynamic_update_slice(versions_first(store), entries, (version * lanes, first))
    return runs_first(everything, lanes), True


def _places(version: Int[Array, " lanes"], lanes: int) -> Int[Array, " lanes"]:
    """Where each lane's entry is, if each has a version of its own."""
    return version * lanes + jnp.arange(lanes, dtype=version.dtype)
