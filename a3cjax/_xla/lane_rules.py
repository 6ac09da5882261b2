"""What each operation of a run's program does to entries of lanes (``lane_values.py``)."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.lax import GatherScatterMode

from a3cjax._xla.lane_tables import Table
from a3cjax._xla.lane_values import (
    MOST_IN_REGISTERS,
    DoesNotFit,
    Entry,
    Index,
    Lanes,
    Long,
    Value,
    both,
    entries_of,
    entry_at,
    flat,
    index_of,
    known,
    over,
    plus,
    unflat,
)

Rule = Callable[..., Any]
_MOST_UNROLLED = 1024  # operations written out for one of the program's

RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """The function is the rule for operations of these names."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return register


def made(shape: Sequence[int], dtype: Any, read: Callable[[Index], Entry]) -> Value:
    """The array of entries ``read(index)``: at once if they are few, else when they are asked for."""
    whole = Long(shape, dtype, read)
    return entries_of(whole) if math.prod(shape) <= MOST_IN_REGISTERS else whole


# ---------------------------------------------------------------------------------------------------------- arithmetic

_ELEMENTWISE = """
abs acos acosh add add_any and asin asinh atan atan2 atanh bitcast_convert_type cbrt ceil clamp convert_element_type cos
cosh div eq erf_inv exp exp2 expm1 floor ge gt integer_pow is_finite le log log1p logistic lt max min mul ne neg not or
pow rem rsqrt select_n shift_left shift_right_arithmetic shift_right_logical sign sin sinh sqrt square sub tan tanh xor
""".split()
_WIDTHS = (1, 8, 16, 32, 64)  # bits
_NUMPY: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
    "max": np.maximum,
    "min": np.minimum,
}


@rule(*_ELEMENTWISE)
def elementwise(lanes: Lanes, eqn: Any, *values: Value) -> Value:
    """Entry by entry; a scalar, or an axis of length one, goes with all."""
    out = eqn.outvars[0].aval

    def read(index: Index) -> Entry:
        return operate(lanes, eqn, [entry_at(lanes, x, own(x, index)) for x in values])

    def own(x: Value, index: Index) -> Index:
        return tuple(0 if n == 1 else at for n, at in zip(x.shape, index, strict=False))

    return made(out.shape, out.dtype, read)


def operate(lanes: Lanes, eqn: Any, entries: Sequence[Entry]) -> Entry:
    """One operation on entries; on numbers that are known, if it is a simple one, at once."""
    name, dtype = eqn.primitive.name, eqn.outvars[0].aval.dtype
    if name == "select_n" and len(entries) == 3 and isinstance(entries[0], np.bool_):
        return entries[2] if entries[0] else entries[1]
    if all(known(x) for x in entries):
        if name == "convert_element_type":
            return np.asarray(entries[0]).astype(dtype)[()]
        if name in _NUMPY:
            with np.errstate(all="ignore"):
                return np.asarray(_NUMPY[name](*entries)).astype(dtype)[()]
    return eqn.primitive.bind(*lanes.alike(entries), **eqn.params)


@rule("copy", "copy_p", "stop_gradient", "optimization_barrier", "xla_metadata_value", "reduce_precision")
def unchanged(lanes: Lanes, eqn: Any, *values: Value) -> Any:
    """What a compiler might need to be told."""
    del lanes
    if eqn.primitive.name == "reduce_precision":
        raise DoesNotFit("reduce_precision")
    return list(values) if eqn.primitive.multiple_results else values[0]


