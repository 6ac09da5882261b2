"""The schedule's columns on their way to an accelerator's kernel.

What each update of each run is told crosses a bus that is slower than the kernel. So what the learner does not use
stays at home, and the rest goes in as few bytes as hold it.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from a3cjax.engine.layout import Layout
from a3cjax.engine.plan import Block
from a3cjax.engine.runs import Runs

_WORTH_THREADS = 1 << 20  # entries


def types_of(runs: Runs, depth: int, used: Sequence[bool]) -> list[Any]:
    """For each column the type that holds its values, or None if nobody looks at it."""
    if runs.worker.shape[0] == 1:
        return [np.int32 if wanted else None for wanted in used]
    delays = depth or runs.num_updates
    bounds = (runs.num_workers, delays, runs.num_updates + 2, 2, 2)  # a proposal's number goes one beyond
    return [_least(bound) if wanted else None for bound, wanted in zip(bounds, used, strict=False)]


def narrow_block(
    runs: Runs, layout: Layout, first: int, updates: int, chunk: int, types: Sequence[Any], room: dict[int, np.ndarray]
) -> Block:
    """As ``Runs.block``, each column in its type; one that is left out is zeros for all."""
    first -= first % chunk
    length = updates + 2 * chunk
    optional = [column for column in (runs.commit, runs.weight) if column is not None]
    columns = [runs.worker, runs.delay, runs.turn, *optional]
    filled: list[Any] = []
    for i, (column, dtype) in enumerate(zip(columns, types, strict=True)):
        rows = layout.tiles * layout.lanes if column.shape[0] > 1 and dtype is not None else 1
        if i not in room:
            room[i] = np.zeros((rows, length), dtype or np.int8)
        if dtype is not None:
            _fill(room[i], column, first)
        filled.append(room[i].reshape(layout.tiles if rows > 1 else 1, -1, length))
    named = zip(("commit", "weight"), (runs.commit, runs.weight), strict=True)
    names = [name for name, column in named if column is not None]
    return Block(*filled[:3], **dict(zip(names, filled[3:], strict=True)))


def _least(bound: int) -> Any:
    """The narrowest type for whole numbers below ``bound``."""
    return next(dtype for dtype in (np.uint8, np.uint16, np.int32) if bound - 1 <= np.iinfo(dtype).max)


def _fill(room: np.ndarray, column: np.ndarray, first: int) -> None:
    """Entries of ``column`` from ``first`` on, then zeros; surplus rows repeat the first run's."""
    known = max(0, min(room.shape[1], column.shape[1] - first))

    def copy(rows: slice) -> None:
        room[rows, :known] = column[rows, first : first + known]

    count = column.shape[0]
    if room.size < _WORTH_THREADS:
        copy(slice(count))
    else:
        threads = os.cpu_count() or 1
        each = -(-count // threads)
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(copy, (slice(i, min(i + each, count)) for i in range(0, count, each))))
    room[count:, :known] = room[:1, :known]
    room[:, known:] = 0
