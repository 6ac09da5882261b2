"""Long arrays in a device's memory, which a kernel of lanes reads and writes entry by entry.

A table is a value of the program, its buffer a place: a write gives another table at the same place, and the one before
it must not be read again. That is checked while the kernel is traced, so no read can be overtaken by a write.
"""

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from a3cjax._xla.lane_values import DoesNotFit, Entry, Index, Lanes, Long, Value, flat, known, over, plus, times

Layout = Literal["shared", "beside", "apart"]


@dataclass
class Place:
    """How an array of a run lies in memory, and how it has been used.

    - "shared": one array for all runs;
    - "beside": [entries, runs], the same entry of all runs side by side, where all lanes read the same entry;
    - "apart": [runs, rows, width], a run's array in one piece, where a lane reads a row of its own. Rows are padded so
      that one does not straddle more stretches of memory than it must.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    layout: Layout
    rows_of_own: bool = False  # a lane has read or written several entries at a place of its own

    @property
    def stored(self) -> np.dtype:
        """The type in memory, where a truth value takes a byte."""
        return np.dtype(np.int8) if self.dtype == np.bool_ else self.dtype

    @property
    def padded(self) -> tuple[int, ...]:
        """The shape with its last axis padded."""
        if self.layout != "apart" or not self.shape:
            return self.shape
        width = self.shape[-1]
        if width > 1 and len(self.shape) > 1:
            width = 1 << (width - 1).bit_length() if width <= 8 else -(-width // 8) * 8
        return (*self.shape[:-1], width)

    @property
    def size(self) -> int:
        """Entries of one run in memory."""
        return math.prod(self.padded)

    def memory(self, runs: int) -> jax.ShapeDtypeStruct:
        """What holds the arrays of so many runs; something even where they are empty."""
        return jax.ShapeDtypeStruct((max(1, self.size * runs),), self.stored)

    def lay(self, x: Any) -> Any:
        """[runs, …] → memory."""
        x = x.astype(self.stored)
        if not self.size:
            return jnp.zeros((1,), self.stored)
        if self.layout == "apart":
            x = jnp.pad(x, [(0, 0), *((0, p - n) for p, n in zip(self.padded, self.shape, strict=True))])
            return x.reshape(-1)
        return x.reshape(x.shape[0], -1).T.reshape(-1)

    def unlay(self, memory: Any, runs: int) -> Any:
        """The inverse."""
        if not self.size:
            return jnp.zeros((runs, *self.shape), self.dtype)
        if self.layout == "apart":
            x = memory.reshape(runs, *self.padded)[(slice(None), *(slice(n) for n in self.shape))]
        else:
            x = memory.reshape(-1, runs).T.reshape(runs, *self.shape)
        return x.astype(self.dtype)


@dataclass
class Buffer:
    """A place in memory while a kernel is traced."""

    place: Place
    ref: Any
    lanes: Lanes
    runs: int  # of all blocks of lanes
    version: int = 0
    writing: Index | None = field(default=None)

    def __post_init__(self) -> None:
        own = times(self.lanes.runs, self.place.size) if self.place.layout == "apart" else self.lanes.runs
        self._own = None if self.place.layout == "shared" else own

    def table(self) -> "Table":
        """What lies there now."""
        return Table(self)

    def put(self, value: Value) -> "Table":
        """What is to lie there from now on."""
        if isinstance(value, Table) and value.buffer is self:
            value.check()
            return value
        with self.table().written() as after:
            over(value, after.put)
        return after

    def address(self, index: Index) -> Any:
        """Where an entry lies."""
        place = flat(self.place.padded, index)
        if self.place.layout == "shared":
            return place
        return plus(times(place, self.runs) if self.place.layout == "beside" else place, self._own)

    def load(self, index: Index) -> Entry:
        """The entry that is there now."""
        address = self.address(index)
        if known(address):
            address = np.int32(address)
        mask = self.lanes.mask  # an idle lane's index may be anything
        found = self.lanes.load(self.ref, address if mask is None else self.lanes.spread(address), mask)
        return lax.ne(found, np.int8(0)) if self.place.dtype == np.bool_ else found

    def store(self, index: Index, entry: Entry, mask: Entry | None = None) -> None:
        """Put an entry there, in lanes that are at work."""
        lanes = self.lanes
        if self.place.dtype == np.bool_:
            entry = lax.convert_element_type(entry, np.int8)
        masks = [lanes.spread(m) for m in (mask, lanes.mask) if m is not None]
        both_masks = None if not masks else masks[0] if len(masks) == 1 else lax.bitwise_and(*masks)
        lanes.store(self.ref, self.address(index), lanes.spread(entry), both_masks)


class Table(Long):
    """An array of each run, or of all runs, as it was after so many writes."""

    def __init__(self, buffer: Buffer) -> None:
        super().__init__(buffer.place.shape, buffer.place.dtype, self._read)
        self.buffer = buffer
        self._version = buffer.version

    def _read(self, index: Index) -> Entry:
        self._check(index)
        return self.buffer.load(index)

    def _check(self, index: Index | None) -> None:
        buffer = self.buffer
        overtaken = self._version != buffer.version
        if buffer.writing is not None and index is not None:
            overtaken |= not all(_same(x, y) for x, y in zip(index, buffer.writing, strict=True))
        if overtaken:
            raise DoesNotFit(f"an array of shape {self.shape} is read after it was written")

    def check(self) -> None:
        """Refuse a table that another has taken the place of."""
        self._check(None)

    @contextlib.contextmanager
    def written(self) -> Iterator["Table"]:
        """The table that ``put`` within is to make; this one is not to be read again."""
        if self.buffer.place.layout == "shared":
            raise DoesNotFit("an array that all runs share is written")
        self._check(None)
        after = Table(self.buffer)
        after._version += 1
        yield after
        self.buffer.version += 1

    def put(self, index: Index, entry: Any, mask: Entry | None = None) -> None:
        """Write one entry; ``entry`` may be a function, which then may read what it replaces and nothing else here."""
        if callable(entry):
            self.buffer.writing = index
            try:
                entry = entry()
            finally:
                self.buffer.writing = None
        self.buffer.store(index, entry, mask)

    def note_rows(self, starts: Sequence[Any], width: int) -> None:
        """Remember whether a lane takes ``width`` neighbours at a place of its own."""
        own = any(not known(at) and np.ndim(at) for at in starts)
        self.buffer.place.rows_of_own |= own and width > 1


def _same(x: Any, y: Any) -> bool:
    return x is y or (known(x) and known(y) and int(x) == int(y))
