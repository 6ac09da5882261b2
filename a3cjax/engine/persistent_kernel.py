"""The kernel that takes all updates of a block for some lanes: its arguments, its loop, and what it makes where."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from a3cjax._xla.lane_programs import Held, run
from a3cjax._xla.lane_rules import made
from a3cjax._xla.lane_tables import Buffer, Place
from a3cjax._xla.lane_values import Entry, Index, Lanes, Long, Value, entries_of
from a3cjax._xla.threefry import threefry2x32
from a3cjax.engine.history.past_table import BLOCK
from a3cjax.engine.history.protocol import Kind
from a3cjax.engine.plan import Plan

CHUNK = BLOCK  # updates between two looks at where rows are
_FEW_SHARED = 8  # entries of a learner's array that stay in registers
_FEW_WORDS = 16  # words of a proposal that are made before it; of more, each where it is used


@dataclass(frozen=True, eq=False)
class Program:
    """One run's step and its entering of a part, traced; where the carry lies; what of the schedule they use."""

    plan: Plan
    kind: Kind
    own_schedules: bool
    lanes: int  # of a block
    interpret: bool
    step: Any
    enter: Any  # None where it does nothing
    offset: int
    num_words: int
    places: tuple[Place, ...]
    in_registers: tuple[bool, ...]
    samples: tuple[Place, ...]
    samples_structure: Any
    used: tuple[bool, ...]  # of worker, delay, turn, and commit and weight if there are