@rule("bitcast_convert_type")
def bitcast(lanes: Lanes, eqn: Any, x: Value) -> Value:
    """Bits as another type; 64 of them are two entries of 32, the low ones first."""
    out, size = eqn.outvars[0].aval, np.dtype(eqn.invars[0].aval.dtype).itemsize
    if size == out.dtype.itemsize:
        return elementwise(lanes, eqn, x)
    if (size, out.dtype.itemsize) == (8, 4):

        def half(index: Index) -> Entry:
            bits = lax.bitcast_convert_type(lanes.spread(entry_at(lanes, x, index[:-1])), jnp.uint64)
            high = lax.convert_element_type(lax.shift_right_logical(bits, lanes.spread(np.uint64(32))), jnp.uint32)
            low = lax.convert_element_type(bits, jnp.uint32)
            part = lanes.select(np.bool_(index[-1] == 1), high, low) if known(index[-1]) else _pick(lanes, index, low, high)
            return lax.bitcast_convert_type(part, out.dtype)

        return made(out.shape, out.dtype, half)
    if (size, out.dtype.itemsize) == (4, 8):

        def joined(index: Index) -> Entry:
            low, high = (
                lax.convert_element_type(
                    lax.bitcast_convert_type(lanes.spread(entry_at(lanes, x, (*index, j))), jnp.uint32), jnp.uint64
                )
                for j in range(2)
            )
            bits = lax.bitwise_or(low, lax.shift_left(high, lanes.spread(np.uint64(32))))
            return lax.bitcast_convert_type(bits, out.dtype)

        return made(out.shape, out.dtype, joined)
    raise DoesNotFit(f"a bitcast from {size} to {out.dtype.itemsize} bytes")


def _pick(lanes: Lanes, index: Index, low: Entry, high: Entry) -> Entry:
    return lanes.select(lax.eq(index[-1], np.int32(1)), high, low)


@rule("round")
def round_off(lanes: Lanes, eqn: Any, x: Value) -> Value:
    """To the nearest whole number; halves away from zero, or to the even one."""
    out, even = eqn.outvars[0].aval, eqn.params["rounding_method"] == lax.RoundingMethod.TO_NEAREST_EVEN

    def read(index: Index) -> Entry:
        entry = lanes.spread(entry_at(lanes, x, index))
        size = lax.abs(entry)
        below = lax.floor(size)
        beyond, half = lax.sub(size, below), lanes.spread(out.dtype.type(0.5))
        up = lax.ge(beyond, half)
        if even:
            halves = lax.mul(half, below)
            odd = lax.ne(lax.floor(halves), halves)
            up = lax.bitwise_or(lax.gt(beyond, half), lax.bitwise_and(lax.eq(beyond, half), odd))
        return lax.mul(lax.sign(entry), lax.add(below, lax.convert_element_type(up, out.dtype)))

    return made(out.shape, out.dtype, read)


@rule("iota")
def iota(lanes: Lanes, eqn: Any) -> Value:
    """An index as a number."""
    del lanes
    out, dimension = eqn.outvars[0].aval, eqn.params["dimension"]

    def read(index: Index) -> Entry:
        at = index[dimension]
        return out.dtype.type(at) if known(at) else lax.convert_element_type(at, out.dtype)

    return made(out.shape, out.dtype, read)


# ----------------------------------------------------------------------------------------------------------- structure


def moved(name: str) -> Callable[[Callable[..., Callable[[Index], Index]]], Any]:
    """The decorated function says, for an operation that only moves entries, where each comes from."""

    def decorate(origin_of: Callable[..., Callable[[Index], Index]]) -> Any:
        def move(lanes: Lanes, eqn: Any, x: Value) -> Value:
            out = eqn.outvars[0].aval
            if jnp.issubdtype(out.dtype, jax.dtypes.prng_key):  # a key's words are a last axis
                origin = origin_of(eqn, tuple(x.shape[:-1]))
                return made((*out.shape, 2), np.uint32, lambda at: entry_at(lanes, x, (*origin(at[:-1]), at[-1])))
            origin = origin_of(eqn, tuple(x.shape))
            return made(out.shape, out.dtype, lambda index: entry_at(lanes, x, origin(index)))

        RULES[name] = move
        return move

    return decorate


