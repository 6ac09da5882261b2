"""The mailbox: messages wait where they were computed."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Int, UInt32

from a3cjax.engine.histories import IN_BOUNDS, Carry, Event, first_read, propose, samples_of, words_per_proposal
from a3cjax.engine.packing import Packing
from a3cjax.engine.randomness import INIT_SERVER, INIT_WORKER, derived_key, proposal_words


class Mailbox:
    """Slot i holds the message that worker i sends next, and the worker's own state.

    A worker that reads right after its own write can compute its next message at once, and leave it in its slot until
    its next write. No past version is kept, whatever the delays; the cost is flat in the delay and in N.
    """

    proposal_offset = 1

    def __init__(self, learner: Any, num_workers: int, depth: int, keep_samples: bool) -> None:
        del depth
        self._num_workers = num_workers
        self._keep_samples = keep_samples
        self._packing = Packing(jax.eval_shape(lambda: self._proposal(learner, *first_read(learner))))

    def start(self, learner: Any, run_key: UInt32[Array, "2"]) -> Carry:
        """Every worker has read version 0 and computed its first message."""
        key = (run_key[0], run_key[1])
        state = learner.init(derived_key(key, 0, INIT_SERVER))

        def fill(i, slots):
            own = learner.init_worker(derived_key(key, i, INIT_WORKER))
            words = jnp.stack(proposal_words(key, jnp.int32(i), jnp.int32(0), words_per_proposal(learner)))
            return slots.at[i].set(self._packing.pack(self._proposal(learner, learner.view(state), own, words)))

        empty = jnp.zeros((self._num_workers, self._packing.width), jnp.uint32)
        slots = lax.fori_loop(0, self._num_workers, fill, empty)
        return Carry(state, slots, (jnp.int32(0), *self._packing.unpack(slots[0])))

    def enter(self, learner: Any, carry: Carry, k: Int[Array, ""]) -> Carry:
        """Nothing to prepare."""
        del learner, k
        return carry

    def step(self, learner: Any, carry: Carry, k: Int[Array, ""], event: Event) -> tuple[Carry, Any]:
        """Apply the waiting message of the event's worker, which then reads and computes its next.

        The new message goes to its slot at the next step. Until then its parts travel in the carry, so that XLA
        computes each in a loop of its own and not element by element while it interleaves them.
        """
        del k
        state, slots, (writer, *unwritten) = carry
        slots = slots.at[writer].set(self._packing.pack(tuple(unwritten)), unique_indices=True, **IN_BOUNDS)
        message, own = self._packing.unpack(slots.at[event.worker].get(**IN_BOUNDS))
        state = learner.apply(state, message, event.delay)
        proposal = self._proposal(learner, learner.view(state), own, event.words)
        return Carry(state, slots, (event.worker, *proposal)), samples_of(message)

    def _proposal(self, learner: Any, view: Any, own: Any, words: UInt32[Array, " num_words"]) -> tuple[Any, Any]:
        message, own = propose(learner, view, own, words)
        if samples_of(message) is not None and not self._keep_samples:
            message = message._replace(samples=None)
        return message, own
