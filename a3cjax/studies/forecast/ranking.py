"""How sure a forecast is, until when another worker is worth it, and what a straggler and a bound come to."""

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from a3cjax._core.statistics import t_quantile
from a3cjax.studies.forecast.cases import BOUNDED, CASES, SLOWER, TEAM
from a3cjax.studies.frame.rows import column, table_row
from a3cjax.studies.frame.statistics import ratio_of_means
from a3cjax.studies.frame.tables import interval, number
from a3cjax.studies.frame.types import Dataset

OF_RUNS = "of a run Student's t for one more run, with a seed and a resampled calibration of its own"


@table_row
class ForecastRow:
    """One line of ``forecast.csv``: N workers in one case. Intervals are of a run; means are over seeds.

    ``rate``: updates in a unit of the log's time. ``mean_delay``, ``median_delay``, ``p99_delay``: of what is applied,
    in updates. ``discarded``: the share of gradients thrown away. ``updates_to_target``, ``time_to_target``: of runs,
    ``reached`` of which met the target; one that did not counts as if it had at its end. ``to_team``: the time over
    that of the same workers as they are, paired by seed. ``gain``: of what twice the workers would at best, log 2, how
    much they saved since the row with fewer workers: log(T_before / T) / log(N / N_before); 1 is linear speedup.
    """

    workers: int = column("N")
    case: str = column("case")
    rate: float = column("updates\n/ time", ".4g")
    rate_low: float = column("{percent}", ".4g", to="rate_high")
    rate_high: float
    mean_delay: float = column("mean\ndelay", ".2f")
    mean_delay_low: float
    mean_delay_high: float
    median_delay: float = column("median", ".0f")
    p99_delay: float = column("99 %", ".0f")
    p99_delay_low: float
    p99_delay_high: float
    discarded: float
    updates_to_target: float = column("updates\nto target", ",.0f")
    time_to_target: float = column("time to\ntarget", ".3g")
    time_low: float = column("{percent}", ".3g", to="time_high")
    time_high: float
    to_team: float = column("/ as\nit is", ".2f")
    to_team_low: float
    to_team_high: float
    gain: float = column("gain", ".2f")
    gain_low: float = column("{percent}", ".2f", to="gain_high")
    gain_high: float
    reached: int = column("met")


class Interval(NamedTuple):
    """A mean over runs, and what one more run is between."""

    value: float
    low: float
    high: float


def of_a_run(sample: np.ndarray, confidence: float, *, logarithms: bool) -> Interval:
    """x̄ and x̄ ± t s √(1 + 1/n): with so much confidence one more run is in there; NaN of one entry or a NaN.

    With ``logarithms`` the ends are those of log x.

    >>> [round(float(part), 2) for part in of_a_run(np.array([4.0, 6.0]), 0.95, logarithms=False)]
    [5.0, -17.01, 27.01]
    """
    n, mean = len(sample), float(sample.mean())
    if n < 2 or not np.isfinite(mean):
        return Interval(mean, math.nan, math.nan)
    known = np.log(sample) if logarithms else sample
    reach = float(t_quantile(n - 1, confidence)) * known.std(ddof=1) * math.sqrt(1 + 1 / n)
    low, high = known.mean() - reach, known.mean() + reach
    return Interval(mean, *((math.exp(low), math.exp(high)) if logarithms else (float(low), float(high))))


def ranked(curves: Dataset, confidence: float) -> tuple[ForecastRow, ...]:
    """The rows, by N and case; one worker has the first case only, for there is nobody else to be slower or stale."""
    workers = curves.workers.values.tolist()
    ends = np.broadcast_to(curves.last_time.values, curves.time.shape)
    reached = np.isfinite(curves.time.values).sum(-1)
    done = bool(curves.attrs["done"])
    times = np.where(np.isfinite(curves.time.values), curves.time.values, ends if done else np.nan)
    updates = np.where(
        np.isfinite(curves.updates.values), curves.updates.values, curves.last_update.values if done else np.nan
    )
    rows = []
    for i, n in enumerate(workers):
        for j, case in enumerate(CASES):
            cell = {name: curves[name].values[i, j] for name in _DRAWN}
            if np.isnan(cell["rate"]).any():
                continue
            rate = of_a_run(cell["rate"], confidence, logarithms=True)
            mean, p99 = (of_a_run(cell[name], confidence, logarithms=False) for name in ("mean_delay", "p99_delay"))
            time = of_a_run(times[i, j], confidence, logarithms=True)
            paired = ratio_of_means(times[i, j], times[i, 0], paired=True, confidence=confidence)
            gain = _gain(times[:, j], workers, i, confidence)
            rows.append(
                ForecastRow(
                    n, case, *rate, mean.value, max(mean.low, 0.0), mean.high, float(cell["median_delay"].mean()),
                    p99.value, max(p99.low, 0.0), p99.high, float(cell["discarded"].mean()),
                    float(updates[i, j].mean()),
                    *time, *paired, *gain, int(reached[i, j]),
                )
            )  # fmt: skip
    return tuple(rows)


_DRAWN = ("rate", "mean_delay", "median_delay", "p99_delay", "discarded")


def _gain(times: np.ndarray, workers: Sequence[int], i: int, confidence: float) -> Interval:
    if not i:
        return Interval(math.nan, math.nan, math.nan)
    ratio = ratio_of_means(times[i - 1], times[i], paired=True, confidence=confidence)
    whole = math.log(workers[i] / workers[i - 1])
    return Interval(*(math.log(part) / whole if part > 0 else math.nan for part in ratio))


def sentences(rows: Sequence[ForecastRow], worth: float, slower: float, bound: float) -> list[str]:
    """Until when another worker is worth it, what a straggler costs, and what a bound saves."""
    team = [row for row in rows if row.case == TEAM]
    said = [_worth(team, worth)]
    most = team[-1].workers
    for case, words in (
        (SLOWER, f"One of {most} workers {slower:g} times slower"),
        (BOUNDED, f"Throwing away what is {math.ceil(bound * most)} updates old or older, with {most} workers,"),
    ):
        row = next((row for row in rows if row.case == case and row.workers == most), None)
        if row is not None and np.isfinite(row.to_team):
            said.append(f"{words} {_against(row)}.")
    return said


def _worth(team: Sequence[ForecastRow], worth: float) -> str:
    for before, row in itertools.pairwise(team):
        if np.isnan(row.gain):
            continue
        step = (
            f"from {before.workers} to {row.workers} the gain is {number(row.gain, '.2f')} "
            f"({interval(row.gain_low, row.gain_high)}), 1 being linear"
        )
        if row.gain_high < worth:
            return f"After {before.workers} workers another is not worth it: {step}."
        if row.gain < worth:
            return f"After {before.workers} workers another is probably not worth it, but that is not certain: {step}."
    if not any(np.isfinite(row.gain) for row in team):
        return "Whether another worker is worth it is not known."
    sure = all(row.gain_low >= worth for row in team[1:])
    perhaps = "" if sure else "probably "
    return f"Up to {team[-1].workers} workers another is {perhaps}worth it: no gain is below {worth:g}."


def _against(row: Any) -> str:
    ends = f"{number(row.to_team, '.2f')} times the time to the target ({interval(row.to_team_low, row.to_team_high)})"
    if row.to_team_low <= 1 <= row.to_team_high:
        return f"takes {ends}: no difference can be told"
    return f"takes {ends}"