@moved("reshape")
def _reshape(eqn: Any, shape: tuple[int, ...]) -> Callable[[Index], Index]:
    if eqn.params.get("dimensions") is not None:
        raise DoesNotFit("a reshape of permuted axes")
    after = eqn.outvars[0].aval.shape
    return lambda index: unflat(shape, flat(after, index))


@moved("squeeze")
def _squeeze(eqn: Any, shape: tuple[int, ...]) -> Callable[[Index], Index]:
    gone = {axis % len(shape) for axis in eqn.params["dimensions"]}

    def origin(index: Index) -> Index:
        kept = iter(index)
        return tuple(0 if axis in gone else next(kept) for axis in range(len(shape)))

    return origin


@moved("broadcast_in_dim")
def _broadcast(eqn: Any, shape: tuple[int, ...]) -> Callable[[Index], Index]:
    axes = eqn.params["broadcast_dimensions"]
    return lambda index: tuple(0 if n == 1 else index[axis] for n, axis in zip(shape, axes, strict=True))


@moved("transpose")
def _transpose(eqn: Any, shape: tuple[int, ...]) -> Callable[[Index], Index]:
    places = np.argsort(eqn.params["permutation"])
    del shape
    return lambda index: tuple(index[place] for place in places)


@moved("slice")
def _slice(eqn: Any, shape: tuple[int, ...]) -> Callable[[Index], Index]:
    starts, strides = eqn.params["start_indices"], eqn.params["strides"] or (1,) * len(shape)

    def origin(index: Index) -> Index:
        steps = (at if by == 1 else both(lax.mul, at, by) for at, by in zip(index, strides, strict=True))
        if all(known(at) for at in index):
            steps = (int(at) * by for at, by in zip(index, strides, strict=True))
        return tuple(plus(start, step) for start, step in zip(starts, steps, strict=True))

    return origin


@moved("rev")
def _rev(eqn: Any, shape: tuple[int, ...]) -> Callable[[Index], Index]:
    axes = eqn.params["dimensions"]

    def back(size: int, at: Any) -> Any:
        return size - 1 - int(at) if known(at) else both(lax.sub, size - 1, at)

    return lambda index: tuple(back(shape[i], at) if i in axes else at for i, at in enumerate(index))


@rule("concatenate")
def concatenate(lanes: Lanes, eqn: Any, *parts: Value) -> Value:
    """One after the other along an axis."""
    out, axis = eqn.outvars[0].aval, eqn.params["dimension"]
    ends = np.cumsum([part.shape[axis] for part in parts])

    def read(index: Index) -> Entry:
        at = index[axis]
        if known(at):
            which = int(np.searchsorted(ends, int(at), side="right"))
            return entry_at(lanes, parts[which], _replaced(index, axis, int(at) - int(ends[which] - parts[which].shape[axis])))
        found: Any = None
        for end, part in zip(reversed(ends), reversed(parts), strict=True):
            size = part.shape[axis]
            if not size:
                continue
            local = both(lax.min, both(lax.max, plus(at, size - int(end)), 0), size - 1)
            entry = entry_at(lanes, part, _replaced(index, axis, local))
            found = entry if found is None else lanes.select(both(lax.lt, at, int(end)), entry, found)
        return found

    return made(out.shape, out.dtype, read)


def _replaced(index: Index, axis: int, at: Any) -> Index:
    return (*index[:axis], at, *index[axis + 1 :])


@rule("pad")
def pad(lanes: Lanes, eqn: Any, x: Value, fill: Value) -> Value:
    """An array in registers with ``fill`` around and between."""
    config, x = eqn.params["padding_config"], entries_of(x)
    out = eqn.outvars[0].aval

    def read(index: Index) -> Entry:
        where = [divmod(int(at) - low, inner + 1) for at, (low, _, inner) in zip(index, config, strict=True)]
        inside = all(rest == 0 and 0 <= at < n for (at, rest), n in zip(where, x.shape, strict=True))
        return x[tuple(at for at, _ in where)] if inside else fill[()]

    del lanes
    return entries_of(Long(out.shape, out.dtype, read))


