"""A run's program, interpreted for all lanes of a kernel at once: what calls, loops, branches and keys become."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from a3cjax._xla import lane_arithmetic, lane_indices, lane_structure, lane_sums
from a3cjax._xla.lane_rules import RULES, made, rule
from a3cjax._xla.lane_tables import Table
from a3cjax._xla.lane_values import (
    MOST_IN_REGISTERS,
    DoesNotFit,
    Entry,
    Index,
    Lanes,
    Long,
    Value,
    constant,
    entries_of,
    entry_at,
    index_of,
    known,
)
from a3cjax._xla.threefry import threefry2x32

_MOST_TURNS = 32  # of a loop that is written out
_FLOATS = ("bfloat16", "float16", "float32", "float64")
_TYPES = frozenset(("bool", *_FLOATS, *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64))))

_FILES = (lane_arithmetic, lane_indices, lane_structure, lane_sums)  # each puts its rules among the others
_CALLS = (
    "jit",
    "pjit",
    "closed_call",
    "custom_jvp_call",
    "custom_vjp_call",
    "custom_vmap_call",
    "scan",
    "while",
    "cond",
)
_MOVES = ("reshape", "squeeze", "broadcast_in_dim", "transpose", "slice", "rev")
_OF_KEYS = frozenset((*_CALLS, *_MOVES, "random_wrap", "random_fold_in", "random_split"))


def run(lanes: Lanes, program: Any, inputs: Sequence[Value]) -> list[Value]:
    """The results of a closed program at these inputs.

    Raises:
        DoesNotFit: if an operation is not one that a kernel of lanes can hold.
    """
    return _evaluate(lanes, program.jaxpr, [constant(x) for x in program.consts], inputs)


def used_inputs(program: Any) -> list[bool]:
    """Which inputs of a closed program its results depend on."""
    needed = {id(var) for var in program.jaxpr.outvars if not hasattr(var, "val")}
    for eqn in reversed(program.jaxpr.eqns):
        if any(id(var) in needed for var in eqn.outvars):
            needed |= {id(var) for var in eqn.invars if not hasattr(var, "val")}
    return [id(var) in needed for var in program.jaxpr.invars]


def _evaluate(lanes: Lanes, jaxpr: Any, consts: Sequence[Value], inputs: Sequence[Value]) -> list[Value]:
    values: dict[Any, Value] = dict(zip(jaxpr.constvars, consts, strict=True))
    values |= dict(zip(jaxpr.invars, inputs, strict=True))

    def read(var: Any) -> Value:
        if hasattr(var, "val"):  # a literal; its class lies in a module that takes long to import
            aval: Any = var.aval
            return constant(np.asarray(var.val, aval.dtype))
        return values[var]

    needed = {var for var in jaxpr.outvars if not hasattr(var, "val")}
    wanted = []
    for eqn in reversed(jaxpr.eqns):
        if any(var in needed for var in eqn.outvars):
            wanted.append(eqn)
            needed |= {var for var in eqn.invars if not hasattr(var, "val")}
    for eqn in reversed(wanted):
        name = eqn.primitive.name
        if name not in RULES or not all(_holds(name, var) for var in eqn.outvars):
            raise DoesNotFit(f"the operation {name}")
        results = RULES[name](lanes, eqn, *map(read, eqn.invars))
        results = results if eqn.primitive.multiple_results else [results]
        values |= dict(zip(eqn.outvars, results, strict=True))
    return [read(var) for var in jaxpr.outvars]


def _holds(name: str, var: Any) -> bool:
    dtype = var.aval.dtype
    return name in _OF_KEYS if jnp.issubdtype(dtype, jax.dtypes.prng_key) else dtype.name in _TYPES


@rule(*_CALLS[:-3])
def call(lanes: Lanes, eqn: Any, *inputs: Value) -> list[Value]:
    """What a function is, is written where it is called."""
    params = eqn.params
    program = next(params[name] for name in ("jaxpr", "call_jaxpr", "call", "fun_jaxpr") if name in params)
    return run(lanes, program, inputs)


# -------------------------------------------------------------------------------------------------- loops and branches


@rule("scan")
def scan(lanes: Lanes, eqn: Any, *inputs: Value) -> list[Value]:
    """A loop of a known number of turns: written out if it stacks something, else a loop of the kernel."""
    params = eqn.params
    body, length = params["jaxpr"], params["length"]
    consts, count = _counts(params)
    shared, carry, columns = inputs[:consts], list(inputs[consts : consts + count]), inputs[consts + count :]

    def turn(i: Any, carry: Sequence[Value]) -> tuple[list[Value], list[Value]]:
        at = length - 1 - i if params["reverse"] else i
        rows = [_row(lanes, column, at) for column in columns]
        results = run(lanes, body, [*shared, *carry, *rows])
        return results[:count], results[count:]

    if len(eqn.outvars) == count:
        return _loop(lanes, carry, length, lambda i, now: turn(i, now)[0])
    if length > _MOST_TURNS:
        raise DoesNotFit(f"a loop of {length} turns that stacks what each makes")
    stacked: list[list[Value]] = []
    for i in range(length):
        carry, rows = turn(i, carry)
        stacked.append(rows)
    if params["reverse"]:
        stacked.reverse()
    columns = zip(*stacked, strict=True)
    return [*carry, *(_stacked(lanes, rows, var.aval) for rows, var in zip(columns, eqn.outvars[count:], strict=True))]


def _counts(params: Any) -> tuple[int, int]:
    """How many constants a loop has, and how many arrays it hands on."""
    if "num_consts" in params:
        return params["num_consts"], params["num_carry"]
    consts, carry, _ = (len(list(part)) for part in params["ft_in"].unpack())  # jax 0.11 and later
    return consts, carry


def _row(lanes: Lanes, column: Value, at: Any) -> Value:
    return made(column.shape[1:], _dtype(column), lambda index: entry_at(lanes, column, (at, *index)))


def _dtype(value: Value) -> Any:
    return value.dtype if isinstance(value, Long) else np.dtype(np.float32)  # of entries in registers nobody asks


def _stacked(lanes: Lanes, rows: Sequence[Value], out: Any) -> Value:
    def read(index: Index) -> Entry:
        if not known(index[0]):
            raise DoesNotFit("what a loop stacks is looked up at an index")
        return entry_at(lanes, rows[int(index[0])], index[1:])

    return made(out.shape, out.dtype, read)


def _loop(
    lanes: Lanes, carry: list[Value], length: int, turn: Callable[[Any, list[Value]], list[Value]]
) -> list[Value]:
    """``length`` turns; what is in registers is handed on, tables stay where they are."""
    held = Held(lanes, carry)

    def step(i: Any, entries: tuple[Any, ...]) -> tuple[Any, ...]:
        return held.given(turn(index_of(i), held.taken(entries)))

    return held.taken(lax.fori_loop(np.int32(0), np.int32(length), step, held.given(carry)))


class Held:
    """A loop's carry: vectors of all lanes for what is in registers, and the tables that it writes."""

    def __init__(self, lanes: Lanes, carry: Sequence[Value]) -> None:
        self._lanes = lanes
        self._like: list[Any] = [x if isinstance(x, Long) else x.shape for x in carry]
        for x in carry:
            if isinstance(x, Long) and not isinstance(x, Table):
                raise DoesNotFit(f"a loop hands on an array of shape {x.shape}")

    def given(self, carry: Sequence[Value]) -> tuple[Any, ...]:
        """The entries of a carry."""
        entries: list[Any] = []
        for x, like in zip(carry, self._like, strict=True):
            if isinstance(like, Table):
                like.buffer.put(x)
            elif isinstance(x, Long):
                raise DoesNotFit(f"a loop hands on an array of shape {x.shape}")
            else:
                entries += [self._lanes.spread(entry) for entry in x.flat]
        return tuple(entries)

    def taken(self, entries: Sequence[Any]) -> list[Value]:
        """A carry of these entries; tables as they are now."""
        rest = iter(entries)
        carry: list[Value] = []
        for like in self._like:
            if isinstance(like, Table):
                carry.append(like.buffer.table())
                continue
            shape: tuple[int, ...] = like
            x = np.empty(shape, object)
            for index in np.ndindex(*shape):
                x[index] = next(rest)
            carry.append(x)
        return carry


