"""What a team was calibrated from: the turns that a log tells, the laws that were fitted to them, and how well."""

import dataclasses
import functools
import math
from typing import NamedTuple

import numpy as np

from a3cjax.schedules import waits
from a3cjax.schedules.calibration.fitting import MOST_VALUES, Fit, LawName, fit_law, refit, spread
from a3cjax.schedules.calibration.measured import Measured, Turns, Writing
from a3cjax.schedules.calibration.observed import Observed
from a3cjax.schedules.calibration.parts import Parts, computing_times, divide
from a3cjax.schedules.calibration.parts import waits as all_waits
from a3cjax.schedules.calibration.symptoms import Symptoms, chance, symptoms
from a3cjax.schedules.compute_times import ComputeTime

SLOWER = 1.5  # times as slow as the others, from which a worker is a straggler
CERTAIN = 1e-3  # the probability below which workers are said to differ
_APART = 1.05  # the greatest mean over the least, from which workers that differ have laws of their own


class Seen(NamedTuple):
    """What the log itself says: updates, how many in a unit of time, and their delays."""

    updates: int
    rate: float
    mean_delay: float
    variance: float
    median_delay: float
    p99_delay: float
    own_reads: float


@dataclasses.dataclass(frozen=True, eq=False)
class Calibration:
    """Where a team comes from.

    Attributes:
        source: the log.
        names: of its workers.
        turns: each worker's, in order.
        groups: workers that share a law, by their indices; a straggler, and a worker unlike others, is alone.
        fits: the law of each group.
        stragglers: workers whose median turn is more than 1.5 times that of all others together, beyond chance (99 %).
        alike: the probability that workers of one law, the stragglers apart, differ as much (Kruskal–Wallis of times
            and of their distances from the median, the lesser of the two, doubled); NaN for fewer than two. They have
            laws of their own if it is below 0.001 and their means differ by more than 5 %.
        seen: what the log says itself.
        symptoms: what the model cannot say.
        parts: what of a turn is drawn apart.
        waiting: the mean wait between a worker's landing and its next read, over its mean turn.
        reads, overlaps, latency, latency_share, writing, start: see ``Measured``.
        notes: further sentences.
    """

    source: str
    names: tuple[str, ...]
    turns: tuple[Turns, ...]
    groups: tuple[tuple[int, ...], ...]
    fits: tuple[Fit, ...]
    stragglers: tuple[int, ...]
    alike: float
    seen: Seen
    symptoms: Symptoms
    parts: Parts
    waiting: float
    reads: str
    overlaps: bool
    latency: float
    latency_share: float
    writing: Writing | None
    start: float
    notes: tuple[str, ...]

    @functools.cached_property
    def computing(self) -> list[np.ndarray]:
        """Each worker's times that its law is of, in order."""
        return computing_times(self.turns, self.parts)

    @property
    def wait(self) -> waits.Empirical | None:
        """The law of the waits before a read, if they are apart."""
        if not self.parts.waits:
            return None
        inorder = np.sort(all_waits(self.turns, self.parts))
        return waits.Empirical(spread(inorder, min(MOST_VALUES, len(inorder))))

    def law_of(self, worker: int) -> ComputeTime:
        """The law of a worker of the log."""
        return next(fit.law for group, fit in zip(self.groups, self.fits, strict=True) if worker in group)

    def resampled(self, rng: np.random.Generator) -> "Calibration":
        """The same from turns drawn anew: whole stretches of each worker's, as many turns as there are.

        A circular block bootstrap with stretches of n^(1/3) turns; families stay what they are, their parameters are
        fitted again.
        """
        turns = []
        for one in self.turns:
            n = len(one.computing)
            chosen = stretches(rng, n, n, max(1, round(n ** (1 / 3))))
            turns.append(Turns(*(part[chosen] for part in one)))
        made = dataclasses.replace(self, turns=tuple(turns))
        pairs = zip(self.groups, self.fits, strict=True)
        fits = [dataclasses.replace(fit, law=refit(fit, made.pooled(group))) for group, fit in pairs]
        return dataclasses.replace(made, fits=tuple(fits))

    def pooled(self, group: tuple[int, ...]) -> np.ndarray:
        """The times of several workers."""
        return np.concatenate([self.computing[i] for i in group])