@rule("split")
def split(lanes: Lanes, eqn: Any, x: Value) -> list[Value]:
    """Pieces along an axis."""
    axis, pieces, start = eqn.params["axis"], [], 0
    for out in eqn.outvars:

        def read(index: Index, start: int = start) -> Entry:
            return entry_at(lanes, x, _replaced(index, axis, plus(index[axis], start)))

        pieces.append(made(out.aval.shape, out.aval.dtype, read))
        start += out.aval.shape[axis]
    return pieces


@rule("stack")
def stack(lanes: Lanes, eqn: Any, *parts: Value) -> Value:
    """Arrays of one shape along a new axis."""
    out, axis = eqn.outvars[0].aval, eqn.params["axis"]

    def read(index: Index) -> Entry:
        rest = (*index[:axis], *index[axis + 1 :])
        if known(index[axis]):
            return entry_at(lanes, parts[int(index[axis])], rest)
        found = entry_at(lanes, parts[0], rest)
        for i in range(1, len(parts)):
            found = lanes.select(lax.eq(index[axis], np.int32(i)), entry_at(lanes, parts[i], rest), found)
        return found

    return made(out.shape, out.dtype, read)


@rule("unstack")
def unstack(lanes: Lanes, eqn: Any, x: Value) -> list[Value]:
    """The inverse."""
    axis = eqn.params["axis"]

    def part(i: int, out: Any) -> Value:
        return made(out.shape, out.dtype, lambda at: entry_at(lanes, x, (*at[:axis], i, *at[axis:])))

    return [part(i, out.aval) for i, out in enumerate(eqn.outvars)]


# ------------------------------------------------------------------------------------------------------------- indices


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
    return made(out.shape, out.dtype, lambda at: entry_at(lanes, x, tuple(map(plus, first, at))))


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
    if mode == GatherScatterMode.ONE_HOT:
        raise DoesNotFit("a gather by one-hot products")
    if isinstance(x, Table):
        x.note_rows(list(entries_of(indices).flat), sizes[-1])

    def read(index: Index) -> Entry:
        batch = [at for axis, at in enumerate(index) if axis not in numbers.offset_dims]
        at: list[Any] = [0] * len(x.shape)
        for axis, batching in zip(numbers.operand_batching_dims, numbers.start_indices_batching_dims, strict=True):
            at[axis] = batch[batching]
        inside: Entry = np.bool_(True)
        for i, axis in enumerate(numbers.start_index_map):
            start, most = index_of(entry_at(lanes, indices, (*batch, i))), x.shape[axis] - sizes[axis]
            if mode == GatherScatterMode.PROMISE_IN_BOUNDS:
                start = start if most else 0
            else:
                if mode != GatherScatterMode.CLIP:
                    inside = _and(lanes, inside, _within(lanes, (start,), (most + 1,)))
                start = _clamped(start, most)
            at[axis] = start
        for axis, offset in zip(window, numbers.offset_dims, strict=True):
            at[axis] = plus(at[axis], index[offset])
        return _either(lanes, inside, lambda: entry_at(lanes, x, tuple(at)), lambda: _fill(eqn.params, out.dtype))

    return made(out.shape, out.dtype, read)


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
    sizes = [1] * len(x.shape)
    for axis, dimension in zip(window, numbers.update_window_dims, strict=True):
        sizes[axis] = updates.shape[dimension]
    if math.prod(updates.shape) > _MOST_UNROLLED:
        raise DoesNotFit(f"a scatter of {math.prod(updates.shape)} entries")

    def place(index: Index) -> tuple[Index, Entry]:
        """Where an entry of the updates goes, and whether it does."""
        batch = [at for axis, at in enumerate(index) if axis not in numbers.update_window_dims]
        at: list[Any] = [0] * len(x.shape)
        for axis, batching in zip(numbers.operand_batching_dims, numbers.scatter_indices_batching_dims, strict=True):
            at[axis] = batch[batching]
        inside: Entry = np.bool_(True)
        for i, axis in enumerate(numbers.scatter_dims_to_operand_dims):
            start, most = index_of(entry_at(lanes, indices, (*batch, i))), x.shape[axis] - sizes[axis]
            if mode == GatherScatterMode.PROMISE_IN_BOUNDS:
                start = start if most else 0
            elif mode == GatherScatterMode.CLIP:
                start = _clamped(start, most)
            else:
                inside = _and(lanes, inside, _within(lanes, (start,), (most + 1,)))
            at[axis] = start
        for axis, dimension in zip(window, numbers.update_window_dims, strict=True):
            at[axis] = plus(at[axis], index[dimension])
        return tuple(at), inside

    def combined(old: Callable[[], Entry], update: Entry) -> Entry:
        return update if combine is None else combine(*lanes.alike([old(), update]))

    places = [(place(index), index) for index in np.ndindex(*updates.shape)]
    if isinstance(x, Table):
        x.note_rows([at for (where, _), _ in places for at in where], sizes[-1])
        for (at, inside), index in places:
            if isinstance(inside, np.bool_) and not inside:
                continue
            update = entry_at(lanes, updates, index)
            with x.written() as after:
                new = combined(lambda at=at: after.buffer.load(at), update)
                after.put(at, new, None if isinstance(inside, np.bool_) else inside)
            x = after
        return x

    given = [(where, entry_at(lanes, updates, index)) for where, index in places]

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


