"""The one loop: advance a batch of runs through a block of the schedule, measuring at marked updates.

Runs are laid out as [tiles, lanes]. A tile is small enough for its parameters to stay in cache and goes through the
whole block before the next tile starts; within a tile every operation acts on all lanes. Random words are made for
a chunk of updates at a time. Tile, chunk and block are matters of speed: no number depends on them.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Int, UInt32

from a3cjax.engine.histories import Carry, Event, words_per_proposal
from a3cjax.engine.mailbox import Mailbox
from a3cjax.engine.past import BLOCK
from a3cjax.engine.randomness import proposal_words
from a3cjax.engine.ring import Ring

HISTORIES = {"mailbox": Mailbox, "ring": Ring}
_EVENT_AXES = Event._make((0, 0, 1))  # the run axis of [lanes], [lanes] and [words, lanes]
FINITE = "_finite"  # the metric that every run records
CHUNK_WORDS = 1 << 16  # random words made at once, per tile: 256 KiB


class Block(NamedTuple):
    """A stretch of the schedule that begins at a multiple of the chunk and is padded by two chunks at its end.

    Tiles and lanes are 1 when all runs share it.
    """

    worker: Int[Array, "tiles lanes updates"]
    delay: Int[Array, "tiles lanes updates"]
    turn: Int[Array, "tiles lanes updates"]


@dataclass(frozen=True)
class Plan:
    """What of a simulation is part of the compiled program."""

    history: str
    num_workers: int
    depth: int
    segment: int
    metrics: tuple[tuple[str, str | Callable[..., Any]], ...]
    log: bool
    axes: tuple[int | None, ...]  # of the learner's leaves: 0 where they carry a run axis

    def build(self, learner: Any) -> Any:
        """The history for this learner, as one run sees it."""
        return HISTORIES[self.history](learner, self.num_workers, self.depth, self.log)

    def chunk(self, learner: Any, lanes: int) -> int:
        """Updates whose random words are made at once: a power of two that divides a block of the ring."""
        most = min(BLOCK, CHUNK_WORDS // (words_per_proposal(learner) * lanes))
        return 1 << max(0, most.bit_length() - 1)


def start(plan: Plan, learner: Any, keys: UInt32[Array, "tiles lanes 2"]) -> Carry:
    """The carry before the first update; the learner's leaves with a run axis are [tiles, lanes]."""

    def tile(own, key):
        history = plan.build(own.of_run(0))
        return own.vmap(history.start, in_axes=(0,))(key)

    return _over_tiles(plan, tile, learner, (keys,))


def advance(
    plan: Plan,
    learner: Any,
    carry: Carry,
    keys: UInt32[Array, "tiles lanes 2"],
    block: Block,
    first: Int[Array, ""],
    lengths: Int[Array, " segments"],
    measured: Bool[Array, " segments"],
    real_lanes: Int[Array, " tiles"],
) -> tuple[Carry, dict[str, Array], Any]:
    """Take ``lengths[j]`` updates for each segment j, measure after those marked, log samples if the plan says so.

    ``first`` is the update count at the start; the block begins at the multiple of the chunk before it. Returns the
    carry, the metrics [tiles, segments, lanes, …] and the samples [tiles, updates, lanes, …] (None without logging).
    """
    shared = block.worker.shape[1] == 1

    def tile(own, carry, keys, real, *part):
        part = part[0] if part else jax.tree.map(lambda column: column[0], block)
        return _advance_tile(plan, own, carry, keys, part, first, lengths, measured, real)

    return _over_tiles(plan, tile, learner, (carry, keys, real_lanes) + (() if shared else (block,)))


