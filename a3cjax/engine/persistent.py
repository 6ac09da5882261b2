"""The loop on an accelerator as one kernel: a lane is a run, and a call takes all its updates of a block.

An accelerator is handed every operation of a loop by itself, ten to fifteen launches an update, and waits for each. So
the step of one run is traced once (``histories.py``) and interpreted for the lanes of a kernel (``lane_programs.py``),
which holds the loop over updates: tables lie in memory, everything short stays in registers, and random words are made
where they are used. Measuring happens between calls, as elsewhere. A step that does not fit runs operation by
operation.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Int, UInt32

from a3cjax._kernel import compiling_for
from a3cjax._threefry import threefry2x32
from a3cjax._xla.lane_programs import Held, run, used_inputs
from a3cjax._xla.lane_rules import made
from a3cjax._xla.lane_tables import Buffer, Place
from a3cjax._xla.lane_values import DoesNotFit, Entry, Index, Lanes, Long, Value, entries_of
from a3cjax.engine.histories import Carry, Event, Kind, words_per_proposal
from a3cjax.engine.loop import Batched, Block, Plan
from a3cjax.engine.measure import measure_state
from a3cjax.engine.past_table import BLOCK

CHUNK = BLOCK  # updates between two looks at where rows are
_FEW = 32  # entries of an array of each run that stay in registers
_FEW_ROWS = 16  # likewise, if rows of it are looked up
_FEW_SHARED = 8  # likewise, of a learner's array
_FEW_WORDS = 16  # words of a proposal that are made before it; of more, each where it is used
_WIDE = 1 << 15  # runs from which on four warps work together
_MOST_ENTRIES = (1 << 31) - 1  # of an array in memory: indices have 32 bits

_interpreted: ContextVar[bool] = ContextVar("interpreted", default=False)


@contextlib.contextmanager
def interpreted() -> Iterator[None]:
    """Within, the kernel is what runs on a CPU too, in Pallas' interpreter: slowly, and for tests."""
    token = _interpreted.set(True)
    try:
        yield
    finally:
        _interpreted.reset(token)


def is_interpreted() -> bool:
    """Whether an interpreter stands in for the accelerator."""
    return _interpreted.get()


def block_lanes(runs: int) -> int:
    """Lanes that one block of the kernel takes: as many as its threads."""
    if _interpreted.get():
        return 8
    return 128 if runs >= _WIDE else 32


