"""Who meets the target soonest, who cannot be told apart from him, and who is later."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from a3cjax._core.statistics import mean_interval
from a3cjax.studies.frame.rivals import ALIKE, NEVER, SOONEST, UNDONE, verdict
from a3cjax.studies.frame.rows import column, table_row, with_ends
from a3cjax.studies.frame.statistics import ratio_of_means
from a3cjax.studies.frame.tables import interval, number
from a3cjax.studies.frame.types import Dataset
from a3cjax.studies.remedies.cases import NONE


@table_row
class RemedyRow:
    """One line of ``remedies.csv``; means are over seeds, of which ``reached`` met the target.

    A run that did not meet the target counts as if it had with its last update (a restricted mean), so with fewer than
    all of them means are lower bounds. ``factor``: the best step of the trials, as a multiple of the problem's;
    ``at_edge``: whether it was the least or the greatest tried. ``speedup``: time to the target without remedy over
    that with it, each at its own best step, paired by seed. ``to_best``: time over that of the best remedy there,
    likewise; ``rank`` counts from 1; ``verdict``: what may be said.
    """

    problem: str = column("problem")
    delays: str = column("delays")
    mean_delay: float = column("mean\ndelay", ".1f")
    rank: int = column("rank")
    remedy: str = column("remedy")
    factor: float = column("step", cell=lambda row: number(row.factor, "g") + ("*" if row.at_edge else ""))
    at_edge: bool
    samples_to_target: float = column("samples\nto target", ",.0f")
    samples_low: float
    samples_high: float
    time_to_target: float = column("time\nto target", ",.0f")
    time_low: float = column("{percent}", ",.0f", to="time_high")
    time_high: float
    speedup: float = column("none's time\n/ its time")
    speedup_low: float = column("{percent}", cell=lambda row: interval(row.speedup_low, row.speedup_high))
    speedup_high: float
    to_best: float
    to_best_low: float
    to_best_high: float
    reached: int = column("met", at=1)
    verdict: str = column("verdict", at=2)


def ranked(cell: Dataset, problem: str, delays: str, confidence: float) -> list[RemedyRow]:
    """The rows of one problem and source of delays: the soonest first, those without a mean last."""
    names, reached = cell.remedy.values.tolist(), np.isfinite(cell.time.values).sum(-1)
    undone = np.isnan(cell.done.values) | (cell.done.values < 2)
    times, samples = (
        np.where(undone[:, None], np.nan, np.where(np.isfinite(values), values, last))
        for values, last in ((cell.time.values, cell.last_time.values), (cell.samples.values, float(cell.last_sample)))
    )
    means = times.mean(-1)
    order = np.lexsort((-reached, means, undone)).tolist()
    best, plain = order[0], names.index(NONE)
    rows = []
    for rank, i in enumerate(order, 1):
        of_samples, of_time = (mean_interval(x[i], confidence=confidence) for x in (samples, times))
        speedup = ratio_of_means(times[plain], times[i], paired=True, confidence=confidence)
        to_best = ratio_of_means(times[i], times[best], paired=True, confidence=confidence)
        step, factors = int(cell.best.values[i]), cell.step.values
        row: dict[str, Any] = dict(
            problem=problem, delays=delays, mean_delay=float(cell.mean_delay), rank=rank, remedy=names[i],
            factor=float(factors[step]) if step >= 0 else np.nan,
            at_edge=step >= 0 and len(factors) > 1 and step in (0, len(factors) - 1),
            **_floats(with_ends("samples_to_target", of_samples, "samples")),
            **_floats(with_ends("time_to_target", of_time, "time")), **_floats(with_ends("speedup", speedup)),
            **_floats(with_ends("to_best", to_best)), reached=int(reached[i]),
            verdict=verdict(not undone[i], int(reached[i]), i == best, to_best),
        )  # fmt: skip
        rows.append(RemedyRow(**row))
    return rows


def _floats(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: float(value) for name, value in fields.items()}


def sentence(cell: Sequence[RemedyRow]) -> str:
    """What the rows of one problem and source of delays say."""
    first = cell[0]
    where = f"{first.problem}, {first.delays} (mean delay {number(first.mean_delay, '.1f')})"
    if first.verdict != SOONEST:
        return f"{where}: {'no remedy met the target' if first.verdict == NEVER else UNDONE}."
    alike = [row.remedy for row in cell if row.verdict == ALIKE]
    said = f"{where}: {first.remedy} is soonest"
    said += f", from which {', '.join(alike)} cannot be told apart" if alike else ", and told apart from all others"
    if first.remedy == NONE:
        return f"{said}."
    gain = f"{number(first.speedup, '.2f')} ({interval(first.speedup_low, first.speedup_high)})"
    return f"{said}; {gain} times sooner than with none." if np.isfinite(first.speedup) else f"{said}."
