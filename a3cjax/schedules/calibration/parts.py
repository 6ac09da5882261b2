"""What of a turn the model draws: all of it as one time, or computing, writing and waiting apart; on cores, or not."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from a3cjax.schedules.calibration.measured import Measured, Turns

_SMALL = 0.01  # of a median turn: a shorter pause is computing
_LITTLE = 1e-3  # of the workers' time: fewer pauses are computing
_BUSY = 0.01  # of the time: writes that take less are computing


class Parts(NamedTuple):
    """How turns are divided.

    Attributes:
        waits: whether pauses are waits before the read; else they are part of a turn's computing.
        small: pauses shorter than that count as computing all the same.
        write_time: of one write after the other; 0 if writing is part of a turn's computing.
        cores: that workers share; None where computing times are what they are.
        unbroken: with cores the longest turn that nobody interrupted; infinite if these cannot be told from the others.
    """

    waits: bool
    small: float
    write_time: float
    cores: int | None
    unbroken: float


def divide(measured: Measured, cores: int | None, modes: tuple[float, float] | None) -> Parts:
    """What is worth being apart: pauses that are 0.1 % of the time, and writes under a lock that are 1 %.

    With ``cores`` writes are computing: who is woken by a lock gets a core at once from the systems that we know, while
    a worker of the model's that had to wait for one lines up, so that the model's workers would march in step.

    With ``cores``, fewer than workers, the shorter of two groups of computing times, around ``modes``, are those that
    nobody interrupted, and a pause of less than half their median is computing: whoever waits gives up the core.
    """
    turns = measured.turns
    computing, pauses, _ = (np.concatenate(each) for each in zip(*turns, strict=True))
    shared = cores is not None and cores < len(turns)
    unbroken = math.sqrt(modes[0] * modes[1]) if shared and modes is not None else math.inf
    small = _SMALL * float(np.median(computing + pauses))
    if shared:
        small = float(np.median(computing[computing <= unbroken])) / 2
    total = float((computing + pauses).sum())
    waits = not measured.overlaps and float(pauses[pauses >= small].sum()) > _LITTLE * total
    writing = measured.writing
    write_time = 0.0
    if cores is None and writing is not None and writing.serial and not measured.overlaps:
        busy = writing.service * len(turns) * len(computing) / total
        write_time = writing.service if busy > _BUSY else 0.0
    return Parts(waits or write_time > 0, small, write_time, cores, unbroken)


def computing_times(turns: Sequence[Turns], parts: Parts) -> list[np.ndarray]:
    """Each worker's computing times; on cores that it has to share, those that it would take if it had one.

    While no core is idle each of N workers has C / N of one, so that the mean time on a core is C / N of the mean turn.
    The times that nobody interrupted say what its law looks like, and are scaled to this mean.
    """
    times = [_alone(one, parts) for one in turns]
    if parts.cores is None or parts.cores >= len(turns):
        return times
    share = parts.cores / len(turns)
    whole = float(np.concatenate([one.computing + one.waiting for one in turns]).mean())
    kept = [x[x <= parts.unbroken] for x in times]
    # A worker all of whose turns were interrupted has them all, in proportion.
    kept = [y if len(y) > 1 else x * (parts.unbroken / x.max()) for x, y in zip(times, kept, strict=True)]
    mean = min(share * whole, float(np.concatenate(times).mean()))
    factor = mean / float(np.concatenate(kept).mean())
    return [x * factor for x in kept]


def quickest(turns: Sequence[Turns], parts: Parts) -> float:
    """The mean computing time of turns that nobody interrupted; NaN where these are not told from the others."""
    if not np.isfinite(parts.unbroken):
        return math.nan
    times = np.concatenate([_alone(one, parts) for one in turns])
    return float(times[times <= parts.unbroken].mean())


def waits(turns: Sequence[Turns], parts: Parts) -> np.ndarray:
    """All workers' waits before a read."""
    pauses = np.concatenate([one.waiting for one in turns])
    return np.where(pauses >= parts.small, pauses, 0.0)


def _alone(turns: Turns, parts: Parts) -> np.ndarray:
    if not parts.waits:
        return turns.computing + turns.waiting
    pause = np.where(turns.waiting < parts.small, turns.waiting, 0.0)
    return turns.computing - (turns.writing if parts.write_time else 0.0) + pause