def fits(plan: Plan, learner: Any, own_schedules: bool, runs: int) -> bool:
    """Whether the step of this learner, and everything else of the plan, can be part of the kernel."""
    if plan.delay_metrics or runs * max(1, plan.num_workers) > _MOST_ENTRIES:
        return False
    plan = dataclasses.replace(plan, metrics=(), segment=1, target="persistent kernel")
    lanes = block_lanes(runs)
    program = _program(plan, Kind.of(learner), own_schedules, lanes, _interpreted.get())
    padded = -(-runs // lanes) * lanes
    return program is not None and all(place.size * padded <= _MOST_ENTRIES for place in program.places)


def used_columns(plan: Plan, learner: Any, own_schedules: bool, runs: int) -> tuple[bool, ...]:
    """Which columns of the schedule a step that fits looks at: worker, delay, turn and commit."""
    return _program_for(plan, learner, own_schedules, runs).used


def _program_for(plan: Plan, learner: Any, own_schedules: bool, runs: int) -> "Program":
    plan = dataclasses.replace(plan, metrics=(), segment=1)
    program = _program(plan, Kind.of(learner), own_schedules, block_lanes(runs), _interpreted.get())
    assert program is not None
    return program


def advance(
    plan: Plan,
    learner: Any,
    carry: Carry,
    keys: UInt32[Array, "lanes 2"],
    block: Block,
    first: Int[Array, ""],
    lengths: Int[Array, " segments"],
    measured: Bool[Array, " segments"],
    real: Int[Array, ""],
) -> tuple[Carry, dict[str, Array], Any]:
    """As ``loop.advance``."""
    batched = Batched.of(learner, plan.axes)
    one = batched.of_run(0)
    lanes = keys.shape[0]
    own_schedules = any(column.shape[0] > 1 for column in jax.tree.leaves(block))
    program = _program_for(plan, one, own_schedules, lanes)
    with compiling_for(plan.target):
        history = plan.build(one)
    leaves, structure = jax.tree.flatten(carry)
    columns = [_column(column, used) for column, used in zip(jax.tree.leaves(block), program.used, strict=True)]
    given = [keys[:, 0], keys[:, 1], *columns, *(_flat(leaf) for leaf in batched.leaves)]
    updates = block.worker.shape[1] - 2 * CHUNK if plan.log else 0
    base = first - lax.rem(first, jnp.int32(CHUNK))

    def unlay(memory):
        parts = [place.unlay(part, lanes) for place, part in zip(program.places, memory, strict=True)]
        return jax.tree.unflatten(structure, parts)

    def take(memory, log, begin, end):
        limits = jnp.stack([begin, end, base, first]).astype(jnp.int32)
        results = _call(program, lanes, updates, [limits, *given], [*memory, *log])
        return results[: len(memory)], results[len(memory) :]

    def of_state(known):
        memory, end = known
        now = unlay(memory)
        with compiling_for(plan.target):
            return measure_state(plan.metrics, history.workers, batched, (now.state, now.slots, keys), end, real)

    def take_segment(j, loop):
        memory, log, begin, metrics = loop
        end = begin + lengths[j]
        memory, log = take(memory, log, begin, end)
        nothing = jax.tree.map(lambda m: jnp.zeros(m.shape[1:], m.dtype), metrics)
        values = lax.cond(measured[j], of_state, lambda _: nothing, (memory, end))
        return memory, log, end, jax.tree.map(lambda m, v: m.at[j].set(v), metrics, values)

    memory = [place.lay(leaf) for place, leaf in zip(program.places, leaves, strict=True)]
    log = [jnp.zeros(place.memory(updates * lanes).shape, place.stored) for place in program.samples]
    shapes = jax.eval_shape(of_state, (memory, first))
    metrics = jax.tree.map(lambda x: jnp.zeros((lengths.shape[0], *x.shape), x.dtype), shapes)
    loop = (memory, log, first, metrics)
    memory, log, _, metrics = lax.fori_loop(0, lengths.shape[0], take_segment, loop)
    samples = None
    if plan.log:
        parts = [_logged(place, part, updates, lanes) for place, part in zip(program.samples, log, strict=True)]
        samples = jax.tree.unflatten(program.samples_structure, parts)
    return unlay(memory), metrics, samples


def _column(column: Array, used: bool) -> Array:
    """A column of the schedule as the kernel reads it: update after update, the runs side by side."""
    return column.T.reshape(-1) if used else jnp.zeros((1,), column.dtype)


def _flat(leaf: Any) -> Array:
    leaf = jnp.asarray(leaf)
    return (leaf.astype(jnp.int8) if leaf.dtype == jnp.bool_ else leaf).reshape(-1)


def _logged(place: Place, memory: Array, updates: int, lanes: int) -> Array:
    """Samples [updates · entries · lanes] as [updates, lanes, …]."""
    parts = memory.reshape(updates, -1, lanes).swapaxes(1, 2)
    return parts.reshape(updates, lanes, *place.shape).astype(place.dtype)


# ------------------------------------------------------------------------------------------------------------- program


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
    used: tuple[bool, ...]  # of worker, delay, turn and commit


@functools.lru_cache(maxsize=64)
def _program(plan: Plan, kind: Kind, own_schedules: bool, lanes: int, interpret: bool) -> Program | None:
    """The program, its tables laid out by how its lanes look rows up; None if it does not fit."""
    leaves = kind.shapes()
    with compiling_for("persistent kernel"):
        history = plan.build(jax.tree.unflatten(kind.structure, [np.zeros(x.shape, x.dtype) for x in leaves]))
        key, i32 = jax.ShapeDtypeStruct((2,), jnp.uint32), jax.ShapeDtypeStruct((), jnp.int32)
        learner = jax.tree.unflatten(kind.structure, leaves)
        num_words = words_per_proposal(learner)
        words = jax.ShapeDtypeStruct((num_words,), jnp.uint32)
        carry = jax.eval_shape(_with(kind, history.start), leaves, key)
        event = Event(i32, i32, words, i32 if plan.gathers else None)

        def step(leaves, carry, k, event):
            after, samples, _ = history.step(jax.tree.unflatten(kind.structure, leaves), carry, k, event)
            return after, samples if plan.log else None

        stepped, shapes = jax.make_jaxpr(step, return_shape=True)(leaves, carry, i32, event)
        entered = jax.make_jaxpr(_with(kind, history.enter))(leaves, carry, i32)
    carry_leaves = jax.tree.leaves(carry)
    few = tuple(_stays(leaf) for leaf in carry_leaves)
    sampled, structure = jax.tree.flatten(shapes[1])
    used = used_inputs(stepped)[len(leaves) + len(carry_leaves) + 1 :]
    worker, delay, uses_words, *commit = used
    program = Program(
        plan,
        kind,
        own_schedules,
        lanes,
        interpret,
        stepped,
        entered if entered.jaxpr.eqns else None,
        history.proposal_offset,
        num_words,
        tuple(_beside(leaf) for leaf in carry_leaves),
        few,
        tuple(_beside(leaf) for leaf in sampled),
        structure,
        (worker or uses_words, delay, uses_words, *commit),
    )
    try:
        _try(program, translate=False)
        layouts = tuple(
            dataclasses.replace(place, layout="apart") if place.rows_of_own and not stays else place
            for place, stays in zip(program.places, few, strict=True)
        )
        program = dataclasses.replace(program, places=layouts)
        _try(program, translate=not interpret)
    except DoesNotFit:
        return None
    return program


def _with(kind: Kind, method: Any) -> Any:
    return lambda leaves, *args: method(jax.tree.unflatten(kind.structure, leaves), *args)


def _stays(leaf: Any) -> bool:
    """Whether an array of the carry stays in registers."""
    rows = leaf.shape[0] if leaf.ndim > 1 else 1
    return leaf.size <= (_FEW if rows == 1 else _FEW_ROWS)


def _beside(leaf: Any) -> Place:
    return Place(tuple(leaf.shape), np.dtype(leaf.dtype), "beside")


def _try(program: Program, translate: bool) -> None:
    """Trace the kernel for two blocks of lanes, and if so wanted translate it for an accelerator's compiler."""
    lanes, plan = 2 * program.lanes, program.plan
    many = lanes if program.own_schedules else 1
    length = 3 * CHUNK
    i32, u32 = jnp.int32, jnp.uint32
    columns = [jax.ShapeDtypeStruct((many * length if used else 1,), i32) for used in program.used]
    leaves = [
        jax.ShapeDtypeStruct((lanes if axis == 0 else int(np.prod(leaf.shape)),), _stored(leaf.dtype))
        for leaf, axis in zip(program.kind.shapes(), plan.axes, strict=True)
    ]
    words = [jax.ShapeDtypeStruct((lanes,), u32)] * 2
    given = [jax.ShapeDtypeStruct((4,), i32), *words, *columns, *leaves]
    memory = [place.memory(lanes) for place in program.places]
    updates = CHUNK if plan.log else 0
    memory += [place.memory(updates * lanes) for place in program.samples]
    called = functools.partial(_call, program, lanes, updates)
    if not translate:
        jax.eval_shape(called, given, memory)
        return
    try:
        jax.jit(called).trace(given, memory).lower(lowering_platforms=("cuda",))
    except NotImplementedError as error:
        raise DoesNotFit(str(error)) from error


def _stored(dtype: Any) -> Any:
    return np.dtype(np.int8) if dtype == np.bool_ else np.dtype(dtype)


# -------------------------------------------------------------------------------------------------------------- kernel


def _call(program: Program, lanes: int, updates: int, given: Sequence[Any], memory: Sequence[Any]) -> list[Any]:
    """The kernel for all lanes. ``given`` is read; ``memory``, of the carry and the samples, is overwritten."""
    from jax.experimental import pallas as pl
    from jax.experimental.pallas import triton

    del updates

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
    call = pl.pallas_call(
        kernel,
        grid=(lanes // program.lanes,),
        out_shape=[jax.ShapeDtypeStruct(part.shape, part.dtype) for part in memory],
        input_output_aliases={len(given) + i: i for i in range(len(memory))},
        interpret=program.interpret,
        **options,
    )
    return list(call(*given, *memory))


def _take_updates(program: Program, lanes: Lanes, runs: int, given: Sequence[Any], memory: Sequence[Any]) -> None:
    """The kernel of one block of lanes: its updates, one after the other."""
    limits, first_word, second_word, *rest = given
    columns, leaves = rest[: len(program.used)], rest[len(program.used) :]
    begin, end, base, logged_from = (lanes.load(limits, np.int32(i), None) for i in range(4))
    key = tuple(lanes.load(ref, lanes.runs, None) for ref in (first_word, second_word))
    axes = program.plan.axes
    learner = [
        _leaf(lanes, runs, ref, leaf, axis)
        for ref, leaf, axis in zip(leaves, program.kind.shapes(), axes, strict=True)
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
        worker, delay, turn, *commit = (column(i, k) for i in range(len(program.used)))
        words = _words(program, lanes, key, worker, lax.add(turn, np.int32(program.offset)) if program.used[2] else turn)
        event = [_scalar(worker), _scalar(delay), words, *map(_scalar, commit)]
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

    return Long((program.num_words,), np.uint32, read)


__all__ = ["CHUNK", "advance", "block_lanes", "fits", "interpreted", "is_interpreted"]
