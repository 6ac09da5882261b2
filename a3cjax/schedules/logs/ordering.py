"""From a log's rows to a schedule's: by the counter that they wrote, or by the clock."""

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np

from a3cjax.schedules.logs.gathered import Gathered
from a3cjax.schedules.logs.report import LogError

FILLED = "(missing)"
_PART = 1 << 16  # rows looked at together


@dataclasses.dataclass(frozen=True)
class Choices:
    """What the caller says about what a log leaves open; ``Schedule.from_log`` explains each."""

    order: Literal["auto", "counter", "clock"] = "auto"
    counts_from: int | None = None
    first_version: int | None = None
    gaps: Literal["refuse", "fill"] = "refuse"
    duplicates: Literal["refuse", "drop"] = "refuse"
    shared: Literal["refuse", "average"] = "refuse"
    clocks: Literal["refuse", "hold"] = "refuse"


class Rows(NamedTuple):
    """A schedule's columns, the workers' names, and of each row when its version was read and its message ready."""

    worker: np.ndarray
    delay: np.ndarray
    time: np.ndarray
    workers: tuple[Any, ...]
    commit: np.ndarray | None = None
    weight: np.ndarray | None = None
    read_time: np.ndarray | None = None
    ready_time: np.ndarray | None = None

    def columns(self) -> dict[str, Any]:
        """By the schedule's names."""
        known = {"worker": self.worker, "delay": self.delay, "time": self.time}
        return known | {"commit": self.commit, "weight": self.weight}


Facts = dict[str, Any]


def order_rows(log: Gathered, choices: Choices, facts: Facts, clocks: int) -> Rows:
    """The rows in order, with their delays; ``facts`` gets what the report says of them.

    Raises:
        LogError: if the log does not tell an order, or leaves something open that the caller did not close.
    """
    _check_versions(log)
    has_counter = "written" in log.columns and "read" in log.columns
    has_clock = "read_time" in log.columns and "time" in log.columns
    if has_counter:
        _drop_duplicates(log, choices, facts)
        look_at_counts(log, facts)
    broken = [f"{facts[name]:,} {what}" for name, what in _BROKEN.items() if facts.get(name)]
    order = choices.order
    if order == "auto":
        if not has_counter and not has_clock:
            raise LogError(
                f"{log.source} tells no order: it needs read and written, the versions, or time and read_time, the "
                "clock; say which columns they are."
            )
        order = "counter" if has_counter and not broken else "clock"
        if order == "clock" and not has_clock:
            raise LogError(
                f"{log.source} has {' and '.join(broken)}, as without a lock, so its counter tells no order; give "
                "read_time, the column of the times of reading, and it is ordered by the clock"
                + ("; or shared='average' if rows of one version make one update." if facts["shared"] else ".")
            )
        facts["why"] = (
            "every version is written once" if order == "counter"
            else f"the counter cannot tell it, with {' and '.join(broken)}" if has_counter
            else "there is no counter"
        )  # fmt: skip
    else:
        facts["why"] = "as was asked for"
    facts["order"] = order
    if order == "counter":
        if not has_counter:
            raise LogError("order is 'counter', which needs the columns read and written; say which they are.")
        if broken:
            raise LogError(
                f"order is 'counter', but {log.source} has {' and '.join(broken)}; use order='clock', or "
                "shared='average' if rows of one version make one update."
            )
        return _by_counter(log, choices, facts)
    if not has_clock:
        raise LogError("order is 'clock', which needs the columns time and read_time; say which they are.")
    if clocks > 1:
        raise LogError(f"{log.source} has times of {clocks} machines, which tell no order; use order='counter'.")
    return _by_clock(log, choices, facts)


_BROKEN = {"shared": "rows that wrote a version that another row wrote", "negative": "rows with written before read"}


def parts(rows: int) -> Iterator[slice]:
    """Slices that go through so many rows a piece at a time, so that what is made of them stays small."""
    return (slice(start, start + _PART) for start in range(0, rows, _PART))


def _check_versions(log: Gathered) -> None:
    read = log.columns.get("read")
    if read is None:
        return
    least = int(read.min()) + log.offset
    if least < 0:
        raise LogError(f"{log.place(int(read.argmin()))}: read is {least}, but versions count from 0.")


