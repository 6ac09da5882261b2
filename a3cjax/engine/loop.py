"""The one loop: advance a tile of runs through a block of the schedule, measuring at marked updates.

A batch is cut into tiles of lanes (``layout.py``). A tile is small enough for its parameters to stay in cache and goes
through the whole block before the next tile starts; within it every operation acts on all lanes. Random words are made
for a chunk of updates at a time. Tile, chunk and block are matters of speed: no number depends on them.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Int, UInt32

from a3cjax._beside import runs_first, versions_first
from a3cjax._kernel import Target, compiling_for, fits_kernel, kernel
from a3cjax._lanes import lanes_first, settled
from a3cjax._rows import write_row
from a3cjax.engine.gather import GatheringRing
from a3cjax.engine.histories import Carry, Event, Kind, propose, shapes_of, words_per_proposal
from a3cjax.engine.mailbox import Mailbox
from a3cjax.engine.measure import measure_delay, measure_state
from a3cjax.engine.past_table import BLOCK
from a3cjax.engine.randomness import key_from_words, proposal_words
from a3cjax.engine.ring import Ring
from a3cjax.learners.protocol import apply_message, gather_message

HISTORIES = {"mailbox": Mailbox, "ring": Ring}
_EVENT_AXES = Event._make((0, 0, 1, 0))  # the run axis of [lanes], [lanes], [words, lanes] and [lanes]
CHUNK_WORDS = 1 << 13  # random words made at once, per tile: 32 KiB


class Block(NamedTuple):
    """A stretch of the schedule that begins at a multiple of the chunk and is padded by two chunks at its end.

    A batch's has a leading axis of tiles. Tiles and lanes are 1 when all runs share it.
    """

    worker: Int[Array, "*tiles lanes updates"]
    delay: Int[Array, "*tiles lanes updates"]
    turn: Int[Array, "*tiles lanes updates"]
    commit: Int[Array, "*tiles lanes updates"] | None = None  # 1 or 0, where messages are averaged


@dataclass(frozen=True)
class Plan:
    """What of a simulation is part of the compiled program."""

    history: str
    num_workers: int
    depth: int
    segment: int
    metrics: tuple[tuple[str, str | Callable[..., Any]], ...]  # of a state
    delay_metrics: tuple[tuple[str, str], ...]  # of the last update before a record
    log: bool
    axes: tuple[int | None, ...]  # of the learner's leaves: 0 where they carry a run axis
    target: Target
    gathers: bool = False  # the schedule has a commit column

    def build(self, learner: Any) -> Any:
        """The history for this learner, as one run sees it."""
        kind = GatheringRing if self.gathers else HISTORIES[self.history]
        delays = bool(self.delay_metrics)
        return kind(learner, self.num_workers, self.depth, self.log or delays, delays or learner.needs_stale)

    def chunk(self, learner: Any, lanes: int) -> int:
        """Updates whose random words are made at once, a power of two."""
        if self.target == "persistent kernel":  # which makes them where they are used
            return BLOCK
        most = CHUNK_WORDS // (words_per_proposal(learner) * lanes)
        return 1 << max(0, most.bit_length() - 1)

    def choose_target(self, learner: Any, platform: str) -> Target:
        """One CPU kernel if all that this learner does can be part of one.

        For the kernel of a GPU see ``persistent.fits``.
        """
        if platform != "cpu":
            return "accelerator"
        return _cpu_target(Kind.of(learner), self.gathers)


@functools.lru_cache(maxsize=64)
def _cpu_target(kind: Kind, gathers: bool) -> Target:
    def update(leaves, state, view, own, words, count):
        learner = jax.tree.unflatten(kind.structure, leaves)
        message, own = propose(learner, view, own, words)
        first, delay = learner.init_worker(key_from_words([count, count])), jnp.int32(0)
        if gathers:
            return learner.apply_mean(state, gather_message(learner, None, message, delay, view), delay), own, first
        return apply_message(learner, state, message, delay, view), own, first

    with compiling_for("kernel"):
        *given, _, _ = shapes_of(kind)
        count = jax.ShapeDtypeStruct((), jnp.uint32)
        return "kernel" if fits_kernel(update, kind.shapes(), *given, count) else "loops"


def start(plan: Plan, learner: Any, keys: UInt32[Array, "lanes 2"], workers: Int[Array, ""]) -> Carry:
    """The carry before the first update; the learner's leaves with a run axis are [lanes]. ``workers`` is N."""
    own = Batched.of(learner, plan.axes)

    def enlist_all(workers, keys):
        slots = jnp.zeros(carry.slots.shape, carry.slots.dtype)
        return lax.fori_loop(0, workers, lambda i, slots: write(slots, i, enlist(keys, i)), slots)

    with compiling_for(plan.target):
        history = plan.build(own.of_run(0))
        enlist = own.vmap(history.enlist, in_axes=(0, None))
        write = jax.vmap(write_row, in_axes=(0, None, 0))
        carry = _versions_first(history, own.vmap(history.start, in_axes=(0,))(keys))
        return carry._replace(slots=kernel(enlist_all, workers, keys)) if carry.slots.size else carry