def stretches(rng: np.random.Generator, n: int, count: int, length: int) -> np.ndarray:
    """``count`` places among n in stretches of so many that follow each other, the first after the last."""
    starts = rng.integers(0, n, size=-(-count // length))
    return ((starts[:, None] + np.arange(length)) % n).ravel()[:count]


def calibrated(observed: Observed, measured: Measured, law: LawName, cores: int | None, seed: int) -> Calibration:
    """The laws of the workers of a log."""
    rng = np.random.default_rng(seed)
    turns = measured.turns
    found = symptoms([one.computing for one in turns], observed.worker, observed.landed)
    parts = divide(measured, cores, found.modes)
    whole = computing_times(turns, parts)
    slow = tuple(i for i in range(len(turns)) if _is_straggler(whole, i))
    others = tuple(i for i in range(len(turns)) if i not in slow)
    alike, apart = _alike([whole[i] for i in others])
    together = [(i,) for i in others] if alike < CERTAIN and apart > _APART else [others]
    groups = tuple(sorted([*together, *((i,) for i in slow)]))
    pooled = [np.concatenate([whole[i] for i in group]) for group in groups]
    sizes = np.array([len(times) for times in pooled])
    # Empirical laws of one size are one program, so that those of about the same size get the least of theirs.
    most = [min(MOST_VALUES, int(sizes[sizes >= 0.8 * size].min())) for size in sizes]
    fits = tuple(fit_law(times, law, rng, kept) for times, kept in zip(pooled, most, strict=True))
    return Calibration(
        observed.source, observed.names, turns, groups, fits, slow, alike, _seen(observed),
        found, parts, _share_of_waits(measured),
        measured.reads, measured.overlaps, measured.latency, measured.latency_share, measured.writing, measured.start,
        observed.notes,
    )  # fmt: skip


def _share_of_waits(measured: Measured) -> float:
    computing, waiting, _ = (np.concatenate(part).sum() for part in zip(*measured.turns, strict=True))
    return float(waiting / (computing + waiting))


def _is_straggler(times: list[np.ndarray], i: int) -> bool:
    if len(times) < 2:
        return False
    from scipy import stats  # here, because it takes long to import, and only calibration needs it

    mine, n = np.sort(times[i]), len(times[i])
    # The order statistic that a sample's true median is above with a probability of 0.99.
    low = int(stats.binom.ppf(0.01, n, 0.5)) - 1
    others = np.concatenate([times[j] for j in range(len(times)) if j != i])
    return low >= 0 and bool(mine[low] > SLOWER * np.median(others))


def _alike(times: list[np.ndarray]) -> tuple[float, float]:
    """The probability of as great a difference, and the greatest mean over the least."""
    if len(times) < 2:
        return math.nan, 1.0
    middle = np.median(np.concatenate(times))
    least = 1.0
    for samples in (times, [np.abs(x - middle) for x in times]):
        if np.ptp(np.concatenate(samples)) > 1e-9 * middle:
            least = min(least, chance(samples))
    means = [float(x.mean()) for x in times]
    return min(1.0, 2 * least), max(means) / min(means)


def _seen(observed: Observed) -> Seen:
    rows, landed = np.flatnonzero(observed.worker >= 0), observed.landed
    delay = rows - observed.read[rows]
    span = float(landed[-1] - (landed[0] if np.isnan(observed.origin) else observed.origin))
    order = rows[np.argsort(observed.worker[rows], kind="stable")]
    again = observed.worker[order][1:] == observed.worker[order][:-1]
    own = observed.read[order[1:][again]] == order[:-1][again] + 1
    median, p99 = (float(np.quantile(delay, level, method="inverted_cdf")) for level in (0.5, 0.99))
    return Seen(
        updates=len(landed),
        rate=float(len(landed) - np.isnan(observed.origin)) / span if span > 0 else math.nan,
        mean_delay=float(delay.mean()),
        variance=float(delay.var()),
        median_delay=median,
        p99_delay=p99,
        own_reads=float(own.mean()) if len(own) else math.nan,
    )
