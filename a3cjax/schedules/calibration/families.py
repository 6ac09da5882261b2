"""The laws of compute times that can be fitted: their maximum likelihood, in closed form but for the gamma's shape.

Every function takes times along the last axis, so that many samples are fitted at once.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from a3cjax.schedules import compute_times
from a3cjax.schedules.compute_times import ComputeTime

Parameters = tuple[Any, ...]


class Family(NamedTuple):
    """One kind of law.

    ``fit``: [..., n] → its parameters [...] of greatest likelihood. ``log_density`` and ``distribution``: of times
    [..., n] under parameters [..., 1]. ``draw``: times of a shape. ``make``: the law, or None where its mean is
    infinite.
    """

    fit: Callable[[np.ndarray], Parameters]
    log_density: Callable[..., np.ndarray]
    distribution: Callable[..., np.ndarray]
    draw: Callable[..., np.ndarray]
    make: Callable[..., ComputeTime | None]


def _mean(x: np.ndarray) -> Parameters:
    return (x.mean(-1),)


def _of_logs(x: np.ndarray) -> Parameters:
    """μ and σ of log x."""
    logs = np.log(x)
    return logs.mean(-1), logs.std(-1)


def _gamma(x: np.ndarray) -> Parameters:
    """Mean and shape k, which solves log k − ψ(k) = log mean(x) − mean(log x); Newton's method on log k."""
    from scipy import special  # here, and below, because it takes long to import, and only calibration needs it

    mean = x.mean(-1)
    gap = np.maximum(np.log(mean) - np.log(x).mean(-1), 1e-12)
    k = (3 - gap + np.sqrt((gap - 3) ** 2 + 24 * gap)) / (12 * gap)
    for _ in range(8):
        slope = 1 - k * special.polygamma(1, k)
        k = k * np.exp(np.clip(-(np.log(k) - special.digamma(k) - gap) / slope, -1, 1))
    return mean, k


def _gamma_log_density(x: np.ndarray, mean: Any, k: Any) -> np.ndarray:
    from scipy import special

    return (k - 1) * np.log(x) - x * k / mean - special.gammaln(k) + k * (np.log(k) - np.log(mean))


def _gamma_distribution(x: np.ndarray, mean: Any, k: Any) -> np.ndarray:
    from scipy import special

    return special.gammainc(k, x * k / mean)


def _lognormal_distribution(x: np.ndarray, mu: Any, sigma: Any) -> np.ndarray:
    from scipy import special

    return special.ndtr((np.log(x) - mu) / sigma)


def _pareto(x: np.ndarray) -> Parameters:
    """Scale, the least time, and the tail's exponent."""
    least = x.min(-1)
    logs = np.log(x).mean(-1) - np.log(least)
    return least, 1 / np.maximum(logs, 1e-300)


def _lognormal_law(mu: float, sigma: float) -> ComputeTime:
    return compute_times.Lognormal(math.exp(mu + sigma**2 / 2), cv=math.sqrt(math.expm1(sigma**2)))


def _pareto_law(least: float, shape: float) -> ComputeTime | None:
    return compute_times.Pareto(least * shape / (shape - 1), shape=shape) if shape > 1 else None


def _outside(x: np.ndarray, low: Any, high: Any, density: Any) -> np.ndarray:
    return np.where((x >= low) & (x <= high), density, -np.inf)


FAMILIES: dict[str, Family] = {
    "exponential": Family(
        _mean,
        lambda x, mean: -x / mean - np.log(mean),
        lambda x, mean: -np.expm1(-x / mean),
        lambda rng, shape, mean: mean * rng.exponential(size=shape),
        compute_times.Exponential,
    ),
    "gamma": Family(
        _gamma,
        _gamma_log_density,
        _gamma_distribution,
        lambda rng, shape, mean, k: rng.gamma(k, mean / k, size=shape),
        lambda mean, k: compute_times.Gamma(mean, cv=1 / math.sqrt(k)),
    ),
    "lognormal": Family(
        _of_logs,
        lambda x, mu, sigma: (
            -np.log(x) - np.log(sigma) - 0.5 * math.log(2 * math.pi) - 0.5 * ((np.log(x) - mu) / sigma) ** 2
        ),
        _lognormal_distribution,
        lambda rng, shape, mu, sigma: np.exp(mu + sigma * rng.normal(size=shape)),
        _lognormal_law,
    ),
    "pareto": Family(
        _pareto,
        lambda x, least, shape: _outside(
            x, least, np.inf, np.log(shape) + shape * np.log(least) - (shape + 1) * np.log(x)
        ),
        lambda x, least, shape: np.where(x > least, -np.expm1(-shape * np.log(np.maximum(x, least) / least)), 0.0),
        lambda rng, shape, least, exponent: least * np.exp(rng.exponential(size=shape) / exponent),
        _pareto_law,
    ),
    "uniform": Family(
        lambda x: (x.min(-1), x.max(-1)),
        lambda x, low, high: _outside(x, low, high, -np.log(high - low)),
        lambda x, low, high: np.clip((x - low) / (high - low), 0, 1),
        lambda rng, shape, low, high: rng.uniform(low, high, size=shape),
        compute_times.Uniform,
    ),
}  # fmt: skip


def akaike(family: Family, parameters: Parameters, x: np.ndarray) -> float:
    """2 (number of parameters) − 2 log likelihood, of one sample [n]."""
    return 2 * len(parameters) - 2 * float(family.log_density(x, *parameters).sum())


def kolmogorov(family: Family, parameters: Parameters, inorder: np.ndarray) -> np.ndarray:
    """The greatest distance between the distribution of sorted samples [..., n] and the law's."""
    n = inorder.shape[-1]
    distribution = family.distribution(inorder, *(np.asarray(each)[..., None] for each in parameters))
    above = np.arange(1, n + 1) / n - distribution
    return np.maximum(above, 1 / n - above).max(-1)
