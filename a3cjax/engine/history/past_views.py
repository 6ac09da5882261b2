"""What the rings share: workers that propose from past views, and slots that hold their own states."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, UInt32

from a3cjax._xla.marks import read_row, stage, write_row
from a3cjax.engine.history.packing import Packing
from a3cjax.engine.history.protocol import Event, Kind, propose, shapes_of, slot_at_start


class PastViews:
    """The base of a history that keeps past views, leaf by leaf; slot i holds worker i's own state.

    ``shapes``: of what a proposal is made from. ``view_leaves``: of those of the view.
    """

    proposal_offset = 0

    def __init__(self, learner: Any, num_workers: int, keep_views: bool) -> None:
        self.shapes = shapes_of(Kind.of(learner))
        self.view_leaves, self._structure = jax.tree.flatten(self.shapes.view)
        self._packing = Packing(self.shapes.worker_state)
        self._num_workers, self._keep_views = num_workers, keep_views

    def empty_slots(self) -> UInt32[Array, "N width"]:
        """Nobody has proposed yet."""
        return jnp.zeros((self._num_workers, self._packing.width), jnp.uint32)

    def first_slot(self, learner: Any, run_key: UInt32[Array, "2"], worker: Int[Array, ""]) -> Any:
        """The worker's own state at the start."""
        return slot_at_start(learner, self._packing, run_key, worker)

    def workers(self, slots: UInt32[Array, "N width"]) -> Any:
        """All workers' own states, stacked."""
        return jax.vmap(self._packing.unpack)(slots)

    def propose(
        self, learner: Any, slots: UInt32[Array, "N width"], view: list[Any], event: Event
    ) -> tuple[UInt32[Array, "N width"], Any, Any]:
        """The slots after the event's worker has proposed from a view's leaves, the message, and the view if kept."""
        worker_state = self._packing.unpack(read_row(slots, event.worker))
        message, worker_state = propose(learner, jax.tree.unflatten(self._structure, view), worker_state, event.words)
        if self._packing.width:
            slots = write_row(slots, event.worker, stage(self._packing.pack, worker_state))
        stale = jax.tree.unflatten(self._structure, [jnp.asarray(leaf) for leaf in view]) if self._keep_views else ()
        return slots, message, stale
