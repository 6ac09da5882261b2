"""Each worker's turns: how long it computed, how long it then waited before its next read, and what writing took."""

from typing import NamedTuple

import numpy as np

from a3cjax.schedules.calibration.observed import Observed

_FEWEST = 2  # whole turns of a worker
_LATE = 10  # writes that had to wait, if there is a lock


class Turns(NamedTuple):
    """One worker's turns in order, [n] each.

    ``waiting``: from the landing before to the read. ``computing``: from there to the landing. ``writing``: how much
    of that came after the computation's end, 0 where the log does not tell.
    """

    computing: np.ndarray
    waiting: np.ndarray
    writing: np.ndarray


class Writing(NamedTuple):
    """From the end of a computation to its landing: the mean, and how much of it is writing, and waiting for others.

    In the order of hand-over a write that begins when the one before has landed takes L_k − max(ready_k, L_{k−1});
    the rest is the wait. ``quick``: the median write of those that had nobody to wait for. ``serial``: whether writes
    exclude each other: of those that were handed over before the one ahead had landed a tenth at most is quicker than
    half of ``quick``; None where there are less than ten of them.
    """

    mean: float
    service: float
    wait: float
    quick: float
    serial: bool | None


class Measured(NamedTuple):
    """What a log says of the workers' time.

    Attributes:
        turns: of each worker.
        overlaps: whether workers read before their last message has landed; then a turn is from landing to landing.
        reads: how reads are known: "clock", by their times, or "versions", as late as the version that they saw allows.
        latency: how old, at a read, the version is that it gets.
        latency_share: the share of reads that this explains.
        writing: None where the log does not tell when messages were ready.
        start: from the first read of any worker to the last worker's first; NaN where the log does not tell.
    """

    turns: tuple[Turns, ...]
    overlaps: bool
    reads: str
    latency: float
    latency_share: float
    writing: Writing | None
    start: float


def measure(observed: Observed) -> Measured:
    """The turns of every worker.

    Raises:
        ValueError: if a worker has too few, or a turn takes no time.
    """
    before = _before(observed.worker)
    known = before >= 0
    landed = observed.landed
    last = np.where(known, landed[before], observed.origin)
    begun = observed.begun
    pause = _least_pause(observed, last) if begun is None else begun - last
    overlaps = bool(np.nanmean(np.where(known, pause < 0, np.nan)) > 0.5) if known.any() else False
    if begun is None:
        early = known & (observed.read < before + 1)
        overlaps = bool(early[known].mean() > 0.05) if known.any() else False
    if overlaps:
        seen = last if begun is None else begun
        latency, share = _latency(observed, seen, known)
        pause = np.zeros_like(landed)
        computing = landed - last
    else:
        pause = np.maximum(pause, 0.0)
        latency, share = (0.0, 1.0) if begun is None else _latency(observed, begun, observed.worker >= 0)
        computing = landed - (last + pause if begun is None else begun)
    # Without the time of its read the first turn of a worker is not whole, unless it is known when it began.
    whole = ~np.isnan(computing) & ~np.isnan(pause)
    turns = tuple(_turns_of(observed, i, whole, computing, pause) for i in range(len(observed.names)))
    return Measured(
        turns, overlaps, "versions" if begun is None else "clock", latency, share, _writing(observed), _start(observed)
    )


def _before(worker: np.ndarray) -> np.ndarray:
    """Each row's worker's row before it; −1 for its first, and for rows of nobody."""
    order = np.argsort(worker, kind="stable")
    before = np.full(len(worker), -1)
    again = worker[order][1:] == worker[order][:-1]
    before[order[1:][again]] = order[:-1][again]
    return np.where(worker < 0, -1, before)


def _least_pause(observed: Observed, last: np.ndarray) -> np.ndarray:
    """The version that a read saw was the newest from its landing on, so the read is not before that."""
    made = np.where(observed.read > 0, observed.landed[np.maximum(observed.read, 1) - 1], last)
    return np.maximum(made - last, 0.0)


def _turns_of(observed: Observed, i: int, whole: np.ndarray, computing: np.ndarray, pause: np.ndarray) -> Turns:
    mine = whole & (observed.worker == i)
    name = observed.names[i]
    if mine.sum() < _FEWEST:
        raise ValueError(
            f"{observed.source} has {int(mine.sum())} whole turns of worker {name}, and a law needs {_FEWEST} at "
            "least; record for longer, or leave that worker's rows out."
        )
    writing = np.zeros(mine.sum()) if observed.ready is None else (observed.landed - observed.ready)[mine]
    turns = Turns(computing[mine], pause[mine], np.where(np.isnan(writing), 0.0, writing))
    if (turns.writing < 0).any():
        raise ValueError(
            f"{observed.source}: {int((turns.writing < 0).sum())} messages of worker {name} landed before they were "
            "ready; have time, read_time and ready of one clock, or leave the column of ready out."
        )
    still = turns.computing - turns.writing <= 0
    if still.any():
        raise ValueError(
            f"{observed.source}: {int(still.sum())} of the {len(still)} computations of worker {name} take no time, so "
            "the clock is too coarse for them; record times with more digits."
        )
    return turns


def _latency(observed: Observed, seen: np.ndarray, rows: np.ndarray) -> tuple[float, float]:
    """The age of the versions that reads get: that which explains most of them, and what share it explains.

    A read at time t of version v, which landed at L_v and was the newest until L_{v+1}, has an age of more than
    t − L_{v+1} and at most t − L_v. No age is taken if that explains 95 % of reads as well as any.
    """
    landed, read = observed.landed, observed.read
    rows = rows & ~np.isnan(seen) & (read > 0) & (read < len(landed))
    if not rows.any():
        return 0.0, 1.0
    t, v = seen[rows], read[rows]
    least, most = t - landed[np.minimum(v, len(landed) - 1)], t - landed[v - 1]
    # What lands at the very instant of a read may be seen or not, but for the own landing, after which a worker reads.
    own = seen is not observed.begun
    fresh = float((((least < 0) if own else (least <= 0)) & (most >= 0)).mean())
    if fresh >= 0.95:
        return 0.0, fresh
    ends = np.concatenate([least, most])
    steps = np.concatenate([np.ones(len(least)), -np.ones(len(most))])
    order = np.lexsort((steps, ends))
    depth = np.cumsum(steps[order])
    at = int(np.argmax(np.where(ends[order] >= 0, depth, -1)))
    if depth[at] <= fresh * len(least) or at + 1 == len(ends):
        return 0.0, fresh
    return float(ends[order][at : at + 2].mean()), float(depth[at] / len(least))


def _writing(observed: Observed) -> Writing | None:
    ready, landed = observed.ready, observed.landed
    if ready is None or np.isnan(ready[observed.worker >= 0]).any():
        return None
    mine = observed.worker >= 0
    ahead = np.r_[-np.inf, landed[:-1]]
    service, late = (landed - np.maximum(ready, ahead))[mine], (ready < ahead)[mine]
    mean = float((landed - ready)[mine].mean())
    quick = float(np.median(service if late.all() else service[~late]))
    serial = bool(np.quantile(service[late], 0.1) > quick / 2) if late.sum() >= _LATE else None
    return Writing(mean, float(service.mean()), mean - float(service.mean()), quick, serial)


def _start(observed: Observed) -> float:
    if observed.begun is None:
        return np.nan
    firsts = [observed.begun[np.argmax(observed.worker == i)] for i in range(len(observed.names))]
    return float(max(firsts) - min(firsts))
