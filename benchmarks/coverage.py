"""How often the studies' intervals hold the truth: per cent of samples, for each statistic, law and size of samples.

    python -m benchmarks.coverage [--repetitions 5000] [--confidence 0.95] [--seed 0]     # a minute

Every number is the share of repetitions whose interval holds the true value, for n entries in each sample. Statistics:
``mean_interval``; ``ratio_of_means`` of independent samples, and of pairs that correlate by a half; ``power_law``'s
exponent from four independent samples a decade apart; the knee of efficiencies 1, 0.75 and 0.25 at 1, 4 and 16 workers.
Laws: normal with deviations of 0.1 and 0.3 times the mean; the same with one of the samples at 0.3 and the others at
0.1; lognormal whose logarithm has deviation 0.5; exponential, for a warning.

The error of a share p is √(p(1 − p)/repetitions), and is printed for p = ``confidence``.
"""

import argparse
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from jaxtyping import Float

from a3cjax.studies import mean_interval, power_law, ratio_of_means
from a3cjax.studies.knee.interval import knee_interval

SIZES = (2, 3, 4, 8, 16, 32)
_SAMPLES = 4  # of which a statistic takes as many as it needs
_SPREADS = np.array([0.3, 0.1, 0.1, 0.1])[:, None, None]
_WORKERS, _UPDATES = np.array([1, 4, 16]), np.array([90.0, 120.0, 360.0])  # half-way between 4 and 16 in log N: 8
_AT = np.array([1.0, 10.0, 100.0, 1000.0])

Draws = Float[np.ndarray, "samples repetitions n"]

# Laws of mean one.
LAWS: dict[str, Callable[[np.random.Generator, Any], Draws]] = {
    "normal, 0.1": lambda rng, shape: rng.normal(1, 0.1, shape),
    "normal, 0.3": lambda rng, shape: rng.normal(1, 0.3, shape),
    "normal, 0.3 and 0.1": lambda rng, shape: rng.normal(1, _SPREADS, shape),
    "lognormal, 0.5": lambda rng, shape: rng.lognormal(-0.125, 0.5, shape),
    "exponential": lambda rng, shape: rng.exponential(1, shape),
}


def _means(x: Draws, confidence: float) -> float:
    _, low, high = mean_interval(x[0], confidence=confidence)
    return _share(zip(low, high, strict=True), 1)


def _ratios(x: Draws, confidence: float) -> float:
    return _share((ratio_of_means(a, b, confidence=confidence)[1:] for a, b in zip(x[0], x[1], strict=True)), 1)


def _pairs(x: Draws, confidence: float) -> float:
    # Both hold a third sample, so that they correlate.
    pairs = zip((x[0] + x[2]) / 2, (x[1] + x[2]) / 2, strict=True)
    return _share((ratio_of_means(a, b, paired=True, confidence=confidence)[1:] for a, b in pairs), 1)


def _slopes(x: Draws, confidence: float) -> float:
    samples = np.moveaxis(_AT[:, None, None] ** -0.4 * x, 1, 0)
    return _share((power_law(_AT, list(own), confidence=confidence)[1:3] for own in samples), -0.4)


def _knees(x: Draws, confidence: float) -> float:
    _, low, high = knee_interval(_UPDATES[:, None] * np.moveaxis(x[:3], 1, 0), _WORKERS, 0.5, confidence)
    return _share(zip(low, high, strict=True), 8)


STATISTICS: dict[str, Callable[[Draws, float], float]] = {
    "mean": _means,
    "ratio": _ratios,
    "ratio of pairs": _pairs,
    "slope": _slopes,
    "knee": _knees,
}


def coverage(statistic: str, law: str, n: int, repetitions: int, confidence: float, seed: int) -> float:
    """The share of intervals that hold the truth."""
    rng = np.random.default_rng([seed, list(LAWS).index(law), n])
    return STATISTICS[statistic](LAWS[law](rng, (_SAMPLES, repetitions, n)), confidence)


def report(repetitions: int, confidence: float, seed: int) -> Iterator[str]:
    """The table, line by line as it is measured."""
    error = math.sqrt(confidence * (1 - confidence) / repetitions)
    yield (
        f"Per cent of {repetitions:,} intervals of {100 * confidence:g} % that hold the truth, ± {100 * error:.2f} "
        "(a standard error)"
    )
    for statistic in STATISTICS:
        yield ""
        yield f"{statistic:22}" + "".join(f"{f'n = {n}':>8}" for n in SIZES)
        for law in LAWS:
            shares = (coverage(statistic, law, n, repetitions, confidence, seed) for n in SIZES)
            yield f"{law:22}" + "".join(f"{100 * share:8.1f}" for share in shares)


def _share(intervals: Any, truth: float) -> float:
    return float(np.mean([low <= truth <= high for low, high in intervals]))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=5000)
    parser.add_argument("--confidence", type=float, default=0.95)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for line in report(options.repetitions, options.confidence, options.seed):
        print(line, flush=True)


if __name__ == "__main__":
    main()
