"""Arrays of one run as a kernel of many runs holds them: entry by entry, and each entry of all lanes at once.

A lane is a run. An entry of an array is one of

- a NumPy scalar: a number that the program knows;
- a traced scalar: the same for all lanes of the kernel's block (a shared schedule's worker, a step);
- a traced vector [T]: a number for each lane.

A short array is an object array of entries and lives in registers. A long one is a ``Long``: a rule that gives the
entry at an index. Tables in memory are such rules (``Table``), and so is arithmetic on long arrays, which is done when
an entry is asked for, and only for that.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

MOST_IN_REGISTERS = 64  # entries of one array
_SHORT_LOOP = 16  # turns that are written out
Entry = Any
Index = tuple[Any, ...]  # of an entry: whole numbers, known or traced


class DoesNotFit(Exception):
    """What a program does that a kernel of lanes cannot hold; it runs operation by operation then."""


class Long:
    """An array too long for registers: ``read(index)`` gives one entry.

    A ``costly`` one is computed for each entry that is asked for, and for no others: parts of it are not taken ahead.
    """

    def __init__(self, shape: Sequence[int], dtype: Any, read: Callable[[Index], Entry], costly: bool = False) -> None:
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)
        self.read = read
        self.costly = costly


Value = Any  # an object array of entries, or a Long


class Lanes:
    """One block of lanes while its kernel is being traced: how many, which run each is, and which of them are at work.

    Within a branch or a loop that not all lanes take, ``mask`` says which do: only they write.
    """

    def __init__(self, count: int, runs: Any, load: Callable[..., Any], store: Callable[..., Any]) -> None:
        self.count = count
        self.runs = runs
        self.load = load
        self.store = store
        self.mask: Any = None

    @contextlib.contextmanager
    def only(self, mask: Entry) -> Iterator[Entry]:
        """Within, lanes without ``mask`` are idle; gives the mask of those that are at work."""
        before = self.mask
        self.mask = self.spread(mask) if before is None else lax.bitwise_and(before, self.spread(mask))
        try:
            yield self.mask
        finally:
            self.mask = before

    def spread(self, entry: Entry) -> Any:
        """An entry as a vector of all lanes."""
        if np.ndim(entry):
            return entry
        return lax.broadcast_in_dim(entry, (self.count,), ())

    def alike(self, entries: Sequence[Entry]) -> list[Entry]:
        """Entries that go into one operation: all vectors if one is."""
        if not any(np.ndim(entry) for entry in entries):
            return list(entries)
        return [self.spread(entry) for entry in entries]

    def select(self, which: Entry, yes: Entry, no: Entry) -> Entry:
        """``yes`` where ``which``, else ``no``."""
        if isinstance(which, np.bool_ | bool):
            return yes if which else no
        if yes is no:
            return yes
        which, yes, no = self.alike([which, yes, no])
        return lax.select_n(which, no, yes)


def known(entry: Any) -> bool:
    """Whether the program knows the entry's value."""
    return isinstance(entry, np.generic | int | float | bool)


def entries_of(value: Value) -> np.ndarray:
    """The array in registers."""
    if not isinstance(value, Long):
        return value
    if math.prod(value.shape) > MOST_IN_REGISTERS:
        raise DoesNotFit(f"an array of shape {value.shape} is needed whole")
    out = np.empty(value.shape, object)
    for index in np.ndindex(*value.shape):
        out[index] = value.read(index)
    return out


def entry_at(lanes: Lanes, value: Value, index: Index) -> Entry:
    """One entry; of an array in registers also at an index that is traced."""
    if isinstance(value, Long):
        return value.read(index)
    for axis, at in enumerate(index):
        if not known(at):
            found = entry_at(lanes, value.take(0, axis), (*index[:axis], *index[axis + 1 :]))
            for i in range(1, value.shape[axis]):
                other = entry_at(lanes, value.take(i, axis), (*index[:axis], *index[axis + 1 :]))
                found = lanes.select(lax.eq(at, np.int32(i)), other, found)
            return found
    return value[tuple(int(at) for at in index)]


def constant(array: Any) -> Value:
    """An array that the program knows."""
    array = np.asarray(array)
    if array.size > MOST_IN_REGISTERS:
        raise DoesNotFit(f"a constant of shape {array.shape}")
    out = np.empty(array.shape, object)
    for index in np.ndindex(*array.shape):
        out[index] = array[index]
    return out


def plus(x: Any, y: Any) -> Any:
    """The sum of two indices."""
    if known(x) and known(y):
        return int(x) + int(y)
    if known(x) and x == 0:
        return y
    if known(y) and y == 0:
        return x
    return both(lax.add, x, y)


def times(x: Any, by: int) -> Any:
    """An index times a number."""
    if known(x):
        return int(x) * by
    return x if by == 1 else both(lax.mul, x, by)


def both(operation: Callable[..., Any], x: Any, y: Any) -> Any:
    """An operation on two indices, of which one is traced."""
    x, y = (np.int32(at) if known(at) else at for at in (x, y))
    if np.ndim(x) != np.ndim(y):
        shape = np.shape(x) or np.shape(y)
        x, y = (at if np.ndim(at) else lax.broadcast_in_dim(at, shape, ()) for at in (x, y))
    return operation(x, y)


def index_of(entry: Entry) -> Any:
    """An entry that is a whole number as an index of 32 bits."""
    if known(entry):
        return int(entry)
    return entry if entry.dtype == jnp.int32 else lax.convert_element_type(entry, jnp.int32)


def flat(shape: Sequence[int], index: Index) -> Any:
    """The place of an index in row-major order."""
    place: Any = 0
    for size, at in zip(shape, index, strict=True):
        place = plus(times(place, size), at)
    return place


def unflat(shape: Sequence[int], place: Any) -> Index:
    """The inverse."""
    index: list[Any] = []
    for size in reversed(shape[1:]):
        if known(place):
            place, at = divmod(int(place), size)
        elif size == 1:
            at = 0
        else:
            place, at = both(lax.div, place, size), both(lax.rem, place, size)
        index.append(at)
    return (*([place] if shape else ()), *reversed(index))


def over(value: Value, body: Callable[[Index, Any], None]) -> None:
    """``body(index, entry)`` for every entry of an array; a long one's are functions, in a loop of the kernel."""
    shape = value.shape
    size = math.prod(shape)
    if not isinstance(value, Long):
        for index in np.ndindex(*shape):
            body(index, value[index])
        return

    def of_long(index: Index) -> None:
        body(index, lambda: value.read(index))

    if size <= _SHORT_LOOP:
        for index in np.ndindex(*shape):
            of_long(index)
        return

    def step(place, nothing):
        of_long(unflat(shape, index_of(place)))
        return nothing

    lax.fori_loop(np.int32(0), np.int32(size), step, np.int32(0))
