"""Messages that are averaged before they are applied: the ring of a schedule with a ``commit`` column."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Int, UInt32

from a3cjax._xla.marks import read_row, stage
from a3cjax.engine.contract import Checks, as_arrays
from a3cjax.engine.history.past import PastLeaf
from a3cjax.engine.history.past_views import PastViews
from a3cjax.engine.history.protocol import Carry, Event, Kind, first_state, shapes_of, viewed
from a3cjax.learners.protocol import apply_message, gather_message, samples_of, without_samples
from a3cjax.learners.wrapped import adds_leaf_by_leaf, name_of

T = TypeVar("T")


class Gathered(NamedTuple):
    """What waits for the next commit, and the versions before it."""

    stores: list[Any]  # of past versions, one for each leaf of the view
    version: Int[Array, ""]  # commits so far
    sums: Any  # of the messages since the last commit, as the learner gathers them
    messages: Int[Array, ""]  # how many these are
    delay: Int[Array, ""]  # the greatest of theirs


class GatheringRing(PastViews):
    """The ring whose versions count commits: past views are kept, and messages are summed until one commits.

    Whole copies of versions are kept, tables too, because the mean of many messages changes many rows. A version is
    stored before the first message that follows it.
    """

    versions_beside = False

    def __init__(
        self, learner: Any, num_workers: int, depth: int, keep_samples: bool, keep_views: bool = False
    ) -> None:
        del keep_samples
        super().__init__(learner, num_workers, keep_views)
        message, leaves = self.shapes.message, self.view_leaves
        self._stores = [PastLeaf(depth, leaf, versions_beside=False) for leaf in leaves]
        rows = jax.eval_shape(learner.changed_rows, message)
        self._by_row = [row is not None for row in ([None] * len(leaves) if rows is None else rows)]
        self._sums = jax.eval_shape(
            lambda m, view: gather_message(learner, None, m, jnp.int32(0), view), message, self.shapes.view
        )

    def start(self, learner: Any, run_key: UInt32[Array, "2"]) -> Carry:
        """Nobody has proposed yet."""
        state = first_state(learner, run_key)
        sums = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), self._sums)
        none = jnp.int32(0)
        now = jax.tree.leaves(viewed(learner, state))
        stores = [store.start(leaf) for store, leaf in zip(self._stores, now, strict=True)]
        return Carry(state, self.empty_slots(), Gathered(stores, none, sums, none, none))

    def enter(self, learner: Any, carry: Carry, k: Int[Array, ""]) -> Carry:
        """Nothing to prepare."""
        del learner, k
        return carry

    def step(self, learner: Any, carry: Carry, k: Int[Array, ""], event: Event) -> tuple[Carry, Any, Any]:
        """Keep the version at hand; the event's worker proposes from its own; add that, and apply the mean if due."""
        del k
        state, slots, past = carry
        now = jax.tree.leaves(viewed(learner, state))
        first = (past.messages == 0).astype(jnp.int32)
        stores = _if_any(first, self._keep, (now, self._newest(past, event)), past.stores)
        version = self._wanted(past, event)
        view = [self._read(i, kept, version) for i, kept in enumerate(stores)]
        slots, message, stale = self.propose(learner, slots, view, event)
        sums = gather_message(learner, past.sums, message, event.delay, stale)
        waiting = as_arrays(sums), past.messages + 1, jnp.maximum(past.delay, event.delay)
        commits = jnp.asarray(event.commit)
        state, waiting = _if_any(commits, _commit, (learner, commits), (state, waiting))
        return Carry(state, slots, Gathered(stores, past.version + commits, *waiting)), samples_of(message), stale

    def adopt(self, carry: Carry, k: int) -> Carry:
        """A batch's saved carry [B, …], from a ring of another depth; each run has versions of its own number."""
        del k
        # The version at hand is stored once a message has followed it.
        stored = [int(v) + int(count > 0) for v, count in zip(carry.past.version, carry.past.messages, strict=True)]

        def adopted(store, kept):
            runs = [store.adopt(kept[b : b + 1], versions) for b, versions in enumerate(stored)]
            return np.concatenate(runs)

        stores = [adopted(store, kept) for store, kept in zip(self._stores, carry.past.stores, strict=True)]
        return carry._replace(past=carry.past._replace(stores=stores))

    def _newest(self, past: Gathered, event: Event) -> Int[Array, ""]:
        """Where the version at hand is stored, and the next, where that lies which is read; modulo the depth."""
        del event
        return past.version

    def _wanted(self, past: Gathered, event: Event) -> Int[Array, ""]:
        return past.version - event.delay

    def _keep(self, given: tuple[list[Array], Int[Array, ""]], stores: list[Any]) -> list[Any]:
        """Store a version; once more does no harm."""
        now, version = given
        return [store.keep(kept, leaf, version) for store, kept, leaf in zip(self._stores, stores, now, strict=True)]

    def _read(self, i: int, kept: Array, version: Int[Array, ""]) -> Any:
        """A past version of leaf i, to be looked up row by row where the learner does so."""
        return _Rows(self._stores[i], kept, version) if self._by_row[i] else self._stores[i].read(kept, version)


