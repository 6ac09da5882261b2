"""The ring: past versions of the view are kept, and update k reads version k − τ_k, for any τ_k < depth."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, UInt32

from a3cjax._xla.backend import current
from a3cjax._xla.marks import read_row, stage, write_row
from a3cjax.engine.history.packing import Packing
from a3cjax.engine.history.past import Past, PastLeaf
from a3cjax.engine.history.past_table import PastTable
from a3cjax.engine.history.protocol import (
    Carry,
    Event,
    Kind,
    first_state,
    propose,
    shapes_of,
    slot_at_start,
    update,
    viewed,
)
from a3cjax.learners.protocol import samples_of


class Ring:
    """Slot i holds worker i's own state; each leaf of the view has a store of its past.

    Version k is stored at the beginning of update k, before anything is read at it: XLA would copy a store at every
    update if it could not tell that no read is overtaken by a write.
    """

    proposal_offset = 0

    def __init__(
        self, learner: Any, num_workers: int, depth: int, keep_samples: bool, keep_views: bool = False
    ) -> None:
        del keep_samples
        self._keep_views = keep_views
        self._num_workers = num_workers
        shapes = shapes_of(Kind.of(learner))
        self._packing = Packing(shapes.worker_state)
        leaves, self._structure = jax.tree.flatten(shapes.view)
        rows = jax.eval_shape(lambda m: self._changed_rows(learner, m), shapes.message)
        self._stores: list[Past] = [
            PastLeaf(depth, leaf) if row is None else PastTable(depth, leaf, row.shape[0])
            for leaf, row in zip(leaves, rows, strict=True)
        ]

    @property
    def versions_beside(self) -> Any:
        """Like ``past``, whether versions lie side by side (``version_store.py``)."""
        return [store.versions_beside for store in self._stores] if current().versions_beside else False

    def start(self, learner: Any, run_key: UInt32[Array, "2"]) -> Carry:
        """Nobody has proposed yet."""
        state = first_state(learner, run_key)
        slots = jnp.zeros((self._num_workers, self._packing.width), jnp.uint32)
        now = jax.tree.leaves(viewed(learner, state))
        return Carry(state, slots, [store.start(leaf) for store, leaf in zip(self._stores, now, strict=True)])

    def first_slot(self, learner: Any, run_key: UInt32[Array, "2"], worker: Int[Array, ""]) -> Any:
        """The worker's own state at the start."""
        return slot_at_start(learner, self._packing, run_key, worker)

    def enter(self, learner: Any, carry: Carry, k: Int[Array, ""]) -> Carry:
        """Note where rows of tables are, if a block of updates begins."""
        del learner
        return carry._replace(past=[store.enter(kept, k) for store, kept in zip(self._stores, carry.past, strict=True)])

    def step(self, learner: Any, carry: Carry, k: Int[Array, ""], event: Event) -> tuple[Carry, Any, Any]:
        """Keep version k; the event's worker proposes from version k − τ_k; apply that."""
        state, slots, past = carry
        now = jax.tree.leaves(viewed(learner, state))
        past = [store.keep(kept, leaf, k) for store, kept, leaf in zip(self._stores, past, now, strict=True)]
        version = k - event.delay
        view = [store.read(kept, version, k) for store, kept in zip(self._stores, past, strict=True)]
        worker_state = self._packing.unpack(read_row(slots, event.worker))
        message, worker_state = propose(learner, jax.tree.unflatten(self._structure, view), worker_state, event.words)
        if self._packing.width:
            slots = write_row(slots, event.worker, stage(self._packing.pack, worker_state))
        stale = jax.tree.unflatten(self._structure, [jnp.asarray(leaf) for leaf in view]) if self._keep_views else ()
        state = update(learner, state, message, event.delay, stale)
        rows = self._changed_rows(learner, message)
        past = [store.note(kept, row, k) for store, kept, row in zip(self._stores, past, rows, strict=True)]
        return Carry(state, slots, past), samples_of(message), stale

    def workers(self, slots: UInt32[Array, "N width"]) -> Any:
        """All workers' own states, stacked."""
        return jax.vmap(self._packing.unpack)(slots)

    def adopt(self, carry: Carry, k: int) -> Carry:
        """A batch's saved carry [B, …] before update k, from a ring of another depth."""
        return carry._replace(past=[store.adopt(kept, k) for store, kept in zip(self._stores, carry.past, strict=True)])

    def _changed_rows(self, learner: Any, message: Any) -> list[Int[Array, " r"] | None]:
        """For each leaf of the view the rows that the message changes, or None where it changes anything."""
        rows = learner.changed_rows(message)
        return [None] * self._structure.num_leaves if rows is None else list(rows)
