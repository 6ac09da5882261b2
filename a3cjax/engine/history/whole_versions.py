"""What the rings share whose versions are fewer than rows: whole copies, version j at j mod depth."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax import lax
from jaxtyping import Array, Int

from a3cjax._xla.marks import read_row
from a3cjax.engine.history.past import PastLeaf
from a3cjax.engine.history.past_views import PastViews
from a3cjax.engine.history.protocol import Carry, viewed


class WholeVersions(PastViews):
    """The base of a ring that counts its versions itself, run by run."""

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

    def enter(self, learner: Any, carry: Carry, k: Int[Array, ""]) -> Carry:
        """Nothing to prepare."""
        del learner, k
        return carry

    def empty_stores(self, learner: Any, state: Any) -> list[Any]:
        """No version yet."""
        now = jax.tree.leaves(viewed(learner, state))
        return [store.start(leaf) for store, leaf in zip(self._stores, now, strict=True)]

    def keep(self, given: tuple[list[Array], Int[Array, ""]], stores: list[Any]) -> list[Any]:
        """Store a version; once more does no harm."""
        now, version = given
        return [store.keep(kept, leaf, version) for store, kept, leaf in zip(self._stores, stores, now, strict=True)]

    def read(self, stores: list[Any], version: Int[Array, ""]) -> list[Any]:
        """The leaves of a past version, to be looked up row by row where the learner does so."""
        pairs = zip(self._stores, stores, self._by_row, strict=True)
        return [_Rows(store, kept, version) if by_row else store.read(kept, version) for store, kept, by_row in pairs]

    def adopted(self, stores: list[Any], stored: Sequence[int]) -> list[Any]:
        """A batch's saved stores [B, …] of another depth, in which each run has so many versions."""

        def one(store, kept):
            return np.concatenate([store.adopt(kept[b : b + 1], versions) for b, versions in enumerate(stored)])

        return [one(store, kept) for store, kept in zip(self._stores, stores, strict=True)]


@dataclass(frozen=True)
class _Rows:
    """A past version of a table of which few rows are read."""

    store: PastLeaf
    kept: Array
    version: Int[Array, ""]

    def row(self, index: Int[Array, ""]) -> Array:
        """Row ``index`` of this version."""
        depth, rows, *row = self.kept.shape
        first = lax.rem(self.version, np.int32(depth)) * rows
        return read_row(self.kept.reshape(depth * rows, *row), first + index)

    def __jax_array__(self) -> Any:
        return self.store.read(self.kept, self.version)
