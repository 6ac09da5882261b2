"""Versions that are still to be read, in slots that the schedule says beforehand (``schedules/slots.py``)."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, UInt32

from a3cjax._xla.marks import read_row, write_row
from a3cjax.engine.history.gathering import GatheringRing
from a3cjax.engine.history.past import PastLeaf
from a3cjax.engine.history.protocol import (
    Carry,
    Event,
    Kind,
    first_state,
    first_worker_state,
    propose,
    shapes_of,
    update,
    viewed,
)
from a3cjax.learners.protocol import samples_of


class Versions:
    """Slot i holds worker i's own state; version k lies in the slot that event k names, until it is read no more.

    As in the ring, a version is stored before anything is read at its update, and a message is computed where it is
    applied. Memory follows the number of versions alive at once, N with workers that read after their own writes,
    whatever the delays. Meant for large views: beside them it matters little that leaves stay apart, of views whole.
    """

    proposal_offset = 0
    versions_beside = False

    def __init__(
        self, learner: Any, num_workers: int, depth: int, keep_samples: bool, keep_views: bool = False
    ) -> None:
        del keep_samples
        self._keep_views = keep_views
        self._num_workers = num_workers
        shapes = shapes_of(Kind.of(learner))
        self._worker_state = shapes.worker_state
        leaves, self._structure = jax.tree.flatten(shapes.view)
        self._stores = [PastLeaf(depth, leaf, versions_beside=False) for leaf in leaves]

    def start(self, learner: Any, run_key: UInt32[Array, "2"]) -> Carry:
        """Nobody has proposed yet."""
        state = first_state(learner, run_key)
        slots = jax.tree.map(lambda x: jnp.zeros((self._num_workers, *x.shape), x.dtype), self._worker_state)
        now = jax.tree.leaves(viewed(learner, state))
        return Carry(state, slots, [store.start(leaf) for store, leaf in zip(self._stores, now, strict=True)])

    def first_slot(self, learner: Any, run_key: UInt32[Array, "2"], worker: Int[Array, ""]) -> Any:
        """The worker's own state at the start."""
        return first_worker_state(learner, run_key, worker)

    def enter(self, learner: Any, carry: Carry, k: Int[Array, ""]) -> Carry:
        """Nothing to prepare."""
        del learner, k
        return carry

    def step(self, learner: Any, carry: Carry, k: Int[Array, ""], event: Event) -> tuple[Carry, Any, Any]:
        """Keep version k; the event's worker proposes from the version that it had read; apply that."""
        state, slots, past = carry
        del k
        assert event.write is not None
        assert event.read is not None
        now = jax.tree.leaves(viewed(learner, state))
        past = [store.keep(kept, leaf, event.write) for store, kept, leaf in zip(self._stores, past, now, strict=True)]
        leaves = [store.read(kept, event.read) for store, kept in zip(self._stores, past, strict=True)]
        view = jax.tree.unflatten(self._structure, leaves)
        worker_state = jax.tree.map(lambda kept: read_row(kept, event.worker), slots)
        message, worker_state = propose(learner, view, worker_state, event.words)
        slots = jax.tree.map(lambda kept, own: write_row(kept, event.worker, own), slots, worker_state)
        stale = view if self._keep_views else ()
        state = update(learner, state, message, event, stale)
        return Carry(state, slots, past), samples_of(message), stale

    def workers(self, slots: Any) -> Any:
        """All workers' own states, stacked."""
        return slots

    def rearranged(self, carry: Carry, place: np.ndarray) -> Carry:
        """A batch's saved carry [B, …] whose stores [B, old depth, …] are read at ``place`` [B, depth]."""
        return carry._replace(past=_rearranged(carry.past, place))


class GatheringVersions(GatheringRing):
    """Likewise where messages are averaged: a version is kept until its last read, and while it is the newest."""

    def rearranged(self, carry: Carry, place: np.ndarray) -> Carry:
        """See ``Versions``."""
        return carry._replace(past=carry.past._replace(stores=_rearranged(carry.past.stores, place)))

    def _newest(self, past: Any, event: Event) -> Any:
        del past
        return event.write

    def _wanted(self, past: Any, event: Event) -> Any:
        del past
        return event.read


def _rearranged(stores: list[np.ndarray], place: np.ndarray) -> list[np.ndarray]:
    return [store[np.arange(len(place))[:, None], place] for store in stores]
