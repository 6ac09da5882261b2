"""What the comparison found: a row for each law, number of workers and method, and who wins where."""

import dataclasses
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from a3cjax.studies.frame.crossing import first_crossing
from a3cjax.studies.frame.statistics import OF_MEANS, OF_RATIOS, Ratio, about_intervals, mean_interval, ratio_of_means
from a3cjax.studies.frame.study import Study, about
from a3cjax.studies.frame.tables import DASH, interval, number, short, text_table

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

METHODS = ("async", "barrier", "barrier, N × step")


@dataclasses.dataclass(frozen=True)
class CompareRow:
    """One line of ``compare.csv``; means are over seeds, and NaN if any seed did not meet the target.

    ``time_ratio``: time to the target of async over that of this method; below 1 async is sooner.
    ``samples_time``: virtual time of N samples, beside its expected value: E max_i c_i with a barrier,
    N / Σ_i (1/E c_i) without. ``idle``: share of the workers' time spent waiting, ``idle_most`` of him who waits most;
    expected: 1 − (mean of the E c_i) / E max_i c_i.
    """

    law: str
    workers: int
    method: str
    step_factor: int
    samples_to_target: float
    samples_low: float
    samples_high: float
    updates_to_target: float
    time_to_target: float
    time_low: float
    time_high: float
    time_ratio: float
    ratio_low: float
    ratio_high: float
    samples_time: float
    samples_time_low: float
    samples_time_high: float
    expected_samples_time: float
    idle: float
    idle_low: float
    idle_high: float
    expected_idle: float
    idle_most: float
    reached: int


@dataclasses.dataclass(frozen=True)
class CompareStudy(Study):
    """The outcome of ``compare``.

    ``curves``: an ``xarray.Dataset`` over (method, law, workers, seed, record): ``objective``, ``time``, ``updates``,
    ``samples`` and, per run, ``samples_to_target``, ``time_to_target`` (NaN: not met), ``idle``, ....
    ``rows``: a ``CompareRow`` for each law, N and method. ``confidence``: coverage of their intervals.
    """

    name: ClassVar[str] = "compare"

    curves: "xr.Dataset"
    rows: tuple[CompareRow, ...]
    confidence: float = 0.95
    interrupted: bool = False

    @classmethod
    def of(cls, curves: "xr.Dataset", confidence: float = 0.95, *, interrupted: bool = False) -> "CompareStudy":
        """Find where the curves meet the target, and from that the rows.

        Ratios of times are ratios of means over seeds, paired: the methods share compute times and draws seed by seed.
        """
        crossing = first_crossing(curves.objective.values, curves.attrs["target_objective"])
        samples, time = crossing.at(curves.samples.values), crossing.at(curves.time.values)
        shape = (*curves.objective.shape[:-1], curves.sizes["record"])
        updates = crossing.at(np.broadcast_to(curves.updates.values[:, None, :, None], shape))
        dims = ("method", "law", "workers", "seed")
        curves = curves.assign(
            samples_to_target=(dims, samples, about("samples to the target", "samples")),
            updates_to_target=(dims, updates, about("updates to the target", "updates")),
            time_to_target=(dims, time, about("virtual time to the target", "compute-time unit")),
        )
        curves = curves.assign_attrs(about_intervals(confidence, OF_MEANS, OF_RATIOS))
        cells = [
            (m, i, j)
            for i in range(curves.sizes["law"])
            for j in range(curves.sizes["workers"])
            for m in range(curves.sizes["method"])
        ]
        return cls(curves, tuple(_row(curves, *cell, confidence) for cell in cells), confidence, interrupted)

    def summary(self) -> str:
        """The target, and a sentence for each law and N: who meets it sooner."""
        attrs = self.curves.attrs
        lines = [
            f"At the start J(θ_0) = {attrs['initial_objective']:.4f}; the optimum is "
            f"J* = {attrs['optimal_objective']:.4f}. The target J = {attrs['target_objective']:.4f} closes "
            f"{attrs['target_share']:.0%} of the gap.",
            "",
            *self.verdicts(),
        ]
        return "\n".join(lines)

    def verdicts(self) -> list[str]:
        """A sentence for each law and N: who meets the target sooner, and how much."""
        said = []
        for start in range(0, len(self.rows), len(METHODS)):
            own = self.rows[start : start + len(METHODS)]
            said.append(_verdict(own, self.curves.sizes["seed"]))
        return said

    def notes(self) -> list[str]:
        """A sentence for each thing that a reader of the rows must know: runs without target, runs that diverged."""
        said = []
        if self.interrupted:
            said.append("The study was interrupted: the curves end there, and what they do not tell yet is a dash.")
        lost = self.curves.nonfinite_from.values
        said += self._by_method(
            (lost >= 0).sum(-1), "stopped being finite, after which they say nothing", "Take smaller steps."
        )
        if not self.interrupted:
            last = int(self.curves.attrs["num_samples"])
            met = np.isfinite(self.curves.samples_to_target.values)
            what = f"did not meet the target in {last:,} samples, so their mean is not known"
            said += self._by_method((~met).sum(-1), what, "More samples, smaller steps or a lower target will tell.")
        return said

    def table(self) -> str:
        """The rows as text."""
        header = [
            "law", "N", "method", "samples\nto\ntarget", "time\nto\ntarget",
            f"{100 * self.confidence:g} %", "async\ntime /\nits time", f"{100 * self.confidence:g} %",
            "time\nof N", "ex-\npected", "idle", "most\nidle", "met the\ntarget",
        ]  # fmt: skip
        lines = [
            (
                row.law,
                str(row.workers),
                row.method.replace(" × ", "×"),
                number(row.samples_to_target, ",.0f"),
                number(row.time_to_target, ",.0f"),
                interval(row.time_low, row.time_high, ",.0f"),
                short(row.time_ratio),
                DASH if row.method == METHODS[0] else interval(row.ratio_low, row.ratio_high),
                short(row.samples_time),
                short(row.expected_samples_time),
                f"{row.idle:.0%}",
                f"{row.idle_most:.0%}",
                f"{row.reached} of {self.curves.sizes['seed']}",
            )
            for row in self.rows
        ]
        return text_table(header, lines)

    def figure(self) -> "Figure":
        """Time ratio and idle share against workers, objective against virtual time."""
        from a3cjax.studies.compare.figure import compare_figure  # here: only those who draw wait for matplotlib

        return compare_figure(self.curves, self.rows, self.confidence)

    def facts(self) -> dict[str, float]:
        """The levels of J that the study speaks of."""
        names = ("initial_objective", "optimal_objective", "target_objective", "target_share")
        return {name: float(self.curves.attrs[name]) for name in names}

    def _by_method(self, runs: np.ndarray, what: str, remedy: str) -> list[str]:
        """For each method a sentence on its runs, counted [method, law, workers], of whom something is to be said."""
        curves, said = self.curves, []
        for m, counts in enumerate(runs):
            where = [
                f"{curves.law.values[i]} N = {curves.workers.values[j]} ({counts[i, j]} of {curves.sizes['seed']})"
                for i, j in np.argwhere(counts > 0)
            ]
            if where:
                said.append(f"{curves.method.values[m]}: runs {what}: {', '.join(where)}. {remedy}")
        return said


