"""A real run's log described: what was found in it, and what its delays are like."""

import itertools
import math
from typing import Any, Literal

import numpy as np

from a3cjax.engine.host import at_work
from a3cjax.schedules import Schedule
from a3cjax.schedules.logs.describe import nearest_law
from a3cjax.studies.frame.beginning import begin
from a3cjax.studies.frame.layout import Layout, Var
from a3cjax.studies.frame.rows import column, table_row
from a3cjax.studies.frame.study import Study
from a3cjax.studies.frame.types import Figure
from a3cjax.studies.log.figure import draw

_PIECES, _OF_PIECE, _LAGS = 200, 50, 20

LAYOUT = Layout(
    "Delays of a recorded run",
    coordinates={
        "piece": Var("piece", "first row of a piece of the run", "rows"),
        "level": Var("level", "share of the piece's delays that are not greater", "1"),
        "delay": Var("delay", "delay τ", "updates"),
        "lag": Var("lag", "lag in rows", "rows"),
        "worker": Var("worker", "worker's name in the log"),
    },
    variables={
        "over_run": Var("piece level", "quantiles of the delays of each piece", "updates"),
        "share": Var("delay", "share of the delays", "1"),
        "law": Var("delay", "the same of the nearest simple law", "1"),
        "autocorrelation": Var("lag", "autocorrelation of the delays", "1"),
        "quantiles": Var("worker level", "quantiles of each worker's delays", "updates"),
    },
)
LEVELS = (0.0, 0.05, 0.5, 0.95, 1.0)


@table_row
class LogRow:
    """One line of ``log.csv``: a worker, as in ``Schedule.describe``; NaN where the log does not tell."""

    worker: str = column("worker")
    updates: int = column("updates", ",d")
    mean: float = column("mean\ndelay", ".2f")
    std: float = column("standard\ndeviation", ".2f")
    median: float = column("median", ".0f")
    p99: float = column("99 %", ".0f")
    most: int = column("greatest")
    own_reads: float = column("reads after\nown write", cell=lambda row: _percent(row.own_reads))
    idle: float = column("idle\nbefore read", cell=lambda row: _percent(row.idle))
    waiting: float = column("waiting\nto write", cell=lambda row: _percent(row.waiting))


