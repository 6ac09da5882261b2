"""What the study of estimators found."""

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from a3cjax.studies.frame.statistics import OF_MEANS, about_intervals, mean_interval
from a3cjax.studies.frame.study import Study
from a3cjax.studies.frame.tables import interval, number, text_table

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

_TAIL = 10  # the last one in so many records counts


@dataclasses.dataclass(frozen=True)
class EstimatorsRow:
    """One line of ``estimators.csv``; the moments are exact, ``objective`` is a mean over seeds at the end."""

    kind: str
    workers: int
    variance_start: float
    variance_near: float
    bias_start: float
    bias_near: float
    objective: float
    objective_low: float
    objective_high: float


@dataclasses.dataclass(frozen=True)
class EstimatorsStudy(Study):
    """The outcome of ``estimators``.

    ``curves``: an ``xarray.Dataset`` with ``objective`` over (kind, workers, seed, record), and ``variance`` and
    ``bias`` over (kind, point). ``rows``: an ``EstimatorsRow`` for each kind and N.
    """

    name: ClassVar[str] = "estimators"

    curves: "xr.Dataset"
    rows: tuple[EstimatorsRow, ...]
    confidence: float = 0.95
    interrupted: bool = False

    @classmethod
    def of(cls, curves: "xr.Dataset", confidence: float = 0.95, *, interrupted: bool = False) -> "EstimatorsStudy":
        """Average every run over the last tenth of its records, then over seeds."""
        tail = max(1, (curves.sizes["record"] - 1) // _TAIL)
        ends = mean_interval(curves.objective.values[..., -tail:].mean(-1), confidence=confidence)
        variance, bias = curves.variance.values, curves.bias.values
        rows = tuple(
            EstimatorsRow(
                kind=str(kind),
                workers=int(n),
                variance_start=float(variance[i, 0]),
                variance_near=float(variance[i, 1]),
                bias_start=float(bias[i, 0]),
                bias_near=float(bias[i, 1]),
                objective=float(ends.value[i, j]),
                objective_low=float(ends.low[i, j]),
                objective_high=float(ends.high[i, j]),
            )
            for j, n in enumerate(curves.workers.values)
            for i, kind in enumerate(curves.kind.values)
        )
        curves = curves.assign_attrs(about_intervals(confidence, OF_MEANS))
        return cls(curves, rows, confidence, interrupted)

    def summary(self) -> str:
        """The rankings by variance and by what was learned."""
        attrs, curves = self.curves.attrs, self.curves
        lines = [
            f"J(θ_0) = {attrs['initial_objective']:.4f}, J* = {attrs['optimal_objective']:.4f}; "
            f"{attrs['num_updates']:,} updates, {curves.sizes['seed']} seeds."
        ]
        for p, point in enumerate(curves.point.values):
            order = np.argsort(curves.variance.values[:, p], kind="stable")
            ranked = ", ".join(f"{curves.kind.values[i]} {curves.variance.values[i, p]:.3g}" for i in order)
            lines.append(f"Variance {point}, least first: {ranked}.")
        for n in curves.workers.values:
            own = [row for row in self.rows if row.workers == n and np.isfinite(row.objective)]
            ranked = ", ".join(f"{r.kind} {r.objective:.3f}" for r in sorted(own, key=lambda r: -r.objective))
            lines.append(f"J at the end with N = {n}, best first: {ranked}.")
        return "\n".join(lines)

    def notes(self) -> list[str]:
        """What the columns are, and runs that were lost."""
        said = ["The study was interrupted; what is missing is NaN."] if self.interrupted else []
        gradient = self.curves.gradient_norm.values
        said.append(
            "Variance (trace of the covariance of one sample's direction) and bias (norm) are exact, with the critic "
            "at its TD fixed point, at θ_0 and where the optimal action has probability 0.9; ‖∇J‖ is "
            f"{gradient[0]:.3g} and {gradient[1]:.3g} there. Where the features cannot represent V, the critic's error "
            "adds to the variance of all but the returns."
        )
        if any(kind.endswith("+baseline") for kind in self.curves.kind.values):
            said.append(
                "The baseline is V of the policy itself for the variances, and V of θ_0's policy throughout the runs. "
                "td and advantage have the critic's V̂ in them already."
            )
        said.append(
            f"J is the mean over the last tenth of the records; the {self.confidence:.0%} intervals are Student's t "
            "over seeds, corrected for skewness."
        )
        lost = int(np.isnan(self.curves.objective.values).any(-1).sum())
        if lost and not self.interrupted:
            said.append(f"{lost} runs stopped being finite; take smaller steps.")
        return said

    def table(self) -> str:
        """The rows as text."""
        header = [
            "N", "estimator", "variance\nat start", "near\noptimum", "bias\nat start", "near\noptimum",
            "J at\nthe end", f"{100 * self.confidence:g} %",
        ]  # fmt: skip
        lines = [
            (
                str(row.workers), row.kind, number(row.variance_start, ".3g"), number(row.variance_near, ".3g"),
                number(row.bias_start, ".1e"), number(row.bias_near, ".1e"), number(row.objective, ".4f"),
                interval(row.objective_low, row.objective_high, ".4f"),
            )
            for row in self.rows
        ]  # fmt: skip
        return text_table(header, lines)

    def facts(self) -> dict[str, Any]:
        """J(θ_0) and J*."""
        return {name: self.curves.attrs[name] for name in ("initial_objective", "optimal_objective")}

    def figure(self) -> "Figure":
        """Variances as bars, and a panel of learning curves for each N."""
        from a3cjax.studies.estimators.figure import estimators_figure  # here, because matplotlib is slow to import

        return estimators_figure(self.curves)
