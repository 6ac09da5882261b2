"""The one loop: advance a tile of runs through a block of the schedule, measuring at marked updates.

A batch is cut into tiles of lanes (``layout.py``). A tile is small enough for its parameters to stay in cache and goes
through the whole block before the next tile starts; within it every operation acts on all lanes. Random words are made
for a chunk of updates at a time. Tile, chunk and block are matters of speed: no number depends on them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Int, UInt32

from a3cjax._xla.backend import compiling_for
from a3cjax._xla.lanes import lanes_first, lanes_in_place
from a3cjax._xla.marks import kernel, write_row
from a3cjax._xla.version_store import runs_first, versions_first
from a3cjax.engine.batched import Batched
from a3cjax.engine.history.past_table import BLOCK
from a3cjax.engine.history.protocol import Carry, Event, words_per_proposal
from a3cjax.engine.measure import Shown, measure_delay, measure_state
from a3cjax.engine.plan import Block, Plan
from a3cjax.engine.randomness import words_of_proposals

# The run axis of [lanes], [lanes], [words, lanes] and [lanes] …; and where all but the words is the same for all.
_EVENT_AXES = Event._make((0, 0, 1, 0, 0, 0, 0))
_SHARED_AXES = Event._make((None, None, 1, None, None, None, None))


def start(plan: Plan, learner: Any, keys: UInt32[Array, "lanes 2"], workers: Int[Array, ""]) -> Carry:
    """The carry before the first update; the learner's leaves with a run axis are [lanes]. ``workers`` is N."""
    learners = Batched.of(learner, plan.axes)

    def fill_slots(workers, keys):
        def fill(i, slots):
            return jax.tree.map(lambda kept, first: write(kept, i, first), slots, first_slot(keys, i))

        slots = jax.tree.map(lambda kept: jnp.zeros(kept.shape, kept.dtype), carry.slots)
        return lax.fori_loop(0, workers, fill, slots)

    with compiling_for(plan.backend):
        history = plan.build(learners.of_run(0))
        first_slot = learners.vmap(history.first_slot, in_axes=(0, None))
        write = jax.vmap(write_row, in_axes=(0, None, 0))
        carry = _versions_first(history, learners.vmap(history.start, in_axes=(0,))(keys))
        some = any(kept.size for kept in jax.tree.leaves(carry.slots))
        return carry._replace(slots=kernel(fill_slots, workers, keys)) if some else carry


def tile_of(plan: Plan, learner: Any, carry: Carry) -> Carry:
    """A tile's carry as the loop has it, given one in which all arrays have their run axis first."""
    with compiling_for(plan.backend):
        return _versions_first(plan.build(learner), carry)


def runs_of(plan: Plan, learner: Any, carry: Carry, lanes: int) -> Carry:
    """The inverse of ``tile_of``: a carry of the loop with the run axis of every array first."""
    with compiling_for(plan.backend):
        return _runs_first(plan.build(learner), carry, lanes)


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
    """Take ``lengths[j]`` updates for each segment j, measure after those marked, log samples if the plan says so.

    ``first`` is the update count at the start; the block begins at the multiple of the chunk before it. The first
    ``real`` lanes are measured. Returns the carry, the metrics [segments, lanes, …], the states to be measured apart
    [segments, lanes, …] (None if the plan does not say so) and the samples [updates, lanes, …] (None without logging).
    """

    def take_segment(j, loop):
        carry, log, begin, metrics, shown, delay_metrics = loop
        end = begin + lengths[j]
        if plan.delay_metrics:
            carry, log, known = way.take_and_peek(begin, end, carry, log)
            delay_metrics = note(delay_metrics, j, measured[j], lambda known: measures.of_last(*known), known)
        else:
            carry, log = kernel(way.take_updates, end, carry, log, begin)
        now = shown_of(plan, way.history, carry)
        if plan.apart:
            shown = jax.tree.map(lambda kept, leaf: kept.at[j].set(leaf), shown, now)
        else:
            metrics = note(metrics, j, measured[j], lambda known: measures.of_state(*known), (now, end))
        return carry, log, end, metrics, shown, delay_metrics

    with compiling_for(plan.backend):
        learners = Batched.of(learner, plan.axes)
        way = _Way(plan, learners, plan.build(learners.of_run(0)), carry, keys, block, first)
        measures = _Measures(plan, learners, keys, real)
        log = room(block.worker.shape[1] - 2 * way.chunk, way.used[0]) if plan.log else None
        segments = lengths.shape[0]
        metrics, shown = {}, jax.eval_shape(lambda carry: shown_of(plan, way.history, carry), carry)
        if plan.apart:
            shown = room(segments, shown)
        else:
            metrics, shown = room(segments, jax.eval_shape(measures.of_state, shown, first)), None
        delay_metrics: dict[str, Any] = {}
        if plan.delay_metrics:
            delay_metrics = room(segments, jax.eval_shape(measures.of_last, *way.used, carry.state))
        loop = (carry, log, first, metrics, shown, delay_metrics)
        carry, log, _, metrics, shown, delay_metrics = lax.fori_loop(0, segments, take_segment, loop)
        return carry, metrics | delay_metrics, shown, log