def tile_of(plan: Plan, learner: Any, carry: Carry) -> Carry:
    """A tile's carry as the loop has it, given one in which all arrays have their run axis first."""
    with compiling_for(plan.target):
        return _versions_first(plan.build(learner), carry)


def runs_of(plan: Plan, learner: Any, carry: Carry, lanes: int) -> Carry:
    """The inverse."""
    with compiling_for(plan.target):
        return _runs_first(plan.build(learner), carry, lanes)


def _versions_first(history: Any, carry: Carry) -> Carry:
    def lay(beside, part):
        return jax.tree.map(versions_first, part) if beside else part

    return carry._replace(past=jax.tree.map(lay, history.beside, carry.past))


def _runs_first(history: Any, carry: Carry, lanes: int) -> Carry:
    def lay(beside, part):
        return jax.tree.map(lambda x: runs_first(x, lanes), part) if beside else part

    return carry._replace(past=jax.tree.map(lay, history.beside, carry.past))


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
    """Take ``lengths[j]`` updates for each segment j, measure after those marked, log samples if the plan says so.

    ``first`` is the update count at the start; the block begins at the multiple of the chunk before it. The first
    ``real`` lanes are measured. Returns the carry, the metrics [segments, lanes, …] and the samples
    [updates, lanes, …] (None without logging).
    """
    with compiling_for(plan.target):
        return _advance(plan, Batched.of(learner, plan.axes), carry, keys, block, first, lengths, measured, real)


