"""The knees found: where the efficiency last crosses the threshold."""

import dataclasses
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from a3cjax.studies.frame.statistics import OF_KNEES, about_intervals, moments
from a3cjax.studies.frame.study import Study, about
from a3cjax.studies.frame.tables import DASH, number, text_table
from a3cjax.studies.knee.interval import knee_interval

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class KneeRow:
    """One line of ``knee.csv``.

    ``knee``: N*, infinite where the efficiency is at least the threshold at the ``largest`` N tried, NaN where one
    worker did not meet the target with every seed. ``missed``: runs that did not meet it; with any, N* is at most
    this. ``at_largest``: the efficiency at the largest N, at most this with missed runs.
    """

    problem: str
    relaxation_time: float
    actor_step: float
    critic_step: float
    updates_of_one: float
    knee: float
    knee_low: float
    knee_high: float
    largest: int
    at_largest: float
    missed: int


@dataclasses.dataclass(frozen=True)
class KneeStudy(Study):
    """The outcome of ``knee``.

    ``curves``: an ``xarray.Dataset`` over (problem, step, workers, seed). ``rows``: a ``KneeRow`` for each problem and
    step. ``confidence``: coverage of the intervals. ``interrupted``: whether Ctrl-C ended the study early.
    """

    name: ClassVar[str] = "knee"

    curves: "xr.Dataset"
    rows: tuple[KneeRow, ...]
    confidence: float = 0.95
    interrupted: bool = False

    @classmethod
    def of(cls, curves: "xr.Dataset", confidence: float = 0.95, *, interrupted: bool = False) -> "KneeStudy":
        """Efficiencies ū(1)/ū(N), and where they cross the threshold."""
        updates, workers = curves.updates_to_target.values, curves.workers.values
        ran = curves.done.values.astype(bool)
        missed = np.isnan(updates) & ran[..., None, None]
        # Of one worker a run that missed says nothing, of more that the efficiency is at most so much.
        later = np.arange(workers.size)[:, None] > 0
        known = np.where(missed & later, curves.attrs["num_updates"], updates)
        mean = moments(known).mean
        efficiency = mean[..., :1] / mean
        curves = curves.assign(
            efficiency=(("problem", "step", "workers"), efficiency, about("speedup(N)/N, at most where missed", "1"))
        )
        knees, low, high = knee_interval(known, workers, curves.attrs["threshold"], confidence)
        rows = []
        for i, j in np.ndindex(*ran.shape):
            rows.append(
                KneeRow(
                    problem=str(curves.problem.values[i]),
                    relaxation_time=float(curves.relaxation_time.values[i]),
                    actor_step=float(curves.actor_step.values[i, j]),
                    critic_step=float(curves.critic_step.values[i]),
                    updates_of_one=float(updates[i, j, 0].mean()),
                    knee=float(knees[i, j]),
                    knee_low=float(low[i, j]),
                    knee_high=float(high[i, j]),
                    largest=int(workers[-1]),
                    at_largest=float(efficiency[i, j, -1]),
                    missed=int(missed[i, j].sum()),
                )
            )
        curves = curves.assign_attrs(about_intervals(confidence, OF_KNEES))
        return cls(curves, tuple(rows), confidence, interrupted)

    def summary(self) -> str:
        """What the knee is, and the range found."""
        attrs = self.curves.attrs
        said = (
            f"N* is the largest number of workers at which speedup(N)/N is still at least {attrs['threshold']:g}, for "
            f"{attrs['target_share']:.0%} of the gap from J(θ_0) to J*, {attrs['sampling']} sampling."
        )
        for problem in map(str, self.curves.problem.values):
            own = [row for row in self.rows if row.problem == problem and not np.isnan(row.knee)]
            if own:
                told = ", ".join(f"{_knee(row)} with α = {row.actor_step:g}" for row in own)
                said += f"\n{problem}: N* is {told}."
        return said

    def notes(self) -> list[str]:
        """A sentence for each thing that a reader of the rows must know."""
        said = []
        if self.interrupted:
            said.append("The study was interrupted; what was not done is a dash.")
        num_updates = self.curves.attrs["num_updates"]
        for row, ran in zip(self.rows, self.curves.done.values.reshape(-1), strict=True):
            where = f"{row.problem}, α = {row.actor_step:g}"
            if ran and np.isnan(row.knee):
                said.append(
                    f"{where}: one worker did not meet the target with every seed, so there is no knee; more updates "
                    "or a smaller step will tell."
                )
            elif row.missed:
                said.append(
                    f"{where}: {row.missed} runs did not meet the target in {num_updates:,} updates; they count as "
                    "meeting it then, so N* and the efficiencies are at most what is shown."
                )
        above = self.curves.efficiency.values.max(-1, initial=0).reshape(-1)
        for row, most in zip(self.rows, above, strict=True):
            if most > 1.5:
                said.append(
                    f"{row.problem}, α = {row.actor_step:g}: an efficiency of {most:.1f} says that one worker alone "
                    "was slow, held up by few seeds or by samples that depend on each other; N* compares with it."
                )
        return said

    def table(self) -> str:
        """The rows as text."""
        header = [
            "MDP", "relaxation\ntime [steps]", "actor\nstep α", "critic\nstep β", "updates of\none worker", "\nN*",
            f"\n{100 * self.confidence:g} %", f"efficiency\nat N = {self.rows[0].largest}", "runs that\nmissed",
        ]  # fmt: skip
        lines = [
            (
                row.problem,
                number(row.relaxation_time, ".1f"),
                number(row.actor_step, ".4g"),
                number(row.critic_step, ".4g"),
                number(row.updates_of_one, ",.0f"),
                _knee(row),
                _interval(row),
                ("≤ " if row.missed and np.isfinite(row.at_largest) else "") + number(row.at_largest, ".2f"),
                str(row.missed),
            )
            for row in self.rows
        ]
        return text_table(header, lines)

    def figure(self) -> "Figure":
        """Efficiency against workers for each step, and the knee against the step."""
        from a3cjax.studies.knee.figure import knee_figure  # here: only those who draw wait for matplotlib

        return knee_figure(self.curves, self.rows, self.confidence)


def _knee(row: KneeRow) -> str:
    if np.isnan(row.knee):
        return DASH
    return ("≤ " if row.missed and np.isfinite(row.knee) else "") + _end(row, row.knee)


def _interval(row: KneeRow) -> str:
    if np.isnan(row.knee_low):
        return DASH
    ends = [_end(row, row.knee_low), _end(row, row.knee_high)]
    return " to ".join(ends[:1] if ends[0] == ends[1] and np.isinf(row.knee_low) else ends)


def _end(row: KneeRow, value: float) -> str:
    return f"{value:.0f}" if np.isfinite(value) else f"> {row.largest}"
