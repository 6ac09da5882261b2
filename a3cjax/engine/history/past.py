"""Stores of the past versions of one leaf of a view.

Version j is the leaf after j updates. ``keep`` is called with version k at the beginning of update k, ``read`` then
gives any version k − τ with τ < depth, and ``note`` is told at the end of update k which rows it changed.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Int

from a3cjax._xla.marks import read_row, write_row
from a3cjax._xla.versions import read_version, write_version


class Past(Protocol):
    """What the ring asks of a store; ``kept`` is what the store has put into the carry."""

    @property
    def versions_beside(self) -> Any:
        """Like ``kept``, whether within a kernel the runs' versions lie side by side (``version_store.py``)."""
        ...

    def start(self, now: Array) -> Any:
        """Before version 0, which is ``now``, is kept."""
        ...

    def enter(self, kept: Any, k: Int[Array, ""]) -> Any:
        """Called before update k, whenever k is a multiple of the chunk."""
        ...

    def keep(self, kept: Any, now: Array, k: Int[Array, ""]) -> Any:
        """Store version k."""
        ...

    def read(self, kept: Any, version: Int[Array, ""], k: Int[Array, ""]) -> Any:
        """A past version, at update k."""
        ...

    def note(self, kept: Any, rows: Any, k: Int[Array, ""]) -> Any:
        """Hear which rows update k changed."""
        ...

    def adopt(self, kept: Any, k: int) -> Any:
        """What another store, of another depth, kept for a batch of runs before update k, in this store's places."""
        ...


@dataclass(frozen=True)
class PastLeaf:
    """Whole copies, version j at j mod depth: for what is small, or changes everywhere at every update.

    The versions of all runs can lie side by side if it is the same one that they keep.
    """

    depth: int
    leaf: jax.ShapeDtypeStruct
    versions_beside: bool = True

    def start(self, now: Array) -> Array:
        """No version yet."""
        del now
        return jnp.zeros((self.depth, *self.leaf.shape), self.leaf.dtype)

    def enter(self, kept: Array, k: Int[Array, ""]) -> Array:
        """Nothing to prepare."""
        del k
        return kept

    def keep(self, kept: Array, now: Array, k: Int[Array, ""]) -> Array:
        """Store version k."""
        if not self.leaf.size:
            return kept
        return (write_version if self.versions_beside else write_row)(kept, rem(k, self.depth), now)

    def read(self, kept: Array, version: Int[Array, ""], k: Int[Array, ""] | None = None) -> Array:
        """A past version."""
        del k
        if not self.leaf.size:
            return jnp.zeros(self.leaf.shape, self.leaf.dtype)
        return (read_version if self.versions_beside else read_row)(kept, rem(version, self.depth))

    def note(self, kept: Array, rows: Any, k: Int[Array, ""]) -> Array:
        """Nothing to note."""
        del rows, k
        return kept

    def adopt(self, kept: np.ndarray, k: int) -> np.ndarray:
        """The versions before k, as many as both stores have room for."""
        return _replaced(kept, self.depth, range(k))


def div(count: Int[Array, ""], by: int) -> Int[Array, ""]:
    """The quotient of numbers that are not negative, without the care that // takes of signs."""
    return lax.div(count, jnp.asarray(by, count.dtype))


def rem(count: Int[Array, ""], by: int) -> Int[Array, ""]:
    """Likewise the remainder."""
    return lax.rem(count, jnp.asarray(by, count.dtype))


def _replaced(old: np.ndarray, room: int, items: range) -> np.ndarray:
    """Places [B, n, …], where item i lies at i mod n, as [B, room, …], where it lies at i mod ``room``."""
    new = np.zeros((old.shape[0], room, *old.shape[2:]), old.dtype)
    for i in items[-min(old.shape[1], room) :]:
        new[:, i % room] = old[:, i % old.shape[1]]
    return new
