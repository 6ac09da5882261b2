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

from a3cjax._xla.backend import ACCELERATOR, gathered
from a3cjax._xla.repeated import one_by_one
from a3cjax._xla.rows import rows_taken, rows_written, turns
from a3cjax._xla.stored import stored


def versions_first(store: Any) -> Any:
    """[lanes, versions, …] → [versions · lanes, …], of JAX or NumPy."""
    return store.swapaxes(0, 1).reshape(store.shape[0] * store.shape[1], *store.shape[2:])


def runs_first(store: Any, lanes: int) -> Any:
    """[versions · lanes, …] → [lanes, versions, …], of JAX or NumPy."""
    return store.reshape(store.shape[0] // lanes, lanes, *store.shape[1:]).swapaxes(0, 1)


def read_several(store: Array, first: Int[Array, ""], count: int) -> Array:
    """``count`` entries of a store from ``first`` on, the same ones for all runs."""

    def read_all(lanes, batched, store, first):
        del batched
        found = stored(lambda x, v: lax.dynamic_slice_in_dim(x, v * lanes, count * lanes), versions_first(store), first)
        return runs_first(found, lanes), True

    call = custom_vmap(lambda store, first: ACCELERATOR.read_versions(store, first, count))
    call.def_vmap(read_all)
    return call(store, first)


def read_entries(store: Array, version: Int[Array, ""], first: Int[Array, ""], count: int) -> Array:
    """``count`` entries of row ``version`` from ``first`` on, places that are the same for all runs."""

    def read_all(lanes, batched, store, version, first):
        del batched
        place = (version * lanes, first)
        return stored(lambda x, place: lax.dynamic_slice(x, place, (lanes, count)), versions_first(store), place), True

    call = custom_vmap(lambda store, version, first: ACCELERATOR.read_entries(store, version, first, count))
    call.def_vmap(read_all)
    return call(store, version, first)


@custom_vmap
def all_runs(store):
    """All runs' store as one, and this run's lane."""
    return store, jnp.int32(0)


@all_runs.def_vmap
def _all_runs_lanes(lanes, batched, store):
    del batched
    return (versions_first(store), jnp.arange(lanes, dtype=jnp.int32)), (False, True)


@custom_vmap
def read(store, version):
    """Entry ``version`` of a store."""
    return lax.dynamic_index_in_dim(store, version, keepdims=False)


@read.def_vmap
def _read_lanes(lanes, batched, store, version):
    everything = versions_first(store)
    if not batched[1]:
        return stored(lambda x, v: lax.dynamic_slice_in_dim(x, v * lanes, lanes), everything, version), True
    if not turns(store.shape[2:], lanes):
        return stored(lambda x, v: gathered(x, _places(v, lanes)), everything, version), True
    return stored(lambda x, v: rows_taken(lanes, (x, _places(v, lanes))), everything, version).T, True


write_each = custom_vmap(ACCELERATOR.write_each)


@write_each.def_vmap
def _write_each_lanes(lanes, batched, store, versions, values):
    del batched

    def write(i, everything):
        return rows_written(lanes, everything, _places(versions[:, i], lanes), values[:, i])

    return runs_first(one_by_one(versions.shape[1], write, versions_first(store)), lanes), True


write_several = custom_vmap(ACCELERATOR.write_versions)


@write_several.def_vmap
def _write_several_lanes(lanes, batched, store, first, values):
    del batched
    everything = lax.dynamic_update_slice_in_dim(versions_first(store), versions_first(values), first * lanes, 0)
    return runs_first(everything, lanes), True


write_entries = custom_vmap(ACCELERATOR.write_entries)


@write_entries.def_vmap
def _write_entries_lanes(lanes, batched, store, version, first, entries):
    del batched
    everything = lax.dynamic_update_slice(versions_first(store), entries, (version * lanes, first))
    return runs_first(everything, lanes), True


def _places(version: Int[Array, " lanes"], lanes: int) -> Int[Array, " lanes"]:
    """Where each lane's entry is, if each has a version of its own."""
    return version * lanes + jnp.arange(lanes, dtype=version.dtype)
