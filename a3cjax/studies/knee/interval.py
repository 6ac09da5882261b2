"""The number of workers at which the efficiency crosses a threshold, and how sure one can be of it."""

import numpy as np
from jaxtyping import Float

from a3cjax._core.statistics import Mean, moments
from a3cjax.studies.frame.statistics import log_reach

_POINTS = 64  # between two numbers of workers, at which the efficiency is compared with the threshold


def find_knee(
    efficiency: Float[np.ndarray, "*cells N"], workers: np.ndarray, threshold: float
) -> Float[np.ndarray, "*cells"]:
    """The largest N with at least ``threshold``, interpolated in log N; infinite if that is the last; NaN if unknown.

    >>> import numpy as np
    >>> find_knee(np.array([[1.0, 0.75, 0.25], [1.0, 0.9, 0.8]]), np.array([1, 4, 16]), 0.5).round(6).tolist()
    [8.0, inf]
    """
    count = workers.size
    last = count - 1 - (efficiency >= threshold)[..., ::-1].argmax(-1)
    after = np.minimum(last + 1, count - 1)
    left, right = (np.take_along_axis(efficiency, at[..., None], -1)[..., 0] for at in (last, after))
    fall = np.where(left > right, left - right, 1)
    logs = np.log(workers)
    between = np.exp(logs[last] + (left - threshold) / fall * (logs[after] - logs[last]))
    knee = np.where(last == count - 1, np.inf, between)
    return np.where(np.isnan(efficiency).any(-1), np.nan, knee)


def knee_interval(
    updates: Float[np.ndarray, "*cells N seeds"], workers: np.ndarray, threshold: float, confidence: float
) -> Mean:
    """The knee and its interval, from the updates to the target: where a test cannot tell e(N) from the threshold.

    Between numbers of workers a and b the interpolated efficiency is e(N) = ū(1) ((1 − h)/ū(a) + h/ū(b)), and its
    logarithm has an interval of Student's t by the delta method, log e ± ``log_reach``. The knee's interval reaches
    from the first N at which e may be as small as the threshold to the last at which it may be as large; an end is
    infinite where that is the last N tried, or where there is none. Both are the knee if no seed differs from another.
    NaN where the efficiency is not known, the ends also with one seed.

    Args:
        updates: ū is their mean over the last axis; runs of different N are independent.
        workers: [N], the first 1, increasing.
        threshold: the efficiency at the knee, between 0 and 1.
        confidence: the interval's coverage, between 0 and 1.

    >>> two = np.array([[90.0, 110.0], [100.0, 100.0], [400.0, 400.0]])  # e = 1, 1 and 1/4; only ū(1) varies
    >>> found = knee_interval(two, np.array([1, 4, 16]), 0.5, confidence=0.5)
    >>> [round(part.item(), 2) for part in found]  # e exp(∓0.1) is 1/2 where h = (1 − exp(±0.1)/2)/(3/4)
    [10.08, 9.15, 11.01]
    """
    mean, error, _ = moments(updates)
    knee = find_knee(mean[..., :1] / mean, workers, threshold)
    positions = np.append(0, np.arange(1, _POINTS * (workers.size - 1) + 1) / _POINTS)
    hats = np.maximum(1 - np.abs(positions[:, None] - np.arange(workers.size)), 0)  # [points, N]
    logs = hats @ np.log(workers)
    inverse = hats / mean[..., None, :]
    total = inverse.sum(-1)
    # d log e = d log ū(1) − Σ_N share_N d log ū(N)
    weights = np.eye(1, workers.size) - inverse / total[..., None]
    reach = log_reach(weights, (error / mean)[..., None, :] ** 2, updates.shape[-1] - 1, confidence)
    efficiency = mean[..., :1] * total
    with np.errstate(over="ignore"):
        least, most = efficiency * np.exp(-reach) - threshold, efficiency * np.exp(reach) - threshold
    before = (least > 0).argmin(-1) - 1  # the first is always above, for it is 1
    after = least.shape[-1] - 1 - (most >= 0)[..., ::-1].argmax(-1)
    low = np.where((least > 0).all(-1), np.inf, _crossing(least, logs, before))
    high = np.where(most[..., -1] >= 0, np.inf, _crossing(most, logs, after))
    low, high = (np.where((reach == 0).all(-1), knee, end) for end in (low, high))
    known = ~np.isnan(knee) & (updates.shape[-1] > 1)
    low, high = (np.where(known, end, np.nan) for end in (np.minimum(low, knee), np.maximum(high, knee)))
    return Mean(knee, low, high)


def _crossing(values: np.ndarray, logs: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The N at which ``values`` cross zero after the point ``before``, linearly in log N."""
    before = np.clip(before, 0, logs.size - 2)
    left, right = (np.take_along_axis(values, at[..., None], -1)[..., 0] for at in (before, before + 1))
    fall = np.where(left > right, left - right, 1)
    return np.exp(logs[before] + np.clip(left / fall, 0, 1) * (logs[before + 1] - logs[before]))
