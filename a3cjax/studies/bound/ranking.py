"""Which choice meets the target soonest, which cannot be told apart from it, and which is later."""

import itertools
from collections.abc import Sequence

import numpy as np

from a3cjax._core.statistics import mean_interval
from a3cjax.studies.frame.rivals import ALIKE, NEVER, SOONEST, verdict
from a3cjax.studies.frame.rows import column, table_row, with_ends
from a3cjax.studies.frame.statistics import ratio_of_means
from a3cjax.studies.frame.tables import interval, number
from a3cjax.studies.frame.types import Dataset

NO_BOUND = "none"
CELL = ("batch", "queue", "bound")


@table_row
class BoundRow:
    """One line of ``bound.csv``; means are over seeds, of which ``reached`` met the target.

    A run that did not meet the target counts as if it had at its end (a restricted mean), so with fewer than all of
    them means are lower bounds. ``throughput`` and ``updates_per_time``: samples trained on and updates per unit of
    virtual time. ``staleness``, ``staleness_99``: mean and 99 % quantile of what was trained on, in updates.
    ``dropped``: the share of the samples taken. ``quick``: mean generation time of what was trained on over that of all
    taken. ``factor``: the best step of the trials; ``at_edge``: whether it was the least or the greatest tried.
    ``to_best``: time to the target over that of the best choice, paired by seed; ``verdict``: what may be said.
    """

    batch: int = column("batch")
    queue: str = column("queue")
    correction: str = column("correction")
    bound: str = column("max.\nstale")
    throughput: float = column("samples\n/ time", ".3g")
    updates_per_time: float
    staleness: float = column("mean\nstale", ".1f")
    staleness_99: float = column("99 %", ".0f")
    dropped: float = column("dropped", ".0%")
    quick: float = column("quick", ".2f")
    factor: float = column("step", cell=lambda row: number(row.factor, "g") + ("*" if row.at_edge else ""))
    at_edge: bool
    samples_to_target: float = column("samples\nto target", ",.0f")
    samples_low: float
    samples_high: float
    time_to_target: float = column("time to\ntarget", ",.0f")
    time_low: float = column("{percent}", ",.0f", to="time_high")
    time_high: float
    to_best: float = column("/ best", ".2f")
    to_best_low: float
    to_best_high: float
    reached: int = column("met")
    verdict: str = column("verdict")


def ranked(curves: Dataset, confidence: float) -> tuple[BoundRow, ...]:
    """The rows in the order of the axes, each beside the best of all."""
    dims = (*CELL, "correction")
    shape = [curves.sizes[dim] for dim in dims]
    done = curves.done.values == 2
    known = [curves[name].transpose(*dims, "seed").values for name in ("samples", "time")]
    ends = [np.broadcast_to(curves[name].values[..., None, :], known[0].shape) for name in ("last_sample", "last_time")]
    reached = np.isfinite(known[1]).sum(-1)
    samples, times = (
        np.where(done[:, None], np.where(np.isfinite(values), values, end), np.nan)
        for values, end in zip(known, ends, strict=True)
    )
    means = np.where(reached > 0, times.mean(-1), np.inf)
    best = np.unravel_index(np.argmin(np.where(np.isnan(means), np.inf, means)), shape)
    names = [curves[dim].values.tolist() for dim in dims]
    rows = []
    for batch, queue, correction, bound in itertools.product(*(range(shape[i]) for i in (0, 1, 3, 2))):
        at = batch, queue, bound, correction
        of_samples, of_time = (mean_interval(x[at], confidence=confidence) for x in (samples, times))
        to_best = ratio_of_means(times[at], times[best], paired=True, confidence=confidence)
        step, factors = int(curves.best.values[at]), curves.step.values
        pipeline = {name: float(np.mean(curves[name].values[at[:3]])) for name in PIPELINE}
        fields = with_ends("samples_to_target", of_samples, "samples") | with_ends("time_to_target", of_time, "time")
        fields |= with_ends("to_best", to_best) | pipeline
        rows.append(
            BoundRow(
                batch=names[0][batch], queue=names[1][queue], bound=names[2][bound], correction=names[3][correction],
                factor=float(factors[step]) if step >= 0 else np.nan,
                at_edge=step >= 0 and len(factors) > 1 and step in (0, len(factors) - 1), reached=int(reached[at]),
                verdict=verdict(bool(done[correction]), int(reached[at]), at == best, to_best),
                **{name: float(value) for name, value in fields.items()},
            )
        )  # fmt: skip
    return tuple(rows)


PIPELINE = ("throughput", "updates_per_time", "staleness", "staleness_99", "dropped", "quick")


def named(row: BoundRow) -> str:
    """The choice in words."""
    said = "no bound" if row.bound == NO_BOUND else f"max_staleness {row.bound}"
    queue = "any queue" if row.queue == NO_BOUND else f"queue {row.queue}"
    return f"{said}, batch {row.batch}, {queue}, " + (
        "without correction" if row.correction == NO_BOUND else f"weights {row.correction}"
    )


def sentences(rows: Sequence[BoundRow], percent: str, seeds: int) -> str:
    """The best choice, what cannot be told apart from it, and what the two ends of the axis cost."""
    best = next((row for row in rows if row.verdict == SOONEST), None)
    if best is None:
        return "No choice met the target." if any(row.verdict == NEVER for row in rows) else "Nothing is known."
    time = f"{number(best.time_to_target, ',.0f')} ({percent}: {interval(best.time_low, best.time_high, ',.0f')})"
    said = [f"Soonest: {named(best)}, with {time} units of time to the target."]
    alike = [named(row) for row in rows if row.verdict == ALIKE]
    said.append(f"Cannot be told apart: {'; '.join(alike)}." if alike else "All other choices are later.")
    for end, words in ((NO_BOUND, "No bound"), ("0", "Bound 0")):
        same = [
            row for row in rows
            if (row.bound, row.batch, row.queue, row.correction) == (end, best.batch, best.queue, best.correction)
        ]  # fmt: skip
        for row in same:
            if row is not best and np.isfinite(row.to_best):
                least = "" if row.reached == seeds else "at least "
                ratio = f"{least}{number(row.to_best, '.2f')} ({interval(row.to_best_low, row.to_best_high)})"
                said.append(f"{words}, all else alike, takes {ratio} times as long.")
    return "\n".join(said)
