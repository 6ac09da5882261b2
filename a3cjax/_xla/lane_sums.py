"""Sums, extremes and products of entries of lanes."""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from a3cjax._xla.lane_rules import MOST_UNROLLED, made, rule
from a3cjax._xla.lane_values import (
    MOST_IN_REGISTERS,
    DoesNotFit,
    Entry,
    Index,
    Lanes,
    Value,
    entries_of,
    entry_at,
    index_of,
    unflat,
)

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
    x = entries_of(x).copy()
    axis, combine = eqn.params["axis"], _CUMULATIVE[eqn.primitive.name]
    order = range(x.shape[axis])[:: -1 if eqn.params["reverse"] else 1]
    for before, now in itertools.pairwise(order):
        for rest in np.ndindex(*(n for i, n in enumerate(x.shape) if i != axis)):
            here, there = ((*rest[:axis], i, *rest[axis:]) for i in (now, before))
            x[here] = combine(*lanes.alike([x[there], x[here]]))
    return x


@rule("dot_general")
def dot_general(lanes: Lanes, eqn: Any, x: Value, y: Value) -> Value:
    """Small matrix products, written out."""
    out = eqn.outvars[0].aval
    (over_x, over_y), (batch_x, batch_y) = eqn.params["dimension_numbers"]
    free_x = [axis for axis in range(len(x.shape)) if axis not in (*over_x, *batch_x)]
    free_y = [axis for axis in range(len(y.shape)) if axis not in (*over_y, *batch_y)]
    along = [x.shape[axis] for axis in over_x]
    if math.prod(out.shape) * math.prod(along) > MOST_UNROLLED or out.dtype != eqn.invars[0].aval.dtype:
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