@dataclass(frozen=True)
class _Rows:
    """A past version of a table of which few rows are read."""

    store: PastLeaf
    kept: Array
    version: Int[Array, ""]

    def row(self, index: Int[Array, ""]) -> Array:
        """Row ``index`` of this version."""
        depth, rows, *row = self.kept.shape
        first = lax.rem(self.version, jnp.int32(depth)) * rows
        return read_row(self.kept.reshape(depth * rows, *row), first + index)

    def __jax_array__(self) -> Any:
        return self.store.read(self.kept, self.version)


def _commit(given: tuple[Any, Int[Array, ""]], loop: tuple[Any, Any]) -> tuple[Any, Any]:
    """One update by the mean, after which nothing waits; nothing at all for a run that does not commit."""
    learner, commits = given
    state, (sums, count, delay) = loop
    updated = as_arrays(learner.apply_mean(state, stage(_mean, sums, count), delay))
    emptied = jax.tree.map(jnp.zeros_like, loop[1])
    return jax.tree.map(lambda new, old: jnp.where(commits > 0, new, old), (updated, emptied), loop)


def _if_any(wanted: Int[Array, ""], function: Callable[[Any, T], T], given: Any, loop: T) -> T:
    """``function(given, loop)`` where a run, or one beside it, has ``wanted`` = 1; otherwise ``loop``.

    What is done for a run must leave the others as they are. As a loop of one turn or none it is done in place.
    """

    @jax.custom_batching.custom_vmap
    def run(wanted, given, loop):
        return lax.fori_loop(0, wanted, lambda _, message: function(given, message), loop)

    @run.def_vmap
    def run_lanes(lanes, batched, wanted, given, loop):
        wanted, loop = (
            jax.tree.map(lambda x, differs: x if differs else jnp.broadcast_to(x, (lanes, *jnp.shape(x))), tree, whose)
            for tree, whose in ((wanted, batched[0]), (loop, batched[2]))
        )
        axes = [0 if differs else None for differs in jax.tree.leaves(batched[1])]
        leaves, structure = jax.tree.flatten(given)

        def one(leaves, message):
            return function(jax.tree.unflatten(structure, leaves), message)

        each = jax.vmap(one, in_axes=(axes, 0))
        somebody = lax.fori_loop(0, lanes, lambda lane, found: found | wanted[lane], jnp.int32(0))
        loop = lax.fori_loop(0, somebody, lambda _, loop: each(leaves, loop), loop)
        return loop, jax.tree.map(lambda _: True, loop)

    return run(wanted, given, loop)


def check_gathers(learner: Any) -> None:
    """Refuse a learner whose messages cannot be averaged."""
    if not adds_leaf_by_leaf(learner):
        return
    message = jax.eval_shape(without_samples, shapes_of(Kind.of(learner)).message)
    if not all(jnp.issubdtype(leaf.dtype, jnp.inexact) for leaf in jax.tree.leaves(message)):
        raise ValueError(
            f"The schedule's commit averages messages, but those of a {name_of(learner)} hold more than floats, "
            "which have no mean; give the learner gather and apply_mean (a3cjax.AbstractLearner), or the schedule no "
            "commit."
        )


@functools.lru_cache(maxsize=64)
def check_update(kind: Kind, gathers: bool) -> bool:
    """Refuse an update that does not give back a state like the one that it began with, or sums like the first.

    Returns whether it uses traced values that are no leaves of the learner.
    """

    def traced(leaves, state, message, view):
        learner, delay = jax.tree.unflatten(kind.structure, leaves), jnp.int32(0)
        checks = Checks(learner)
        if not gathers:
            updated = checks.arrays("apply", apply_message(learner, state, message, delay, view))
            return checks.same("apply", "state", updated, "init", state)
        sums = checks.arrays("gather", gather_message(learner, None, message, delay, view))
        again = checks.arrays("gather", gather_message(learner, sums, message, delay, view))
        checks.same("gather", "sums", again, "gather(None, message)", sums)
        checks.floats("gather", "sums", sums)
        method = "apply" if adds_leaf_by_leaf(learner) else "apply_mean"
        updated = checks.arrays(method, learner.apply_mean(state, sums, delay))
        return checks.same(method, "state", updated, "init", state)

    shapes = shapes_of(kind)
    program = jax.make_jaxpr(traced)(kind.shapes(), shapes.state, shapes.message, shapes.view)
    return any(isinstance(value, Tracer) for value in program.consts)


def _mean(sums: Any, count: Int[Array, ""]) -> Any:
    return jax.tree.map(lambda leaf: leaf / count.astype(leaf.dtype), sums)
