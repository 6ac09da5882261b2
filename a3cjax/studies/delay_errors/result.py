"""What the delay-error study found: errors binned by delay, beside the bound, and how they grow."""

import dataclasses
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from a3cjax.studies.delay_errors.bound import DelayBound
from a3cjax.studies.frame.statistics import OF_MEANS, OF_RATIOS, about_intervals, mean_interval, ratio_of_means
from a3cjax.studies.frame.study import Study, about
from a3cjax.studies.frame.tables import interval, number, text_table

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

TERMS = ("critic", "actor")


@dataclasses.dataclass(frozen=True)
class DelayErrorRow:
    """One line of ``delay-errors.csv``: the updates of N workers whose delay is ``delay_low`` to ``delay_high``.

    ``…_error`` is the mean over a run's updates of the error's norm, averaged over seeds, with its interval; ``…_sq``
    of its square. ``…_share`` is the sum of the errors' norms over that of the stale directions that were applied, all
    seeds together. ``…_bound`` is ``DelayBound`` at the mean delay, NaN where there is none.
    """

    workers: int
    delay_low: int
    delay_high: int
    mean_delay: float
    updates: int
    critic_error: float
    critic_error_low: float
    critic_error_high: float
    critic_error_sq: float
    critic_share: float
    critic_share_low: float
    critic_share_high: float
    critic_bound: float
    actor_error: float
    actor_error_low: float
    actor_error_high: float
    actor_error_sq: float
    actor_share: float
    actor_share_low: float
    actor_share_high: float
    actor_bound: float


@dataclasses.dataclass(frozen=True)
class DelayErrorStudy(Study):
    """The outcome of ``delay_errors``.

    ``curves``: an ``xarray.Dataset`` over (workers, seed, update): ``delay``, and the norms ``critic_error``,
    ``critic_direction``, ``actor_error``, ``actor_direction``; over (workers, seed) ``critic_slope`` and
    ``actor_slope``, the power of τ that the mean errors grow with.
    ``rows``: a ``DelayErrorRow`` for each N and range of delays. ``bound``: a ``DelayBound``, or None.
    """

    name: ClassVar[str] = "delay-errors"

    curves: "xr.Dataset"
    rows: tuple[DelayErrorRow, ...]
    bound: DelayBound | None = None
    confidence: float = 0.95
    interrupted: bool = False

    @classmethod
    def of(
        cls,
        curves: "xr.Dataset",
        bound: DelayBound | None = None,
        confidence: float = 0.95,
        *,
        interrupted: bool = False,
    ) -> "DelayErrorStudy":
        """Bin the updates by delay, average each run's, and then over the seeds that have any in the bin."""
        rows: list[DelayErrorRow] = []
        slopes = {term: np.full(curves.nonfinite_from.shape, np.nan) for term in TERMS}
        for i, n in enumerate(curves.workers.values):
            one = curves.isel(workers=i)
            bins = [_Bin.of(one, low, high) for low, high in _ranges(int(one.delay.max()) if one.delay.size else -1)]
            bins = [b for b in bins if b.counts.any()]
            rows += [_row(int(n), b, bound, confidence) for b in bins]
            for term in TERMS:
                slopes[term][i] = _slopes(bins, term)
        named = {
            f"{term}_slope": (
                ("workers", "seed"),
                slopes[term],
                about(f"power of τ that the {term} error grows with", "1"),
            )
            for term in TERMS
        }
        curves = curves.assign(named).assign_attrs(about_intervals(confidence, OF_MEANS, OF_RATIOS))
        return cls(curves, tuple(rows), bound, confidence, interrupted)

    @property
    def bound_reached(self) -> dict[str, float]:
        """The largest error of any update over its bound, for both terms; NaN without a bound or a delay."""
        reached = {}
        for term in TERMS:
            errors, delays = self.curves[f"{term}_error"].values, self.curves.delay.values
            late = (delays > 0) & np.isfinite(errors)
            known = self.bound is not None and late.any()
            reached[term] = float((errors[late] / getattr(self.bound, term)(delays[late])).max()) if known else np.nan
        return reached

    def summary(self) -> str:
        """How much of a direction is error, how it grows with the delay, and how loose the bound is."""
        lines = []
        for i, n in enumerate(self.curves.workers.values):
            one = self.curves.isel(workers=i)
            if not (one.delay.values > 0).any():
                continue
            mean_delay = float(one.delay.mean())
            parts = []
            for term, symbol in (("critic", "g"), ("actor", "v")):
                share = float(one[f"{term}_error"].mean() / one[f"{term}_direction"].mean())
                slope = mean_interval(one[f"{term}_slope"].values[None], confidence=self.confidence)
                grows = f"{slope.value[0]:.2f} ({interval(slope.low[0], slope.high[0])})"
                parts.append(f"{term} {share:.1%} of ‖{symbol}‖, ∝ τ^{grows}")
            lines.append(f"N = {n}: mean delay {mean_delay:.1f}; mean error: {'; '.join(parts)}.")
        if lines:
            lines.append("An error ∝ τ^0.5 is that of parameters that walk at random, ∝ τ of parameters that drift.")
        if self.bound is not None and lines:
            worst = ", ".join(f"{term} {value:.1%}" for term, value in self.bound_reached.items())
            lines.append(f"The largest error of any update, as a share of its bound: {worst}.")
        return "\n".join(lines) or "No update had a delay, so there is no error to speak of."

    def notes(self) -> list[str]:
        """A sentence for each thing that a reader of the rows must know."""
        said = []
        if self.interrupted:
            done, wanted = self.curves.attrs["updates_done"], self.curves.attrs["num_updates"]
            said.append(f"The study was interrupted after {done:,} of {wanted:,} updates.")
        if self.bound is None:
            said.append(
                "No bound is known: that takes a radius (or a measurement of every update), a start within it, and a "
                "softmax policy, tabular or linear."
            )
        lost = self.curves.nonfinite_from.values
        for i, n in enumerate(self.curves.workers.values):
            runs = lost[i][lost[i] >= 0]
            if runs.size:
                said.append(
                    f"N = {n}: {runs.size} of {lost.shape[1]} runs stopped being finite, the first by update "
                    f"{runs.min()}; take smaller steps."
                )
        return said

    def table(self) -> str:
        """The rows as text."""
        percent = f"{100 * self.confidence:g} %"
        header = ["workers", "delay τ", "updates"]
        for symbol, term in (("g", "critic"), ("v", "actor")):
            header += [f"{term}\nerror", percent, f"share\nof ‖{symbol}‖", "bound"]
        lines = []
        for row in self.rows:
            span = f"{row.delay_low}" if row.delay_low == row.delay_high else f"{row.delay_low}–{row.delay_high}"
            line = [str(row.workers), span, f"{row.updates:,}"]
            for term in TERMS:
                value, low, high, share, bound = (
                    getattr(row, f"{term}_{what}") for what in ("error", "error_low", "error_high", "share", "bound")
                )
                line += [number(value, ".3g"), interval(low, high, ".3g"), number(share, ".1%"), number(bound, ".3g")]
            lines.append(line)
        return text_table(header, lines)

    def figure(self) -> "Figure":
        """Both errors and their shares against the delay, beside the bound."""
        from a3cjax.studies.delay_errors.figure import delay_errors_figure  # here: only those who draw wait for it

        return delay_errors_figure(self)

    def facts(self) -> dict[str, object]:
        """The bound's constants."""
        return {"bound": None if self.bound is None else dataclasses.asdict(self.bound)}


