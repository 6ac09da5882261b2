"""Slots for the versions of a view, as a compiler gives registers to variables.

A schedule is known beforehand, and so is the life of each version: from the row at which it is stored to the last one
that reads it. Two versions may share a slot if one has died before the other is born. As many slots as there are ever
versions alive at once are enough: slots wait in a queue, a version takes the first of them when it is born, and gives
it back at the end of the row at which it dies.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int32

_EIGHTH = 3  # numbers of slots are rounded up to so many leading bits


class Places(NamedTuple):
    """The slot that the newest version is stored in at each row, and the one that is read there; of ``slots``."""

    write: Int32[np.ndarray, "*runs K"]
    read: Int32[np.ndarray, "*runs K"]
    slots: int


def allocated(versions: Any, reads: Any, worker: Any, num_workers: int, own_reads: Any) -> Places:
    """The places of each row of a batch's schedules.

    Args:
        versions: the newest version at each row, [K] or [runs, K], from 0 on in steps of 0 or 1.
        reads: the version that each row reads, [runs, K].
        worker: whose row it is, [runs, K].
        num_workers: N.
        own_reads: whether workers read right after their own writes, [] or [runs]. What they hold after the last row
            then stays, so that a schedule can go on.

    The number of slots is exact if all read their own; otherwise it is rounded up by an eighth at most, so that similar
    schedules share a program.
    """
    reads = np.asarray(reads)
    versions, own = np.broadcast_to(versions, reads.shape), np.broadcast_to(own_reads, len(reads))
    lives = [_Lives.of(v, r) for v, r in zip(versions, reads, strict=True)]
    for life, mine, stays, v in zip(lives, worker, own, versions, strict=True):
        if stays:
            life.prolong(mine, num_workers, v)
    count = max(life.most_alive() for life in lives)
    if not own.all():
        grain = 1 << max(0, count.bit_length() - _EIGHTH - 1)
        count = -(-count // grain) * grain
    write, read = np.empty(reads.shape, np.int32), np.empty(reads.shape, np.int32)
    for b, life in enumerate(lives):
        slot = life.slots(count)
        write[b], read[b] = slot[versions[b]], slot[reads[b]]
    return Places(write, read, count)


def alive(reads: Any) -> Places:
    """The places of one run that stores version k at row k and reads ``reads[k]`` ≤ k: no more than are needed.

    >>> alive([0, 0, 1, 0])  # version 0 is read to the end, version 1 in the third row
    Places(write=array([0, 1, 2, 1]), read=array([0, 0, 1, 0]), slots=3)
    """
    rows, reads = np.arange(len(reads)), np.asarray(reads)
    life = _Lives.of(rows, reads)
    slot = life.slots(life.most_alive())
    return Places(slot[rows], slot[reads], life.most_alive())


def held(versions: Any, places: Places, row: int) -> Int32[np.ndarray, "runs slots"]:
    """The version in each slot before a row, −1 where there is none yet."""
    versions = np.broadcast_to(versions, places.write.shape)
    found = np.full((len(versions), places.slots), -1, np.int32)
    for b, slots in enumerate(found):
        slots[places.write[b, :row]] = versions[b, :row]  # of the same slot the last counts
    return found


class _Lives(NamedTuple):
    """When each version of one run is stored, and the row at which it is of use for the last time."""

    begin: Any
    end: Any

    @classmethod
    def of(cls, versions: Any, reads: Any) -> "_Lives":
        rows = len(reads)
        begin = np.flatnonzero(np.diff(versions, prepend=-1))
        end = np.append(begin[1:], rows) - 1  # so long it may be stored again
        last_read = np.full(len(begin), -1)
        last_read[reads] = np.arange(rows)  # of the same version the last counts
        return cls(begin, np.maximum(end, last_read))

    def prolong(self, worker: Any, num_workers: int, versions: Any) -> None:
        """To beyond the last row, for what workers have read right after their last own."""
        read = np.zeros(num_workers, int)  # by one that has no row: version 0
        read[worker] = np.append(versions[1:], len(self.begin))  # what the last row leaves is stored after it
        self.end[read[read < len(self.begin)]] = len(worker)

    def most_alive(self) -> int:
        """The largest number of versions alive at a row."""
        dead = np.cumsum(np.bincount(self.end))[self.begin - 1]
        dead[0] = 0
        return int(np.max(np.arange(1, len(dead) + 1) - dead))

    def slots(self, count: int) -> Any:
        """The slot of each version: version v takes the one that was given back as the (v − count)-th, all being in the
        queue at first. Who had it before is followed back to the first, two, four, eight … owners at a time."""
        born = np.arange(len(self.begin))
        given_back = np.argsort(self.end, kind="stable")
        owner = np.where(born < count, born, given_back[np.maximum(born - count, 0)])
        while (owner >= count).any():
            owner = owner[owner]
        return owner
