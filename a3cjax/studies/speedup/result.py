"""What the speedup study found: its curves, a row for each number of workers, and what there is to say about them."""

import dataclasses
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from jaxtyping import Float

from a3cjax.studies.frame.crossing import first_crossing
from a3cjax.studies.frame.statistics import OF_RATIOS, Ratio, about_intervals, ratio_of_means
from a3cjax.studies.frame.study import Study
from a3cjax.studies.speedup.table import speedup_text

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class SpeedupRow:
    """One line of ``speedup.csv``; means are over seeds, and NaN if any seed did not meet the target."""

    sampling: str
    workers: int
    updates_to_target: float
    samples_per_worker: float
    speedup: float
    speedup_low: float
    speedup_high: float
    time_to_target: float
    time_speedup: float
    efficiency: float


@dataclasses.dataclass(frozen=True)
class SpeedupStudy(Study):
    """The outcome of ``speedup``.

    ``curves``: an ``xarray.Dataset`` over (sampling, workers, seed, record): ``objective``, ``critic_error_sq``,
    ``time``, ``samples_per_worker``, and per run ``updates_to_target`` and ``time_to_target`` (NaN: not met), ....
    ``rows``: a ``SpeedupRow`` for each sampling and N.
    ``confidence``: coverage of the rows' intervals. ``interrupted``: whether Ctrl-C ended the study early.
    """

    name: ClassVar[str] = "speedup"

    curves: "xr.Dataset"
    rows: tuple[SpeedupRow, ...]
    confidence: float = 0.95
    interrupted: bool = False

    @classmethod
    def of(cls, curves: "xr.Dataset", confidence: float = 0.95, *, interrupted: bool = False) -> "SpeedupStudy":
        """Find where the curves meet the target, and from that the speedups, eq. (1).

        speedup(N) = mean samples with one worker / mean samples per worker with N = N ū(1) / ū(N), with ū the mean
        over seeds of the updates to the target; its interval is ``ratio_of_means``. At N = 1 it is 1 by definition,
        without an interval to speak of. A mean over seeds some of which never met the target is not known and is NaN,
        as is all that follows from it; ``notes`` then gives bounds.
        """
        crossing = first_crossing(curves.objective.values, curves.attrs["target_objective"])
        updates = crossing.at(curves.updates.values)
        time = crossing.at(np.broadcast_to(curves.time.values, curves.objective.shape))
        dims = ("sampling", "workers", "seed")
        curves = curves.assign(
            updates_to_target=(dims, updates, {"long_name": "updates to the target", "units": "updates"}),
            time_to_target=(dims, time, {"long_name": "virtual time to the target", "units": "compute-time unit"}),
        ).assign_attrs(about_intervals(confidence, OF_RATIOS))
        workers = [int(n) for n in curves.workers.values]
        rows = []
        for i, name in enumerate(curves.sampling.values):
            one = workers.index(1)
            for j, n in enumerate(workers):
                pair = updates[i, one], updates[i, j]
                times = time[i, one], time[i, j]
                rows.append(_row(str(name), n, pair, times, int(curves.attrs["minibatch"]), confidence))
        return cls(curves, tuple(rows), confidence, interrupted)

    @property
    def share_closed(self) -> Float[np.ndarray, "sampling workers seed"]:
        """(J(θ) − J(θ_0)) / (J* − J(θ_0)) at the last record of every run."""
        last = np.searchsorted(self.curves.updates.values, self.curves.updates_done.values, side="right") - 1
        final = np.stack([self.curves.objective.values[i, ..., r] for i, r in enumerate(last)])
        return (final - self._start) / (self.curves.attrs["optimal_objective"] - self._start)

    @property
    def _start(self) -> float:
        return self.curves.attrs["initial_objective"]

    def summary(self) -> str:
        """What there was to learn, and how much of it was learned."""
        attrs = self.curves.attrs
        lines = [
            f"At the start J(θ_0) = {self._start:.4f}; the optimum is J* = {attrs['optimal_objective']:.4f}. "
            f"The target J = {attrs['target_objective']:.4f} closes {attrs['target_share']:.0%} of the gap."
        ]
        for name, share, done in zip(
            self.curves.sampling.values, self.share_closed, self.curves.updates_done.values, strict=True
        ):
            finite = share[np.isfinite(share)]
            if finite.size:
                lines.append(
                    f"{name}: after {done:,} updates the runs have closed {finite.mean():.1%} of it on average, "
                    f"the worst {finite.min():.1%}."
                )
        return "\n".join(lines)

    def notes(self) -> list[str]:
        """A sentence for each thing that a reader of the rows must know: runs without target, runs that diverged."""
        said = []
        if self.interrupted:
            said.append("The study was interrupted: the curves end there, and what they do not tell yet is a dash.")
        said += _lost_runs(self.curves)
        if not self.interrupted:
            for i, name in enumerate(self.curves.sampling.values):
                said += _unreached(self.curves, i, str(name))
        return said

    def table(self) -> str:
        """The rows as text, beside the paper's figures if the problem is of its kind."""
        beside_paper = bool(self.curves.attrs.get("beside_paper", 1))
        return speedup_text(self.rows, self.reached, self.curves.sizes["seed"], self.confidence, beside_paper)

    @property
    def reached(self) -> tuple[int, ...]:
        """How many seeds met the target, for each row."""
        met = np.isfinite(self.curves.updates_to_target.values).sum(-1)
        return tuple(int(count) for count in met.reshape(-1))

    def figure(self) -> "Figure":
        """Critic gap against virtual time, objective against samples per worker, speedup against workers."""
        from a3cjax.studies.speedup.figure import speedup_figure  # here: only those who draw wait for matplotlib

        return speedup_figure(self.curves, self.rows, self.confidence)

    def facts(self) -> dict[str, float]:
        """The levels of J that the study speaks of."""
        names = ("initial_objective", "optimal_objective", "target_objective", "target_share")
        return {name: float(self.curves.attrs[name]) for name in names}