@dataclass(frozen=True)
class _Way:
    """A tile's way through a block, update by update."""

    plan: Plan
    learners: Batched
    history: Any
    before: Carry  # only its shapes are used
    keys: UInt32[Array, "lanes 2"]
    block: Block
    first: Int[Array, ""]

    @property
    def lanes(self) -> int:
        """Runs in the tile."""
        return self.keys.shape[0]

    @property
    def shared(self) -> bool:
        """Whether the lanes share one event."""
        return self.plan.one_for_all(self.block.worker.shape[0])

    @cached_property
    def num_words(self) -> int:
        """Random words of a proposal."""
        return words_per_proposal(self.learners.of_run(0))

    @cached_property
    def chunk(self) -> int:
        """Updates whose random words are made at once."""
        return self.plan.chunk(self.learners.of_run(0), self.lanes)

    @cached_property
    def used(self) -> list[Any]:
        """Shapes of what ``step`` returns beside the carry: the samples, and the view that they were made from."""
        nobody = jnp.int32(0) if self.shared else jnp.zeros(self.lanes, jnp.int32)
        words = jnp.zeros((self.num_words, self.lanes), jnp.uint32)
        idle = Event(nobody, nobody, words, *(None if column is None else nobody for column in self.block[3:]))
        return list(jax.eval_shape(lambda: self.step(self.before, jnp.int32(0), idle)[1:]))

    def draw(self, begin: Int[Array, ""], updates: int) -> Callable[[Int[Array, ""] | int], Event]:
        """The events of ``updates`` updates from ``begin`` on, as a function of their place among them."""
        base = self.first - lax.rem(self.first, jnp.int32(self.chunk))
        columns = jax.tree.map(lambda x: lax.dynamic_slice_in_dim(x, begin - base, updates, axis=1).T, self.block)
        spread = jax.tree.map(lambda column: jnp.broadcast_to(column, (updates, self.lanes)), columns)
        run_key = (self.keys[None, :, 0], self.keys[None, :, 1])
        turn = spread.turn + self.history.proposal_offset
        words = words_of_proposals(run_key, spread.worker, turn, self.num_words)
        told = jax.tree.map(lambda column: column[:, 0], columns) if self.shared else spread

        return lambda j: Event(
            told.worker[j],
            told.delay[j],
            words(j),
            *(None if column is None else column[j] for column in told[3:]),
        )

    def enter(self, carry: Carry, k: Int[Array, ""]) -> Carry:
        """See the histories' protocol."""
        enter_all = self.learners.vmap(self.history.enter, in_axes=(0, None))
        return _versions_first(self.history, enter_all(_runs_first(self.history, carry, self.lanes), k))

    def step(self, carry: Carry, k: Int[Array, ""], event: Event) -> tuple[Any, ...]:
        """Update k of all lanes."""
        axes = _SHARED_AXES if self.shared else _EVENT_AXES
        step_all = self.learners.vmap(self.history.step, in_axes=(0, None, axes))
        carry, *used = step_all(_runs_first(self.history, carry, self.lanes), k, event)
        return _versions_first(self.history, carry), *used

    def take_updates(self, end: Int[Array, ""], carry: Carry, log: Any, begin: Int[Array, ""]) -> tuple[Carry, Any]:
        """Updates ``begin`` to ``end``."""
        chunk, part = self.chunk, min(self.chunk, BLOCK)

        def take_chunk(c, loop):
            event = self.draw(c * chunk, chunk)

            def take_update(k, loop):
                carry, log = loop
                carry, samples, _ = self.step(self._lanes_first(carry), k, event(k - c * chunk))
                return _lanes_in_place(carry), self._logged(log, k, samples)

            def take_part(p, loop):
                carry, log = loop
                start = jnp.maximum(begin, p * part)
                entered = _lanes_in_place(self.enter(self._lanes_first(carry), start))
                return lax.fori_loop(start, jnp.minimum(end, (p + 1) * part), take_update, (entered, log))

            return _over_pieces(part, jnp.maximum(begin, c * chunk), jnp.minimum(end, (c + 1) * chunk), take_part, loop)

        carry, log = _over_pieces(chunk, begin, end, take_chunk, (_lanes_in_place(carry), log))
        return self._lanes_first(carry), log

    def take_and_peek(
        self, begin: Int[Array, ""], end: Int[Array, ""], carry: Carry, log: Any
    ) -> tuple[Carry, Any, tuple[Any, ...]]:
        """Updates ``begin`` to ``end``; also what the last was made from, and what it was applied to."""
        last = jnp.maximum(end - 1, begin)
        carry, log = kernel(self.take_updates, last, carry, log, begin)
        before = carry.state
        carry, log, used = kernel(self._take_last, end, carry, log, last)
        return carry, log, (*used, before)

    def _take_last(self, end: Int[Array, ""], carry: Carry, log: Any, begin: Int[Array, ""]) -> tuple[Any, ...]:
        """Update ``begin``, the last before ``end`` if there is one; its samples, and what it was computed from."""

        def take_update(k, loop):
            carry, log, _ = loop
            carry, *used = self.step(carry, k, self.draw(k, 1)(0))
            return carry, self._logged(log, k, used[0]), used

        def take_it(k, loop):  # in a loop of its own: XLA copies a store that is written by ``enter`` beside the reads
            carry, *rest = loop
            return lax.fori_loop(k, end, take_update, (self.enter(carry, k), *rest))

        nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), self.used)
        return lax.fori_loop(begin, end, take_it, (carry, log, nothing))

    def _logged(self, log: Any, k: Int[Array, ""], samples: Any) -> Any:
        if not self.plan.log:
            return log
        return jax.tree.map(lambda b, x: lax.dynamic_update_index_in_dim(b, x, k - self.first, 0), log, samples)

    def _lanes_first(self, carry: Carry) -> Carry:
        """The inverse of ``_lanes_in_place``."""
        state = jax.tree.map(lambda x, one: lanes_first(x, one.shape[1:]), carry.state, self.before.state)
        return carry._replace(state=state)


