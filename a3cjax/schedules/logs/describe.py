"""What a schedule's delays are like: moments, quantiles, the nearest simple law, and how they depend on each other."""

import dataclasses
import math
from typing import Any

import numpy as np

from a3cjax.schedules.logs.ordering import FILLED
from a3cjax.schedules.logs.report import LogReport

LAGS = 5
_NEAR = 0.1  # a total variation up to which a law is said to be one


@dataclasses.dataclass(frozen=True)
class WorkerDelays:
    """The delays of one worker's updates, and what it does with its time where the log tells (else NaN).

    ``own_reads``: the share of its updates that were computed from the version which its previous write left. ``idle``
    and ``waiting``: shares of its time, as in ``LogReport``.
    """

    worker: Any
    updates: int
    mean: float
    std: float
    median: float
    p99: float
    most: int
    own_reads: float
    idle: float
    waiting: float


@dataclasses.dataclass(frozen=True)
class Description:
    """What ``Schedule.describe`` says of a schedule; ``str`` of it is a text.

    Attributes:
        rows: how many there are; what was put in for missing ones, or discarded, is left out.
        updates: how many commit.
        rate: updates in a unit of time, from the first landing to the last; NaN for one landing.
        mean: of the delays.
        variance: of the delays.
        quantiles: of the delays, from 0.5, 0.9, 0.99 and 1 to the least delay that so many do not exceed.
        laws: from simple laws of that mean to their total variation from the delays, the nearest first.
        autocorrelation: of the delays in the order of the rows, at lags 1, 2, …; NaN where they are constant.
        own_reads: the share of reads that directly follow the worker's own write.
        between: the mean number of versions that came between a worker's write and its next read.
        workers: each worker's own.
    """

    rows: int
    updates: int
    rate: float
    mean: float
    variance: float
    quantiles: dict[float, int]
    laws: dict[str, float]
    autocorrelation: tuple[float, ...]
    own_reads: float
    between: float
    workers: tuple[WorkerDelays, ...]

    @property
    def law(self) -> str:
        """The nearest law in words."""
        name, distance = next(iter(self.laws.items()))
        if distance <= _NEAR:
            return f"They look like {name} (total variation {distance:.3f})."
        return f"They are like no simple law; the nearest is {name} (total variation {distance:.2f})."

    def __str__(self) -> str:
        low, high, most = (self.quantiles[level] for level in (0.5, 0.99, 1.0))
        lags = ", ".join(f"{value:+.2f}" for value in self.autocorrelation if not math.isnan(value))
        said = [
            f"{self.rows:,} rows, {self.updates:,} updates by {len(self.workers)} workers; {self.rate:.4g} updates a "
            "unit of time.",
            f"Delay: mean {self.mean:.4g}, standard deviation {math.sqrt(self.variance):.3g}, median {low}, "
            f"99 % {high}, greatest {most}.",
            self.law,
        ]
        if lags:
            said.append(f"Autocorrelation from lag 1 on: {lags}.")
        if self.between >= 0:
            said.append(
                f"{self.own_reads:.1%} of reads directly follow the worker's own write; {self.between:.3g} versions "
                "come between the two on average."
            )
        elif self.between < 0:
            said.append(f"Workers read {-self.between:.3g} versions before their last message has landed, on average.")
        return "\n".join([*said, "", self.table()])

    def table(self) -> str:
        """A line for each worker."""
        names = ("worker", "updates", "mean", "sd", "median", "99 %", "most", "own reads", "idle", "waiting")
        rows = [
            (
                str(one.worker), f"{one.updates:,}", f"{one.mean:.2f}", f"{one.std:.2f}", f"{one.median:g}",
                f"{one.p99:g}", str(one.most), _share(one.own_reads), _share(one.idle), _share(one.waiting),
            )
            for one in self.workers
        ]  # fmt: skip
        kept = [i for i in range(len(names)) if i < 8 or any(row[i] for row in rows)]
        widths = [max(len(names[i]), *(len(row[i]) for row in rows)) for i in kept]
        return "\n".join(
            "  ".join(
                row[i].ljust(width) if i == 0 else row[i].rjust(width) for i, width in zip(kept, widths, strict=True)
            )
            for row in (names, *rows)
        )


