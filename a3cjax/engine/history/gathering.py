"""Messages that are averaged before they are applied: the ring of a schedule with a ``commit`` column."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Int, UInt32

from a3cjax._xla.marks import stage
from a3cjax.engine.contract import Checks, as_arrays
from a3cjax.engine.history.conditional import chosen, if_any
from a3cjax.engine.history.protocol import Carry, Event, Kind, first_state, shapes_of, viewed
from a3cjax.engine.history.whole_versions import WholeVersions
from a3cjax.learners.protocol import apply_message, gather_message, samples_of, without_samples
from a3cjax.learners.wrapped import adds_leaf_by_leaf, name_of


class Gathered(NamedTuple):
    """What waits for the next commit, and the versions before it."""

    stores: list[Any]  # of past versions, one for each leaf of the view
    version: Int[Array, ""]  # commits so far
    sums: Any  # of the messages since the last commit, as the learner gathers them
    messages: Int[Array, ""]  # how many these are
    delay: Int[Array, ""]  # the greatest of theirs


class GatheringRing(WholeVersions):
    """The ring whose versions count commits: past views are kept, and messages are summed until one commits.

    Whole copies of versions are kept, tables too, because the mean of many messages changes many rows. A version is
    stored before the first message that follows it.
    """

    def __init__(
        self, learner: Any, num_workers: int, depth: int, keep_samples: bool, keep_views: bool = False
    ) -> None:
        super().__init__(learner, num_workers, depth, keep_samples, keep_views)
        self._sums = jax.eval_shape(
            lambda m, view: gather_message(learner, None, m, jnp.int32(0), view, view),
            self.shapes.message,
            self.shapes.view,
        )

    def start(self, learner: Any, run_key: UInt32[Array, "2"]) -> Carry:
        """Nobody has proposed yet."""
        state = first_state(learner, run_key)
        sums = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), self._sums)
        none = jnp.int32(0)
        return Carry(state, self.empty_slots(), Gathered(self.empty_stores(learner, state), none, sums, none, none))

    def step(self, learner: Any, carry: Carry, k: Int[Array, ""], event: Event) -> tuple[Carry, Any, Any]:
        """Keep the version at hand; the event's worker proposes from its own; add that, and apply the mean if due."""
        del k
        state, slots, past = carry
        at_hand = viewed(learner, state)
        now = jax.tree.leaves(at_hand)
        first = (past.messages == 0).astype(jnp.int32)
        stores = if_any(first, self.keep, (now, self._newest(past, event)), past.stores)
        version = self._wanted(past, event)
        view = self.read(stores, version)
        slots, message, stale = self.propose(learner, slots, view, event)
        waiting = past.sums, past.messages, past.delay
        given = learner, message, event.delay, stale, at_hand, event.weight
        waiting = _gather(given, waiting) if event.weight is None else if_any(event.weight, _gather, given, waiting)
        commits = jnp.asarray(event.commit)
        state, waiting = if_any(commits, _commit, (learner, commits), (state, waiting))
        return Carry(state, slots, Gathered(stores, past.version + commits, *waiting)), samples_of(message), stale

    def adopt(self, carry: Carry, k: int) -> Carry:
        """A batch's saved carry [B, …], from a ring of another depth; each run has versions of its own number."""
        del k
        # The version at hand is stored once a message has followed it.
        stored = [int(v) + int(count > 0) for v, count in zip(carry.past.version, carry.past.messages, strict=True)]

        stores = self.adopted(carry.past.stores, stored)
        return carry._replace(past=carry.past._replace(stores=stores))

    def _newest(self, past: Gathered, event: Event) -> Int[Array, ""]:
        """Where the version at hand is stored, and the next, where that lies which is read; modulo the depth."""
        del event
        return past.version

    def _wanted(self, past: Gathered, event: Event) -> Int[Array, ""]:
        return past.version - event.delay


def _gather(given: tuple[Any, ...], waiting: tuple[Any, ...]) -> tuple[Any, ...]:
    """One message more that waits; nothing at all for a run whose message is discarded."""
    learner, message, delay, stale, at_hand, weight = given
    sums, count, greatest = waiting
    sums = as_arrays(gather_message(learner, sums, message, delay, stale, at_hand))
    gathered = sums, count + 1, jnp.maximum(greatest, delay)
    return gathered if weight is None else chosen(weight, gathered, waiting)


def _commit(given: tuple[Any, Int[Array, ""]], loop: tuple[Any, Any]) -> tuple[Any, Any]:
    """One update by the mean, after which nothing waits; nothing at all for a run that does not commit."""
    learner, commits = given
    state, (sums, count, delay) = loop
    updated = as_arrays(learner.apply_mean(state, stage(_mean, sums, count), delay))
    emptied = jax.tree.map(jnp.zeros_like, loop[1])
    return chosen(commits, (updated, emptied), loop)


def check_gathers(learner: Any) -> None:
    """Refuse a learner whose messages cannot be averaged."""
    if not adds_leaf_by_leaf(learner):
        return
    shapes = shapes_of(Kind.of(learner))
    message = jax.eval_shape(lambda m, view: without_samples(learner.at_hand(m, view)), shapes.message, shapes.view)
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
        sums = checks.arrays("gather", gather_message(learner, None, message, delay, view, view))
        again = checks.arrays("gather", gather_message(learner, sums, message, delay, view, view))
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