def look_at_counts(log: Gathered, facts: Facts) -> None:
    """How many versions were written more than once or were read from the future, and the bounds of the others."""
    read, written = log.columns["read"], log.columns["written"]
    ascending = all((np.diff(written[part.start : part.stop + 1]) > 0).all() for part in parts(len(written)))
    facts["shared"] = 0
    if not ascending:
        inorder = written.copy()
        inorder.sort()
        facts["shared"] = sum(
            int((inorder[part.start + 1 : part.stop + 1] == inorder[part][: len(inorder) - part.start - 1]).sum())
            for part in parts(len(inorder))
        )
    facts["negative"] = sum(int((written[part] < read[part]).sum()) for part in parts(len(read)))
    facts["least"] = min(int((written[part].astype(np.int64) - read[part]).min()) for part in parts(len(read)))


def _drop_duplicates(log: Gathered, choices: Choices, facts: Facts) -> None:
    """Rows that repeat another in every column are one event that was logged twice."""
    facts["duplicates"] = 0
    written = log.columns["written"]
    if all((np.diff(written[part.start : part.stop + 1]) > 0).all() for part in parts(len(written))):
        return
    inorder = written.copy()
    inorder.sort()
    twice = np.unique(inorder[1:][inorder[1:] == inorder[:-1]])
    del inorder
    rows = np.concatenate([part.start + np.flatnonzero(np.isin(written[part], twice)) for part in parts(len(written))])
    some = {role: column[rows] for role, column in log.columns.items()}
    order = np.lexsort((*some.values(), some["written"]))
    repeats = np.ones(max(len(order) - 1, 0), bool)
    for column in some.values():
        repeats &= column[order][1:] == column[order][:-1]
    extra = rows[order[1:][repeats]]
    if not len(extra):
        return
    if choices.duplicates == "refuse":
        raise LogError(
            f"{log.place(int(extra.min()))} repeats a row ahead of it in every column, as {len(extra):,} rows do; "
            "give duplicates='drop' to leave them out."
        )
    facts["duplicates"] = len(extra)
    keep = np.ones(len(written), bool)
    keep[extra] = False
    for role in log.columns:
        log.columns[role] = log.columns[role][keep]
    log.lines.clear()


def take_off_base(log: Gathered, choices: Choices, facts: Facts) -> None:
    """Whether ``written`` was noted after the counter was raised; then 1 is taken off it."""
    read, written = log.columns["read"], log.columns["written"]
    base = choices.counts_from
    if base is None:
        first_read, first_written = int(read.min()) + log.offset, int(written.min()) + log.offset
        base = 0 if facts["least"] == 0 else _clock_says(log)
        if base is None and first_read == 0 and first_written in (0, 1):
            base = first_written  # from the start the first update is 0, or 1 if counted after
        if base is None:
            raise LogError(
                f"{log.source}: written − read is at least {facts['least']} everywhere, and the log begins at version "
                f"{first_written}, so it does not tell whether written was noted before or after the counter was "
                "raised; give counts_from=0 (before: a fresh update has written = read) or counts_from=1 (after)."
            )
    elif base and facts["least"] < 1:
        i = int((written.astype(np.int64) - read).argmin())
        raise LogError(
            f"counts_from is 1, but {log.place(i)} has read {int(read[i]) + log.offset} and written "
            f"{int(written[i]) + log.offset}; give counts_from=0."
        )
    facts["counts_from"] = base
    written -= base


def _clock_says(log: Gathered) -> int | None:
    """By how much written − read exceeds the updates between read and write by the clock, if mostly by 0 or by 1."""
    if "read_time" not in log.columns or "time" not in log.columns:
        return None
    last = min(len(log.columns["time"]), 100_000)
    time = log.columns["time"][: 2 * last]
    inorder = np.sort(time)
    by_clock = np.searchsorted(inorder, time[:last]) - np.searchsorted(
        inorder, log.columns["read_time"][:last], side="right"
    )
    by_counter = log.columns["written"][:last].astype(np.int64) - log.columns["read"][:last]
    known = log.columns["read_time"][:last] >= inorder[0]
    excess = (by_counter - by_clock)[known]
    values, counts = np.unique(excess, return_counts=True)
    most = values[counts.argmax()] if len(values) else -1
    return int(most) if most in (0, 1) and counts.max() > 0.5 * counts.sum() else None


