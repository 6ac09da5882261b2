"""A GPU on which a block of updates is one kernel, and a lane of it is a run.

What is traced for it is the step of one run, in plain JAX; ``lane_programs.py`` interprets that for the lanes of a
block of threads. Rows are read and written by one gather and one scatter each, with nothing computed to make sure of
them.
"""

import contextlib
import math
from collections.abc import Iterator
from contextvars import ContextVar

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Int

from a3cjax._xla.backend import IN_BOUNDS, Backend

_WIDE = 1 << 15  # runs from which on four warps work together

_interpreted: ContextVar[bool] = ContextVar("interpreted", default=False)


class LaneKernel(Backend):
    """One kernel a tile, which makes random words where they are used."""

    name = "persistent kernel"
    draws_in_place = True

    def tiles(self, runs: int, shares: int, history: str, num_workers: int) -> tuple[int, int]:
        """A tile for each share, of whole blocks of lanes."""
        del history, num_workers
        each = math.ceil(runs / shares)
        lanes = block_lanes(each)
        return shares, math.ceil(max(each, 2) / lanes) * lanes

    def read_row(self, table: Array, index: Int[Array, ""]) -> Array:
        """A window of one row."""
        rank = table.ndim - 1
        numbers = lax.GatherDimensionNumbers(tuple(range(rank)), (0,), (0,))
        return lax.gather(table, index[None], numbers, (1, *table.shape[1:]), **IN_BOUNDS)

    def write_row(self, table: Array, index: Int[Array, ""], row: Array) -> Array:
        """A window of one row."""
        window = lax.ScatterDimensionNumbers(tuple(range(table.ndim - 1)), (0,), (0,))
        row = jnp.asarray(row, table.dtype)
        return lax.scatter(table, index[None], row, window, unique_indices=True, **IN_BOUNDS)


LANE_KERNEL = LaneKernel()


def block_lanes(runs: int) -> int:
    """Lanes that one block of the kernel takes: as many as its threads."""
    if _interpreted.get():
        return 8
    return 128 if runs >= _WIDE else 32


@contextlib.contextmanager
def interpreted() -> Iterator[None]:
    """Within, the kernel is what runs on a CPU too, in Pallas' interpreter: slowly, and for tests."""
    token = _interpreted.set(True)
    try:
        yield
    finally:
        _interpreted.reset(token)


def is_interpreted() -> bool:
    """Whether an interpreter stands in for the accelerator."""
    return _interpreted.get()
