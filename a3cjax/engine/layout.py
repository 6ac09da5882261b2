"""Runs [B, …] as tiles of lanes [tiles, lanes, …], and back."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from a3cjax._xla.backend import Backend

_RUNS_PER_SHARE = 32  # fewer are not worth a second device or core


@dataclass(frozen=True)
class Layout:
    """How many tiles of how many lanes hold ``runs`` runs; surplus lanes repeat run 0 and are dropped."""

    runs: int
    tiles: int
    lanes: int
    shares: int

    @classmethod
    def of(cls, runs: int, shares: int, history: str, num_workers: int, backend: Backend) -> "Layout":
        """Equal tiles of the size that the backend wants, as many for each of ``shares`` that work side by side."""
        return cls(runs, *backend.tiles(runs, shares, history, num_workers), shares)

    def split(self, leaf: Any) -> Any:
        """[B, …] → [tiles, lanes, …]."""
        module = np if isinstance(leaf, np.ndarray) else jnp
        surplus = self.tiles * self.lanes - self.runs
        if surplus:
            leaf = module.concatenate([leaf, module.broadcast_to(leaf[:1], (surplus, *leaf.shape[1:]))])
        return leaf.reshape(self.tiles, self.lanes, *leaf.shape[1:])

    def join(self, leaf: Any, steps: Any = None) -> Any:
        """[tiles, lanes, …] → [B, …]; given ``steps``, [tiles, steps, lanes, …] → [B, those steps, …]."""
        if steps is not None:
            leaf = (np if isinstance(leaf, np.ndarray) else jnp).moveaxis(leaf[:, steps], 1, 2)
        return leaf.reshape(self.tiles * self.lanes, *leaf.shape[2:])[: self.runs]

    def real_lanes(self) -> np.ndarray:
        """Lanes of each tile that hold a run."""
        return np.clip(self.runs - np.arange(self.tiles) * self.lanes, 0, self.lanes).astype(np.int32)


def share_count(runs: int, available: int) -> int:
    """Devices, or cores, that a batch is worth splitting over."""
    return max(1, min(available, runs // _RUNS_PER_SHARE))
