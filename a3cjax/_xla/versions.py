"""Stores of past versions, [versions, …]: reading and writing them, as the backend at hand does it.

Where the backend says so (``versions_beside``), the same version of all runs lies side by side (``version_store.py``).
"""

from typing import Any

from jaxtyping import Array, Int

from a3cjax._xla.backend import current


def all_runs(store: Array) -> tuple[Array, int, Any]:
    """A store for reading only: all runs' as one, [versions · lanes, …], the number of lanes, and this run's lane.

    A loop mapped over runs would have the store turned around, run by run, before it begins. This it takes as it lies.
    """
    return current().all_runs(store)


def read_version(store: Array, version: Int[Array, ""]) -> Array:
    """Entry ``version`` of a store, which must exist."""
    return current().read_version(store, version)


def read_versions(store: Array, first: Int[Array, ""], count: int) -> Array:
    """``count`` entries of a store from ``first`` on, the same ones for all runs."""
    return current().read_versions(store, first, count)


def write_version(store: Array, version: Int[Array, ""], value: Array) -> Array:
    """The store with another entry ``version``, the same one for all runs."""
    return current().write_versions(store, version, value[None])


def write_versions(store: Array, first: Int[Array, ""], values: Array) -> Array:
    """The store with other entries from ``first`` on, the same ones for all runs."""
    return current().write_versions(store, first, values)


def write_each(store: Array, versions: Int[Array, " r"], values: Array) -> Array:
    """The store with other entries, one after the other, at places of each run's own."""
    return current().write_each(store, versions, values)


def read_entries(store: Array, version: Int[Array, ""], first: Int[Array, ""], count: int) -> Array:
    """``count`` entries of row ``version`` from ``first`` on, places that are the same for all runs."""
    return current().read_entries(store, version, first, count)


def write_entries(store: Array, version: Int[Array, ""], first: Int[Array, ""], entries: Array) -> Array:
    """The store with other entries of row ``version`` from ``first`` on, places that are the same for all runs."""
    return current().write_entries(store, version, first, entries)