def _advance(
    plan: Plan,
    learner: "Batched",
    carry: Carry,
    keys: UInt32[Array, "lanes 2"],
    block: Block,
    first: Int[Array, ""],
    lengths: Int[Array, " segments"],
    measured: Bool[Array, " segments"],
    real: Int[Array, ""],
) -> tuple[Carry, dict[str, Array], Any]:
    lanes = keys.shape[0]
    one = learner.of_run(0)
    history = plan.build(one)
    chunk = plan.chunk(one, lanes)
    run_key = (keys[None, :, 0], keys[None, :, 1])
    base = first - lax.rem(first, jnp.int32(chunk))
    enter_all = learner.vmap(history.enter, in_axes=(0, None))
    step_all = learner.vmap(history.step, in_axes=(0, None, _EVENT_AXES))
    part = min(chunk, BLOCK)
    at_start = jax.eval_shape(lambda: carry.state)
    count = words_per_proposal(one)

    def enter(carry, k):
        return _versions_first(history, enter_all(_runs_first(history, carry, lanes), k))

    def step(carry, k, event):
        carry, *used = step_all(_runs_first(history, carry, lanes), k, event)
        return _versions_first(history, carry), *used

    def settle(carry):
        return carry._replace(state=jax.tree.map(settled, carry.state))

    def unsettle(carry):
        return carry._replace(state=jax.tree.map(lambda x, one: lanes_first(x, one.shape[1:]), carry.state, at_start))

    def draw(begin, updates):
        """The events of ``updates`` updates from ``begin`` on, as a function of their place among them."""
        columns = [lax.dynamic_slice_in_dim(x, begin - base, updates, axis=1).T for x in jax.tree.leaves(block)]
        worker, delay, turn, *commit = (jnp.broadcast_to(column, (updates, lanes)) for column in columns)
        words = proposal_words(run_key, worker, turn + history.proposal_offset, count)
        return lambda j: Event(
            worker[j], delay[j], jnp.stack([word[j] for word in words]), *(column[j] for column in commit)
        )

    def note(log, k, samples):
        if not plan.log:
            return log
        return jax.tree.map(lambda b, x: lax.dynamic_update_index_in_dim(b, x, k - first, 0), log, samples)

    def take_updates(end, carry, log, begin):
        """Updates ``begin`` to ``end``."""

        def take_chunk(c, loop):
            event = draw(c * chunk, chunk)

            def take_update(k, loop):
                settled, log = loop
                carry, samples, _ = step(unsettle(settled), k, event(k - c * chunk))
                return settle(carry), note(log, k, samples)

            def take_part(p, loop):
                carry, log = loop
                start = jnp.maximum(begin, p * part)
                entered = settle(enter(unsettle(carry), start))
                return lax.fori_loop(start, jnp.minimum(end, (p + 1) * part), take_update, (entered, log))

            return _over_pieces(part, jnp.maximum(begin, c * chunk), jnp.minimum(end, (c + 1) * chunk), take_part, loop)

        carry, log = _over_pieces(chunk, begin, end, take_chunk, (settle(carry), log))
        return unsettle(carry), log

    def take_last(end, carry, log, begin):
        """Update ``begin``, the last before ``end`` if there is one; its samples, and what it was computed from."""

        def take_update(k, loop):
            carry, log, _ = loop
            carry, *used = step(carry, k, draw(k, 1)(0))
            return carry, note(log, k, used[0]), used

        def take_it(k, loop):  # in a loop of its own: XLA copies a store that is written by ``enter`` beside the reads
            carry, *rest = loop
            return lax.fori_loop(k, end, take_update, (enter(carry, k), *rest))

        nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), used)
        return lax.fori_loop(begin, end, take_it, (carry, log, nothing))

    def of_state(known):
        (state, slots), updates = known
        return measure_state(plan.metrics, history.workers, learner, (state, slots, keys), updates, real)

    def of_last(known):
        samples, stale, before = known
        return measure_delay(plan.delay_metrics, learner, samples, stale, before, real)

    def note_metrics(metrics, j, measure, known):
        nothing = jax.tree.map(lambda m: jnp.zeros(m.shape[1:], m.dtype), metrics)
        values = lax.cond(measured[j], measure, lambda _: nothing, known)
        return jax.tree.map(lambda m, v: m.at[j].set(v), metrics, values)

    def take_and_peek(begin, end, carry, log):
        """Take updates ``begin`` to ``end``; also what the last was made from, and what it was applied to."""
        last = jnp.maximum(end - 1, begin)
        carry, log = kernel(take_updates, last, carry, log, begin)
        before = carry.state
        carry, log, used = kernel(take_last, end, carry, log, last)
        return carry, log, (*used, before)

    def take_segment(j, loop):
        carry, log, begin, metrics, delay_metrics = loop
        end = begin + lengths[j]
        if plan.delay_metrics:
            carry, log, known = take_and_peek(begin, end, carry, log)
            delay_metrics = note_metrics(delay_metrics, j, of_last, known)
        else:
            carry, log = kernel(take_updates, end, carry, log, begin)
        measured_so = (carry.state, carry.slots), end
        return carry, log, end, note_metrics(metrics, j, of_state, measured_so), delay_metrics

    def room(count, shapes):
        return jax.tree.map(lambda x: jnp.zeros((count, *x.shape), x.dtype), shapes)

    log, used = None, []
    if plan.log or plan.delay_metrics:
        word = jnp.zeros((words_per_proposal(one), lanes), jnp.uint32)
        nobody = jnp.zeros(lanes, jnp.int32)
        idle = Event(nobody, nobody, word, nobody if plan.gathers else None)
        used = list(jax.eval_shape(lambda: step(carry, jnp.int32(0), idle)[1:]))
    if plan.log:
        log = room(block.worker.shape[1] - 2 * chunk, used[0])
    metrics = room(lengths.shape[0], jax.eval_shape(of_state, ((carry.state, carry.slots), first)))
    delay_metrics: dict[str, Array] = {}
    if plan.delay_metrics:
        delay_metrics = room(lengths.shape[0], jax.eval_shape(of_last, (*used, carry.state)))
    loop = (carry, log, first, metrics, delay_metrics)
    carry, log, _, metrics, delay_metrics = lax.fori_loop(0, lengths.shape[0], take_segment, loop)
    return carry, metrics | delay_metrics, log


def _over_pieces(size: int, begin: Array, end: Array, body: Callable[[Any, Any], Any], init: Any) -> Any:
    """``body(i, …)`` for each piece i of ``size`` updates that has one from ``begin`` to before ``end``."""
    by = jnp.int32(size)
    return lax.fori_loop(lax.div(begin, by), lax.div(end + (by - 1), by), body, init)


@dataclass(frozen=True)
class Batched:
    """A learner some of whose leaves carry a run axis."""

    leaves: list[Array]
    axes: tuple[int | None, ...]
    structure: Any

    @classmethod
    def of(cls, learner: Any, axes: tuple[int | None, ...]) -> "Batched":
        """A learner whose leaves have the run axis where ``axes`` is 0."""
        leaves, structure = jax.tree.flatten(learner)
        return cls(leaves, axes, structure)

    def of_run(self, b: Int[Array, ""] | int) -> Any:
        """The learner of run b."""
        leaves = [leaf if axis is None else leaf[b] for leaf, axis in zip(self.leaves, self.axes, strict=True)]
        return jax.tree.unflatten(self.structure, leaves)

    def vmap(self, method: Callable[..., Any], in_axes: tuple[Any, ...]) -> Callable[..., Any]:
        """``method(learner, *args)`` over runs."""

        def on_leaves(leaves, *args):
            return method(jax.tree.unflatten(self.structure, leaves), *args)

        return functools.partial(jax.vmap(on_leaves, (list(self.axes), *in_axes)), self.leaves)
