"""When a curve first meets a target, and how sure one can be of means, of their ratios and of their rates."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

RESAMPLES = 9999


class Crossing(NamedTuple):
    """Where curves first meet a target: ``before`` + ``fraction`` records in; both NaN where they never do."""

    before: Float[np.ndarray, "*runs"]
    fraction: Float[np.ndarray, "*runs"]

    def at(self, positions: ArrayLike) -> Float[np.ndarray, "*runs"]:
        """The crossing on another axis, given that axis's value at every record, [R] or [*runs, R]."""
        positions = np.asarray(positions, np.float64)
        positions = np.broadcast_to(positions, (*self.before.shape, positions.shape[-1]))
        reached = np.isfinite(self.before)
        low = np.where(reached, self.before, 0).astype(int)
        high = np.minimum(low + 1, positions.shape[-1] - 1)
        left, right = (np.take_along_axis(positions, i[..., None], -1)[..., 0] for i in (low, high))
        return np.where(reached, left + self.fraction * (right - left), np.nan)


class Mean(NamedTuple):
    """Means and their confidence intervals."""

    value: Float[np.ndarray, "*cells"]
    low: Float[np.ndarray, "*cells"]
    high: Float[np.ndarray, "*cells"]


class Ratio(NamedTuple):
    """A ratio of means and its confidence interval."""

    value: float
    low: float
    high: float


class PowerLaw(NamedTuple):
    """y = factor · x^exponent, and a confidence interval of the exponent."""

    exponent: float
    low: float
    high: float
    factor: float


def first_crossing(curves: ArrayLike, target: float) -> Crossing:
    """Where each curve [*runs, R] is first at least ``target``, linearly interpolated from the record before.

    A record that is not a number meets no target; the crossing after one is at the record itself.

    >>> import numpy as np
    >>> crossing = first_crossing([[0.0, 0.5, 1.0, 0.9], [0.0, 0.2, 0.3, 0.4]], target=0.75)
    >>> crossing.at([0, 10, 20, 30]).tolist()  # halfway between the second record and the third; never
    [15.0, nan]
    """
    values = np.asarray(curves, np.float64)
    met = values >= target
    reached = met.any(-1)
    after = met.argmax(-1)
    before = np.maximum(after - 1, 0)
    left, right = (np.take_along_axis(values, i[..., None], -1)[..., 0] for i in (before, after))
    rise = np.where((after > 0) & np.isfinite(left), right - left, 0)
    fraction = np.where(rise > 0, (target - left) / np.where(rise > 0, rise, 1), after - before)
    return Crossing(np.where(reached, before, np.nan), np.where(reached, fraction, np.nan))