def _advance_tile(
    plan: Plan,
    learner: "_Batched",
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
    enter = learner.vmap(history.enter, in_axes=(0, None))
    step = learner.vmap(history.step, in_axes=(0, None, _EVENT_AXES))

    by_update = [column.T for column in block]

    def load(offset):
        columns = [lax.dynamic_slice_in_dim(column, offset, chunk) for column in by_update]
        return tuple(jnp.broadcast_to(column, (chunk, lanes)) for column in columns)

    def take_chunk(c, loop, begin, end):
        # The chunk's columns come in through the loop's carry: computed in place, XLA would fuse them into the cipher
        # below and lose its vectorisation (six times slower).
        carry, log, (worker, delay, turn) = loop
        words = proposal_words(run_key, worker, turn + history.proposal_offset, words_per_proposal(one))
        words = jnp.stack(words, axis=1)

        def take_update(j, loop):
            carry, log = loop
            carry, samples = step(carry, c * chunk + j, Event(worker[j], delay[j], words[j]))
            if plan.log:
                position = c * chunk + j - first
                log = jax.tree.map(lambda b, x: lax.dynamic_update_index_in_dim(b, x, position, 0), log, samples)
            return carry, log

        here = jnp.maximum(begin - c * chunk, 0)
        carry = lax.cond(here == 0, lambda carry: enter(carry, c * chunk), lambda carry: carry, carry)
        carry, log = lax.fori_loop(here, jnp.minimum(end - c * chunk, chunk), take_update, (carry, log))
        return carry, log, load((c + 1) * chunk - base)

    def take_segment(j, loop):
        carry, log, begin, metrics = loop
        end = begin + lengths[j]
        chunk_of = functools.partial(take_chunk, begin=begin, end=end)
        size = jnp.int32(chunk)
        chunks = lax.div(begin, size), lax.div(end + (size - 1), size)
        carry, log, _ = lax.fori_loop(*chunks, chunk_of, (carry, log, load(chunks[0] * chunk - base)))
        nothing = jax.tree.map(lambda m: jnp.zeros(m.shape[1:], m.dtype), metrics)
        values = lax.cond(measured[j], lambda s: _measure(plan, learner, s, real), lambda s: nothing, carry.state)
        metrics = jax.tree.map(lambda m, v: m.at[j].set(v), metrics, values)
        return carry, log, end, metrics

    def empty(count, example):
        return jax.tree.map(lambda x: jnp.zeros((count, *x.shape), x.dtype), jax.eval_shape(example))

    log = None
    if plan.log:
        word = jnp.zeros((words_per_proposal(one), lanes), jnp.uint32)
        idle = Event(jnp.zeros(lanes, jnp.int32), jnp.zeros(lanes, jnp.int32), word)
        log = empty(block.worker.shape[1] - 2 * chunk, lambda: step(carry, jnp.int32(0), idle)[1])
    metrics = empty(lengths.shape[0], lambda: _measure(plan, learner, carry.state, real))
    loop = (carry, log, first, metrics)
    carry, log, _, metrics = lax.fori_loop(0, lengths.shape[0], take_segment, loop)
    return carry, metrics, log


def _measure(plan: Plan, learner: "_Batched", state: Any, real: Int[Array, ""]) -> dict[str, Array]:
    """The metrics of every real lane, one after the other: a run's numbers do not depend on who is beside it."""
    named = tuple(dict.fromkeys(how for _, how in plan.metrics if isinstance(how, str)))

    def one(own, at):
        known = own.measure(at, named) if named else {}
        values = {name: known[how] if isinstance(how, str) else how(at) for name, how in plan.metrics}
        return {name: jnp.asarray(value) for name, value in values.items()} | {FINITE: all_finite(own.view(at))}

    def load(b):
        return learner.of_run(b), jax.tree.map(lambda leaf: leaf[b], state)

    def write(out, b, values):
        return jax.tree.map(lambda o, v: o.at[b].set(v), out, values)

    def measure_run(b, loop):
        # A run's state comes in, and its values go out, through the loop's carry, so that what is computed between
        # is compiled the same for any number of lanes.
        out, values, loaded = loop
        out = write(out, jnp.maximum(b - 1, 0), values)
        return out, one(*loaded), load(jnp.minimum(b + 1, lanes - 1))

    lanes = jax.tree.leaves(state)[0].shape[0]
    shapes = jax.eval_shape(lambda: one(*load(0)))
    values = jax.tree.map(lambda v: jnp.zeros(v.shape, v.dtype), shapes)
    out = jax.tree.map(lambda v: jnp.zeros((lanes, *v.shape), v.dtype), shapes)
    out, values, _ = lax.fori_loop(0, real, measure_run, (out, values, load(0)))
    return write(out, real - 1, values)


def all_finite(tree: Any) -> Bool[Array, ""]:
    """Whether every number in ``tree`` is finite."""
    leaves = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    return jnp.all(jnp.stack(leaves)) if leaves else jnp.bool_(True)


@dataclass(frozen=True)
class _Batched:
    """A learner some of whose leaves carry a run axis."""

    leaves: list[Array]
    axes: tuple[int | None, ...]
    structure: Any

    def of_run(self, b: Int[Array, ""] | int) -> Any:
        """The learner of run b."""
        leaves = [leaf if axis is None else leaf[b] for leaf, axis in zip(self.leaves, self.axes, strict=True)]
        return jax.tree.unflatten(self.structure, leaves)

    def vmap(self, method: Callable[..., Any], in_axes: tuple[Any, ...]) -> Callable[..., Any]:
        """``method(learner, *args)`` over runs."""

        def on_leaves(leaves, *args):
            return method(jax.tree.unflatten(self.structure, leaves), *args)

        return functools.partial(jax.vmap(on_leaves, (list(self.axes), *in_axes)), self.leaves)


def _over_tiles(plan: Plan, tile: Callable[..., Any], learner: Any, args: tuple[Any, ...]) -> Any:
    """``tile(learner, *args)`` for each tile in turn; the learner's leaves without a run axis are the same for all."""
    leaves, structure = jax.tree.flatten(learner)

    def body(moving):
        own, args = moving
        mine = [leaf if axis is None else own[i] for i, (leaf, axis) in enumerate(zip(leaves, plan.axes, strict=True))]
        return tile(_Batched(mine, plan.axes, structure), *args)

    own = {i: leaf for i, (leaf, axis) in enumerate(zip(leaves, plan.axes, strict=True)) if axis is not None}
    return lax.map(body, (own, args))
