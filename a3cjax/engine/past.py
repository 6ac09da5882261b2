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
from jaxtyping import Array, Bool, Float, Int

from a3cjax.engine.histories import IN_BOUNDS

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
        return kept.at[_rem(k, self.depth)].set(now, **IN_BOUNDS)

    def read(self, kept: Array, version: Int[Array, ""]) -> Array:
        """A past version."""
        return kept.at[_rem(version, self.depth)].get(**IN_BOUNDS)

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
    rows: Int[Array, "blocks BLOCK r"]
    values: Float[Array, "blocks BLOCK*r A"]
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
            jnp.zeros((self._blocks, BLOCK, self.changes), jnp.int32),
            jnp.zeros((self._blocks, BLOCK * self.changes, *shape[1:]), self.leaf.dtype),
            jnp.zeros((self.changes,), jnp.int32),
        )

    def enter(self, kept: _Log, now: Array, k: Int[Array, ""]) -> _Log:
        """Checkpoint version k if a block begins with it."""
        begins = _rem(k, BLOCK) == 0
        place = jnp.where(begins, _rem(_div(k, BLOCK), self._blocks), self._blocks)
        return kept._replace(checkpoints=kept.checkpoints.at[place].set(now, **IN_BOUNDS))

    def keep(self, kept: _Log, now: Array, k: Int[Array, ""]) -> _Log:
        """Log the rows that update k − 1 changed, as they are in version k."""
        before = k + (self._blocks * BLOCK - 1)  # k − 1, kept positive
        block, position = _rem(_div(before, BLOCK), self._blocks), _rem(before, BLOCK)
        rows = kept.rows.at[block, position].set(kept.last, **IN_BOUNDS)
        values = kept.values
        for i in range(self.changes):
            row = now.at[kept.last[i]].get(**IN_BOUNDS)
            values = values.at[block, position * self.changes + i].set(row, **IN_BOUNDS)
        return kept._replace(rows=rows, values=values)

    def read(self, kept: _Log, version: Int[Array, ""]) -> "_Version":
        """A past version, to be looked up row by row."""
        block = _rem(_div(version, BLOCK), self._blocks)
        window = kept.rows.at[block].get(**IN_BOUNDS)
        since = jnp.arange(BLOCK)[:, None] < _rem(version, BLOCK)
        return _Version(kept, block, window.reshape(-1), jnp.broadcast_to(since, window.shape).reshape(-1))

    def note(self, kept: _Log, rows: Int[Array, " r"]) -> _Log:
        """The rows that update k changed."""
        return kept._replace(last=rows)

    def adopt(self, kept: _Log, k: int) -> _Log:
        """The blocks that began before k, as many as both stores have room for."""
        began = range(-(-k // BLOCK))
        spare = kept.checkpoints[:, -1:]
        checkpoints = _replaced(kept.checkpoints[:, :-1], self._blocks, began)
        return kept._replace(
            checkpoints=np.concatenate([checkpoints, spare], axis=1),
            rows=_replaced(kept.rows, self._blocks, began),
            values=_replaced(kept.values, self._blocks, began),
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
    kept: _Log
    block: Int[Array, ""]
    rows: Int[Array, " BLOCK*r"]
    since: Bool[Array, " BLOCK*r"]

    def row(self, index: Int[Array, ""]) -> Float[Array, " A"]:
        """Row ``index`` of this version."""
        order = jnp.arange(1, self.rows.shape[0] + 1)
        newest = jnp.max(jnp.where(self.since & (self.rows == index), order, 0))
        logged = self.kept.values.at[self.block, jnp.maximum(newest - 1, 0)].get(**IN_BOUNDS)
        return jnp.where(newest > 0, logged, self.kept.checkpoints.at[self.block, index].get(**IN_BOUNDS))

    def __jax_array__(self) -> Any:
        def redo(i, table):
            row = self.rows[i]
            return table.at[row].set(jnp.where(self.since[i], self.kept.values[self.block, i], table[row]))

        return lax.fori_loop(0, self.rows.shape[0], redo, self.kept.checkpoints[self.block])
