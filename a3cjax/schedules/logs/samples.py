"""A pipeline's samples: those of one version make one update, and others were dropped on the way."""

import dataclasses
from typing import NamedTuple

import numpy as np

from a3cjax.schedules.logs.columns import MISSING
from a3cjax.schedules.logs.gathered import Gathered
from a3cjax.schedules.logs.ordering import (
    FILLED,
    Choices,
    Facts,
    Rows,
    check_before,
    landing,
    look_at_counts,
    take_off_base,
)  # fmt: skip
from a3cjax.schedules.logs.report import LogError


def order_samples(log: Gathered, choices: Choices, facts: Facts) -> Rows:
    """Messages in order: by the version that they trained, and within it by time; the last of each commits.

    Args:
        log: its rows; those that trained no version were dropped, or never used.
        choices: what the caller says.
        facts: gets what the report says of them.

    Raises:
        LogError: if a sample was trained on before it was made, or the log leaves something open.
    """
    if choices.order == "clock":
        raise LogError("order is 'clock', but samples are ordered by the version that they trained; leave it out.")
    facts["order"], facts["why"] = "counter", "samples that trained one version make one update"
    log, away = _set_apart(log, facts)
    columns = log.columns
    look_at_counts(log, facts)
    if facts["negative"]:
        i = int(np.argmax(columns["written"] < columns["read"]))
        raise LogError(
            f"{log.place(i)}: the sample was trained on at version {int(columns['written'][i]) + log.offset}, but "
            f"submitted with version {int(columns['read'][i]) + log.offset}; say which columns are read and written."
        )
    facts["shared"] = 0
    if facts["least"] and choices.counts_from is None:
        # Every sample may well be old; only the beginning of a run tells a counter that is raised first.
        from_start = int(columns["read"].min()) + log.offset == 0 and int(columns["written"].min()) + log.offset == 1
        choices = dataclasses.replace(choices, counts_from=int(from_start))
    take_off_base(log, choices, facts)
    _lags(columns, facts)
    return _messages(log, away, choices, facts)


def _set_apart(log: Gathered, facts: Facts) -> tuple[Gathered, dict[str, np.ndarray]]:
    """The trained samples, and the columns of those that were dropped."""
    columns = log.columns
    trained = columns["written"] != MISSING
    dropped = columns.get("dropped", np.zeros(len(trained), bool))
    both = trained & dropped
    if both.any():
        raise LogError(f"{log.place(int(np.argmax(both)))}: the sample was dropped and trained on; it can be one only.")
    facts["dropped"], facts["unused"] = int(dropped.sum()), int((~trained & ~dropped).sum())
    if not trained.any():
        raise LogError(f"{log.source}: no sample was trained on; give the log of a run that made an update.")
    away = {role: column[dropped] for role, column in columns.items()}
    if not trained.all():
        for role in columns:
            columns[role] = columns[role][trained]
        log.lines.clear()
    return log, away


def _lags(columns: dict[str, np.ndarray], facts: Facts) -> None:
    """Versions that came while a sample was made, and while it was in the queue."""
    if "done" in columns and (columns["done"] != MISSING).all():
        facts["in_flight"] = float((columns["done"].astype(np.int64) - columns["read"]).mean())
        facts["in_queue"] = float((columns["written"].astype(np.int64) - columns["done"]).mean())


def _messages(log: Gathered, away: dict[str, np.ndarray], choices: Choices, facts: Facts) -> Rows:
    columns = log.columns
    worker, read, written = columns["worker"], columns["read"].astype(np.int64), columns["written"].astype(np.int64)
    time = columns.get("time")
    within = columns.get("taken_time", time)
    order = np.lexsort((within, written)) if within is not None else np.argsort(written, kind="stable")
    facts["moved"] = int((np.diff(order) < 0).sum())
    worker, read, written = worker[order], read[order], written[order]
    time = None if time is None else time[order]
    first = int(written[0]) if choices.first_version is None else choices.first_version - log.offset
    facts["first_version"] = first + log.offset
    if first != written[0]:
        raise LogError(
            f"first_version is {choices.first_version}, but the first version that was trained is "
            f"{int(written[0]) + log.offset}; give that, or leave the samples before out."
        )
    step = np.diff(written)
    facts["missing"] = int((step[step > 0] - 1).sum())
    if facts["missing"] and choices.gaps == "refuse":
        after = int(written[np.argmax(step > 1)]) + log.offset
        raise LogError(
            f"{log.source}: no sample trained version {after + 1}, as {facts['missing']:,} between the first and the "
            "last; give gaps='fill' to put in, for each, a message of delay 0 by an additional worker."
        )
    check_before(log, int((read < first).sum()), first, choices, facts)
    delay = written - np.maximum(read, first)
    commit = np.r_[step != 0, True]
    workers = log.workers
    if facts["missing"]:
        facts["filled"] = facts["missing"]
        gone = np.setdiff1d(np.arange(first, written[-1]), written)
        at = np.searchsorted(written, gone)
        worker, delay = np.insert(worker, at, len(workers)), np.insert(delay, at, 0)
        commit, workers = np.insert(commit, at, True), (*workers, FILLED)
        written, time = np.insert(written, at, gone), None if time is None else np.insert(time, at, time[at])
    rows = _Messages(worker, delay, time, commit, written)
    weight = None
    if len(away["worker"]):
        rows, weight = _with_dropped(rows, away, first, log, facts)
    time = landing(rows.time, log, choices, facts, len(rows.worker))
    commit = None if rows.commit.all() else rows.commit
    return Rows(rows.worker, rows.delay.astype(np.int32), time, workers, commit, weight)


class _Messages(NamedTuple):
    worker: np.ndarray
    delay: np.ndarray
    time: np.ndarray | None
    commit: np.ndarray
    version: np.ndarray


def _with_dropped(
    rows: _Messages, away: dict[str, np.ndarray], first: int, log: Gathered, facts: Facts
) -> tuple[_Messages, np.ndarray | None]:
    """The rows with those of weight 0, in front of the others of the version that there was when they were dropped."""
    taken = away.get("taken")
    time = away.get("taken_time", away.get("time"))
    timed = rows.time is None if time is None else rows.time is not None and not np.isnan(time).any()
    if taken is None or (taken == MISSING).any() or not timed:
        facts["notes"].append(
            "Dropped samples are not in the schedule, for the log does not say at which version, taken, they were."
        )
        return rows, None
    version, read = taken.astype(np.int64), away["read"].astype(np.int64)
    delay = version - np.maximum(read, first)
    outside = (version < first) | (version > rows.version[-1] + 1) | (delay < 0)
    if outside.any():
        i = int(np.argmax(outside))
        raise LogError(
            f"{log.source}: a sample was dropped at version {int(version[i]) + log.offset}, but submitted with version "
            f"{int(read[i]) + log.offset}, and the schedule has {first + log.offset} to "
            f"{int(rows.version[-1]) + 1 + log.offset}; say which column is taken."
        )
    facts["read_before"] += int((read < first).sum())
    at = np.searchsorted(rows.version, version)
    order = np.lexsort((np.arange(len(at)) if time is None else time, at))
    at = at[order]
    both = _Messages(
        np.insert(rows.worker, at, away["worker"][order]),
        np.insert(rows.delay, at, delay[order]),
        None if rows.time is None or time is None else np.insert(rows.time, at, time[order]),
        np.insert(rows.commit, at, False),
        np.insert(rows.version, at, version[order]),
    )
    weight = np.insert(np.ones(len(rows.worker), np.int32), at, 0)
    facts["notes"].append("Dropped samples are rows of weight 0.")
    return both, weight
