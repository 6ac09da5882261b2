"""Which law a sample of times is of: by likelihood, unless the best law is far from it; then the sample itself."""

import dataclasses
import math
from typing import Any, Literal

import numpy as np

from a3cjax.schedules import compute_times
from a3cjax.schedules.calibration.families import FAMILIES, akaike, kolmogorov
from a3cjax.schedules.compute_times import ComputeTime

LawName = Literal["auto", "empirical", "exponential", "gamma", "lognormal", "pareto", "uniform"]
_AS_GOOD = 2.0  # of Akaike's criterion: a law of fewer parameters that is no further from the best is taken
REJECTED = 0.01  # the probability below which a law is not believed
MOST_VALUES = 4096  # of an empirical law
_DRAWS, _LONGEST = 199, 1000


@dataclasses.dataclass(frozen=True, eq=False)
class Fit:
    """A law that was fitted to a sample of times, and how well.

    Attributes:
        law: of ``a3cjax.compute_times``.
        family: its name, in lower case.
        best: the family of least Akaike's criterion, or one of fewer parameters within 2 of it, which ``family`` is
            unless it was rejected or another asked for.
        size: how many times it was fitted to.
        distance: the Kolmogorov–Smirnov distance of ``best``, or of the family asked for, from the sample.
        probability: that a sample of that law, fitted likewise, is as far from its own fit: a parametric bootstrap of
            199 samples. NaN where all times are alike.
        criteria: from each family to its criterion less the least.
        kept: how many of the times an empirical law keeps, at evenly spread levels; 0 for others.
    """

    law: ComputeTime
    family: str
    best: str
    size: int
    distance: float
    probability: float
    criteria: dict[str, float]
    kept: int = 0

    @property
    def verdict(self) -> str:
        """Goodness of fit in words."""
        if math.isnan(self.probability):
            return f"all {self.size:,} times are alike"
        least = self.probability <= 1 / (1 + _DRAWS)
        how = f"KS distance {self.distance:.3g}, p {'≤' if least else '='} {self.probability:.2g}"
        if self.probability < REJECTED:
            if self.family == "empirical":
                return f"the measured times themselves, for no law fits; the nearest is {self.best} ({how})"
            return f"{self.family}, as was asked for, does not fit ({how})"
        if self.family == "empirical":
            return f"the measured times themselves, as was asked for; {self.best} fits too ({how})"
        return f"{self.family} fits{'' if self.probability >= 0.05 else ', if barely'} ({how})"


def fit_law(times: np.ndarray, name: LawName, rng: np.random.Generator, most: int = MOST_VALUES) -> Fit:
    """The law of times [n] that are positive and finite.

    ``most``: values that an empirical law keeps at most.
    """
    inorder = np.sort(times)
    if inorder[-1] - inorder[0] <= 1e-9 * inorder[-1]:
        law = compute_times.Deterministic(float(inorder.mean()))
        return Fit(law, "deterministic", "deterministic", len(times), 0.0, math.nan, {})
    fitted = {family: tuple(map(float, kind.fit(inorder))) for family, kind in FAMILIES.items()}
    fitted = {family: known for family, known in fitted.items() if FAMILIES[family].make(*known) is not None}
    known: Any = fitted
    criteria = {family: akaike(FAMILIES[family], known[family], inorder) for family in fitted}
    near = [family for family in criteria if criteria[family] <= min(criteria.values()) + _AS_GOOD]
    simplest = min(near, key=lambda family: (len(known[family]), criteria[family]))
    best = simplest if name in ("auto", "empirical") else name
    if best not in fitted:
        raise ValueError(
            f"law is {name!r}, but the likeliest tail of it has an infinite mean, so that no worker would have a "
            "speed; use 'empirical'."
        )
    distance = float(kolmogorov(FAMILIES[best], known[best], inorder))
    probability = _probability(best, known[best], distance, len(times), rng)
    told = {family: value - min(criteria.values()) for family, value in criteria.items()}
    if name == "empirical" or (name == "auto" and probability < REJECTED):
        law = empirical(inorder, min(most, len(inorder)))
        return Fit(law, "empirical", best, len(times), distance, probability, told, len(law.values))
    law = FAMILIES[best].make(*fitted[best])
    assert law is not None
    return Fit(law, best, best, len(times), distance, probability, told)


def refit(fit: Fit, times: np.ndarray) -> ComputeTime:
    """The law of the same family for other times, without asking again whether it fits."""
    inorder = np.sort(times)
    if fit.family == "empirical":
        return empirical(inorder, fit.kept)
    if fit.family == "deterministic":
        return compute_times.Deterministic(float(inorder.mean()))
    kind = FAMILIES[fit.family]
    law = kind.make(*map(float, kind.fit(inorder))) if inorder[-1] > inorder[0] else None
    return fit.law if law is None else law


def empirical(inorder: np.ndarray, count: int) -> Any:
    """The law of sorted times, or of so many of their quantiles."""
    return compute_times.Empirical(spread(inorder, count))


def spread(inorder: np.ndarray, count: int) -> np.ndarray:
    """The quantiles of sorted numbers at so many evenly spread levels: themselves, if there are as many."""
    n = len(inorder)
    return inorder[np.minimum(((np.arange(count) + 0.5) * (n / count)).astype(int), n - 1)]


def _probability(family: str, parameters: Any, distance: float, size: int, rng: np.random.Generator) -> float:
    """Of a distance at least as great, from samples of at most 1,000: √n times a distance depends on n hardly."""
    kind, shorter = FAMILIES[family], min(size, _LONGEST)
    drawn = np.sort(kind.draw(rng, (_DRAWS, shorter), *parameters), axis=-1)
    apart = kolmogorov(kind, kind.fit(drawn), drawn)
    return float(1 + (_scaled(apart, shorter) >= _scaled(distance, size)).sum()) / (1 + _DRAWS)


def _scaled(distance: Any, size: int) -> Any:
    """Stephens (1970): with this factor the law of a distance is the same for all sample sizes."""
    root = math.sqrt(size)
    return distance * (root + 0.12 + 0.11 / root)