def ratio_of_means(
    numerator: ArrayLike,
    denominator: ArrayLike,
    *,
    paired: bool = False,
    confidence: float = 0.95,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Ratio:
    """mean(numerator) / mean(denominator) with a bootstrap interval: bias-corrected and accelerated (Efron 1987).

    The two samples are independent, and both are resampled; or paired, and pairs are. If either holds a NaN, so do
    value and interval; if either has one entry only, the interval is NaN; if neither varies, or the ratio of no pair
    does, the interval is the value.

    Args:
        numerator: [n], positive numbers.
        denominator: [m], positive numbers.
        paired: whether numerator[i] and denominator[i] come from one run; then m = n.
        confidence: the interval's coverage, between 0 and 1.
        seed: of the resampling.
        resamples: how many.

    >>> import numpy as np
    >>> draws = np.random.default_rng(0).normal(10, 1, (2, 1000))
    >>> ratio = ratio_of_means(*draws)
    >>> bool(ratio.low < 1 < ratio.high < 1.01)
    True
    """
    above, below = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    value = float(above.mean() / below.mean())
    if not np.isfinite(value) or min(above.size, below.size) < 2:
        return Ratio(value, np.nan, np.nan)
    if (np.ptp(above) == 0 and np.ptp(below) == 0) or (paired and np.allclose(above, value * below, 1e-12, 0)):
        return Ratio(value, value, value)
    low, high = _bootstrap(
        (above, below), lambda x, y, axis: x.mean(axis) / y.mean(axis), confidence, seed, resamples, paired
    )
    return Ratio(value, low, high)


def mean_interval(sample: ArrayLike, *, confidence: float = 0.95, seed: int = 0, resamples: int = RESAMPLES) -> Mean:
    """Means over the last axis with bootstrap intervals, bias-corrected and accelerated (Efron 1987).

    A cell with a NaN has NaN for mean and interval; with one entry only, NaN for the interval; a cell that does not
    vary has its value for both ends.

    Args:
        sample: [*cells, n].
        confidence: the intervals' coverage, between 0 and 1.
        seed: of the resampling, the same for every cell.
        resamples: how many.

    >>> import numpy as np
    >>> mean = mean_interval(np.random.default_rng(0).normal(10, 1, (3, 400)))
    >>> mean.value.shape, bool((mean.low < 10).all() and (mean.high > 10).all())
    ((3,), True)
    """
    cells = np.asarray(sample, np.float64)
    rows = cells.reshape(-1, cells.shape[-1])
    ends = np.array([_mean_ends(row, confidence, seed, resamples) for row in rows]).reshape(*cells.shape[:-1], 2)
    return Mean(cells.mean(-1), ends[..., 0], ends[..., 1])


def proportion_interval(successes: ArrayLike, trials: int, *, confidence: float = 0.95) -> Mean:
    """Shares of successes with Wilson's score interval (1927), which keeps its coverage for few trials and rare events.

    With p = successes / trials, n = trials and z the normal quantile:
    (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n).

    Args:
        successes: [*cells], whole numbers between 0 and ``trials``.
        trials: how many there were, at least 1.
        confidence: the intervals' coverage, between 0 and 1.

    >>> share = proportion_interval(0, 8)  # none of eight: z² / (8 + z²)
    >>> share.value.item(), share.low.item(), round(share.high.item(), 4)
    (0.0, 0.0, 0.3244)
    """
    from statistics import NormalDist

    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = np.asarray(successes, np.float64) / trials
    middle = share + z**2 / (2 * trials)
    reach = z * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    whole = 1 + z**2 / trials
    # At none and at all, an end is 0 and 1 but for rounding.
    low = np.where(share == 0, 0, (middle - reach) / whole)
    high = np.where(share == 1, 1, (middle + reach) / whole)
    return Mean(share, low, high)


def power_law(
    x: ArrayLike,
    samples: Sequence[ArrayLike],
    *,
    confidence: float = 0.95,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> PowerLaw:
    """The line of least squares through (log x, log mean of the sample at x), with a bootstrap interval.

    The samples are independent, and each is resampled (bias-corrected and accelerated, Efron 1987). With a NaN, or a
    mean that is not positive, everything is NaN; if a sample has one entry only, the interval is NaN; if no sample
    varies, both ends are the exponent.

    Args:
        x: [n], positive and not all equal.
        samples: n of them, the one at x[i] of shape [m_i].
        confidence: the interval's coverage, between 0 and 1.
        seed: of the resampling.
        resamples: how many.

    >>> import numpy as np
    >>> noise = np.random.default_rng(0).uniform(0.8, 1.2, (3, 50))
    >>> law = power_law([10, 100, 1000], [2 * 0.1 * noise[0], 2 * 0.01 * noise[1], 2 * 0.001 * noise[2]])
    >>> bool(law.low < -1 < law.high), round(law.factor)
    (True, 2)
    """
    at = np.log(np.asarray(x, np.float64))
    values = [np.asarray(sample, np.float64) for sample in samples]
    means = np.array([sample.mean() for sample in values])
    if not np.isfinite(means).all() or (means <= 0).any():
        return PowerLaw(np.nan, np.nan, np.nan, np.nan)
    centred = at - at.mean()
    weights = centred / (centred**2).sum()

    def slope(*resampled, axis):
        return sum(weight * np.log(sample.mean(axis)) for weight, sample in zip(weights, resampled, strict=True))

    exponent = float(slope(*values, axis=-1))
    factor = float(np.exp(np.log(means).mean() - exponent * at.mean()))
    if min(sample.size for sample in values) < 2:
        return PowerLaw(exponent, np.nan, np.nan, factor)
    if all(np.ptp(sample) == 0 for sample in values):
        return PowerLaw(exponent, exponent, exponent, factor)
    return PowerLaw(exponent, *_bootstrap(tuple(values), slope, confidence, seed, resamples), factor)


def _mean_ends(row: np.ndarray, confidence: float, seed: int, resamples: int) -> tuple[float, float]:
    if not np.isfinite(row).all() or row.size < 2:
        return np.nan, np.nan
    if np.ptp(row) == 0:
        return row[0], row[0]
    return _bootstrap((row,), lambda x, axis: x.mean(axis), confidence, seed, resamples)


def _bootstrap(
    samples: tuple[np.ndarray, ...], statistic: Any, confidence: float, seed: int, resamples: int, paired: bool = False
) -> tuple[float, float]:
    import scipy.stats  # here, because it takes longer to import than everything else

    ends = scipy.stats.bootstrap(
        samples,
        statistic,
        paired=paired,
        n_resamples=resamples,
        confidence_level=confidence,
        vectorized=True,
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(ends.low), float(ends.high)
