"""Arithmetic on entries of lanes, one by one."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from a3cjax._xla.lane_rules import made, rule
from a3cjax._xla.lane_values import (
    DoesNotFit,
    Entry,
    Index,
    Lanes,
    Value,
    entry_at,
    known,
)

_ELEMENTWISE = (  # those that a card's compiler knows
    "abs acos acosh add add_any and asin asinh atan atan2 atanh cbrt ceil clamp convert_element_type cos cosh div eq "
    "erf_inv exp exp2 expm1 floor ge gt integer_pow is_finite le log log1p logistic lt max min mul ne neg not or pow "
    "rem rsqrt select_n shift_left shift_right_arithmetic shift_right_logical sign sin sinh sqrt square sub tan "
    "tanh xor"
)
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


@rule(*_ELEMENTWISE.split())
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
            part = (
                lanes.select(np.bool_(index[-1] == 1), high, low)
                if known(index[-1])
                else _pick(lanes, index, low, high)
            )
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