class LogStudy(Study):
    """The outcome of ``describe_log``: a row for each worker, curves of the delays, the report in words as notes."""

    name = "log"
    rows: tuple[LogRow, ...]

    @classmethod
    def of(cls, schedule: Schedule) -> "LogStudy":
        """Describe a schedule that a log was read into."""
        described = schedule.describe()
        rows = tuple(LogRow(**{**vars(one), "worker": str(one.worker)}) for one in described.workers)
        worker, delay = np.asarray(schedule.worker), np.asarray(schedule.delay)
        of_workers = [delay[worker == i] for i in range(schedule.num_workers)]
        if schedule.weight is not None:
            delay = delay[np.asarray(schedule.weight) == 1]
        edges = np.linspace(0, len(delay), min(_PIECES, -(-len(delay) // _OF_PIECE)) + 1).astype(int)
        pieces = [delay[a:b] for a, b in itertools.pairwise(edges)]
        lags = min(_LAGS, len(delay) - 1)
        known = [part for part in of_workers if len(part)]
        names = [str(name) for name, part in zip(schedule.report.workers, of_workers, strict=True) if len(part)]
        curves = LAYOUT.dataset(
            {
                "piece": edges[:-1],
                "level": LEVELS,
                "delay": np.arange(delay.max() + 1),
                "lag": np.arange(1, lags + 1),
                "worker": names,
                "over_run": [_quantiles(piece) for piece in pieces],
                "share": np.bincount(delay) / len(delay),
                "law": nearest_law(delay),
                "autocorrelation": _autocorrelation(delay.astype(np.float64), lags),
                "quantiles": [_quantiles(part) for part in known],
            },
            told=str(described).split("\n\n")[0].splitlines(),
            report=schedule.report.sentences(),
            nearest_law=next(iter(described.laws)),
            mean_delay=described.mean,
            num_delays=len(delay),
            order=schedule.report.order,
        )
        return cls(curves, rows)

    def table(self) -> str:
        """The rows as text, one under the other."""
        return "\n".join(line for line in super().table().splitlines() if line)

    def summary(self) -> str:
        """What the delays are like."""
        return " ".join(self.curves.attrs["told"])

    def notes(self) -> list[str]:
        """What was found in the log, and what was done about it."""
        return list(self.curves.attrs["report"])

    def figure(self) -> Figure:
        """The delays over the run, their shares, their autocorrelation, and those of each worker."""
        return draw(self.curves, self.rows)


def describe_log(
    source: Any,
    *,
    worker: str | None = None,
    read: str | None = None,
    written: str | None = None,
    time: str | None = None,
    read_time: str | None = None,
    done: str | None = None,
    taken: str | None = None,
    dropped: str | None = None,
    order: Literal["auto", "counter", "clock"] = "auto",
    counts_from: int | None = None,
    first_version: int | None = None,
    gaps: Literal["refuse", "fill"] = "refuse",
    duplicates: Literal["refuse", "drop"] = "refuse",
    shared: Literal["refuse", "average"] = "refuse",
    clocks: Literal["refuse", "hold"] = "refuse",
    run: str | None = None,
    progress: bool | None = None,
) -> LogStudy:
    """What a real run's log says of its delays; the arguments are those of ``Schedule.from_log``.

    Args:
        source: the log.
        worker: column of the workers' names; as for the others, a usual name is found by itself.
        read: column of versions read; of samples, the newest version when their generation began.
        written: column of versions written; of samples, the version that they trained.
        time: column of the times of the writes.
        read_time: column of the times of the reads, on the same clock.
        done: of samples, column of the newest version when their generation ended.
        taken: of samples, column of the newest version when they were taken off the queue.
        dropped: of samples, column that says which were thrown away then.
        order: by the counter, by the clock, or by the first unless it is broken.
        counts_from: 1 if versions written were noted after the counter was raised, else 0; found out if it can be.
        first_version: version that the schedule begins with, for a log that begins in mid-run.
        gaps: whether missing updates are put in, with delay 0.
        duplicates: whether rows that repeat another are left out.
        shared: whether rows of one version make one update, by their mean.
        clocks: whether an update whose time is before one ahead of it lands with the latest ahead of it.
        run: which run, where the recorder's lines are of several.
        progress: whether to say that the log is being read; not given: on a terminal.

    Raises:
        ValueError: as ``Schedule.from_log``.

    >>> import a3cjax
    >>> log = {"worker": [0, 1, 0, 1], "read": [0, 0, 1, 2], "written": [0, 1, 2, 3], "time": [1.0, 2.0, 3.0, 4.0]}
    >>> study = a3cjax.studies.describe_log(log)
    >>> study.rows[0].mean, study.rows[1].mean, study.notes()[0]
    (0.5, 1.0, 'the table: a table, 4 rows by 2 workers.')
    """
    with at_work("reading the log", progress):
        schedule = Schedule.from_log(
            source, worker=worker, read=read, written=written, time=time, read_time=read_time, done=done, taken=taken,
            dropped=dropped, order=order, counts_from=counts_from, first_version=first_version, gaps=gaps,
            duplicates=duplicates, shared=shared, clocks=clocks, run=run,
        )  # fmt: skip
    begin(f"Describing {schedule.num_messages:,} rows")
    return LogStudy.of(schedule)


def _quantiles(delay: np.ndarray) -> np.ndarray:
    return np.quantile(delay, LEVELS, method="inverted_cdf")


def _autocorrelation(delay: np.ndarray, lags: int) -> np.ndarray:
    centred = delay - delay.mean()
    power = centred @ centred
    return np.array([centred[lag:] @ centred[:-lag] / power if power else math.nan for lag in range(1, lags + 1)])


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{share:.1%}"
