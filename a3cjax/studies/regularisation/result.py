"""What the study of regularisation found: a row for each prior and λ, and whether the bounds held."""

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from a3cjax.studies.frame.statistics import OF_MEANS, about_intervals, mean_interval
from a3cjax.studies.frame.study import Study
from a3cjax.studies.regularisation.table import regularisation_text

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

MEASURED = ("objective", "regularized_objective", "divergence")


@dataclasses.dataclass(frozen=True)
class RegularisationRow:
    """One line of ``regularisation.csv``.

    ``best_...``: where J_λ is largest; ``gap`` is J* − J there, ``bound`` the sharper bound on it, and ``epsilon``
    ε_λ of Theorem 5, NaN for priors that are not uniform. The others are A3C's, means over seeds; NaN where a run was
    lost.
    """

    prior: str
    weight: float
    best_objective: float
    best_regularized_objective: float
    best_divergence: float
    gap: float
    bound: float
    epsilon: float
    objective: float
    objective_low: float
    objective_high: float
    regularized_objective: float
    regularized_objective_low: float
    regularized_objective_high: float
    divergence: float
    divergence_low: float
    divergence_high: float


@dataclasses.dataclass(frozen=True)
class RegularisationStudy(Study):
    """The outcome of ``regularisation``.

    ``curves``: an ``xarray.Dataset`` over (prior, weight, seed). ``rows``: a ``RegularisationRow`` for each prior and
    λ. ``confidence``: coverage of the intervals.
    """

    name: ClassVar[str] = "regularisation"

    curves: "xr.Dataset"
    rows: tuple[RegularisationRow, ...]
    confidence: float = 0.95
    interrupted: bool = False

    @classmethod
    def of(cls, curves: "xr.Dataset", confidence: float = 0.95, *, interrupted: bool = False) -> "RegularisationStudy":
        """Take means over seeds."""
        means = {name: mean_interval(curves[name].values, confidence=confidence) for name in MEASURED}
        rows = []
        for i, prior in enumerate(curves.prior.values):
            for j, weight in enumerate(curves.weight.values):
                measured: dict[str, Any] = {}
                for name, mean in means.items():
                    ends = zip(("", "_low", "_high"), mean, strict=True)
                    measured |= {f"{name}{end}": float(value[i, j]) for end, value in ends}
                best = {f"best_{name}": float(curves[f"best_{name}"].values[i, j]) for name in MEASURED}
                bounds = {name: float(curves[name].values[i, j]) for name in ("bound", "epsilon")}
                gap = float(curves.attrs["optimal_objective"]) - best["best_objective"]
                rows.append(RegularisationRow(str(prior), float(weight), **best, gap=gap, **bounds, **measured))
        curves = curves.assign_attrs(about_intervals(confidence, OF_MEANS))
        return cls(curves, tuple(rows), confidence, interrupted)

    def summary(self) -> str:
        """What each prior asks for and does, and whether the bounds on J* − J held."""
        attrs, curves = self.curves.attrs, self.curves
        lines = [
            f"The optimum is J* = {attrs['optimal_objective']:.4f}. A3C: {attrs['workers']} workers, "
            f"{attrs['sampling']} sampling, {attrs['num_updates']:,} updates, α = {attrs['actor_step']:g}/(1+λ), "
            f"β = {attrs['critic_step']:g}."
        ]
        values = np.atleast_1d(attrs["prior_objectives"])
        for prior, value in zip(curves.prior.values, values, strict=True):
            own = [row for row in self.rows if row.prior == prior]
            small, large = own[0], own[-1]
            gives = " and ".join(
                f"J = {row.best_objective:.4f} at λ = {row.weight:g}, {row.best_divergence:.3g} away from the prior"
                for row in dict.fromkeys((small, large))
            )
            lines.append(f"{prior}: the prior policy has J = {value:.4f}. Maximising J_λ gives {gives}.")
        total, failed = int(curves.points.sum()), int(curves.violations.sum())
        lines.append(
            f"Of {total:,} points, Theorem 5's premise ‖∇J_λ‖ ≤ λ/(2SA) held at {int(curves.premise_points.sum()):,} "
            f"and the sharper bound's at {int(curves.dominated_points.sum()):,}; "
            + (f"J* − J is beyond its bound at {failed}." if failed else "J* − J is within its bound at all of them.")
        )
        shares = [row.gap / row.epsilon for row in self.rows if np.isfinite(row.epsilon)]
        if shares:
            lines.append(
                f"At the maximisers of J_λ with uniform priors J* − J is {min(shares):.2g} to {max(shares):.2g} of ε_λ."
            )
        return "\n".join(lines)

    def notes(self) -> list[str]:
        """A sentence for each thing that a reader of the rows must know."""
        curves, said = self.curves, []
        if self.interrupted:
            said.append("The study was interrupted: A3C has a dash where its runs are missing.")
        if np.isinf(curves.epsilon.values).any():
            said.append(
                "ε_λ is infinite: the initial law η is zero at a state that an optimal policy visits, so that "
                "Theorem 5 says nothing."
            )
        lost = curves.nonfinite_from.values
        for i, j in np.argwhere((lost >= 0).any(-1)):
            runs = lost[i, j][lost[i, j] >= 0]
            said.append(
                f"{curves.prior.values[i]}, λ = {curves.weight.values[j]:g}: {runs.size} of {lost.shape[-1]} runs "
                f"stopped being finite, the first by update {runs.min()}; take smaller steps."
            )
        rough = curves.best_gradient_norm.values / (1 + curves.weight.values)
        if rough.max() > 1e-6:
            said.append(f"Exact ascent stopped early: ‖∇J_λ‖/(1+λ) is up to {rough.max():.1g} where it ended.")
        short = [
            row
            for row in self.rows
            if row.best_regularized_objective - row.regularized_objective_high
            > 0.05 * abs(row.best_regularized_objective - self._start(row))
        ]
        if short:
            named = ", ".join(f"{row.prior} λ = {row.weight:g}" for row in short)
            said.append(
                f"A3C's J_λ is more than 5 % short of the way from θ = 0 to the largest J_λ for {named}: "
                "its steps are constant, so θ never comes to rest, or it has not arrived yet."
            )
        return said

    def _start(self, row: RegularisationRow) -> float:
        """J_λ at θ = 0."""
        cell = self.curves.start_regularized_objective.sel(prior=row.prior, weight=row.weight)
        return float(cell)

    def table(self) -> str:
        """The rows as text."""
        return regularisation_text(self.rows, self.confidence)

    def figure(self) -> "Figure":
        """J and J_λ, the distance to the prior, and J* − J beside its bounds, all against λ."""
        from a3cjax.studies.regularisation.figure import regularisation_figure  # only those who draw wait for it

        return regularisation_figure(self.curves, self.rows, self.confidence)

    def facts(self) -> dict[str, float]:
        """J*, and how many points broke a bound."""
        return {
            "optimal_objective": float(self.curves.attrs["optimal_objective"]),
            "points": int(self.curves.points.sum()),
            "violations": int(self.curves.violations.sum()),
        }