@dataclasses.dataclass(frozen=True)
class _Bin:
    """The updates with a delay from ``low`` to ``high``: per seed their number, and means (NaN if there are none)."""

    low: int
    high: int
    counts: np.ndarray
    means: dict[str, np.ndarray]

    @classmethod
    def of(cls, one: "xr.Dataset", low: int, high: int) -> "_Bin":
        delay = one.delay.values
        # A run that diverged has no error from there on.
        here = (delay >= low) & (delay <= high) & np.isfinite(one.critic_error.values)
        counts = here.sum(-1)

        def mean(values):
            return np.where(counts, np.where(here, values, 0).sum(-1) / np.maximum(counts, 1), np.nan)

        means = {"delay": mean(delay)}
        for term in TERMS:
            error = one[f"{term}_error"].values
            means |= {f"{term}_error": mean(error), f"{term}_error_sq": mean(error**2)}
            means[f"{term}_direction"] = mean(one[f"{term}_direction"].values)
        return cls(low, high, counts, means)


def _ranges(largest: int) -> list[tuple[int, int]]:
    """0, 1, 2, 3–4, 5–8, 9–16, … up to the largest delay.

    >>> _ranges(9)
    [(0, 0), (1, 1), (2, 2), (3, 4), (5, 8), (9, 16)]
    """
    ranges, high = [(0, 0), (1, 1)], 2
    while ranges[-1][1] < largest:
        ranges.append((ranges[-1][1] + 1, high))
        high *= 2
    return [pair for pair in ranges if pair[0] <= largest]


def _row(n: int, b: _Bin, bound: DelayBound | None, confidence: float) -> DelayErrorRow:
    there = b.counts > 0
    mean_delay = float(np.average(b.means["delay"][there], weights=b.counts[there]))
    values: dict[str, float] = {}
    for term in TERMS:
        error, direction = b.means[f"{term}_error"][there], b.means[f"{term}_direction"][there]
        mean = [float(part[0]) for part in mean_interval(error[None], confidence=confidence)]
        totals = error * b.counts[there], direction * b.counts[there]
        # A single action leaves v = 0, of which nothing is a share.
        known = totals[1].sum() > 0
        ratio = ratio_of_means(*totals, paired=True, confidence=confidence) if known else (np.nan,) * 3
        for what, parts in (("error", mean), ("share", ratio)):
            ends = (f"{term}_{what}", f"{term}_{what}_low", f"{term}_{what}_high")
            values |= dict(zip(ends, parts, strict=True))
        values[f"{term}_error_sq"] = float(b.means[f"{term}_error_sq"][there].mean())
        # Every seed counts the same in the mean, so the bound takes the mean of the seeds' mean delays.
        at = b.means["delay"][there].mean()
        values[f"{term}_bound"] = np.nan if bound is None else float(getattr(bound, term)(at))
    return DelayErrorRow(
        workers=n, delay_low=b.low, delay_high=b.high, mean_delay=mean_delay, updates=int(b.counts.sum()), **values
    )


def _slopes(bins: list[_Bin], term: str) -> np.ndarray:
    """For each seed the p of mean error ∝ τ^p: least squares over the bins in logarithms, weighted by their updates."""
    late = [b for b in bins if b.low > 0]
    seeds = bins[0].counts.size if bins else 0
    found = np.full(seeds, np.nan)
    for s in range(seeds):
        points = [(b.means["delay"][s], b.means[f"{term}_error"][s], b.counts[s]) for b in late if b.counts[s]]
        points = [(x, y, weight) for x, y, weight in points if y > 0]
        if len(points) > 1:
            x, y, weight = np.array(points).T
            x, y = np.log(x), np.log(y)
            x = x - np.average(x, weights=weight)
            found[s] = np.sum(weight * x * y) / np.sum(weight * x * x)
    return found
