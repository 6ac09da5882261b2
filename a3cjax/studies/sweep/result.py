"""What a sweep found: its curves, a row for each cell, and the step at which runs begin to diverge."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from a3cjax.studies.frame.statistics import OF_MEANS, OF_SHARES, about_intervals, mean_interval, proportion_interval
from a3cjax.studies.frame.study import Study, about
from a3cjax.studies.sweep.table import sweep_text

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from a3cjax.studies.sweep.partial import Partial


@dataclasses.dataclass(frozen=True)
class SweepRow:
    """One line of ``sweep.csv``, a cell; means are over seeds.

    ``objective``: mean J at the last record, NaN if any seed stopped being finite. ``critic_error_sq``: mean critic
    gap over the last tenth of the records, likewise. ``diverged``: share of the runs, with Wilson's interval.
    ``mean_delay``: measured, with an interval over seeds.
    """

    law: str
    delay: int
    mean_delay: float
    mean_delay_low: float
    mean_delay_high: float
    factor: float
    actor_step: float
    critic_step: float
    objective: float
    objective_low: float
    objective_high: float
    critic_error_sq: float
    diverged: float
    diverged_low: float
    diverged_high: float
    nonfinite_runs: int


@dataclasses.dataclass(frozen=True)
class DelayRow:
    """One law and delay: what the steps make of it.

    ``stable_up_to``: the largest factor such that at it, and at all smaller ones, less than half of the runs diverged;
    NaN if there is none. ``diverging_from``: the next one; NaN if there is none.
    """

    law: str
    delay: int
    mean_delay: float
    max_delay: int
    best: SweepRow | None
    stable_up_to: float
    diverging_from: float


@dataclasses.dataclass(frozen=True)
class SweepStudy(Study):
    """The outcome of ``sweep``.

    ``curves``: an ``xarray.Dataset`` over (law, delay, step, seed, record): ``objective``, ``critic_error_sq``, and per
    run ``nonfinite_from`` and ``diverged``, .... ``rows``: a ``SweepRow`` for each (law, delay, step).
    ``confidence``: coverage of the rows' intervals. ``interrupted``: whether Ctrl-C ended the sweep early.
    ``kept``: what is kept on disk of a finished sweep until it is saved.
    """

    name: ClassVar[str] = "sweep"

    curves: "xr.Dataset"
    rows: tuple[SweepRow, ...]
    confidence: float = 0.95
    interrupted: bool = False
    kept: "Partial | None" = dataclasses.field(default=None, repr=False, compare=False)

    @classmethod
    def of(
        cls, curves: "xr.Dataset", confidence: float = 0.95, *, interrupted: bool = False, kept: "Partial | None" = None
    ) -> "SweepStudy":
        """Say which runs diverged, and gather each cell's seeds."""
        last = int((curves.updates.values <= int(curves.updates_done)).sum()) - 1
        tail = slice(last - max(0, (last - 1) // 10), last + 1)
        gap = curves.critic_error_sq.values[..., tail].mean(-1)
        bound = curves.attrs["diverged_above"] * curves.attrs["initial_critic_error_sq"]
        lost = curves.nonfinite_from.values >= 0
        diverged = lost | (gap > bound)
        dims = ("law", "delay", "step", "seed")
        curves = curves.assign(
            diverged=(dims, diverged.astype(np.int8), about("1 if the run diverged, else 0", "1")),
            final_critic_error_sq=(dims, gap, about("mean critic gap over the last tenth of the records", "reward²")),
        )
        objective = mean_interval(curves.objective.values[..., last], confidence=confidence)
        share = proportion_interval(diverged.sum(-1), diverged.shape[-1], confidence=confidence)
        delay = mean_interval(curves.mean_delay.values, confidence=confidence)
        rows = tuple(
            SweepRow(
                law=str(curves.law.values[i]),
                delay=int(curves.delay.values[j]),
                mean_delay=float(delay.value[i, j]),
                mean_delay_low=float(delay.low[i, j]),
                mean_delay_high=float(delay.high[i, j]),
                factor=float(curves.step.values[s]),
                actor_step=float(curves.actor_step.values[s]),
                critic_step=float(curves.critic_step.values[s]),
                objective=float(objective.value[i, j, s]),
                objective_low=float(objective.low[i, j, s]),
                objective_high=float(objective.high[i, j, s]),
                critic_error_sq=float(gap[i, j, s].mean()),
                diverged=float(share.value[i, j, s]),
                diverged_low=float(share.low[i, j, s]),
                diverged_high=float(share.high[i, j, s]),
                nonfinite_runs=int(lost[i, j, s].sum()),
            )
            for i, j, s in np.ndindex(*share.value.shape)
        )
        curves = curves.assign_attrs(about_intervals(confidence, OF_MEANS, OF_SHARES))
        return cls(curves, rows, confidence, interrupted, kept)

    def save(self, folder: str | os.PathLike[str], options: Mapping[str, Any] | None = None) -> list[Path]:
        """As every study; then what was kept of the finished sweep goes."""
        paths = super().save(folder, options)
        if self.kept is not None:
            self.kept.remove()
        return paths

    @property
    def delays(self) -> tuple[DelayRow, ...]:
        """A line for each law and delay."""
        steps = self.curves.sizes["step"]
        lines = []
        for i, j in np.ndindex(self.curves.sizes["law"], self.curves.sizes["delay"]):
            own = self.rows[(i * self.curves.sizes["delay"] + j) * steps :][:steps]
            known = [row for row in own if np.isfinite(row.objective)]
            stable = next((n for n, row in enumerate(own) if row.diverged >= 0.5), steps)
            lines.append(
                DelayRow(
                    law=own[0].law,
                    delay=own[0].delay,
                    mean_delay=own[0].mean_delay,
                    max_delay=int(self.curves.max_delay.values[i, j].max()),
                    best=max(known, key=lambda row: row.objective, default=None),
                    stable_up_to=own[stable - 1].factor if stable else np.nan,
                    diverging_from=own[stable].factor if stable < steps else np.nan,
                )
            )
        return tuple(lines)

    def summary(self) -> str:
        """What there was to learn, and what counts as divergence."""
        attrs = self.curves.attrs
        done, runs = int(self.curves.updates_done), self.curves.diverged.size
        return (
            f"At the start J(θ_0) = {attrs['initial_objective']:.4f}; the optimum is "
            f"J* = {attrs['optimal_objective']:.4f}. After {done:,} updates {int(self.curves.diverged.sum()):,} of "
            f"{runs:,} runs have diverged: not finite, or with a critic gap of more than {attrs['diverged_above']:g} "
            f"times the start's {attrs['initial_critic_error_sq']:.4g}."
        )

    def notes(self) -> list[str]:
        """A sentence for each thing that a reader of the rows must know."""
        said = []
        if self.interrupted:
            said.append("The sweep was interrupted: these are the runs as far as they went.")
        said.append(
            "2 sin(π/(2(2τ+1)))/|λ| is where a constant delay τ makes the critic's mean update unstable at the start's "
            "policy, λ being the eigenvalue of −A_θ that sets the limit (for a complex one the sine of "
            "(π/2 − |arg λ|)/(2τ+1)). Single samples have larger eigenvalues than their mean, so runs can diverge "
            "below it."
        )
        lost = [row for row in self.rows if row.nonfinite_runs]
        if lost:
            total = sum(row.nonfinite_runs for row in lost)
            said.append(
                f"{total} runs in {len(lost)} cells stopped being finite; their J is left out of the heat map and the "
                "table, and is nan in the files. A radius for the critic's projection keeps runs finite."
            )
        return said

    def table(self) -> str:
        """A line for each law and delay: the best step, and where runs begin to diverge."""
        return sweep_text(self.delays, self.curves, self.confidence)

    def figure(self) -> "Figure":
        """Heat maps of J and of the share diverged over delay and step, a column for each law."""
        from a3cjax.studies.sweep.figure import sweep_figure  # here: only those who draw wait for matplotlib

        return sweep_figure(self.curves, self.rows)

    def facts(self) -> dict[str, float]:
        """The levels that the study speaks of."""
        names = ("initial_objective", "optimal_objective", "initial_critic_error_sq", "diverged_above")
        return {name: float(self.curves.attrs[name]) for name in names}