def call(program: Program, lanes: int, given: Sequence[Any], memory: Sequence[Any]) -> list[Any]:
    """The kernel for all lanes. ``given`` is read; ``memory``, of the carry and the samples, is overwritten."""
    from jax.experimental import pallas as pl  # takes a while, and only a GPU needs it
    from jax.experimental.pallas import triton

    def load(ref, address, mask):
        if mask is None:
            return triton.load(ref.at[address])
        return triton.load(ref.at[address], mask=mask, other=np.zeros((), ref.dtype)[()])

    def store(ref, address, entry, mask):
        triton.store(ref.at[address], entry, mask=mask)

    def kernel(*refs):
        mine = pl.program_id(0) * np.int32(program.lanes) + lax.iota(jnp.int32, program.lanes)
        block = Lanes(program.lanes, mine, load, store)
        _take_updates(program, block, lanes, refs[: len(given)], refs[len(given) + len(memory) :])

    options: dict[str, Any] = {}
    if not program.interpret:
        options = {"compiler_params": triton.CompilerParams(num_warps=program.lanes // 32, num_stages=1)}
    run_kernel = pl.pallas_call(
        kernel,
        grid=(lanes // program.lanes,),
        out_shape=[jax.ShapeDtypeStruct(part.shape, part.dtype) for part in memory],
        input_output_aliases={len(given) + i: i for i in range(len(memory))},
        interpret=program.interpret,
        **options,
    )
    return list(run_kernel(*given, *memory))


def _take_updates(program: Program, lanes: Lanes, runs: int, given: Sequence[Any], memory: Sequence[Any]) -> None:
    """The kernel of one block of lanes: its updates, one after the other."""
    limits, first_word, second_word, *rest = given
    columns, leaves = rest[: len(program.used)], rest[len(program.used) :]
    begin, end, base, logged_from = (lanes.load(limits, np.int32(i), None) for i in range(4))
    key = tuple(lanes.load(ref, lanes.runs, None) for ref in (first_word, second_word))
    axes = program.plan.axes
    learner = [
        _leaf(lanes, runs, ref, leaf, axis) for ref, leaf, axis in zip(leaves, program.kind.shapes(), axes, strict=True)
    ]
    count = len(program.places)
    buffers = [Buffer(place, ref, lanes, runs) for place, ref in zip(program.places, memory[:count], strict=True)]
    logs = list(zip(program.samples, memory[count:], strict=True))
    carry = [
        entries_of(made(b.place.shape, b.place.dtype, b.load)) if stays else b.table()
        for b, stays in zip(buffers, program.in_registers, strict=True)
    ]
    held = Held(lanes, carry)

    def settled(after: Sequence[Value]) -> list[Value]:
        """The carry after an update, what is in memory at its place."""
        pairs = zip(buffers, program.in_registers, after, strict=True)
        return [entries_of(x) if stays else buffer.put(x) for buffer, stays, x in pairs]

    def column(i: int, k: Any) -> Entry:
        if not program.used[i]:
            return np.int32(0)
        place = lax.sub(k, base)
        if program.own_schedules:
            place = lax.add(lanes.spread(lax.mul(place, np.int32(runs))), lanes.runs)
        return lax.convert_element_type(lanes.load(columns[i], place, None), jnp.int32)

    def take_update(k: Any, entries: tuple[Any, ...]) -> tuple[Any, ...]:
        worker, delay, turn, *optional = (column(i, k) for i in range(len(program.used)))
        words = _words(
            program, lanes, key, worker, lax.add(turn, np.int32(program.offset)) if program.used[2] else turn
        )
        event = [_scalar(worker), _scalar(delay), words, *map(_scalar, optional)]
        results = run(lanes, program.step, [*learner, *held.taken(entries), _scalar(k), *event])
        for (place, ref), sample in zip(logs, results[count:], strict=True):
            _note(lanes, place, ref, runs, lax.sub(k, logged_from), sample)
        return held.given(settled(results[:count]))

    def take_part(p: Any, entries: tuple[Any, ...]) -> tuple[Any, ...]:
        start = lax.max(begin, lax.mul(p, np.int32(CHUNK)))
        stop = lax.min(end, lax.mul(lax.add(p, np.int32(1)), np.int32(CHUNK)))
        entered = settled(run(lanes, program.enter, [*learner, *held.taken(entries), _scalar(start)]))
        return lax.fori_loop(start, stop, take_update, held.given(entered))

    if program.enter is None:
        entries = lax.fori_loop(begin, end, take_update, held.given(carry))
    else:
        by = np.int32(CHUNK)
        parts = lax.div(begin, by), lax.div(lax.add(end, np.int32(CHUNK - 1)), by)
        entries = lax.fori_loop(*parts, take_part, held.given(carry))
    for buffer, stays, x in zip(buffers, program.in_registers, held.taken(entries), strict=True):
        if stays:
            for index in np.ndindex(*x.shape):
                buffer.store(index, x[index])


def _scalar(entry: Entry) -> Value:
    out = np.empty((), object)
    out[()] = entry
    return out


def _leaf(lanes: Lanes, runs: int, ref: Any, leaf: Any, axis: int | None) -> Value:
    """An array of the learner: a number for each lane, a few for all, or a table."""
    shape = () if axis == 0 else tuple(leaf.shape)
    if axis == 0:
        return entries_of(Buffer(Place((), np.dtype(leaf.dtype), "beside"), ref, lanes, runs).table())
    table = Buffer(Place(shape, np.dtype(leaf.dtype), "shared"), ref, lanes, runs).table()
    return entries_of(table) if leaf.size <= _FEW_SHARED else table


def _note(lanes: Lanes, place: Place, ref: Any, runs: int, row: Any, sample: Value) -> None:
    """Log one sample of each lane."""
    first = lax.mul(row, np.int32(place.size * runs))
    sample = entries_of(sample)
    for j, index in enumerate(np.ndindex(*place.shape)):
        address = lax.add(lanes.spread(lax.add(first, np.int32(j * runs))), lanes.runs)
        lanes.store(ref, address, lax.convert_element_type(lanes.spread(sample[index]), place.stored), None)


def _words(program: Program, lanes: Lanes, key: Any, worker: Entry, turn: Entry) -> Value:
    """The random words of one proposal, as ``randomness.proposal_words`` makes them."""
    pairs = -(-program.num_words // 2)
    if not program.used[2]:
        return made((program.num_words,), np.uint32, lambda index: np.uint32(0))
    worker, turn = (lax.convert_element_type(x, jnp.uint32) for x in (worker, turn))
    first, later = lax.mul(worker, np.uint32(pairs)), lanes.spread(turn)

    def pair(i: Any) -> tuple[Any, Any]:
        number = np.uint32(i) if isinstance(i, int) else lax.convert_element_type(i, jnp.uint32)
        number = lax.add(*lanes.alike([first, number]))
        made = threefry2x32(key, (lanes.spread(number), later))
        return lax.optimization_barrier(made) if program.interpret else made  # or it is compiled for each use

    if program.num_words <= _FEW_WORDS:
        both = [word for i in range(pairs) for word in pair(i)][: program.num_words]
        out = np.empty((program.num_words,), object)
        for i, word in enumerate(both):
            out[i] = word
        return out

    def read(index: Index) -> Entry:
        (at,) = index
        if isinstance(at, int):
            return pair(at // 2)[at % 2]
        x, y = pair(lax.div(at, np.int32(2)))
        return lanes.select(lax.eq(lax.rem(at, np.int32(2)), np.int32(1)), y, x)

    return Long((program.num_words,), np.uint32, read, costly=True)