@rule("while")
def while_loop(lanes: Lanes, eqn: Any, *inputs: Value) -> list[Value]:
    """A loop until the last lane is done; lanes that are done keep what they have."""
    params = eqn.params
    of_test, of_body = params["cond_nconsts"], params["body_nconsts"]
    test, body = inputs[:of_test], inputs[of_test : of_test + of_body]
    carry = list(inputs[of_test + of_body :])
    held = Held(lanes, carry)

    def goes_on(entries: tuple[Any, ...]) -> Any:
        (on,) = run(lanes, params["cond_jaxpr"], [*test, *held.taken(entries)])
        on = on[()]
        if not np.ndim(on):
            return on
        if lanes.mask is not None:
            on = lax.bitwise_and(on, lanes.mask)
        return jnp.max(lax.convert_element_type(on, jnp.int32)) > 0

    def turn(entries: tuple[Any, ...]) -> tuple[Any, ...]:
        now = held.taken(entries)
        (on,) = run(lanes, params["cond_jaxpr"], [*test, *now])
        with lanes.only(on[()]):
            after = held.given(run(lanes, params["body_jaxpr"], [*body, *now]))
        return tuple(lanes.select(on[()], new, old) for new, old in zip(after, entries, strict=True))

    return held.taken(lax.while_loop(goes_on, turn, held.given(carry)))