def _by_counter(log: Gathered, choices: Choices, facts: Facts) -> Rows:
    take_off_base(log, choices, facts)
    columns = log.columns
    first, missing = _extent(log, choices, facts)
    worker, read, written = columns.pop("worker"), columns.pop("read"), columns.pop("written")
    clock = {name: columns.pop(name, None) for name in ("read_time", "ready_time")}
    early = sum(int((read[part] < first).sum()) for part in parts(len(read)))
    check_before(log, early, first, choices, facts)
    delay = read
    for part in parts(len(delay)):
        np.subtract(written[part], np.maximum(delay[part], first), out=delay[part])
    place, total = written, int(written.max()) - first + 1
    place -= first
    time = columns.pop("time", None)
    facts["moved"] = out_of_order(place)
    if missing or facts["moved"]:
        filler = len(log.workers)
        worker, delay = (_put(column, place, total, empty) for column, empty in ((worker, filler), (delay, 0)))
        time = None if time is None else _put(time, place, total, np.nan)
        clock = {name: None if of is None else _put(of, place, total, np.nan) for name, of in clock.items()}
    workers = log.workers
    if missing:
        facts["filled"] = missing
        workers = (*workers, FILLED)
        if time is not None:
            _fill_backwards(time)
    time = landing(time, log, choices, facts, total)
    return Rows(worker, delay, time, workers, **clock)


def _extent(log: Gathered, choices: Choices, facts: Facts) -> tuple[int, int]:
    """The first version, relative to the offset, and how many versions after it nobody wrote."""
    written = log.columns["written"]
    lowest = int(written.min())
    first = lowest if choices.first_version is None else choices.first_version - log.offset
    facts["first_version"] = first + log.offset
    if first > lowest:
        keep = written >= first
        facts["cut"] = int(len(keep) - keep.sum())
        if facts["cut"] == len(keep):
            raise LogError(
                f"first_version is {first + log.offset}, but the last written is {int(written.max()) + log.offset}."
            )
        for role in log.columns:
            log.columns[role] = log.columns[role][keep]
        log.lines.clear()
        written = log.columns["written"]
    distinct = len(written) if not facts["shared"] else len(np.unique(written))
    span = int(written.max()) - first + 1
    missing = span - distinct
    facts["missing"] = missing
    if span > 64 * len(written) + 1_000_000:
        raise LogError(f"{log.source}: written goes over {span:,} versions in {len(written):,} rows; is it a version?")
    if missing and choices.gaps == "refuse":
        inorder = np.sort(written)
        after = first - 1
        if inorder[0] == first:
            after = int(inorder[np.argmax(np.diff(inorder) > 1)])
        beside = int(inorder[np.searchsorted(inorder, after, side="right")])
        raise LogError(
            f"{log.place(int(np.argmax(written == beside)))}: no row wrote version "
            f"{after + 1 + log.offset + facts['counts_from']} before this one; {missing:,} are missing between "
            "the first and the last; give gaps='fill' to put in, for each, an update of delay 0 by an additional "
            "worker, or find the log's missing part."
        )
    return first, missing


def out_of_order(values: np.ndarray) -> int:
    """How many are less than one ahead of them."""
    highest, count = values[0], 0
    for part in parts(len(values)):
        reached = np.maximum(np.maximum.accumulate(values[part]), highest)
        count, highest = count + int((values[part] < reached).sum()), reached[-1]
    return count


def check_before(log: Gathered, early: int, first: int, choices: Choices, facts: Facts) -> None:
    """Refuse updates computed from before the schedule's first version, unless the caller named that one."""
    facts["read_before"] = early
    if early and choices.first_version is None:
        raise LogError(
            f"{log.source} begins in mid-run, at version {first + log.offset}, and {early:,} of its updates were "
            f"computed from versions before that; give first_version={first + log.offset} to have them computed from "
            "that one."
        )


def _put(column: np.ndarray, place: np.ndarray, total: int, empty: Any) -> np.ndarray:
    made = np.full(total, empty, column.dtype)
    made[place] = column
    return made