def _row(curves: "xr.Dataset", m: int, i: int, j: int, confidence: float) -> CompareRow:
    n = int(curves.workers.values[j])
    time = curves.time_to_target.values[:, i, j]
    mean = mean_interval(time[m], confidence=confidence)
    ratio = Ratio(1.0, 1.0, 1.0) if m == 0 else ratio_of_means(time[0], time[m], confidence=confidence, paired=True)
    if m == 0 and not np.isfinite(time[0]).all():
        ratio = Ratio(np.nan, np.nan, np.nan)
    idle = mean_interval(curves.idle.values[m, i, j], confidence=confidence)
    samples = mean_interval(curves.samples_to_target.values[m, i, j], confidence=confidence)
    pace = curves.time.values[m, i, j, :, -1] * n / curves.samples.values[-1]
    pace = mean_interval(pace, confidence=confidence)
    return CompareRow(
        law=str(curves.law.values[i]),
        workers=n,
        method=str(curves.method.values[m]),
        step_factor=n if m == 2 else 1,
        samples_to_target=float(samples.value),
        samples_low=float(samples.low),
        samples_high=float(samples.high),
        updates_to_target=float(curves.updates_to_target.values[m, i, j].mean()),
        time_to_target=float(mean.value),
        time_low=float(mean.low),
        time_high=float(mean.high),
        time_ratio=ratio.value,
        ratio_low=ratio.low,
        ratio_high=ratio.high,
        samples_time=float(pace.value),
        samples_time_low=float(pace.low),
        samples_time_high=float(pace.high),
        expected_samples_time=float(curves.expected_time.values[m, i, j]),
        idle=float(idle.value),
        idle_low=float(idle.low),
        idle_high=float(idle.high),
        expected_idle=float(curves.expected_idle.values[m, i, j]),
        idle_most=float(curves.idle_most.values[m, i, j].mean()),
        reached=int(np.isfinite(time[m]).sum()),
    )


def _verdict(rows: tuple[CompareRow, ...], seeds: int) -> str:
    """Who wins against the better barrier, in words."""
    free, *barriers = rows
    where = f"{free.law}, N = {free.workers}"
    met = [row for row in barriers if np.isfinite(row.time_to_target)]
    if not np.isfinite(free.time_to_target):
        if not met:
            return f"{where}: neither async nor a barrier met the target with every seed."
        best = min(met, key=lambda row: row.time_to_target)
        return f"{where}: {_named(best)} wins; async met the target with {free.reached} of {seeds} seeds only."
    if not met:
        return f"{where}: async wins; with no barrier did every seed meet the target."
    best = min(met, key=lambda row: row.time_to_target)
    ends = f" ({interval(best.ratio_low, best.ratio_high)})" if np.isfinite(best.ratio_low) else ""
    amount = f"async takes {short(best.time_ratio)}{ends} of the time of {_named(best)}"
    if not np.isfinite(best.ratio_low):
        return f"{where}: {amount}; one seed has no interval."
    if best.ratio_low <= 1 <= best.ratio_high:
        return f"{where}: {amount}: no difference that {seeds} seeds can tell."
    return f"{where}: {amount}: {'async' if best.time_ratio < 1 else 'the barrier'} wins."


def _named(row: CompareRow) -> str:
    return "the barrier with N × the step" if row.step_factor > 1 else "the barrier with the same step"
