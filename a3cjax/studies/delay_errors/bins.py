"""The updates of many runs sorted by their delay: how large the errors are, and how they grow."""

import dataclasses

import numpy as np

from a3cjax._core.statistics import mean_interval
from a3cjax.studies.delay_errors.bound import DelayBound
from a3cjax.studies.frame.rows import with_ends
from a3cjax.studies.frame.statistics import Ratio, ratio_of_means
from a3cjax.studies.frame.types import Dataset

TERMS = ("critic", "actor")


@dataclasses.dataclass(frozen=True)
class Bin:
    """The updates with a delay from ``low`` to ``high``: per seed their number, and means (NaN if there are none)."""

    low: int
    high: int
    counts: np.ndarray
    means: dict[str, np.ndarray]

    @classmethod
    def of(cls, one: Dataset, low: int, high: int) -> "Bin":
        """Gather the updates of one N."""
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


def delay_ranges(largest: int) -> list[tuple[int, int]]:
    """0, 1, 2, 3–4, 5–8, 9–16, … up to the largest delay.

    >>> delay_ranges(9)
    [(0, 0), (1, 1), (2, 2), (3, 4), (5, 8), (9, 16)]
    """
    ranges, high = [(0, 0), (1, 1)], 2
    while ranges[-1][1] < largest:
        ranges.append((ranges[-1][1] + 1, high))
        high *= 2
    return [pair for pair in ranges if pair[0] <= largest]


def bin_fields(b: Bin, bound: DelayBound | None, confidence: float) -> dict[str, float]:
    """What a row says of both terms: the mean error, its share of the direction, its square and its bound."""
    there = b.counts > 0
    values: dict[str, float] = {}
    for term in TERMS:
        error, direction = b.means[f"{term}_error"][there], b.means[f"{term}_direction"][there]
        mean = mean_interval(error, confidence=confidence)
        totals = error * b.counts[there], direction * b.counts[there]
        # A single action leaves v = 0, of which nothing is a share.
        known = totals[1].sum() > 0
        share = ratio_of_means(*totals, paired=True, confidence=confidence) if known else Ratio(*[np.nan] * 3)
        for found in (with_ends(f"{term}_error", mean), with_ends(f"{term}_share", share)):
            values |= {name: float(value) for name, value in found.items()}
        values[f"{term}_error_sq"] = float(b.means[f"{term}_error_sq"][there].mean())
        # Every seed counts the same in the mean, so the bound takes the mean of the seeds' mean delays.
        at = b.means["delay"][there].mean()
        values[f"{term}_bound"] = np.nan if bound is None else float(getattr(bound, term)(at))
    return values


def growth_powers(bins: list[Bin], term: str) -> np.ndarray:
    """For each seed the p of mean error ∝ τ^p: least squares over the bins in logarithms, weighted by their updates."""
    late = [b for b in bins if b.low > 0]
    found = np.full(bins[0].counts.size if bins else 0, np.nan)
    for s in range(found.size):
        points = [(b.means["delay"][s], b.means[f"{term}_error"][s], b.counts[s]) for b in late if b.counts[s]]
        points = [(x, y, weight) for x, y, weight in points if y > 0]
        if len(points) > 1:
            x, y, weight = np.array(points).T
            x, y = np.log(x), np.log(y)
            x = x - np.average(x, weights=weight)
            found[s] = np.sum(weight * x * y) / np.sum(weight * x * x)
    return found
