"""What a log says of its workers' time: turn by turn, when each read, was ready and wrote."""

import dataclasses
import inspect
from typing import Any, NamedTuple

import numpy as np

from a3cjax._core import check
from a3cjax.schedules.logs.ordering import FILLED, Choices
from a3cjax.schedules.logs.read import read_log
from a3cjax.schedules.logs.report import LogReport
from a3cjax.schedules.schedule import Schedule

_CHOICES = tuple(field.name for field in dataclasses.fields(Choices) if field.name != "shared")
_COLUMNS = ("worker", "read", "written", "time", "read_time")


class Observed(NamedTuple):
    """Rows in the order of landing: who, from which version, and when.

    ``begun`` and ``ready``, when the version was read and when the message was there, are None where the log does not
    tell. ``origin``: when all workers began, NaN if that is not known.
    """

    source: str
    names: tuple[str, ...]
    worker: np.ndarray
    read: np.ndarray
    landed: np.ndarray
    begun: np.ndarray | None
    ready: np.ndarray | None
    origin: float
    notes: tuple[str, ...]


def observe(log: Any, reading: dict[str, Any]) -> Observed:
    """What there is in a log or a schedule; ``reading`` are arguments of ``Schedule.from_log``.

    Raises:
        ValueError: as ``from_log`` does; also if there are no times, messages were averaged, or an argument has no
            effect.
    """
    if isinstance(log, Schedule):
        if reading:
            name = next(iter(reading))
            raise ValueError(f"{name} has no effect on a schedule, which has been read; leave it out.")
        return _from_schedule(log)
    for name in reading:
        if name not in (*_CHOICES, *_COLUMNS, "run"):
            known = name in inspect.signature(Schedule.from_log).parameters
            what = "is of a pipeline's samples, and a team is calibrated from updates" if known else "is not known"
            raise ValueError(f"{name} {what}; calibrate takes {', '.join((*_COLUMNS, *_CHOICES, 'run'))} for a log.")
    given = {name: reading.get(name) for name in _COLUMNS}
    choices = Choices(**{name: reading[name] for name in _CHOICES if name in reading})
    rows, report = read_log(log, given, choices, run=reading.get("run"), clock=True)
    if rows.commit is not None or rows.weight is not None:
        raise ValueError(_GATHERED.format(report.source))
    begun, ready = (None if column is None else np.array(column, np.float64) for column in rows[6:])
    versions = np.arange(len(rows.worker)) - rows.delay
    observed = Observed(
        report.source, tuple(map(str, rows.workers)), np.array(rows.worker), versions, np.array(rows.time, np.float64),
        begun, ready, np.nan, (),
    )  # fmt: skip
    return _of_log(observed, report)


_GATHERED = (
    "{} has messages that are averaged or dropped, as a pipeline's samples are, and a team is calibrated from single "
    "updates; give the log of workers that write each gradient."
)


def _from_schedule(schedule: Schedule) -> Observed:
    if schedule.batch_shape or not check.is_concrete(schedule):
        raise ValueError("calibrate takes one schedule whose values are known; choose one with batch[b].")
    if schedule.commit is not None or schedule.weight is not None:
        raise ValueError(_GATHERED.format("The schedule"))
    worker, reads, time = (np.asarray(column) for column in (schedule.worker, schedule.reads, schedule.time))
    report = schedule.report
    names = report.workers if isinstance(report, LogReport) else range(schedule.num_workers)
    observed = Observed("a schedule", tuple(map(str, names)), worker, reads, time, None, None, 0.0, ())
    return _of_log(observed._replace(source=report.source), report) if isinstance(report, LogReport) else observed


def _of_log(observed: Observed, report: LogReport) -> Observed:
    if "time" not in report.columns:
        raise ValueError(
            f"{report.source} has no times, and without them workers have no speeds; say which column has the time of "
            "each write with time=."
        )
    notes = []
    if report.filled:
        keep = observed.worker != observed.names.index(FILLED)
        # Reads are of versions, which the missing updates count among; who is left keeps its times.
        observed = observed._replace(names=tuple(name for name in observed.names if name != FILLED))
        notes.append(f"{report.filled:,} updates that are missing in the log have no worker and no time of their own.")
        observed = observed._replace(worker=np.where(keep, observed.worker, -1))
    if report.back and report.order == "counter":
        notes.append(f"{report.back:,} updates were taken to land with one ahead of them, for their clocks disagree.")
    return observed._replace(origin=np.nan, notes=tuple(notes))
