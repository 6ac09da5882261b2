"""What a model of independent turns cannot say of a log: measured, and told."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_PIECES = 10  # of the run, for drift
_MOST_WINDOWS = 2000
_CERTAIN = 1e-3  # the probability below which something is said to be there


class Symptoms(NamedTuple):
    """Measures of what independent draws from one law do not have.

    Attributes:
        ties: the share of computing times that are equal to another of the same worker; no law of ours has ties.
        serial: the rank correlation of a worker's successive computing times, averaged over workers.
        serial_certain: whether it differs from 0 beyond chance (p < 0.001).
        drift: the greatest mean computing time of a tenth of the run over the least, of all workers together.
        drift_certain: whether some worker's tenths differ beyond chance (Kruskal–Wallis, p < 0.001 in all).
        between: the variance of all workers' landings in a window, over the sum of the workers' own: 1 if they are
            independent, less if they take turns, as on too few cores, and more if they are fast and slow together.
        between_certain: whether it differs from 1 beyond chance, by what a random permutation of windows gives.
        modes: the typical times of two groups that computing times fall into, or None.
    """

    ties: float
    serial: float
    serial_certain: bool
    drift: float
    drift_certain: bool
    between: float
    between_certain: bool
    modes: tuple[float, float] | None

    def sentences(self) -> list[str]:
        """What there is to say; nothing where nothing was found."""
        said = []
        if self.modes is not None:
            said.append(
                f"Computing times fall into two groups, around {self.modes[0]:.3g} and {self.modes[1]:.3g}, as where "
                "workers outnumber cores and are preempted; with cores= the model has that. Without, another number of "
                "workers will not compute at these speeds."
            )
        if self.between_certain:
            how = "take turns, as if they shared something" if self.between < 1 else "are fast and slow together"
            said.append(
                f"Workers depend on each other: they {how} (their landings in a window vary {self.between:.2f} times "
                "as much as those of independent workers). The model's workers are independent."
            )
        if self.drift_certain:
            said.append(
                f"Speeds drift: the slowest tenth of the run computes {self.drift - 1:.0%} longer than the fastest, "
                "beyond chance. The model's speeds stay."
            )
        if self.serial_certain:
            said.append(
                f"Successive computing times of a worker depend on each other (rank correlation {self.serial:+.2f}); "
                "draws='stretches' keeps that, laws do not."
            )
        if self.ties > 0.05:
            said.append(f"{self.ties:.0%} of computing times are equal to others, so the clock is coarse or rounded.")
        return said


def symptoms(times: Sequence[np.ndarray], worker: np.ndarray, landed: np.ndarray) -> Symptoms:
    """Of each worker's computing times in order, and of all landings."""
    ties = sum(len(x) - len(np.unique(x)) for x in times) / sum(map(len, times))
    serial, serial_z = _serial(times)
    between, between_certain = _between(len(times), worker, landed)
    drift, drift_certain = _drift(times)
    return Symptoms(
        ties, serial, serial_z > 3.3 and abs(serial) > 0.02, drift, drift_certain, between, between_certain,
        _modes(np.concatenate(times)),
    )  # fmt: skip


def _serial(times: Sequence[np.ndarray]) -> tuple[float, float]:
    known = [(_ranked(x[1:], x[:-1]), len(x) - 1) for x in times if len(x) > 10 and np.ptp(x) > 0]
    total = sum(n for _, n in known)
    if not total:
        return 0.0, 0.0
    mean = sum(value * n for value, n in known) / total
    return mean, abs(mean) * math.sqrt(total)


def chance(samples: Sequence[np.ndarray]) -> float:
    """The probability of medians as different as these in samples of one law, by Kruskal and Wallis."""
    from scipy import stats  # here, because it takes long to import, and only calibration needs it

    return float(stats.kruskal(*samples).pvalue)


def _ranked(a: np.ndarray, b: np.ndarray) -> float:
    from scipy import stats

    ranks = [stats.rankdata(x) - (len(x) + 1) / 2 for x in (a, b)]
    return float(ranks[0] @ ranks[1] / math.sqrt((ranks[0] @ ranks[0]) * (ranks[1] @ ranks[1])))


def _drift(times: Sequence[np.ndarray]) -> tuple[float, bool]:
    pieces = [np.array_split(x, _PIECES) for x in times if len(x) >= 5 * _PIECES and np.ptp(x) > 0]
    if not pieces:
        return 1.0, False
    relative = np.mean([[piece.mean() / np.concatenate(x).mean() for piece in x] for x in pieces], axis=0)
    least = min(chance(x) for x in pieces)
    return float(relative.max() / relative.min()), least * len(pieces) < _CERTAIN


def _between(workers: int, worker: np.ndarray, landed: np.ndarray) -> tuple[float, bool]:
    mine = worker >= 0
    worker, landed = worker[mine], landed[mine]
    # Only while all are there: who begins late or ends early would seem slow together with others who do.
    begin = max(landed[np.argmax(worker == i)] for i in range(workers))
    end = min(landed[len(worker) - 1 - np.argmax(worker[::-1] == i)] for i in range(workers))
    there = (landed >= begin) & (landed <= end)
    worker, landed = worker[there], landed[there]
    windows = min(len(landed) // (5 * workers), _MOST_WINDOWS)
    if workers < 2 or windows < 20 or end <= begin:
        return 1.0, False
    place = np.minimum(((landed - begin) / (end - begin) * windows).astype(int), windows - 1)
    counts = np.zeros((workers, windows))
    np.add.at(counts, (worker, place), 1)
    alone = counts.var(1).sum()
    if alone == 0:
        return 1.0, False
    rng = np.random.default_rng(0)
    chance = [rng.permuted(counts, axis=1).sum(0).var() / alone for _ in range(999)]
    ratio = float(counts.sum(0).var() / alone)
    beyond = min(np.mean(np.array(chance) <= ratio), np.mean(np.array(chance) >= ratio))
    return ratio, bool(beyond == 0)


def _modes(times: np.ndarray) -> tuple[float, float] | None:
    """The medians of the two groups which explain most of the variance of log times, if that is 4/5 or more.

    The best two groups of a normal explain 0.64 of it, of a uniform 0.75, of an exponential 0.65.
    """
    logs = np.sort(np.log(times))
    n = len(logs)
    if n < 50 or logs.var() == 0:
        return None
    k = np.arange(1, n)
    sums = np.cumsum(logs)[:-1]
    apart = (sums / k - (logs.sum() - sums) / (n - k)) ** 2 * k * (n - k) / n**2
    at = int(np.argmax(apart))
    if apart[at] < 0.8 * logs.var() or not 0.02 * n < k[at] < 0.98 * n:
        return None
    return float(np.exp(np.median(logs[: at + 1]))), float(np.exp(np.median(logs[at + 1 :])))
