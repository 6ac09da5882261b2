"""Runs [B, …] as tiles of lanes [tiles, lanes, …], and back."""

import math
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

# The most runs in a tile, so that what an update touches stays in a core's cache; the ring touches more.
LANES = {"mailbox": 256, "ring": 128}
_FEWEST_LANES = 2  # a single lane would compile to another program, with other roundings
_RUNS_PER_DEVICE = 32  # fewer are not worth a second device


@dataclass(frozen=True)
class Layout:
    """How many tiles of how many lanes hold ``runs`` runs; surplus lanes repeat run 0 and are dropped."""

    runs: int
    tiles: int
    lanes: int
    devices: int

    @classmethod
    def of(cls, runs: int, devices: int, most_lanes: int) -> "Layout":
        """Equal tiles, as many for each device."""
        tiles = math.ceil(math.ceil(runs / most_lanes) / devices) * devices
        return cls(runs, tiles, max(_FEWEST_LANES, math.ceil(runs / tiles)), devices)

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


def device_count(runs: int, available: int) -> int:
    """Devices that a batch is worth sharding over."""
    return max(1, min(available, runs // _RUNS_PER_DEVICE))
