"""Stores of the past versions of one leaf of a view.

Version j is the leaf after j updates. ``keep`` is called with version k at the beginning of update k, ``read`` then
gives any version k − τ with τ < depth, and ``note`` is told at the end of update k which rows it changed.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from a3cjax._kernel import stage
from a3cjax._rows import read_row, write_row, write_rows

BLOCK = 16  # versions between two checkpoints of a table


class Past(Protocol):
    """What the ring asks of a store; ``kept`` is what the store has put into the carry."""

    def start(self) -> Any:
        """No version yet."""
        ...

    def enter(self, kept: Any, now: Array, k: Int[Array, ""]) -> Any:
        """Called with version k before update k, whenever k is a multiple of the chunk."""
        ...

    def keep(self, kept: Any, now: Array, k: Int[Array, ""]) -> Any:
        """Store version k."""
        ...

    def read(self, kept: Any, version: Int[Array, ""]) -> Any:
        """A past version."""
        ...

    def note(self, kept: Any, rows: Any) -> Any:
        """Hear which rows update k changed."""
        ...

    def adopt(self, kept: Any, k: int) -> Any:
        """What another store, of another depth, kept for a batch of runs before update k, in this store's places."""
        ...


@dataclass(frozen=True)
class PastLeaf:
    """Whole copies, version j at j mod depth: for what is small, or changes everywhere at every update."""

    depth: int
    leaf: jax.ShapeDtypeStruct

    def start(self) -> Array:
        """No version yet."""
        return jnp.zeros((self.depth, *self.leaf.shape), self.leaf.dtype)

    def enter(self, kept: Array, now: Array, k: Int[Array, ""]) -> Array:
        """Nothing to prepare."""
        del now, k
        return kept

    def keep(self, kept: Array, now: Array, k: Int[Array, ""]) -> Array:
        """Store version k."""
        return write_row(kept, _rem(k, self.depth), now)

    def read(self, kept: Array, version: Int[Array, ""]) -> Array:
        """A past version."""
        return read_row(kept, _rem(version, self.depth))

    def note(self, kept: Array, rows: Any) -> Array:
        """Nothing to note."""
        del rows
        return kept

    def adopt(self, kept: np.ndarray, k: int) -> np.ndarray:
        """The versions before k, as many as both stores have room for."""
        return _replaced(kept, self.depth, range(k))


class _Log(NamedTuple):
    """For each block of versions the table at the first, then the rows that each update changed."""

    table: Float[Array, "(blocks+1)*(S+BLOCK*r) A"]
    rows: Int[Array, "blocks BLOCK*r"]  # which rows these are
    last: Int[Array, " r"]