@dataclass(frozen=True)
class _Measures:
    """What the plan's metrics say of a tile."""

    plan: Plan
    learners: Batched
    keys: UInt32[Array, "lanes 2"]
    real: Int[Array, ""]

    def of_state(self, shown: Shown, updates: Int[Array, ""]) -> dict[str, Any]:
        """Of the states after so many updates."""
        each = jnp.broadcast_to(updates, self.keys.shape[:1])
        return measure_state(self.plan.metrics, self.learners, shown, self.keys, each, self.real)

    def of_last(self, samples: Any, stale: Any, before: Any) -> dict[str, Any]:
        """Of an update: its samples, the view that it was computed from, the state that it was applied to."""
        return measure_delay(self.plan.delay_metrics, self.learners, samples, stale, before, self.real)


def shown_of(plan: Plan, history: Any, carry: Carry) -> Shown:
    """What the plan's metrics look at, [lanes, …]."""
    return Shown(carry.state, jax.vmap(history.workers)(carry.slots) if plan.of_workers else ())


def room(count: int, shapes: Any) -> Any:
    """Zeros for ``count`` of something."""
    return jax.tree.map(lambda x: jnp.zeros((count, *x.shape), x.dtype), shapes)


def note(noted: Any, j: Int[Array, ""], wanted: Bool[Array, ""], measure: Callable[[Any], Any], known: Any) -> Any:
    """Metrics [segments, lanes, …] with those of segment j, if it is to be measured."""
    nothing = jax.tree.map(lambda m: jnp.zeros(m.shape[1:], m.dtype), noted)
    values = lax.cond(wanted, measure, lambda _: nothing, known)
    return jax.tree.map(lambda m, v: m.at[j].set(v), noted, values)


def _lanes_in_place(carry: Carry) -> Carry:
    """With the lanes of the state where arithmetic wants them (``lanes.py``)."""
    return carry._replace(state=jax.tree.map(lanes_in_place, carry.state))


def _versions_first(history: Any, carry: Carry) -> Carry:
    def lay(versions_beside, part):
        return jax.tree.map(versions_first, part) if versions_beside else part

    return carry._replace(past=jax.tree.map(lay, history.versions_beside, carry.past))


def _runs_first(history: Any, carry: Carry, lanes: int) -> Carry:
    def lay(versions_beside, part):
        return jax.tree.map(lambda x: runs_first(x, lanes), part) if versions_beside else part

    return carry._replace(past=jax.tree.map(lay, history.versions_beside, carry.past))


def _over_pieces(size: int, begin: Array, end: Array, body: Callable[[Any, Any], Any], init: Any) -> Any:
    """``body(i, …)`` for each piece i of ``size`` updates that has one from ``begin`` to before ``end``."""
    by = jnp.int32(size)
    return lax.fori_loop(lax.div(begin, by), lax.div(end + (by - 1), by), body, init)
