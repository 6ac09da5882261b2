"""What the study of chains found."""

import dataclasses
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from a3cjax.studies.frame.statistics import OF_MEANS, Mean, about_intervals, mean_interval
from a3cjax.studies.frame.study import Study
from a3cjax.studies.frame.tables import DASH, interval, number, text_table

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

CHAINS = ("separate", "shared")
# Computed for one MDP with the settings of Fig. 2 of arXiv:2012.15511 (λ = .3); the figure itself prints no numbers.
REFERENCE = {(0.3, 0.3): 0.10, (0.3, 0.6): 0.05, (0.3, 0.9): 0.01}
_TAIL = 10  # the last one in so many records counts


@dataclasses.dataclass(frozen=True)
class ChainsRow:
    """One line of ``chains.csv``: means over MDPs; ``bias`` is J with separate chains less J with a shared one."""

    weight: float
    discount: float
    separate: float
    shared: float
    bias: float
    bias_low: float
    bias_high: float
    regularized_bias: float
    simulated_bias: float
    simulated_low: float
    simulated_high: float
    direction_error: float


@dataclasses.dataclass(frozen=True)
class ChainsStudy(Study):
    """The outcome of ``chains``.

    ``curves``: an ``xarray.Dataset`` over (weight, discount, mdp, chain, seed, record): ``objective`` and
    ``regularized_objective`` of the runs, ``mean_objective`` and ``mean_regularized_objective`` of the mean motion,
    ``bias`` and ``simulated_bias`` of each MDP.
    ``rows``: a ``ChainsRow`` for each λ and γ. ``confidence``: coverage of the rows' intervals.
    """

    name: ClassVar[str] = "chains"

    curves: "xr.Dataset"
    rows: tuple[ChainsRow, ...]
    confidence: float = 0.95
    interrupted: bool = False

    @classmethod
    def of(cls, curves: "xr.Dataset", confidence: float = 0.95, *, interrupted: bool = False) -> "ChainsStudy":
        """Average each curve over the last tenth of its records, and take differences between the two kinds."""
        tail = slice(-max(1, curves.sizes["record"] // _TAIL), None)

        def end(name):
            return curves[name].values[..., tail].mean(-1)

        mean, regularized = end("mean_objective"), end("mean_regularized_objective")
        bias = mean[..., 0] - mean[..., 1]
        runs = end("objective")
        by_run = runs[:, :, :, 0] - runs[:, :, :, 1]  # weight, discount, mdp, seed
        dims = ("weight", "discount", "mdp")
        curves = curves.assign(
            bias=(dims, bias, {"long_name": "J separate − J shared, in the mean", "units": "reward"}),
            simulated_bias=(
                (*dims, "seed"), by_run, {"long_name": "J separate − J shared, simulated", "units": "reward"},
            ),
        )  # fmt: skip
        several = curves.sizes["mdp"] > 1
        spread = (
            mean_interval(bias, confidence=confidence) if several else Mean(bias[..., 0], *[np.nan * bias[..., 0]] * 2)
        )
        simulated = mean_interval(by_run.mean(-1) if several else by_run[:, :, 0], confidence=confidence)
        rows = tuple(
            ChainsRow(
                weight=float(weight),
                discount=float(discount),
                separate=float(mean[w, g, :, 0].mean()),
                shared=float(mean[w, g, :, 1].mean()),
                bias=float(spread.value[w, g]),
                bias_low=float(spread.low[w, g]),
                bias_high=float(spread.high[w, g]),
                regularized_bias=float((regularized[w, g, :, 0] - regularized[w, g, :, 1]).mean()),
                simulated_bias=float(simulated.value[w, g]),
                simulated_low=float(simulated.low[w, g]),
                simulated_high=float(simulated.high[w, g]),
                direction_error=float(curves.direction_error.values[g].mean()),
            )
            for w, weight in enumerate(curves.weight.values)
            for g, discount in enumerate(curves.discount.values)
        )
        over = "MDPs" if several else "seeds"
        curves = curves.assign_attrs(about_intervals(confidence, OF_MEANS, over=over))
        return cls(curves, rows, confidence, interrupted)

    def summary(self) -> str:
        """What was compared, and the answer for each λ."""
        count, seeds = self.curves.sizes["mdp"], self.curves.sizes["seed"]
        lines = [
            f"J with an actor's chain of its own, less J with the critic's; N = 1, {count} MDP{'s' * (count > 1)}, "
            f"{seeds} seed{'s' * (seeds > 1)} each."
        ]
        for weight in self.curves.weight.values:
            own = [row for row in self.rows if row.weight == weight]
            told = ", ".join(f"{row.bias:.3f} at γ = {row.discount:g}" for row in own)
            lines.append(f"λ = {weight:g}: in the mean {told}.")
        return "\n".join(lines)

    def notes(self) -> list[str]:
        """What the intervals are over, where the mean motion has not arrived, and what λ = 0 shows."""
        said = ["The study was interrupted; what is missing is NaN."] if self.interrupted else []
        several = self.curves.sizes["mdp"] > 1
        over = "MDPs" if several else "seeds"
        said.append(f"Intervals ({self.confidence:.0%}) are Student's t over {over}, corrected for skewness.")
        if (0.3 in self.curves.weight.values) and set(self.curves.discount.values) & {g for _, g in REFERENCE}:
            said.append(
                "The reference is a computation for one random MDP with these settings; the paper's Fig. 2 prints no "
                "numbers. The bias differs much from MDP to MDP, and in J, "
                "unlike J_λ, it may be negative."
            )
        speed = self.curves.speed.values
        for w, weight in enumerate(self.curves.weight.values):
            if weight > 0 and speed[w].max() > 1e-5:
                said.append(
                    f"λ = {weight:g}: the mean motion has not arrived, ‖dθ/dt‖ is up to {speed[w].max():.2g}; more "
                    "updates will tell."
                )
            if weight == 0 and self.curves.attrs["exact_critic"]:
                gap = self.curves.optimal_objective.values[..., None] - self.curves.mean_objective.values[w, ..., -1]
                off = self.curves.direction_error.values
                said.append(
                    "λ = 0 is the control. Even with an exact critic the mean direction under μ is not the gradient "
                    f"(off by {off.min():.0%} to {off.max():.0%} of its length at the start), but where every state is "
                    "reached it vanishes only where the gradient does. So both kinds approach J* (they end within "
                    f"{gap.max():.2g} of it); what is left between them is a difference in speed."
                )
        lost = np.isnan(self.curves.simulated_bias.values).sum()
        if lost and not self.interrupted:
            said.append(f"{lost} pairs of runs stopped being finite; take smaller steps.")
        return said

    def table(self) -> str:
        """The rows as text."""
        header = [
            "λ", "γ", "J,\nseparate", "J,\nshared", "bias\nof J", f"{100 * self.confidence:g} %", "reference",
            "simulated\nbias", f"{100 * self.confidence:g} %", "bias\nof J_λ", "direction\noff by",
        ]  # fmt: skip
        lines = []
        for row in self.rows:
            reference = REFERENCE.get((row.weight, row.discount))
            lines.append(
                (
                    f"{row.weight:g}", f"{row.discount:g}", number(row.separate, ".4f"), number(row.shared, ".4f"),
                    number(row.bias, ".4f"), interval(row.bias_low, row.bias_high, ".4f"),
                    DASH if reference is None else f"{reference:.2f}",
                    number(row.simulated_bias, ".4f"), interval(row.simulated_low, row.simulated_high, ".4f"),
                    number(row.regularized_bias, ".4f"), number(row.direction_error, ".0%"),
                )
            )  # fmt: skip
        return text_table(header, lines)

    def facts(self) -> dict[str, float]:
        """The largest length of the mean direction at the end."""
        return {"largest_speed": float(self.curves.speed.values.max())}

    def figure(self) -> "Figure":
        """Bias over γ, and the simulated bias of each MDP beside the exact one."""
        from a3cjax.studies.chains.figure import chains_figure  # here, because matplotlib is slow to import

        return chains_figure(self.curves, self.rows, self.confidence)
