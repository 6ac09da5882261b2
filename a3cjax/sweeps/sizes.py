"""How many units a block has: by what a pilot took, by what fits in memory, and so that all workers have work."""

import time
from collections.abc import Callable

from a3cjax._core import check
from a3cjax.sweeps.job import Block, Job, cut
from a3cjax.sweeps.store import Store

_PILOT = 32  # units: as many runs as the engine takes side by side
_PATIENCE = 0.1  # seconds between two looks at what another process does
_SHARE_OF_MEMORY = 0.5

Compute = Callable[[Block], None]


def chosen_size(store: Store, compute: Compute, seconds: float, workers: int) -> int:
    """Units of a block, such that it takes about ``seconds``; the first who asks measures it, for all in this folder.

    The pilot's two blocks are blocks like others, and stay: the first compiles, the second tells the time.

    Args:
        store: of the blocks.
        compute: makes a block and keeps it.
        seconds: what a block should take.
        workers: how many are made at a time.
    """
    while True:
        known = store.noted_size()
        if known is not None:
            return known
        with store.claimed() as ours:
            if ours and store.noted_size() is None:
                _pilot(store, compute)
                size = _size(store, seconds, workers)
                store.note(size=size)
                return size
        time.sleep(_PATIENCE)


def _pilot(store: Store, compute: Compute) -> None:
    job = store.job
    each = max(1, min(_PILOT, job.count // 8))
    for _ in range(2 - min(2, len(store.finished()))):
        gaps = store.gaps()
        if gaps:
            compute(cut(gaps, each)[0])


def _size(store: Store, seconds: float, workers: int) -> int:
    each = store.seconds_per_unit()
    wanted = store.job.count if not each else int(seconds / each)
    fair = -(-store.missing() // workers)
    return max(1, min(wanted, fair, most_units(store.job, workers)))


def most_units(job: Job, workers: int) -> int:
    """Units of a block such that ``workers`` of them take half of this machine's memory at most."""
    room = _SHARE_OF_MEMORY * check.memory_of_machine() / workers
    low, high = 1, job.count
    while low < high:
        middle = -(-(low + high) // 2)
        if sum(job.memory(middle).values()) <= room:
            low = middle
        else:
            high = middle - 1
    return low


def memory_table(job: Job, size: int | None = None) -> str:
    """What blocks of some sizes take, part by part, in MiB.

    >>> job = Job("sweep", 64, {}, lambda start, stop: {}, lambda runs: {"schedule": runs * 2**20, "records": 2**19})
    >>> print(memory_table(job, size=16))
    runs of a block  schedule  records  MiB in all
                  1       1.0      0.5         1.5
                 16      16.0      0.5        16.5
                 64      64.0      0.5        64.5
    """
    sizes = sorted({1, job.count} | ({size} if size else {n for n in (8, 32, 128, 512) if n < job.count}))
    parts = list(job.memory(1))
    header = [f"{job.unit}s of a block", *parts, "MiB in all"]
    lines = []
    for n in sizes:
        found = job.memory(n)
        lines.append([str(n), *(f"{x / 2**20:,.1f}" for x in (*found.values(), sum(found.values())))])
    widths = [max(len(line[i]) for line in (header, *lines)) for i in range(len(header))]
    return "\n".join(
        "  ".join(cell.rjust(wide) for cell, wide in zip(line, widths, strict=True)) for line in (header, *lines)
    )
