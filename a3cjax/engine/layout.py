"""Runs [B, …] as tiles of lanes [tiles, lanes, …], and back."""

import math
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from a3cjax._kernel import Target
from a3cjax._lanes import LANES_AT_ONCE

# The most runs in a tile, so that what an update touches stays in a core's cache.
LANES = {"mailbox": 128, "ring": 32}
_MANY_WORKERS, _LANES_OF_MANY = 2048, 64  # beyond, slots leave the cache anyway, and of fewer runs more stay
_FEW_LANES = 16  # up to here a tile costs as much as its runs one by one
_LEAST_LANES = 32  # a larger tile has at least as many: shorter loops are unrolled by the compiler and not vectorised
_LANES_FOR_LOOPS = {"mailbox": 512, "ring": 256}  # where every operation is a kernel of its own, which costs a call
_RUNS_PER_SHARE = 32  # fewer are not worth a second device or core


@dataclass(frozen=True)
class Layout:
    """How many tiles of how many lanes hold ``runs`` runs; surplus lanes repeat run 0 and are dropped."""

    runs: int
    tiles: int
    lanes: int
    shares: int

    @classmethod
    def of(cls, runs: int, shares: int, history: str, num_workers: int, target: Target, multiple: int = 1) -> "Layout":
        """Equal tiles, as many for each of the ``shares`` that work side by side; on an accelerator one for each.

        An accelerator's kernel takes a ``multiple`` of lanes.
        """
        most = LANES[history] if target == "kernel" else _LANES_FOR_LOOPS[history]
        if target == "kernel" and num_workers > _MANY_WORKERS:
            most = min(most, _LANES_OF_MANY)
        tiles = (
            shares
            if target in ("accelerator", "persistent kernel")
            else math.ceil(math.ceil(runs / most) / shares) * shares
        )
        lanes = math.ceil(runs / tiles)
        if target != "kernel":
            lanes = max(lanes, 2)  # a single lane would compile to another program, with other roundings
            lanes = math.ceil(lanes / multiple) * multiple
        elif lanes > _FEW_LANES:
            lanes = math.ceil(max(lanes, min(_LEAST_LANES, most)) / LANES_AT_ONCE) * LANES_AT_ONCE
        return cls(runs, tiles, lanes, shares)

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
