"""Messages some of which are discarded: the ring of a schedule with a ``weight`` column and no ``commit``."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, UInt32

from a3cjax.engine.history.protocol import Carry, Event, first_state, update, viewed
from a3cjax.engine.history.whole_versions import WholeVersions
from a3cjax.learners.protocol import samples_of


class Counted(NamedTuple):
    """The versions of one run, and how many updates have been made of its messages."""

    stores: list[Any]  # one for each leaf of the view
    version: Int[Array, ""]


class DiscardingRing(WholeVersions):
    """The ring whose versions count messages of weight 1, each of which is an update; the others change no version."""

    def start(self, learner: Any, run_key: UInt32[Array, "2"]) -> Carry:
        """Nobody has proposed yet."""
        state = first_state(learner, run_key)
        return Carry(state, self.empty_slots(), Counted(self.empty_stores(learner, state), jnp.int32(0)))

    def step(self, learner: Any, carry: Carry, k: Int[Array, ""], event: Event) -> tuple[Carry, Any, Any]:
        """Keep the version at hand; the event's worker proposes from its own; apply that if it counts."""
        del k
        state, slots, past = carry
        stores = self.keep((jax.tree.leaves(viewed(learner, state)), past.version), past.stores)
        view = self.read(stores, past.version - event.delay)
        slots, message, stale = self.propose(learner, slots, view, event)
        state = update(learner, state, message, event, stale)
        counted = Counted(stores, past.version + jnp.asarray(event.weight))
        return Carry(state, slots, counted), samples_of(message), stale

    def adopt(self, carry: Carry, k: int) -> Carry:
        """A batch's saved carry [B, …], from a ring of another depth; each run has versions of its own number."""
        del k
        # The version at hand is stored at the next row, be it for the first time or once more.
        stores = self.adopted(carry.past.stores, [int(version) for version in carry.past.version])
        return carry._replace(past=carry.past._replace(stores=stores))
