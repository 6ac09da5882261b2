"""Rows and windows of arrays of lanes at places that are computed: read, and written."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.lax import GatherScatterMode

from a3cjax._xla.lane_rules import MOST_UNROLLED, made, rule
from a3cjax._xla.lane_tables import Table
from a3cjax._xla.lane_values import (
    DoesNotFit,
    Entry,
    Index,
    Lanes,
    Value,
    both,
    entries_of,
    entry_at,
    index_of,
    known,
    over,
    plus,
)


def _clamped(at: Any, most: int) -> Any:
    """An index between 0 and ``most``."""
    if known(at):
        return min(max(int(at), 0), most)
    return 0 if most <= 0 else both(lax.min, both(lax.max, at, 0), most)


def _starts(values: Sequence[Value], sizes: Sequence[int], shape: Sequence[int]) -> list[Any]:
    at = [index_of(value[()]) for value in values]
    return [_clamped(i, n - size) for i, size, n in zip(at, sizes, shape, strict=True)]


@rule("dynamic_slice")
def dynamic_slice(lanes: Lanes, eqn: Any, x: Value, *starts: Value) -> Value:
    """A window, moved so that it lies within."""
    out, sizes = eqn.outvars[0].aval, eqn.params["slice_sizes"]
    first = _starts(starts, sizes, x.shape)
    if isinstance(x, Table):
        x.note_rows(first, sizes[-1])
    return made(out.shape, out.dtype, lambda at: entry_at(lanes, x, tuple(map(plus, first, at))), x)


@rule("dynamic_update_slice")
def dynamic_update_slice(lanes: Lanes, eqn: Any, x: Value, update: Value, *starts: Value) -> Value:
    """The array with another window."""
    out = eqn.outvars[0].aval
    first = _starts(starts, update.shape, x.shape)
    if isinstance(x, Table):
        x.note_rows(first, update.shape[-1])
        with x.written() as after:
            over(update, lambda at, entry: after.put(tuple(map(plus, first, at)), entry))
        return after

    def read(index: Index) -> Entry:
        local = tuple(_minus(at, start) for at, start in zip(index, first, strict=True))
        inside = _within(lanes, local, update.shape)
        near = tuple(_clamped(at, n - 1) for at, n in zip(local, update.shape, strict=True))
        return _either(lanes, inside, lambda: entry_at(lanes, update, near), lambda: entry_at(lanes, x, index))

    return made(out.shape, out.dtype, read)


def _minus(x: Any, y: Any) -> Any:
    if known(x) and known(y):
        return int(x) - int(y)
    return x if known(y) and y == 0 else both(lax.sub, x, y)


def _within(lanes: Lanes, index: Index, shape: Sequence[int]) -> Entry:
    """Whether an index lies within an array of this shape."""
    inside: Any = np.bool_(True)
    for at, n in zip(index, shape, strict=True):
        if known(at):
            here: Any = np.bool_(0 <= at < n)
        else:
            low, high = both(lax.ge, at, 0), both(lax.lt, at, n)
            here = lax.bitwise_and(low, high)
        inside = _and(lanes, inside, here)
    return inside


def _and(lanes: Lanes, x: Entry, y: Entry) -> Entry:
    if isinstance(x, np.bool_):
        return y if x else x
    if isinstance(y, np.bool_):
        return x if y else y
    return lax.bitwise_and(*lanes.alike([x, y]))


def _either(lanes: Lanes, which: Entry, yes: Callable[[], Entry], no: Callable[[], Entry]) -> Entry:
    if isinstance(which, np.bool_):
        return yes() if which else no()
    return lanes.select(which, yes(), no())


@rule("gather")
def gather(lanes: Lanes, eqn: Any, x: Value, indices: Value) -> Value:
    """Windows of an array at places that are told."""
    numbers, sizes, out = eqn.params["dimension_numbers"], eqn.params["slice_sizes"], eqn.outvars[0].aval
    mode = eqn.params["mode"]
    gone = (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims)
    window = [axis for axis in range(len(x.shape)) if axis not in gone]
    places = _Places(numbers.start_index_map, numbers.operand_batching_dims, numbers.start_indices_batching_dims)
    if mode == GatherScatterMode.ONE_HOT:
        raise DoesNotFit("a gather by one-hot products")
    if isinstance(x, Table):
        x.note_rows(list(entries_of(indices).flat), sizes[-1])

    def read(index: Index) -> Entry:
        batch = [at for axis, at in enumerate(index) if axis not in numbers.offset_dims]
        at, inside = _first_corner(lanes, mode, x.shape, sizes, indices, batch, places)
        for axis, offset in zip(window, numbers.offset_dims, strict=True):
            at[axis] = plus(at[axis], index[offset])
        return _either(lanes, inside, lambda: entry_at(lanes, x, tuple(at)), lambda: _fill(eqn.params, out.dtype))

    return made(out.shape, out.dtype, read)


class _Places(NamedTuple):
    """Which axes of an array the indices tell places on, and which go along with axes of the indices themselves."""

    told: Sequence[int]
    along: Sequence[int]
    of_indices: Sequence[int]


def _first_corner(
    lanes: Lanes, mode: Any, shape: Sequence[int], sizes: Sequence[int], indices: Value, batch: Sequence[Any],
    places: _Places,
) -> tuple[list[Any], Entry]:  # fmt: skip
    """Where the window begins that entry ``batch`` of the indices tells of, moved within, and whether it lay within."""
    at: list[Any] = [0] * len(shape)
    for axis, batching in zip(places.along, places.of_indices, strict=True):
        at[axis] = batch[batching]
    inside: Entry = np.bool_(True)
    for i, axis in enumerate(places.told):
        start, most = index_of(entry_at(lanes, indices, (*batch, i))), shape[axis] - sizes[axis]
        if mode == GatherScatterMode.PROMISE_IN_BOUNDS:
            start = start if most else 0
        else:
            if mode != GatherScatterMode.CLIP:
                inside = _and(lanes, inside, _within(lanes, (start,), (most + 1,)))
            start = _clamped(start, most)
        at[axis] = start
    return at, inside


def _fill(params: Any, dtype: Any) -> Entry:
    """What stands for an entry that does not exist."""
    value = params.get("fill_value")
    if value is None:
        if jnp.issubdtype(dtype, jnp.inexact):
            value = np.nan
        elif jnp.issubdtype(dtype, jnp.signedinteger):
            value = np.iinfo(dtype).min
        else:
            value = True if dtype == np.bool_ else np.iinfo(dtype).max
    return np.dtype(dtype).type(value)


_COMBINED: dict[str, Callable[..., Any] | None] = {
    "scatter": None,
    "scatter-add": lax.add,
    "scatter-mul": lax.mul,
    "scatter-min": lax.min,
    "scatter-max": lax.max,
}


@rule(*_COMBINED)
def scatter(lanes: Lanes, eqn: Any, x: Value, indices: Value, updates: Value) -> Value:
    """The array with windows replaced, or combined, one after the other."""
    numbers, mode = eqn.params["dimension_numbers"], eqn.params["mode"]
    combine, out = _COMBINED[eqn.primitive.name], eqn.outvars[0].aval
    gone = (*numbers.inserted_window_dims, *numbers.operand_batching_dims)
    window = [axis for axis in range(len(x.shape)) if axis not in gone]
    places = _Places(
        numbers.scatter_dims_to_operand_dims, numbers.operand_batching_dims, numbers.scatter_indices_batching_dims
    )
    sizes = [1] * len(x.shape)
    for axis, dimension in zip(window, numbers.update_window_dims, strict=True):
        sizes[axis] = updates.shape[dimension]
    if math.prod(updates.shape) > MOST_UNROLLED:
        raise DoesNotFit(f"a scatter of {math.prod(updates.shape)} entries")

    def place(index: Index) -> tuple[Index, Entry]:
        """Where an entry of the updates goes, and whether it does."""
        batch = [at for axis, at in enumerate(index) if axis not in numbers.update_window_dims]
        at, inside = _first_corner(lanes, mode, x.shape, sizes, indices, batch, places)
        for axis, dimension in zip(window, numbers.update_window_dims, strict=True):
            at[axis] = plus(at[axis], index[dimension])
        return tuple(at), inside

    def combined(old: Callable[[], Entry], update: Entry) -> Entry:
        return update if combine is None else combine(*lanes.alike([old(), update]))

    goes = [(place(index), index) for index in np.ndindex(*updates.shape)]
    if isinstance(x, Table):
        x.note_rows([at for (where, _), _ in goes for at in where], sizes[-1])
        for (at, inside), index in goes:
            if isinstance(inside, np.bool_) and not inside:
                continue
            update = entry_at(lanes, updates, index)
            with x.written() as after:
                new = combined(lambda at=at: after.buffer.load(at), update)
                after.put(at, new, None if isinstance(inside, np.bool_) else inside)
            x = after
        return x

    given = [(where, entry_at(lanes, updates, index)) for where, index in goes]

    def read(index: Index) -> Entry:
        found = entry_at(lanes, x, index)
        for (at, inside), update in given:
            hit = inside
            for here, there in zip(index, at, strict=True):
                same = np.bool_(int(here) == int(there)) if known(here) and known(there) else both(lax.eq, here, there)
                hit = _and(lanes, hit, same)
            found = _either(lanes, hit, lambda found=found, u=update: combined(lambda: found, u), lambda f=found: f)
        return found

    return made(out.shape, out.dtype, read)
