"""From a log to a schedule's columns and a report."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from a3cjax._core import check
from a3cjax.schedules.logs import columns, roles
from a3cjax.schedules.logs.gathered import Gathered, gather
from a3cjax.schedules.logs.opened import Opened
from a3cjax.schedules.logs.ordering import Choices, Facts, Rows, order_rows
from a3cjax.schedules.logs.presets import PRESETS, Preset
from a3cjax.schedules.logs.report import LogError, LogReport
from a3cjax.schedules.logs.samples import order_samples
from a3cjax.schedules.logs.sources import open_source

_OPTIONS = {
    "order": ("auto", "counter", "clock"),
    "gaps": ("refuse", "fill"),
    "duplicates": ("refuse", "drop"),
    "shared": ("refuse", "average"),
    "clocks": ("refuse", "hold"),
}


def read_log(
    source: Any,
    given: Mapping[str, str | None],
    choices: Choices,
    *,
    preset: str | None = None,
    averages: str = "refuse",
    run: str | None = None,
    clock: bool = False,
) -> tuple[Rows, LogReport]:
    """The rows of the schedule that a log tells, and what was found in it.

    Args:
        source: see ``Schedule.from_log``, as for the others.
        given: the columns that the caller named, by role.
        choices: what the log leaves open.
        preset: a system's name.
        averages: whether reported averages may become delays.
        run: which run.
        clock: whether the rows keep when a message was ready.

    Raises:
        LogError: with the report so far.
    """
    _check_choices(choices, preset, averages)
    facts: Facts = {"notes": []}
    opened: Opened | None = None
    try:
        opened = open_source(source, run)
        facts["source"], facts["form"], facts["run"] = opened.source, opened.form, opened.run
        if preset is not None:
            rows = _from_averages(opened, PRESETS[preset], given, averages, facts)
        else:
            rows = _from_rows(opened, given, choices, facts, clock)
    except LogError as error:
        raise LogError(str(error), _report(opened, facts)) from error.__cause__
    facts["num_updates"], facts["workers"] = len(rows.worker), rows.workers
    return rows, _report(opened, facts)


def _check_choices(choices: Choices, preset: str | None, averages: str) -> None:
    for name, options in _OPTIONS.items():
        check.choice(name, getattr(choices, name), options)
    if choices.counts_from is not None:
        check.integer("counts_from", choices.counts_from, 0, 1)
    if choices.first_version is not None:
        check.integer("first_version", choices.first_version, 0)
    check.choice("averages", averages, ("refuse", "as delays"))
    if preset is None:
        if averages != "refuse":
            raise ValueError("averages has no effect without a preset; leave it out.")
        return
    check.choice("preset", preset, tuple(PRESETS))
    defaults = Choices()
    for field in dataclasses.fields(Choices):
        if getattr(choices, field.name) != getattr(defaults, field.name):
            raise ValueError(f"{field.name} has no effect with a preset, whose rows are in order; leave it out.")


def _from_rows(opened: Opened, given: Mapping[str, str | None], choices: Choices, facts: Facts, clock: bool) -> Rows:
    found = roles.resolve(opened.names, given, opened.source)
    facts["columns"] = found
    roles.need("worker", "who made the update", found, opened.names, opened.source)
    samples = roles.of_samples(found, given) or choices.shared == "average"
    if samples:
        for role, why in (("read", "the version it was made with"), ("written", "the version that it trained")):
            roles.need(role, why, found, opened.names, opened.source)
        found.pop("ready_time", None)
    elif not {"read", "written"} <= found.keys() and not {"time", "read_time"} <= found.keys():
        roles.need("written", "the version that the update wrote", found, opened.names, opened.source)
        roles.need("read", "the version that it was computed from", found, opened.names, opened.source)
    log = gather(opened, found, samples=samples, clock=clock)
    facts["num_rows"], facts["workers"] = log.rows, log.workers
    facts["idle"], facts["waiting"] = log.idle, log.waiting
    if samples:
        return order_samples(log, choices, facts)
    return order_rows(log, choices, facts, opened.clocks)


def _from_averages(
    opened: Opened, preset: Preset, given: Mapping[str, str | None], averages: str, facts: Facts
) -> Rows:
    """One update for each report, if the caller insists."""
    known = {role: name for role, name in given.items() if name is not None}
    other = next((role for role in known if role not in ("written", "time")), None)
    if other is not None:
        raise LogError(f"{other} has no effect with a preset; leave it out. written= names the metric's column.")
    name = known.get("written") or next((name for name in preset.columns if name in opened.names), None)
    if name is None or name not in opened.names:
        raise LogError(
            f"{opened.source} has no column {name or ' or '.join(preset.columns)}, under which {preset.system} reports "
            f"staleness; it has {roles.listed(opened.names)}. Name it with written=."
        )
    facts["columns"] = {"staleness": name}
    told = (
        f"{name} of {preset.system} counts {preset.unit} from {preset.floor} and is an average {preset.averaged}: the "
        "delays of single updates, and so their spread, are not in it"
    )
    if averages == "refuse":
        raise LogError(
            f"{told}. No schedule and no law is made of it; log each update, as a3cjax.recorder does, or give "
            "averages='as delays' to have each report, rounded, as the delay of one update of one worker."
        )
    values, times = columns.Column(np.float64), columns.Column(np.float64)
    clock = known.get("time")
    if clock is not None and clock not in opened.names:
        raise LogError(f"{opened.source} has no column {clock!r} for time; it has {roles.listed(opened.names)}.")
    skipped = 0
    for piece in opened.pieces([name] if clock is None else [name, clock]):
        part = columns.times("staleness", piece.columns[name], piece.where, missing=True)
        there = ~np.isnan(part)
        skipped += int((~there).sum())
        values.append(part[there])
        if clock is not None:
            times.append(columns.times("time", piece.columns[clock], piece.where)[there])
    staleness, rounded = values.close(), np.rint(values.close() - preset.floor).astype(np.int64)
    return _rounded(opened, preset, name, told, staleness, rounded, times.close() if clock else None, skipped, facts)


def _rounded(
    opened: Opened,
    preset: Preset,
    name: str,
    told: str,
    staleness: np.ndarray,
    delay: np.ndarray,
    time: np.ndarray | None,
    skipped: int,
    facts: Facts,
) -> Rows:
    if not len(delay):
        raise LogError(f"{opened.source}: {name} is empty in every row; give the log of a run that reported it.")
    if (delay < 0).any():
        i = int(np.argmax(delay < 0))
        raise LogError(f"{opened.source}: {name} is {staleness[i]:g}, but {preset.system} counts from {preset.floor}.")
    early = int((delay > np.arange(len(delay))).sum())
    facts["num_rows"], facts["order"], facts["why"] = (
        len(delay) + skipped,
        "counter",
        "reports in the order of the file",
    )
    facts["counts_from"] = preset.floor
    facts["notes"] += [
        f"{told}; each report became one update, its delay rounded.",
        *([preset.hint] * bool(preset.hint)),
    ]
    if early:
        facts["notes"].append(
            f"{early:,} reports at the start were more than the updates before them, and became those."
        )
    if skipped:
        facts["notes"].append(f"{skipped:,} rows had no {name} and were left out.")
    if time is None:
        time = np.arange(1.0, len(delay) + 1)
    elif (np.diff(time) < 0).any():
        raise LogError(f"{opened.source}: times decrease; sort the reports by time.")
    delay = np.minimum(delay, np.arange(len(delay)))
    return Rows(np.zeros(len(delay), np.int32), delay.astype(np.int32), time, (preset.system,))


def _report(opened: Opened | None, facts: Facts) -> LogReport:
    """What is known so far."""
    known = {field.name for field in dataclasses.fields(LogReport)}
    said = {name: value for name, value in facts.items() if name in known and value is not None}
    if opened is not None:
        said["partial"] = tuple(opened.partial)
        said["notes"] = (*opened.notes, *facts["notes"])
    else:
        said["notes"] = tuple(facts["notes"])
    return LogReport(**said)


__all__ = ["Choices", "Gathered", "read_log"]