def describe(
    worker: Any,
    delay: Any,
    time: Any,
    versions: Any,
    commit: Any,
    weight: Any,
    num_workers: int,
    report: Any,
) -> Description:
    """The description of one schedule, from its columns; ``report`` is that of a log, or anything else."""
    report = report if isinstance(report, LogReport) else None
    names = tuple(range(num_workers)) if report is None else report.workers
    real = np.ones(len(worker), bool) if names[-1] != FILLED else worker != num_workers - 1
    if weight is not None:
        real &= weight == 1
    makes = commit if commit is not None else weight if weight is not None else np.ones(len(worker), bool)
    delays = delay[real].astype(np.float64)
    pause = _versions_since_own_write(worker, delay, versions, makes)
    known = real & ~np.isnan(pause)
    span, landed = float(time[-1] - time[0]), int(makes.sum())
    return Description(
        rows=int(real.sum()),
        updates=landed,
        rate=(landed - 1) / span if span > 0 else math.nan,
        mean=float(delays.mean()),
        variance=float(delays.var()),
        quantiles={level: int(_quantile(delays, level)) for level in (0.5, 0.9, 0.99, 1.0)},
        laws=simple_laws(delay[real]),
        autocorrelation=tuple(_autocorrelation(delays, lag) for lag in range(1, LAGS + 1)),
        own_reads=float((pause[known] == 0).mean()) if known.any() else math.nan,
        between=float(pause[known].mean()) if known.any() else math.nan,
        workers=tuple(
            _of_worker(names[i], i, (worker == i) & real, delay, pause, report)
            for i in range(num_workers)
            if ((worker == i) & real).any()
        ),
    )


def simple_laws(delay: np.ndarray) -> dict[str, float]:
    """The total variation between delays and laws of whole numbers that have one parameter, nearest first.

    >>> import numpy as np
    >>> next(iter(simple_laws(np.full(50, 3))))
    'Constant(3)'
    """
    share = np.bincount(delay) / len(delay)
    # What a law puts beyond the greatest delay is missed by all delays.
    apart = {
        name: 0.5 * float(np.abs(share - law).sum() + max(0.0, 1 - law.sum())) for name, law in _laws(delay).items()
    }
    return dict(sorted(apart.items(), key=lambda item: item[1]))


def nearest_law(delay: np.ndarray) -> np.ndarray:
    """The shares that the nearest simple law gives to the delays 0, 1, …, up to the greatest.

    >>> import numpy as np
    >>> nearest_law(np.full(50, 3)).tolist()
    [0.0, 0.0, 0.0, 1.0]
    """
    return _laws(delay)[next(iter(simple_laws(delay)))]


def _laws(delay: np.ndarray) -> dict[str, np.ndarray]:
    share = np.bincount(delay)
    mean, n = float(delay.mean()), np.arange(len(share))
    middle, high = int(_quantile(delay, 0.5)), round(2 * mean)
    log_factorial = np.array([math.lgamma(k + 1) for k in n])
    return {
        f"Constant({middle})": (n == middle).astype(float),
        f"Uniform(0, {high})": (n <= high) / (high + 1),
        f"Geometric({mean:.3g})": np.exp(n * math.log(mean / (1 + mean))) / (1 + mean) if mean else (n == 0) * 1.0,
        f"Poisson({mean:.3g})": np.exp(n * math.log(mean) - mean - log_factorial) if mean else (n == 0) * 1.0,
    }


def _of_worker(
    name: Any, i: int, mine: np.ndarray, delay: np.ndarray, pause: np.ndarray, report: LogReport | None
) -> WorkerDelays:
    delays, pauses = delay[mine], pause[mine]
    pauses = pauses[~np.isnan(pauses)]
    idle, waiting = (None, None) if report is None else (report.idle, report.waiting)
    return WorkerDelays(
        worker=name,
        updates=len(delays),
        mean=float(delays.mean()),
        std=float(delays.std()),
        median=float(_quantile(delays, 0.5)),
        p99=float(_quantile(delays, 0.99)),
        most=int(delays.max()),
        own_reads=float((pauses == 0).mean()) if len(pauses) else math.nan,
        idle=idle[i] if idle is not None and i < len(idle) else math.nan,
        waiting=waiting[i] if waiting is not None and i < len(waiting) else math.nan,
    )


def _versions_since_own_write(
    worker: np.ndarray, delay: np.ndarray, versions: np.ndarray, makes: np.ndarray
) -> np.ndarray:
    """How many versions came between each row's worker's last row and this row's read; NaN for its first."""
    order = np.argsort(worker, kind="stable")
    left = versions.astype(np.float64) + makes  # the versions there are after each row
    before = np.full(len(worker), np.nan)
    again = worker[order][1:] == worker[order][:-1]
    before[order[1:][again]] = left[order[:-1][again]]
    return versions - delay - before


def _quantile(values: np.ndarray, level: float) -> Any:
    return np.quantile(values, level, method="inverted_cdf")


def _autocorrelation(values: np.ndarray, lag: int) -> float:
    if len(values) <= lag:
        return math.nan
    centred = values - values.mean()
    power = float(centred @ centred)
    return float(centred[lag:] @ centred[:-lag]) / power if power else math.nan


def _share(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.1%}"
