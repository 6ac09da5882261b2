"""The past of a large table of which each update changes a few rows: a log of these rows, and where to look in it."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, Integer, UInt32

from a3cjax._xla.marks import read_row, stage, write_row
from a3cjax._xla.repeated import MOST_UNROLLED, one_by_one
from a3cjax._xla.versions import (
    all_runs,
    read_entries,
    read_version,
    read_versions,
    write_each,
    write_entries,
    write_version,
    write_versions,
)
from a3cjax.engine.history.past import div, rem

BLOCK = 16  # updates between two notes of where all rows are


class Log(NamedTuple):
    """What is kept. Places in ``rows`` are those of the log, then one for each state, then a spare one."""

    rows: Float[Array, "blocks*BLOCK*r+S+1 A"]
    states: UInt32[Array, "blocks words"]  # whose row each place of the log holds
    newest: Int[Array, " S"]  # the place of each state's row
    found: Integer[Array, "blocks+1 S"]  # the same when each block began; the last is for notes that are not wanted
    changed: Int[Array, " r"]  # rows of the last update, not logged yet
    words: UInt32[Array, " r"]  # of ``states``, those that the last logged update wrote


@dataclass(frozen=True)
class PastTable:
    """A log of the rows that each update changed, and every ``BLOCK`` updates a note of where each state's row is.

    A row of version j is the last one logged for its state by the updates before j. It is among those of j's block of
    updates, or where the note of that block says. Before a block of the log is used again, its rows go to places of
    their states, so a row that has not changed for long is found there. Time and memory traffic of an update do not
    depend on the depth.
    """

    depth: int
    leaf: jax.ShapeDtypeStruct
    changes: int

    versions_beside = Log._make([True, True, False, True, False, False])

    @property
    def blocks(self) -> int:
        """As many as hold the last ``depth`` versions, the block in hand, and one whose rows are on their way out."""
        return (self.depth + BLOCK - 2) // BLOCK + 2

    @property
    def states(self) -> int:
        """S, the rows of the table."""
        return self.leaf.shape[0]

    @property
    def logged(self) -> int:
        """Places of the log."""
        return self.blocks * BLOCK * self.changes

    @property
    def together(self) -> int:
        """Successive updates whose states share words, the i-th of each in the i-th word."""
        return 4 if self.states < 1 << 8 else 2 if self.states < 1 << 16 else 1

    @property
    def bits(self) -> int:
        """Of a word, for a state."""
        return 32 // self.together

    def _place(self, update: Int[Array, ""]) -> tuple[Int[Array, ""], Int[Array, ""], UInt32[Array, ""]]:
        """Of the states of an update, given modulo the log's room: their row, first column and shift."""
        column = div(rem(update, BLOCK), self.together) * self.changes
        return div(update, BLOCK), column, (rem(update, self.together) * self.bits).astype(jnp.uint32)

    def state_in(self, words: UInt32[Array, "*n"], shift: Any) -> Int[Array, "*n"]:
        """What words hold at a shift."""
        return ((words >> shift) & np.uint32((1 << self.bits) - 1)).astype(jnp.int32)

    def _nobody(self, *shape: int) -> UInt32[np.ndarray, "*shape"]:
        """Words that hold S everywhere, which is no state."""
        return np.full(shape, sum(self.states << i * self.bits for i in range(self.together)), np.uint32)

    def start(self, now: Float[Array, "S A"]) -> Log:
        """Nothing is logged; what leaves an unused place goes to the spare one."""
        place_of_each = self.logged + jnp.arange(self.states, dtype=jnp.int32)
        note = place_of_each.astype(jnp.uint16 if self.logged + self.states < 1 << 16 else jnp.int32)
        return Log(
            jnp.concatenate([jnp.zeros((self.logged, *now.shape[1:]), now.dtype), now, now[:1]]),
            jnp.asarray(self._nobody(self.blocks, BLOCK // self.together * self.changes)),
            place_of_each,
            jnp.broadcast_to(note, (self.blocks + 1, self.states)),
            jnp.zeros((self.changes,), jnp.int32),
            jnp.asarray(self._nobody(self.changes)),
        )

    def enter(self, kept: Log, k: Int[Array, ""]) -> Log:
        """If a block begins with update k, note where the rows are."""
        begins = rem(k, BLOCK) == 0
        block = rem(div(k, BLOCK), self.blocks)
        place_of_each = self.logged + jnp.arange(self.states, dtype=jnp.int32)
        leaves_now = begins & (div(kept.newest, BLOCK * self.changes) == block)
        newest = jnp.where(leaves_now, place_of_each, kept.newest)
        note = jnp.where(begins, block, self.blocks)
        return kept._replace(newest=newest, found=write_version(kept.found, note, newest.astype(kept.found.dtype)))

    def keep(self, kept: Log, now: Array, k: Int[Array, ""]) -> Log:
        """Log the rows that update k − 1 changed; take what it is one block ahead of to the places of its states.

        The log is written before anything is read from it, or XLA would copy it. (Before update 0 this logs a row of
        version 0, which does no harm.)
        """
        r, room = self.changes, self.blocks * BLOCK
        update = rem(k + (room - 1), room)  # k − 1, kept positive
        ahead = rem(update + BLOCK, room)
        block, column, shift = self._place(update)
        words = jnp.where(shift == 0, 0, kept.words) | (kept.changed.astype(jnp.uint32) << shift)
        states = write_entries(kept.states, block, column, words)
        block, column, shift = self._place(ahead)
        out = self.state_in(read_entries(states, block, column, r), shift)
        if r > MOST_UNROLLED:
            changed = lax.map(lambda row: read_row(now, row), kept.changed)
        else:
            changed = jnp.stack([read_row(now, kept.changed[i]) for i in range(r)])
        rows = write_versions(kept.rows, update * r, changed)
        rows = write_each(rows, self.logged + out, read_versions(rows, ahead * r, r))
        return kept._replace(rows=rows, states=states, words=words)

    def read(self, kept: Log, version: Int[Array, ""], k: Int[Array, ""]) -> "Version":
        """A past version, to be looked up row by row."""
        block = rem(div(version, BLOCK), self.blocks)
        begun = div(k, BLOCK) - div(version, BLOCK)
        words = read_version(kept.states, block)
        return Version(
            self, all_runs(kept.rows), all_runs(kept.found), block, begun, words, rem(version, BLOCK) * self.changes
        )

    def note(self, kept: Log, rows: Int[Array, " r"], k: Int[Array, ""]) -> Log:
        """The rows that update k changed, and where the next ``keep`` will log them."""
        newest = kept.newest
        first = rem(k, self.blocks * BLOCK) * self.changes
        newest = one_by_one(self.changes, lambda i, newest: write_row(newest, rows[i], first + i), newest)
        return kept._replace(newest=newest, changed=rows)

    def adopt(self, kept: Log, k: int) -> Log:
        """A store of this depth that has logged the same; what it has no room for goes to the places of the states."""
        r, runs = self.changes, np.arange(kept.newest.shape[0])
        old = self._with_blocks(kept.states.shape[1])
        begin, kept_from = (max(0, k - 1 - (store.blocks - 1) * BLOCK) for store in (old, self))
        rows = np.zeros((len(runs), self.logged + self.states + 1, *kept.rows.shape[2:]), kept.rows.dtype)
        rows[:, self.logged :] = kept.rows[:, old.logged :]
        shifts = np.arange(self.together, dtype=np.uint32)[:, None] * np.uint32(self.bits)
        known = self.state_in(kept.states.reshape(len(runs), -1, 1, r), shifts).reshape(len(runs), -1, r)
        states = np.full((len(runs), self.blocks * BLOCK, r), self.states, np.uint32)
        for update in range(begin, k - 1):
            here, there = update % (old.blocks * BLOCK), update % (self.blocks * BLOCK)
            logged, changed = kept.rows[:, here * r : (here + 1) * r], known[:, here]
            if update >= kept_from:
                rows[:, there * r : (there + 1) * r], states[:, there] = logged, changed
            else:
                for i in range(r):
                    rows[runs, self.logged + changed[:, i]] = logged[:, i]
        place_of_each = self.logged + np.arange(self.states)

        def moved(places, version):
            """Places of the old store that were noted before update ``version``, in this one."""
            room = old.blocks * BLOCK
            places = places.astype(np.int64)
            update = version - 1 - (version - 1 - places // r) % room
            known = (places < old.logged) & (update >= max(begin, kept_from))
            return np.where(known, update % (self.blocks * BLOCK) * r + places % r, place_of_each)

        found = np.broadcast_to(place_of_each, (len(runs), self.blocks + 1, self.states)).copy()
        began = range(-(-k // BLOCK))
        for block in began[-min(old.blocks, self.blocks) :]:
            found[:, block % self.blocks] = moved(kept.found[:, block % old.blocks], block * BLOCK)
        dtype = jax.eval_shape(self.start, self.leaf).found.dtype
        newest = moved(kept.newest, k).astype(np.int32)
        words = np.bitwise_or.reduce(states.reshape(len(runs), -1, self.together, r) << shifts, axis=2)
        words = words.reshape(len(runs), self.blocks, -1)
        return Log._make([rows, words, newest, found.astype(dtype), kept.changed, kept.words])

    def _with_blocks(self, blocks: int) -> "PastTable":
        """A store of so many blocks."""
        return PastTable((blocks - 2) * BLOCK + 1, self.leaf, self.changes)


@dataclass(frozen=True)
class Version:
    """A version: its block of the log, how many blocks have begun since, and what of its block it has seen."""

    past: PastTable
    rows: tuple[Float[Array, "places*lanes A"], int, Any]  # as ``versions.all_runs`` gives it
    found: tuple[Integer[Array, "blocks*lanes S"], int, Any]
    block: Int[Array, ""]
    begun: Int[Array, ""]
    words: UInt32[Array, " words"]
    seen: Int[Array, ""]

    def row(self, index: Int[Array, ""]) -> Float[Array, " A"]:
        """Row ``index`` of this version."""
        past, r = self.past, self.past.changes
        count = BLOCK * r

        def place(found, words, block, begun, seen, index):
            found = found.astype(jnp.int32)
            blocks_ago = div(found, count) - block  # less the blocks of the log
            blocks_ago = jnp.where(blocks_ago < 0, blocks_ago + past.blocks, blocks_ago)
            place = jnp.where(blocks_ago <= begun, past.logged + index, found)
            if r > MOST_UNROLLED:
                last = lax.fori_loop(0, r, lambda j, last: self._last_of(j, words, seen, index, last), jnp.int32(-1))
                return jnp.where(last < 0, place, block * count + last)
            for i in range(count):  # the last of the changes that it has seen counts
                update = i // r
                word = words[update // past.together * r + i % r]
                state = past.state_in(word, np.uint32(update % past.together * past.bits))
                place = jnp.where((i < seen) & (state == index), block * count + i, place)
            return place

        notes, lanes, lane = self.found
        found = stage(_entry, notes, self.block * lanes + lane, index)
        where = stage(place, found, self.words, self.block, self.begun, self.seen, index)
        rows, lanes, lane = self.rows
        return read_row(rows, where * lanes + lane)

    def _last_of(
        self,
        j: Int[Array, ""],
        words: UInt32[Array, " words"],
        seen: Int[Array, ""],
        index: Int[Array, ""],
        last: Int[Array, ""],
    ) -> Int[Array, ""]:
        """The last change of row ``index`` that it has seen, of ``last`` and the j-th ones of a block's updates."""
        past, r = self.past, self.past.changes
        for update in range(BLOCK):
            word, i = words[update // past.together * r + j], update * r + j
            state = past.state_in(word, np.uint32(update % past.together * past.bits))
            last = jnp.where((i < seen) & (state == index) & (i > last), i, last)
        return last

    def __jax_array__(self) -> Any:
        leaf = self.past.leaf
        return lax.fori_loop(
            0, leaf.shape[0], lambda s, table: write_row(table, s, self.row(s)), jnp.zeros(leaf.shape, leaf.dtype)
        )


def _entry(table: Array, row: Int[Array, ""], column: Int[Array, ""]) -> Array:
    return table.at[row, column].get(mode="promise_in_bounds")