# -------------------------------------------------------------------------------------------------- sums and products

_REDUCED: dict[str, tuple[Callable[..., Any], Callable[[Any], Any]]] = {
    "reduce_sum": (lax.add, lambda dtype: 0),
    "reduce_prod": (lax.mul, lambda dtype: 1),
    "reduce_max": (lax.max, lambda dtype: _lowest(dtype)),
    "reduce_min": (lax.min, lambda dtype: _highest(dtype)),
    "reduce_and": (lax.bitwise_and, lambda dtype: -1 if dtype != np.bool_ else True),
    "reduce_or": (lax.bitwise_or, lambda dtype: 0),
}


def _lowest(dtype: Any) -> Any:
    if dtype == np.bool_:
        return False
    return -np.inf if jnp.issubdtype(dtype, jnp.inexact) else np.iinfo(dtype).min


def _highest(dtype: Any) -> Any:
    if dtype == np.bool_:
        return True
    return np.inf if jnp.issubdtype(dtype, jnp.inexact) else np.iinfo(dtype).max


@rule(*_REDUCED)
def reduce(lanes: Lanes, eqn: Any, x: Value) -> Value:
    """Along some axes: written out if that is short, else in a loop."""
    combine, first = _REDUCED[eqn.primitive.name]
    out, axes = eqn.outvars[0].aval, eqn.params["axes"]
    along = [x.shape[axis] for axis in axes]
    start = np.asarray(first(out.dtype)).astype(out.dtype)[()]

    def read(index: Index) -> Entry:
        def at(inner: Index) -> Entry:
            kept, gone = iter(index), iter(inner)
            return entry_at(lanes, x, tuple(next(gone) if axis in axes else next(kept) for axis in range(len(x.shape))))

        def add(total: Entry, entry: Entry) -> Entry:
            return combine(*lanes.alike([total, entry]))

        size = math.prod(along)
        if size == 0:
            return start
        if size <= MOST_IN_REGISTERS:
            return functools.reduce(add, (at(inner) for inner in np.ndindex(*along)))

        def step(place: Any, total: Any) -> Any:
            return lanes.spread(add(total, at(unflat(along, index_of(place)))))

        return lax.fori_loop(np.int32(0), np.int32(size), step, lanes.spread(start))

    return made(out.shape, out.dtype, read)