def _row(
    sampling: str,
    n: int,
    updates: tuple[np.ndarray, np.ndarray],
    times: tuple[np.ndarray, np.ndarray],
    minibatch: int,
    confidence: float,
) -> SpeedupRow:
    one, many = updates
    ratio = Ratio(1.0, 1.0, 1.0) if n == 1 else ratio_of_means(one, many, confidence=confidence)
    if n == 1 and not np.isfinite(one).all():
        ratio = Ratio(np.nan, np.nan, np.nan)
    value, low, high = (n * part for part in ratio)
    return SpeedupRow(
        sampling=sampling,
        workers=n,
        updates_to_target=float(many.mean()),
        samples_per_worker=float(many.mean()) * minibatch / n,
        speedup=value,
        speedup_low=low,
        speedup_high=high,
        time_to_target=float(times[1].mean()),
        time_speedup=float(times[0].mean() / times[1].mean()),
        efficiency=value / n,
    )


def _lost_runs(curves: "xr.Dataset") -> list[str]:
    lost = curves.nonfinite_from.values
    said = []
    for i, j in np.argwhere((lost >= 0).any(-1)):
        runs = lost[i, j][lost[i, j] >= 0]
        said.append(
            f"{curves.sampling.values[i]}, {_workers(curves.workers.values[j])}: {runs.size} of {lost.shape[-1]} runs "
            f"stopped being finite, the first by update {runs.min()}; take smaller steps."
        )
    return said


def _unreached(curves: "xr.Dataset", i: int, name: str) -> list[str]:
    """For each N of one sampling with seeds that never met the target: how many, and what is known all the same."""
    updates, done = curves.updates_to_target.values[i], int(curves.updates_done.values[i])
    said = []
    missed = np.isnan(updates).sum(-1)
    if missed.sum() == updates.size:
        return [f"{name}: no run met the target in {done:,} updates. More updates or a lower target will tell."]
    least = np.where(np.isnan(updates), done, updates).mean(-1)
    workers = [int(n) for n in curves.workers.values]
    one = workers.index(1)
    for j, n in enumerate(workers):
        if not missed[j]:
            continue
        said.append(
            f"{name}, {_workers(n)}: {missed[j]} of {updates.shape[-1]} runs did not meet the target in {done:,} "
            f"updates, so their mean is not known; it is at least {least[j]:,.0f} updates"
            + (f", and the speedup at most {n * least[one] / least[j]:.3g}." if n > 1 and not missed[one] else ".")
        )
    if missed[one] and len(workers) > 1:
        said.append(f"{name}: without the mean for one worker there is no speedup, eq. (1).")
    if said:
        said[-1] += " More updates or a lower target will tell."
    return said


def _workers(n: int) -> str:
    return f"{n} worker{'' if n == 1 else 's'}"