def _fill_backwards(time: np.ndarray) -> None:
    """A missing landing is that of the next update which is there."""
    known = np.flatnonzero(~np.isnan(time))
    gone = np.flatnonzero(np.isnan(time))
    time[gone] = time[known[np.searchsorted(known, gone)]]


def landing(time: np.ndarray | None, log: Gathered, choices: Choices, facts: Facts, total: int) -> np.ndarray:
    """When the updates landed, in their order; without times, update k at k + 1."""
    if time is None:
        facts["notes"].append("There are no times; update k lands at time k + 1.")
        return np.arange(1.0, total + 1)
    back, most, where = 0, 0.0, -1
    highest = -np.inf
    for part in parts(len(time)):
        reached = np.maximum.accumulate(np.maximum(time[part], highest))
        behind = reached - time[part]
        if where < 0 and (behind > 0).any():
            where = part.start + int((behind > 0).argmax())
        back, most, highest = back + int((behind > 0).sum()), max(most, float(behind.max())), float(reached[-1])
        if choices.clocks == "hold":
            time[part] = reached
    facts["back"], facts["back_most"] = back, most
    if back and choices.clocks == "refuse":
        raise LogError(
            f"{log.source}: the time of update {where}, {time[where]:.12g}, is before that of an update ahead of it, "
            f"as {back:,} are, by up to {most:.3g}: the workers' clocks disagree, or went back; give order='clock' if "
            "the counter is what is wrong, or clocks='hold' to have such an update land with the latest ahead of it."
        )
    return time


def _by_clock(log: Gathered, choices: Choices, facts: Facts) -> Rows:
    columns = log.columns
    for name in ("gaps", "clocks", "shared"):
        if getattr(choices, name) != "refuse":
            raise LogError(f"{name} is {getattr(choices, name)!r}, which has no effect when the clock orders the log.")
    if "read" in columns and "written" in columns:
        _look_at_beginning(log, choices, facts)
    elif choices.first_version is not None or choices.counts_from is not None:
        raise LogError("first_version and counts_from have no effect on a log without a counter; leave them out.")
    else:
        facts["notes"].append("Without a counter it cannot be told whether the log begins in mid-run.")
    worker, time, read_time = columns.pop("worker"), columns.pop("time"), columns.pop("read_time")
    ready_time = columns.pop("ready_time", None)
    columns.clear()
    facts["moved"] = out_of_order(time)
    if facts["moved"]:
        order = np.argsort(time, kind="stable")
        worker, time, read_time = worker[order], time[order], read_time[order]
        ready_time = None if ready_time is None else ready_time[order]
    delay = np.empty(len(time), np.int32)
    for part in parts(len(time)):
        rows = np.arange(part.start, part.start + len(delay[part]))
        # What landed at the very time of the read had landed; only updates ahead of this one count.
        seen = np.minimum(np.searchsorted(time, read_time[part], side="right"), rows)
        delay[part] = rows - seen
    return Rows(worker, delay, time, log.workers, read_time=read_time, ready_time=ready_time)


def _look_at_beginning(log: Gathered, choices: Choices, facts: Facts) -> None:
    """Whether the log begins in mid-run, and what its counter lost."""
    read, written = log.columns["read"], log.columns["written"]
    base = choices.counts_from
    base = (_clock_says(log) or 0) if base is None else base
    facts["counts_from"] = base
    written -= base
    first = int(written.min())
    facts["lost"] = len(written) - (int(written.max()) - first + 1)
    if facts["lost"] < 0:
        gone, facts["lost"] = -facts["lost"], 0
        facts["notes"].append(f"At least {gone:,} versions are written by no row; the clock cannot put them in.")
    facts["first_version"] = first + log.offset
    if choices.first_version not in (None, first + log.offset):
        raise LogError(
            f"first_version is {choices.first_version}, but a log ordered by the clock begins with its first row, "
            f"version {first + log.offset}; give that, or leave the rows before out."
        )
    start, read_time = log.columns["time"].min(), log.columns["read_time"]
    early = sum(int(((read_time[part] < start) & (read[part] < first)).sum()) for part in parts(len(read)))
    check_before(log, early, first, choices, facts)
