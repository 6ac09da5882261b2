"""How sure few runs can be of a ratio of means, of a share, and of a power law; of a mean is ``_core/statistics``.

Each interval covers what it says from two entries on: ``python -m benchmarks.coverage`` measures how often. A bootstrap
does not, for two entries have three resamples only.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from a3cjax._core import check
from a3cjax._core.statistics import Mean, entries, moments, t_quantile

# What the studies say of their intervals.
OF_MEANS = "of means Student's t, corrected for skewness (Hall 1992)"
OF_RATIOS = "of ratios of means Student's t for the log ratio, by the delta method"
OF_SLOPES = "of slopes Student's t for the weighted sum of log means, by the delta method"
OF_KNEES = "of knees Student's t for the log efficiency, by the delta method, beside the threshold"
OF_SHARES = "of shares Wilson's score interval"


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


def about_intervals(confidence: float, *kinds: str, over: str = "seeds") -> dict[str, str]:
    """The attribute by which a study's dataset says what its intervals are.

    >>> about_intervals(0.95, OF_SHARES)
    {'intervals': "95 %, over seeds; of shares Wilson's score interval"}
    """
    return {"intervals": "; ".join((f"{100 * confidence:g} %, over {over}", *kinds))}


def ratio_of_means(
    numerator: ArrayLike, denominator: ArrayLike, *, paired: bool = False, confidence: float = 0.95
) -> Ratio:
    """mean(numerator) / mean(denominator), with an interval of Student's t for its logarithm by the delta method.

    The ends are value · exp(∓ t √v). For independent samples v = s_x²/(n x̄²) + s_y²/(m ȳ²), and the degrees of freedom
    are those of ``log_reach``. For pairs v = s_r²/(n x̄²), r = x − value · y, and there are n − 1. Unlike Fieller's set,
    the interval is bounded and on one side of zero: the signs of both means are taken as known.

    If either sample holds a NaN or an infinity, or the denominator's mean is zero, value and interval are NaN; if
    either has one entry only, or a numerator that varies has mean zero, the interval is; if neither sample varies, or
    the ratio of no pair does, the interval is the value.

    Args:
        numerator: [n], positive numbers.
        denominator: [m], positive numbers.
        paired: whether numerator[i] and denominator[i] come from one run; then m = n.
        confidence: the interval's coverage, between 0 and 1.

    Raises:
        ValueError: if a sample has no entry or more than one axis, pairs do not match, or ``confidence`` is out of
            range.

    >>> ratio = ratio_of_means([9.0, 11.0, 10.0, 10.0], [5.0, 5.0])  # only one varies: 2 exp(∓ 3.182 · 0.0408)
    >>> ratio.value, round(ratio.low, 3), round(ratio.high, 3)
    (2.0, 1.756, 2.277)
    """
    x, y = _one_axis("numerator", numerator), _one_axis("denominator", denominator)
    if paired and x.size != y.size:
        raise ValueError(
            f"numerator has {x.size} entries and denominator {y.size}, but pairs need as many of both; "
            "use paired=False for independent samples."
        )
    check.number("confidence", confidence, above=0, below=1)
    above, below = moments(x), moments(y)
    if not np.isfinite(above.mean) or not np.isfinite(below.mean) or below.mean == 0:
        return Ratio(np.nan, np.nan, np.nan)
    value = float(above.mean / below.mean)
    if min(x.size, y.size) < 2:
        return Ratio(value, np.nan, np.nan)
    if above.mean == 0:
        return Ratio(value, *(np.nan if above.error else value,) * 2)
    if paired:
        on_line = np.isclose(x, value * y, 1e-12, 0)
        error = moments(np.where(on_line, 0, x - value * y)).error / abs(above.mean)
        reach = t_quantile(x.size - 1, confidence) * error
    else:
        relative = np.array([above.error / above.mean, below.error / below.mean]) ** 2
        reach = log_reach(np.ones(2), relative, np.array([x.size, y.size]) - 1, confidence)
    with np.errstate(over="ignore"):  # of a mean that is lost in its noise nothing is known: from 0 to infinity
        low, high = sorted(value * float(np.exp(side * reach)) for side in (-1, 1))
    return Ratio(value, low, high)


def power_law(x: ArrayLike, samples: Sequence[ArrayLike], *, confidence: float = 0.95) -> PowerLaw:
    """The line of least squares through (log x, log mean of the sample at x), with an interval of Student's t.

    The exponent is Σ_i w_i log ȳ_i with w_i = (log x_i − mean) / Σ_j (log x_j − mean)²; the samples are independent,
    and the interval is exponent ± ``log_reach``. With a NaN, or a mean that is not positive, everything is NaN; if a
    sample has one entry only, the interval is NaN; if no sample varies, both ends are the exponent.

    Args:
        x: [n], positive and not all equal.
        samples: n of them, the one at x[i] of shape [m_i].
        confidence: the interval's coverage, between 0 and 1.

    Raises:
        ValueError: if x is not as above, samples are not as many or one has no entry or more than one axis, or
            ``confidence`` is out of range.

    >>> law = power_law([10, 1000], [[3.0, 5.0], [0.4, 0.4]])  # only one varies: ∓ 12.706 · 0.25 / log 100
    >>> [round(float(part), 3) for part in law]
    [-0.5, -1.19, 0.19, 12.649]
    """
    at = _one_axis("x", x)
    check.number("x", at, above=0)
    if np.ptp(at) == 0:
        raise ValueError(f"x holds {at[0]:g} only, but a slope needs two different values.")
    if len(samples) != at.size:
        raise ValueError(f"x has {at.size} entries and there are {len(samples)} samples; give one sample for each x.")
    values = [_one_axis(f"samples[{i}]", sample) for i, sample in enumerate(samples)]
    check.number("confidence", confidence, above=0, below=1)
    found = [moments(sample) for sample in values]
    means, errors = (np.array([float(part[i]) for part in found]) for i in range(2))
    if not np.isfinite(means).all() or (means <= 0).any():
        return PowerLaw(np.nan, np.nan, np.nan, np.nan)
    logs = np.log(at)
    weights = (logs - logs.mean()) / ((logs - logs.mean()) ** 2).sum()
    exponent = float(weights @ np.log(means))
    factor = float(np.exp(np.log(means).mean() - exponent * logs.mean()))
    sizes = np.array([sample.size for sample in values])
    if sizes.min() < 2:
        return PowerLaw(exponent, np.nan, np.nan, factor)
    reach = float(log_reach(weights, (errors / means) ** 2, sizes - 1, confidence))
    return PowerLaw(exponent, exponent - reach, exponent + reach, factor)


def proportion_interval(successes: ArrayLike, trials: int, *, confidence: float = 0.95) -> Mean:
    """Shares of successes with Wilson's score interval (1927), which keeps its coverage for few trials and rare events.

    With p = successes / trials, n = trials and z the normal quantile:
    (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n).

    Args:
        successes: [*cells], whole numbers between 0 and ``trials``.
        trials: how many there were, at least 1.
        confidence: the intervals' coverage, between 0 and 1.

    Raises:
        ValueError: if an argument is out of range.

    >>> share = proportion_interval(0, 8)  # none of eight: z² / (8 + z²)
    >>> share.value.item(), share.low.item(), round(share.high.item(), 4)
    (0.0, 0.0, 0.3244)
    """
    from statistics import NormalDist

    trials = check.integer("trials", trials, 1)
    check.number("successes", successes, least=0, most=trials)
    check.number("confidence", confidence, above=0, below=1)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = np.asarray(successes, np.float64) / trials
    middle = share + z**2 / (2 * trials)
    reach = z * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    scale = 1 + z**2 / trials
    # At none and at all, an end is 0 and 1 but for rounding.
    low = np.where(share == 0, 0, (middle - reach) / scale)
    high = np.where(share == 1, 1, (middle + reach) / scale)
    return Mean(share, low, high)


def log_reach(
    weights: Float[np.ndarray, "*cells k"],
    relative_variances: Float[np.ndarray, "*cells k"],
    freedom: ArrayLike,
    confidence: float,
) -> Float[np.ndarray, "*cells"]:
    """How far Σ_i w_i log(mean_i) of k independent samples reaches to either side: t_f √v.

    By the delta method v = Σ_i v_i with v_i = w_i² s_i²/(n_i x̄_i²). With c_i = v_i/v and d_i = n_i − 1 the degrees of
    freedom are f = 1/(Σ_i c_i²/(d_i + 1)) − 1, half-way between two classics that have the same form. Satterthwaite's
    f = 1/(Σ_i c_i²/d_i) takes estimates for variances, Welch's f = 1/(Σ_i c_i²/(d_i + 2)) − 2 (1947) corrects for that.
    Where 95 % is asked for, two samples of two entries are covered in 97.7, 96.0 and 94.6 % (Satterthwaite, this,
    Welch), and in 96.4, 94.2 and 92.5 % if one spreads three times as much; four in 97.2, 94.9 and 93.2 %. From eight
    entries on all are within half a per cent. Where one sample alone varies, all three f are its d_i.

    Args:
        weights: w.
        relative_variances: (s_i/x̄_i)²/n_i, of the means.
        freedom: d_i, at least 1; one for all, or [k].
        confidence: the interval's coverage, between 0 and 1.

    >>> one, two = np.array([0.01, 0.0]), np.array([0.01, 0.01])
    >>> round(float(log_reach(np.ones(2), one, 1, 0.95)), 3)  # 12.706 · 0.1
    1.271
    >>> round(float(log_reach(np.ones(2), two, 1, 0.95)), 3)  # f = 3: 3.182 · √0.02
    0.45
    """
    variances = weights**2 * relative_variances
    total = variances.sum(-1, keepdims=True)
    varies = total[..., 0] > 0
    shares = np.where(total > 0, variances, 1) / np.where(total > 0, total, 1)
    f = 1 / (shares**2 / (np.asarray(freedom) + 1)).sum(-1) - 1
    return np.where(varies, t_quantile(np.where(varies, f, 1), confidence) * np.sqrt(total[..., 0]), 0)


def _one_axis(name: str, sample: ArrayLike) -> np.ndarray:
    values = entries(name, sample)
    if values.ndim > 1:
        raise ValueError(f"{name} has shape {values.shape}, but must have one axis; use .ravel() to pool all entries.")
    return values
