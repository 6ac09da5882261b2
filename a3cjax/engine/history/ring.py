"""The ring: past versions of the view are kept, and update k reads version k − τ_k, for any τ_k < depth."""

from typing import Any

import jax
from jaxtyping import Array, Int, UInt32

from a3cjax._xla.backend import current
from a3cjax.engine.history.past import Past, PastLeaf
from a3cjax.engine.history.past_table import PastTable
from a3cjax.engine.history.past_views import PastViews
from a3cjax.engine.history.protocol import Carry, Event, first_state, update, viewed
from a3cjax.learners.protocol import samples_of


class Ring(PastViews):
    """The ring of a schedule in which every row is an update: each leaf of the view has a store of its past.

    Version k is stored at the beginning of update k, before anything is read at it: XLA would copy a store at every
    update if it could not tell that no read is overtaken by a write.
    """

    def __init__(
        self, learner: Any, num_workers: int, depth: int, keep_samples: bool, keep_views: bool = False
    ) -> None:
        del keep_samples
        super().__init__(learner, num_workers, keep_views)
        rows = jax.eval_shape(lambda m: self._changed_rows(learner, m), self.shapes.message)
        self._stores: list[Past] = [
            PastLeaf(depth, leaf) if row is None else PastTable(depth, leaf, row.shape[0])
            for leaf, row in zip(self.view_leaves, rows, strict=True)
        ]

    @property
    def versions_beside(self) -> Any:
        """Like ``past``, whether versions lie side by side (``version_store.py``)."""
        return [store.versions_beside for store in self._stores] if current().versions_beside else False

    def start(self, learner: Any, run_key: UInt32[Array, "2"]) -> Carry:
        """Nobody has proposed yet."""
        state = first_state(learner, run_key)
        now = jax.tree.leaves(viewed(learner, state))
        past = [store.start(leaf) for store, leaf in zip(self._stores, now, strict=True)]
        return Carry(state, self.empty_slots(), past)

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
        slots, message, stale = self.propose(learner, slots, view, event)
        state = update(learner, state, message, event, stale)
        rows = self._changed_rows(learner, message)
        past = [store.note(kept, row, k) for store, kept, row in zip(self._stores, past, rows, strict=True)]
        return Carry(state, slots, past), samples_of(message), stale

    def adopt(self, carry: Carry, k: int) -> Carry:
        """A batch's saved carry [B, …] before update k, from a ring of another depth."""
        return carry._replace(past=[store.adopt(kept, k) for store, kept in zip(self._stores, carry.past, strict=True)])

    def _changed_rows(self, learner: Any, message: Any) -> list[Int[Array, " r"] | None]:
        """For each leaf of the view the rows that the message changes, or None where it changes anything."""
        rows = learner.changed_rows(message)
        return [None] * len(self.view_leaves) if rows is None else list(rows)