@rule("cond")
def cond(lanes: Lanes, eqn: Any, which: Value, *inputs: Value) -> list[Value]:
    """Every branch, and of each lane the results of its own."""
    branches = eqn.params["branches"]
    at = which[()]
    if known(at):
        return run(lanes, branches[min(max(int(at), 0), len(branches) - 1)], inputs)
    at = lanes.spread(index_of(at))
    results: list[Value] | None = None
    for i, branch in enumerate(branches):
        beyond = lax.ge if i == len(branches) - 1 else lax.le if i == 0 else lax.eq
        mine = beyond(at, lanes.spread(np.int32(i)))
        given = [x.buffer.table() if isinstance(x, Table) else x for x in inputs]
        with lanes.only(mine):
            after = run(lanes, branch, given)
            after = [x if isinstance(x, Table) else entries_of(x) for x in after]
        results = after if results is None else [_mixed(lanes, mine, x, y) for x, y in zip(after, results, strict=True)]
    assert results is not None
    return results


def _mixed(lanes: Lanes, mine: Entry, new: Value, old: Value) -> Value:
    if isinstance(new, Table) and isinstance(old, Table) and new.buffer is old.buffer:
        return new.buffer.table()
    new, old = entries_of(new), entries_of(old)
    out = np.empty(new.shape, object)
    for index in np.ndindex(*new.shape):
        out[index] = lanes.select(mine, new[index], old[index])
    return out


# ---------------------------------------------------------------------------------------------------------------- keys
# A key is its two words, as a last axis that the program does not see.


@rule("random_wrap", "random_unwrap")
def same_words(lanes: Lanes, eqn: Any, x: Value) -> Value:
    """A key is its words."""
    del lanes
    for var in (*eqn.invars, *eqn.outvars):
        impl = getattr(var.aval.dtype, "_impl", None)
        if impl is not None and impl.name != "threefry2x32":
            raise DoesNotFit(f"keys of {impl.name}")
    return x


def _cipher(lanes: Lanes, key: tuple[Entry, Entry], high: Entry, low: Entry) -> tuple[Entry, Entry]:
    k0, k1, high, low = (lanes.spread(x) for x in (*key, high, low))
    return threefry2x32((k0, k1), (high, low))


def _check_keys() -> None:
    if not jax.config.jax_threefry_partitionable:  # pyright: ignore[reportAttributeAccessIssue]
        raise DoesNotFit("keys of jax_threefry_partitionable=False")


def _word(at: Any) -> Entry:
    return np.uint32(at) if known(at) else lax.convert_element_type(at, jnp.uint32)


@rule("random_bits")
def random_bits(lanes: Lanes, eqn: Any, key: Value) -> Value:
    """As ``jax.random.bits`` draws them: the cipher of each entry's number."""
    _check_keys()
    out, width = eqn.outvars[0].aval, eqn.params["bit_width"]
    keys = len(eqn.invars[0].aval.shape)
    if width not in (32, 64) or keys:
        raise DoesNotFit(f"random words of {width} bits")

    def read(index: Index) -> Entry:
        place: Any = 0
        for size, at in zip(out.shape, index, strict=True):
            place = place * size + int(at) if known(at) and known(place) else _no_traced_place()
        high, low = _cipher(lanes, (entry_at(lanes, key, (0,)), entry_at(lanes, key, (1,))), np.uint32(0), _word(place))
        if width == 32:
            return lax.bitwise_xor(high, low)
        high, low = (lax.convert_element_type(x, jnp.uint64) for x in (high, low))
        return lax.bitwise_or(lax.shift_left(high, lanes.spread(np.uint64(32))), low)

    return made(out.shape, out.dtype, read)


def _no_traced_place() -> int:
    raise DoesNotFit("a random word is looked up at an index")


@rule("random_fold_in")
def random_fold_in(lanes: Lanes, eqn: Any, key: Value, number: Value) -> Value:
    """The key that ``jax.random.fold_in`` makes of a key and a number."""
    _check_keys()
    if eqn.outvars[0].aval.shape:
        raise DoesNotFit("numbers folded into many keys")
    given = entry_at(lanes, number, ())
    pair = _cipher(lanes, (key[0], key[1]), np.uint32(0), _word(given) if not known(given) else np.uint32(int(given)))
    return _words(pair)


def _words(pair: tuple[Entry, Entry]) -> Value:
    out = np.empty((2,), object)
    out[0], out[1] = pair
    return out


@rule("random_split")
def random_split(lanes: Lanes, eqn: Any, key: Value) -> Value:
    """The keys that ``jax.random.split`` makes of a key."""
    _check_keys()
    shape = tuple(eqn.params["shape"])
    if len(eqn.invars[0].aval.shape) or 2 * math.prod(shape) > MOST_IN_REGISTERS:
        raise DoesNotFit("many keys")
    out = np.empty((*shape, 2), object)
    for place, index in enumerate(np.ndindex(*shape)):
        out[index][0], out[index][1] = _cipher(lanes, (key[0], key[1]), np.uint32(0), np.uint32(place))
    return out
