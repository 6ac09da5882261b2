"""The loop on an accelerator as one kernel: a lane is a run, and a call takes all its updates of a block.

An accelerator is handed every operation of a loop by itself, ten to fifteen launches an update, and waits for each. So
the step of one run is traced once and interpreted for a kernel's lanes (``lane_programs.py``), which holds the loop
over updates: tables lie in memory, everything short stays in registers, and random words are made where they are used.
Measuring happens between calls, as elsewhere. A step that does not fit runs operation by operation.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Int, UInt32

from a3cjax._xla.backend import Backend, compiling_for
from a3cjax._xla.compiler import FOR_LITTLE
from a3cjax._xla.lane_kernel import LANE_KERNEL, block_lanes, is_interpreted
from a3cjax._xla.lane_programs import used_inputs
from a3cjax._xla.lane_tables import Place
from a3cjax.engine.batched import Batched
from a3cjax.engine.columns import narrow_block, types_of
from a3cjax.engine.history.protocol import Carry, Event, Kind, words_per_proposal
from a3cjax.engine.layout import Layout
from a3cjax.engine.loop import note, room, shown_of
from a3cjax.engine.measure import Shown, measure_state
from a3cjax.engine.persistent_kernel import CHUNK, Program, call
from a3cjax.engine.plan import Block, Plan
from a3cjax.engine.runs import Runs
from a3cjax.engine.way import Way

_FEW = 32  # entries of an array of each run that stay in registers
_FEW_ROWS = 16  # likewise, if rows of it are looked up
_WORK = 1 << 30  # run-updates of a call: a fraction of a second, the grain of progress and Ctrl-C
_WORK_OF_EACH = 1 << 28
LOGGED_WORK = 1 << 25  # run-updates of a block whose samples are logged
_MOST_ENTRIES = (1 << 31) - 1  # of an array in memory: indices have 32 bits


def fits(plan: Plan, learner: Any, own_schedules: bool, runs: int) -> bool:
    """Whether the step of this learner, and everything else of the plan, can be part of the kernel."""
    if plan.history == "versions" or plan.delay_metrics or runs * max(1, plan.num_workers) > _MOST_ENTRIES:
        return False
    plan = dataclasses.replace(plan, metrics=(), segment=1, backend=LANE_KERNEL)
    lanes = block_lanes(runs)
    program = _program(plan, Kind.of(learner), own_schedules, lanes, is_interpreted())
    padded = -(-runs // lanes) * lanes
    if program is None:
        return False
    kept = (place.size * padded for place in program.places)
    return max(*kept, *(place.size * LOGGED_WORK for place in program.samples), 0) <= _MOST_ENTRIES


def _program_for(plan: Plan, learner: Any, own_schedules: bool, runs: int) -> Program:
    plan = dataclasses.replace(plan, metrics=(), segment=1)
    program = _program(plan, Kind.of(learner), own_schedules, block_lanes(runs), is_interpreted())
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
) -> tuple[Carry, dict[str, Any], Shown | None, Any]:
    """As ``loop.advance``."""
    batched = Batched.of(learner, plan.axes)
    one = batched.of_run(0)
    lanes = keys.shape[0]
    own_schedules = any(column.shape[0] > 1 for column in jax.tree.leaves(block))
    program = _program_for(plan, one, own_schedules, lanes)
    with compiling_for(plan.backend):
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
        results = call(program, lanes, [limits, *given], [*memory, *log])
        return results[: len(memory)], results[len(memory) :]

    def now(memory):
        return shown_of(plan, history, unlay(memory))

    def of_state(known):
        memory, end = known
        with compiling_for(plan.backend):
            return measure_state(plan.metrics, batched, now(memory), keys, jnp.broadcast_to(end, (lanes,)), real)

    def take_segment(j, loop):
        memory, log, begin, metrics, shown = loop
        end = begin + lengths[j]
        memory, log = take(memory, log, begin, end)
        if plan.apart:
            shown = jax.tree.map(lambda kept, leaf: kept.at[j].set(leaf), shown, now(memory))
        else:
            metrics = note(metrics, j, measured[j], of_state, (memory, end))
        return memory, log, end, metrics, shown

    memory = [place.lay(leaf) for place, leaf in zip(program.places, leaves, strict=True)]
    log = [jnp.zeros(place.memory(updates * lanes).shape, place.stored) for place in program.samples]
    metrics, shown = {}, None
    if plan.apart:
        shown = room(lengths.shape[0], jax.eval_shape(now, memory))
    else:
        metrics = room(lengths.shape[0], jax.eval_shape(of_state, (memory, first)))
    loop = (memory, log, first, metrics, shown)
    memory, log, _, metrics, shown = lax.fori_loop(0, lengths.shape[0], take_segment, loop)
    samples = None
    if plan.log:
        parts = [_logged(place, part, updates, lanes) for place, part in zip(program.samples, log, strict=True)]
        samples = jax.tree.unflatten(program.samples_structure, parts)
    return unlay(memory), metrics, shown, samples


class KernelWay(Way):
    """One call a block, and of the schedule only what the learner looks at."""

    advance = staticmethod(advance)

    def takes(self, plan: Plan, runs: Runs, platform: str) -> bool:
        """On a GPU, and wherever an interpreter stands in for one, if they fit."""
        wanted = platform == "gpu" or is_interpreted()
        return wanted and fits(plan, runs.one_learner(), runs.worker.shape[0] > 1, runs.count)

    def compiler_options(self, backend: Backend) -> Mapping[str, Any] | None:
        """An interpreter, too, is compiled."""
        return FOR_LITTLE if is_interpreted() else backend.compiler_options

    def block_work(self, plan: Plan, own_schedules: bool) -> int:
        """Less where each update of each run is told, or tells, something of its own."""
        work = _WORK_OF_EACH if own_schedules else _WORK
        return min(work, LOGGED_WORK) if plan.log else work

    def block(
        self, plan: Plan, runs: Runs, layout: Layout, first: int, updates: int, room: dict[int, np.ndarray]
    ) -> Block:
        """The columns that are used, each in the narrowest type."""
        one = runs.one_learner()
        used = _program_for(plan, one, runs.worker.shape[0] > 1, layout.lanes).used
        types = types_of(runs, plan.depth, used)
        return narrow_block(runs, layout, first, updates, plan.chunk(one, layout.lanes), types, room)


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


@functools.lru_cache(maxsize=64)
def _program(plan: Plan, kind: Kind, own_schedules: bool, lanes: int, interpret: bool) -> Program | None:
    """The program, its tables laid out by how its lanes look rows up; None if it does not fit."""
    leaves = kind.shapes()
    with compiling_for(LANE_KERNEL):
        history = plan.build(jax.tree.unflatten(kind.structure, [np.zeros(x.shape, x.dtype) for x in leaves]))
        key, i32 = jax.ShapeDtypeStruct((2,), jnp.uint32), jax.ShapeDtypeStruct((), jnp.int32)
        learner = jax.tree.unflatten(kind.structure, leaves)
        num_words = words_per_proposal(learner)
        words = jax.ShapeDtypeStruct((num_words,), jnp.uint32)
        carry = jax.eval_shape(_with(kind, history.start), leaves, key)
        shapes_of_event: Any = i32, i32, words, *(i32 if there else None for there in (plan.gathers, plan.discards))
        event = Event(*shapes_of_event)

        def step(leaves, carry, k, event):
            after, samples, _ = history.step(jax.tree.unflatten(kind.structure, leaves), carry, k, event)
            return after, samples if plan.log else None

        stepped, shapes = jax.make_jaxpr(step, return_shape=True)(leaves, carry, i32, event)
        entered = jax.make_jaxpr(_with(kind, history.enter))(leaves, carry, i32)
    carry_leaves = jax.tree.leaves(carry)
    few = tuple(_stays(leaf) for leaf in carry_leaves)
    sampled, structure = jax.tree.flatten(shapes[1])
    used = used_inputs(stepped)[len(leaves) + len(carry_leaves) + 1 :]
    worker, delay, uses_words, *commit_and_weight = used
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
        (worker or uses_words, delay, uses_words, *commit_and_weight),
    )
    try:
        _try(program, translate=False)
        layouts = tuple(
            dataclasses.replace(place, layout="apart") if place.rows_of_own and not stays else place
            for place, stays in zip(program.places, few, strict=True)
        )
        program = dataclasses.replace(program, places=layouts)
        _try(program, translate=not interpret)
    except Exception:  # of our own rules (``DoesNotFit``) or of JAX's, which differ from version to version
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
    called = functools.partial(call, program, lanes)
    if not translate:
        jax.eval_shape(called, given, memory)
        return
    jax.jit(called).trace(given, memory).lower(lowering_platforms=(_platform(),))


def _platform() -> str:
    """Whose compiler the kernel is for; NVIDIA's where there is no GPU."""
    on_amd = jax.default_backend() == "gpu" and "rocm" in jax.devices()[0].client.platform_version.lower()
    return "rocm" if on_amd else "cuda"


def _stored(dtype: Any) -> Any:
    return np.dtype(np.int8) if dtype == np.bool_ else np.dtype(dtype)
