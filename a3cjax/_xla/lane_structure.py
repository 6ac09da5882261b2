"""Operations that put entries of lanes in other places, which are known."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from a3cjax._xla.lane_rules import RULES, made, rule
from a3cjax._xla.lane_values import (
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
    known,
    plus,
    unflat,
)


def moved(name: str) -> Callable[[Callable[..., Callable[[Index], Index]]], Any]:
    """The decorated function says, for an operation that only moves entries, where each comes from."""

    def decorate(origin_of: Callable[..., Callable[[Index], Index]]) -> Any:
        def move(lanes: Lanes, eqn: Any, x: Value) -> Value:
            out = eqn.outvars[0].aval
            if jnp.issubdtype(out.dtype, jax.dtypes.prng_key):  # a key's words are a last axis
                origin = origin_of(eqn, tuple(x.shape[:-1]))
                return made((*out.shape, 2), np.uint32, lambda at: entry_at(lanes, x, (*origin(at[:-1]), at[-1])))
            origin = origin_of(eqn, tuple(x.shape))
            return made(out.shape, out.dtype, lambda index: entry_at(lanes, x, origin(index)), x)

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
            return entry_at(
                lanes, parts[which], _replaced(index, axis, int(at) - int(ends[which] - parts[which].shape[axis]))
            )
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