@dataclass(frozen=True)
class PastTable:
    """A checkpoint every ``BLOCK`` versions and the rows that each update changed: for a large table, sparsely updated.

    Version j of a row is its newest logged value since the checkpoint before j, or the checkpoint's; either is one read
    of the same store. Time and memory traffic per update do not depend on the depth. The place after the last block
    takes the checkpoints that are not wanted, which is cheaper than not making them.
    """

    depth: int
    leaf: jax.ShapeDtypeStruct
    changes: int

    @property
    def _blocks(self) -> int:
        return (self.depth + BLOCK - 2) // BLOCK + 1

    @property
    def _height(self) -> int:
        """Rows of a block in the store."""
        return self.leaf.shape[0] + BLOCK * self.changes

    def start(self) -> _Log:
        """No version yet."""
        return _Log(
            jnp.zeros(((self._blocks + 1) * self._height, *self.leaf.shape[1:]), self.leaf.dtype),
            jnp.zeros((self._blocks, BLOCK * self.changes), jnp.int32),
            jnp.zeros((self.changes,), jnp.int32),
        )

    def enter(self, kept: _Log, now: Array, k: Int[Array, ""]) -> _Log:
        """Checkpoint version k if a block begins with it."""
        begins = _rem(k, BLOCK) == 0
        block = jnp.where(begins, _rem(_div(k, BLOCK), self._blocks), self._blocks)
        return kept._replace(table=write_rows(kept.table, block * self._height, now))

    def keep(self, kept: _Log, now: Array, k: Int[Array, ""]) -> _Log:
        """Log the rows that update k − 1 changed, as they are in version k."""
        places = self._blocks * BLOCK
        place = _rem(k + (places - 1), places)  # of k − 1, kept positive
        block, first = _div(place, BLOCK), _rem(place, BLOCK) * self.changes
        table = kept.table
        for i in range(self.changes):
            changed = read_row(now, kept.last[i])
            table = write_row(table, block * self._height + self.leaf.shape[0] + first + i, changed)
        rows = lax.dynamic_update_slice(kept.rows, kept.last[None], (block, first))
        return kept._replace(rows=rows, table=table)

    def read(self, kept: _Log, version: Int[Array, ""]) -> "_Version":
        """A past version, to be looked up row by row."""
        block = _rem(_div(version, BLOCK), self._blocks)
        logged = _rem(version, BLOCK) * self.changes
        return _Version(kept.table, block, read_row(kept.rows, block), logged, self.leaf.shape[0])

    def note(self, kept: _Log, rows: Int[Array, " r"]) -> _Log:
        """The rows that update k changed."""
        return kept._replace(last=rows)

    def adopt(self, kept: _Log, k: int) -> _Log:
        """The blocks that began before k, as many as both stores have room for."""
        began = range(-(-k // BLOCK))
        blocks = kept.rows.shape[1]
        table, spare = np.split(kept.table, [blocks * self._height], axis=1)
        runs, _, *row = table.shape
        table = _replaced(table.reshape(runs, blocks, -1, *row), self._blocks, began).reshape(runs, -1, *row)
        return kept._replace(
            table=np.concatenate([table, spare], axis=1), rows=_replaced(kept.rows, self._blocks, began)
        )


def _div(count: Int[Array, ""], by: int) -> Int[Array, ""]:
    """The quotient of numbers that are not negative, without the care that // takes of signs."""
    return lax.div(count, jnp.asarray(by, count.dtype))


def _rem(count: Int[Array, ""], by: int) -> Int[Array, ""]:
    """Likewise the remainder."""
    return lax.rem(count, jnp.asarray(by, count.dtype))


def _replaced(old: Any, room: int, items: range) -> np.ndarray:
    """Places [B, n, …], where item i lies at i mod n, as [B, room, …], where it lies at i mod ``room``."""
    new = np.zeros((old.shape[0], room, *old.shape[2:]), old.dtype)
    for i in items[-min(old.shape[1], room) :]:
        new[:, i % room] = old[:, i % old.shape[1]]
    return new


@dataclass(frozen=True)
class _Version:
    """A version as a block of the store, the rows changed in it, and how many of these changes it has seen."""

    store: Float[Array, "(blocks+1)*(S+BLOCK*r) A"]
    block: Int[Array, ""]
    changed: Int[Array, " BLOCK*r"]
    seen: Int[Array, ""]
    states: int

    @property
    def _height(self) -> int:
        return self.states + self.changed.shape[0]

    def row(self, index: Int[Array, ""]) -> Float[Array, " A"]:
        """Row ``index`` of this version."""

        def place_in_block(changed, seen, index):
            place = index  # in the checkpoint, unless a change has been seen; the last of them counts
            for i in range(changed.shape[0]):
                place = jnp.where((i < seen) & (changed[i] == index), self.states + i, place)
            return place

        place = stage(place_in_block, self.changed, self.seen, index)
        return read_row(self.store, self.block * self._height + place)

    def __jax_array__(self) -> Any:
        # In a stage of its own, or the store would be copied.
        block = stage(
            lambda store, first: lax.dynamic_slice_in_dim(store, first, self._height),
            self.store,
            self.block * self._height,
        )

        def redo(i, table):
            state = self.changed[i]
            row = jnp.where(i < self.seen, read_row(block, self.states + i), read_row(table, state))
            return write_row(table, state, row)

        return lax.fori_loop(0, self.changed.shape[0], redo, block[: self.states])
