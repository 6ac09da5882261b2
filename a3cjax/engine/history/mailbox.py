"""The mailbox: messages wait where they were computed."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, UInt32

from a3cjax._xla.marks import read_row, stage, write_row
from a3cjax.engine.history.packing import Packing
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
    words_per_proposal,
)
from a3cjax.engine.randomness import words_of_proposals
from a3cjax.learners.protocol import samples_of, without_samples


class Mailbox:
    """Slot i holds the message that worker i sends next, and the worker's own state.

    A worker that reads right after its own write can compute its next message at once, and leave it in its slot until
    its next write. No past version is kept, whatever the delays; the cost is flat in the delay and in N. Where views
    are asked for, the one that a waiting message was computed from lies beside it.
    """

    proposal_offset = 1

    def __init__(
        self, learner: Any, num_workers: int, depth: int, keep_samples: bool, keep_views: bool = False
    ) -> None:
        del depth
        self._num_workers = num_workers
        self._keep_samples = keep_samples
        self._keep_views = keep_views
        shapes = shapes_of(Kind.of(learner))
        self._packing = Packing(self._slot(shapes.message, shapes.worker_state, shapes.view))

    versions_beside = False

    def start(self, learner: Any, run_key: UInt32[Array, "2"]) -> Carry:
        """Slots are empty."""
        state = first_state(learner, run_key)
        return Carry(state, jnp.zeros((self._num_workers, self._packing.width), jnp.uint32), ())

    def first_slot(self, learner: Any, run_key: UInt32[Array, "2"], worker: Int[Array, ""]) -> Any:
        """The worker has read version 0 and computed its first message."""
        key = (run_key[0], run_key[1])
        view, worker_state = (
            viewed(learner, first_state(learner, run_key)),
            first_worker_state(learner, run_key, worker),
        )
        words = words_of_proposals(key, worker, jnp.int32(0), words_per_proposal(learner))(())
        return stage(self._packing.pack, self._proposal(learner, view, worker_state, words))

    def enter(self, learner: Any, carry: Carry, k: Int[Array, ""]) -> Carry:
        """Nothing to prepare."""
        del learner, k
        return carry

    def step(self, learner: Any, carry: Carry, k: Int[Array, ""], event: Event) -> tuple[Carry, Any, Any]:
        """Apply the waiting message of the event's worker, which then reads and computes its next."""
        del k
        message, worker_state, stale = self._packing.unpack(read_row(carry.slots, event.worker))
        state = update(learner, carry.state, message, event, stale)
        proposal = self._proposal(learner, viewed(learner, state), worker_state, event.words)
        slots = write_row(carry.slots, event.worker, stage(self._packing.pack, proposal))
        return Carry(state, slots, ()), samples_of(message), stale

    def workers(self, slots: UInt32[Array, "N width"]) -> Any:
        """All workers' own states, stacked."""
        return jax.vmap(self._packing.unpack)(slots)[1]

    def _proposal(
        self, learner: Any, view: Any, worker_state: Any, words: UInt32[Array, " num_words"]
    ) -> tuple[Any, Any, Any]:
        message, worker_state = propose(learner, view, worker_state, words)
        return self._slot(message, worker_state, view)

    def _slot(self, message: Any, worker_state: Any, view: Any) -> tuple[Any, Any, Any]:
        """What of a proposal is kept."""
        message = message if self._keep_samples else without_samples(message)
        return message, worker_state, view if self._keep_views else ()