@rule("argmax", "argmin")
def argmax(lanes: Lanes, eqn: Any, x: Value) -> Value:
    """The first place of the extreme entry; NaN is the most extreme."""
    out, (axis,) = eqn.outvars[0].aval, eqn.params["axes"]
    better = lax.gt if eqn.primitive.name == "argmax" else lax.lt
    if x.shape[axis] > MOST_IN_REGISTERS:
        raise DoesNotFit("an argmax of a long array")

    def read(index: Index) -> Entry:
        best = lanes.spread(entry_at(lanes, x, (*index[:axis], 0, *index[axis:])))
        where = lanes.spread(out.dtype.type(0))
        for i in range(1, x.shape[axis]):
            entry = lanes.spread(entry_at(lanes, x, (*index[:axis], i, *index[axis:])))
            wins = better(entry, best)
            if jnp.issubdtype(best.dtype, jnp.inexact):
                wins = lax.bitwise_and(lax.bitwise_or(wins, lax.ne(entry, entry)), lax.eq(best, best))
            best, where = lanes.select(wins, entry, best), lanes.select(wins, out.dtype.type(i), where)
        return where

    return made(out.shape, out.dtype, read)


_CUMULATIVE = {"cumsum": lax.add, "cumprod": lax.mul, "cummax": lax.max, "cummin": lax.min}


@rule(*_CUMULATIVE)
def cumulate(lanes: Lanes, eqn: Any, x: Value) -> Value:
    """Along an axis of an array in registers."""
    x, out = entries_of(x).copy(), eqn.outvars[0].aval
    axis, combine = eqn.params["axis"], _CUMULATIVE[eqn.primitive.name]
    order = range(x.shape[axis])
    order = list(reversed(order)) if eqn.params["reverse"] else list(order)
    for before, now in zip(order, order[1:], strict=False):
        for rest in np.ndindex(*(n for i, n in enumerate(x.shape) if i != axis)):
            here, there = ((*rest[:axis], i, *rest[axis:]) for i in (now, before))
            x[here] = combine(*lanes.alike([x[there], x[here]]))
    del out
    return x


@rule("dot_general")
def dot_general(lanes: Lanes, eqn: Any, x: Value, y: Value) -> Value:
    """Small matrix products, written out."""
    out = eqn.outvars[0].aval
    (over_x, over_y), (batch_x, batch_y) = eqn.params["dimension_numbers"]
    free_x = [axis for axis in range(len(x.shape)) if axis not in (*over_x, *batch_x)]
    free_y = [axis for axis in range(len(y.shape)) if axis not in (*over_y, *batch_y)]
    along = [x.shape[axis] for axis in over_x]
    if math.prod(out.shape) * math.prod(along) > _MOST_UNROLLED or out.dtype != eqn.invars[0].aval.dtype:
        raise DoesNotFit("a matrix product")

    def read(index: Index) -> Entry:
        batch, rest = index[: len(batch_x)], index[len(batch_x) :]
        of_x, of_y = rest[: len(free_x)], rest[len(free_x) :]

        def factor(value: Value, axes: Sequence[Sequence[int]], at: Sequence[Index]) -> Entry:
            place: list[Any] = [0] * len(value.shape)
            for some, where in zip(axes, at, strict=True):
                for axis, i in zip(some, where, strict=True):
                    place[axis] = i
            return entry_at(lanes, value, tuple(place))

        total: Any = None
        for inner in np.ndindex(*along):
            one = factor(x, (batch_x, over_x, free_x), (batch, inner, of_x))
            other = factor(y, (batch_y, over_y, free_y), (batch, inner, of_y))
            product = lax.mul(*lanes.alike([one, other]))
            total = product if total is None else lax.add(*lanes.alike([total, product]))
        return total

    return made(out.shape, out.dtype, read)
