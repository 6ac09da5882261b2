"""The tiles of a batch on the devices that work side by side."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, UInt32

from a3cjax.engine.layout import Layout

T = TypeVar("T")

_most_cores: ContextVar[int | None] = ContextVar("most_cores", default=None)


@contextlib.contextmanager
def at_most_cores(cores: int) -> Iterator[None]:
    """Within, simulations keep so many cores busy at most: where others work beside them."""
    before = _most_cores.set(cores)
    try:
        yield
    finally:
        _most_cores.reset(before)


def side_by_side(devices: Sequence[Any]) -> list[Any]:
    """The devices, each as many times as it can run a program side by side: a CPU device once for each of its cores.

    In turn, so that the first so many of them are spread over all devices.
    """
    on_cpu = devices[0].platform == "cpu"
    return list(devices) * (max(1, cores_to_use() // jax.local_device_count("cpu")) if on_cpu else 1)


def cores_to_use() -> int:
    """Those of the machine that this process may run on, at most as many as ``at_most_cores`` says."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _most_cores.get() or cores)


def for_a_thread(function: Callable[..., T]) -> Callable[..., T]:
    """The same function with the caller's settings of JAX, which a thread does not inherit."""
    x64 = jnp.result_type(float) == jnp.float64

    def call(*args):
        with jax.enable_x64(x64), jax.numpy_rank_promotion("allow"):
            return function(*args)

    return call


class Tile(NamedTuple):
    """What no update changes: the learner, whose leaves with a run axis are [lanes], and which lanes hold a run."""

    learner: Any
    keys: UInt32[Array, "lanes 2"]
    real: Int[Array, ""]

    @property
    def device(self) -> Any:
        """Where it lies."""
        return next(iter(self.keys.devices()))


@dataclass(frozen=True)
class Tiles:
    """Equal shares of the tiles, one for each device.

    Each device runs the same one-device program on its tiles. A program sharded over devices is compiled otherwise,
    and rounds otherwise.
    """

    layout: Layout
    devices: Sequence[Any]

    def take(self, tree: Any) -> list[list[Any]]:
        """The tiles of each share of a pytree of [tiles, …], or of [1, …], which is the same for all."""
        each = self.layout.tiles // len(self.devices)

        def tile(t):
            return jax.tree.map(lambda leaf: leaf[t if leaf.shape[0] > 1 else 0], tree)

        return [[tile(share * each + i) for i in range(each)] for share in range(len(self.devices))]

    def place(self, shares: Sequence[Sequence[Any]]) -> list[list[Any]]:
        """The same tiles, on the devices of their shares."""
        pairs = zip(shares, self.devices, strict=True)
        return [[jax.device_put(tile, device) for tile in tiles] for tiles, device in pairs]

    def put(self, learner: Any, axes: Sequence[int | None], keys: Any) -> list[list[Tile]]:
        """The shares; leaves of the learner without a run axis go whole to each device."""
        leaves, structure = jax.tree.flatten(learner)
        differing = {i: np.asarray(leaf) for i, (leaf, axis) in enumerate(zip(leaves, axes, strict=True)) if axis == 0}
        common = {i: leaf for i, leaf in enumerate(leaves) if i not in differing}
        shares = []
        placed = self.place(self.take((differing, keys, self.layout.real_lanes())))
        for tiles, device in zip(placed, self.devices, strict=True):
            here = jax.device_put(common, device)
            shares.append([])
            for mine, key, real in tiles:
                both = here | mine
                shares[-1].append(Tile(jax.tree.unflatten(structure, [both[i] for i in sorted(both)]), key, real))
        return shares

    def joined(self, shares: Sequence[Sequence[Any]], steps: Any = None) -> Any:
        """The tiles' pytrees of [lanes, …] as one of [B, …]; given ``steps``, [steps, lanes, …] as [B, those, …]."""
        tiles = [tile for share in shares for tile in share]
        return jax.tree.map(lambda *leaves: self.layout.join(_stacked(leaves), steps), *tiles)


def _stacked(leaves: Sequence[Any]) -> np.ndarray:
    """On the host; a single one is not copied."""
    return np.asarray(leaves[0])[None] if len(leaves) == 1 else np.stack([np.asarray(leaf) for leaf in leaves])
