"""A schedule's updates, worker by worker."""

from typing import Any

import jax.numpy as jnp
import numpy as np


def own_reads_and_ranks(worker: Any, reads: Any, num_workers: int, versions: Any = None) -> tuple[Any, Any]:
    """Whether each read is the version after the worker's update before; each update's rank among its worker's.

    Columns are [..., K], NumPy or JAX; both answers come from one sort. ``versions`` counts those before each row,
    where not every row makes one.
    """
    xp, order, first = _by_worker(worker, num_workers)
    before = xp.where(first, -1, xp.roll(order, 1, axis=-1))
    after = before + 1 if versions is None else xp.take_along_axis(versions, before + 1, axis=-1)
    own_reads = (xp.take_along_axis(reads, order, axis=-1) == after).all(-1)
    position = xp.broadcast_to(xp.arange(worker.shape[-1], dtype=np.int32), order.shape)
    start = xp.maximum.accumulate(xp.where(first, position, 0), axis=-1)
    ranks = position - start
    if xp is np:
        unsorted = np.empty_like(ranks)
        np.put_along_axis(unsorted, order, ranks, axis=-1)
    else:
        unsorted = jnp.put_along_axis(jnp.zeros_like(ranks), order, ranks, axis=-1, inplace=False)
    return own_reads, unsorted


def _by_worker(worker: Any, num_workers: int) -> tuple[Any, Any, Any]:
    """NumPy or its JAX twin; the updates sorted by worker, in order within each; which are a worker's first."""
    xp: Any = np if isinstance(worker, np.ndarray) else jnp
    # NumPy sorts 16-bit integers by radix, ten times faster than 32-bit ones.
    small = num_workers <= np.iinfo(np.uint16).max
    worker = worker.astype(np.uint16) if small else worker
    order = xp.argsort(worker, axis=-1, stable=True)
    grouped = xp.take_along_axis(worker, order, axis=-1)
    changes = grouped[..., 1:] != grouped[..., :-1]
    first = xp.concatenate([xp.ones_like(grouped[..., :1], dtype=bool), changes], axis=-1)
    return xp, order, first
