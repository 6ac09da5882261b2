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
from a3cjax._rows import read_row, write_row

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
    """``checkpoints[c]`` is the table at the first version of block c; ``rows`` and ``values`` are what followed."""

    checkpoints: Float[Array, "blocks+1 S A"]
    rows: Int[Array, "blocks*BLOCK r"]
    values: Float[Array, "blocks*BLOCK*r A"]
    last: Int[Array, " r"]


@dataclass(frozen=True)
class PastTable:
    """A checkpoint every ``BLOCK`` versions and the rows that each update changed: for a large table, sparsely updated.

    Version j of a row is its newest logged value since the checkpoint before j, or the checkpoint's. Time and memory
    traffic per update do not depend on the depth. The last place of ``checkpoints`` takes the writes that are not
    wanted, which is cheaper than not making them.
    """

    depth: int
    leaf: jax.ShapeDtypeStruct
    changes: int

    @property
    def _blocks(self) -> int:
        return (self.depth + BLOCK - 2) // BLOCK + 1

    def start(self) -> _Log:
        """No version yet."""
        shape = self.leaf.shape
        return _Log(
            jnp.zeros((self._blocks + 1, *shape), self.leaf.dtype),
            jnp.zeros((self._blocks * BLOCK, self.changes), jnp.int32),
            jnp.zeros((self._blocks * BLOCK * self.changes, *shape[1:]), self.leaf.dtype),
            jnp.zeros((self.changes,), jnp.int32),
        )

    def enter(self, kept: _Log, now: Array, k: Int[Array, ""]) -> _Log:
        """Checkpoint version k if a block begins with it."""
        begins = _rem(k, BLOCK) == 0
        place = jnp.where(begins, _rem(_div(k, BLOCK), self._blocks), self._blocks)
        return kept._replace(checkpoints=write_row(kept.checkpoints, place, now))

    def keep(self, kept: _Log, now: Array, k: Int[Array, ""]) -> _Log:
        """Log the rows that update k − 1 changed, as they are in version k."""
        places = self._blocks * BLOCK
        place = _rem(k + (places - 1), places)  # of k − 1, kept positive
        values = kept.values
        for i in range(self.changes):
            values = write_row(values, place * self.changes + i, read_row(now, kept.last[i]))
        return kept._replace(rows=write_row(kept.rows, place, kept.last), values=values)

    def read(self, kept: _Log, version: Int[Array, ""]) -> "_Version":
        """A past version, to be looked up row by row."""
        block = _rem(_div(version, BLOCK), self._blocks)
        # In a stage of its own, or the log would be copied at every update.
        window = stage(lambda rows, block: read_row(rows.reshape(self._blocks, -1), block), kept.rows, block)
        logged = _rem(version, BLOCK) * self.changes
        return _Version(kept, block, window, logged)

    def note(self, kept: _Log, rows: Int[Array, " r"]) -> _Log:
        """The rows that update k changed."""
        return kept._replace(last=rows)

    def adopt(self, kept: _Log, k: int) -> _Log:
        """The blocks that began before k, as many as both stores have room for."""
        began = range(-(-k // BLOCK))
        blocks = kept.checkpoints.shape[1] - 1

        def by_block(log):
            runs, _, *row = log.shape
            return _replaced(log.reshape(runs, blocks, -1, *row), self._blocks, began).reshape(runs, -1, *row)

        checkpoints, spare = np.split(kept.checkpoints, [blocks], axis=1)
        checkpoints = np.concatenate([_replaced(checkpoints, self._blocks, began), spare], axis=1)
        return kept._replace(checkpoints=checkpoints, rows=by_block(kept.rows), values=by_block(kept.values))


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
    """A version as a checkpoint, the rows changed in its block, and how many of these changes it has seen."""

    kept: _Log
    block: Int[Array, ""]
    rows: Int[Array, " BLOCK*r"]
    logged: Int[Array, ""]

    def row(self, index: Int[Array, ""]) -> Float[Array, " A"]:
        """Row ``index`` of this version."""
        first = self.block * self.rows.shape[0]

        def newest_change(rows, logged, index):
            order = jnp.arange(1, rows.shape[0] + 1)
            return jnp.max(jnp.where((order <= logged) & (rows == index), order, 0))

        def choose(newest, logged, checkpointed):
            return jnp.where(newest > 0, logged, checkpointed)

        newest = stage(newest_change, self.rows, self.logged, index)
        logged = read_row(self.kept.values, first + jnp.maximum(newest - 1, 0))
        blocks, states, *row = self.kept.checkpoints.shape
        checkpoints = self.kept.checkpoints.reshape(blocks * states, *row)
        return stage(choose, newest, logged, read_row(checkpoints, self.block * states + index))

    def __jax_array__(self) -> Any:
        first = self.block * self.rows.shape[0]

        def redo(i, table):
            state = self.rows[i]
            row = jnp.where(i < self.logged, read_row(self.kept.values, first + i), read_row(table, state))
            return write_row(table, state, row)

        return lax.fori_loop(0, self.rows.shape[0], redo, read_row(self.kept.checkpoints, self.block))
