"""Finding the step at which a constant delay makes an iteration unstable, beside its closed form."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from a3cjax._core import check
from a3cjax.engine import Record, simulate
from a3cjax.engine.host import at_work
from a3cjax.problems import FiniteMDP
from a3cjax.schedules import Schedule
from a3cjax.schedules.delays import Constant
from a3cjax.studies.critical_step.systems import System, systems
from a3cjax.studies.frame import axes
from a3cjax.studies.frame.beginning import begin, listed
from a3cjax.studies.frame.cells import Cells, bytes_of_cell, identity_of
from a3cjax.studies.frame.layout import Layout, Var
from a3cjax.studies.frame.rows import column, make_rows, table_row
from a3cjax.studies.frame.runs import distinct_integers, kept_on_interrupt
from a3cjax.studies.frame.study import Study
from a3cjax.studies.frame.types import Dataset, Figure
from a3cjax.studies.stability import critical_mode, stability_limit
from a3cjax.sweeps import asked_for

_STEPS = 10  # tried on either side of the closed form
_MARKERS = "osD^"

LAYOUT = Layout(
    "Critical step of delayed linear iterations",
    coordinates={
        "system": Var("system", "iteration"),
        "delay": Var("delay", "constant delay τ", "updates"),
        "factor": Var("factor", "step over the closed form", "1"),
    },
    variables={
        "closed_form": Var("system delay", "critical step of the theory", "1"),
        "eigenvalue_real": Var("system delay", "real part of the critical eigenvalue", "1"),
        "eigenvalue_imag": Var("system delay", "its imaginary part", "1"),
        "step": Var("system delay factor", "step β tried", "1"),
        "growth": Var(
            "system delay factor", "greatest energy of the last quarter over that of the quarter before", "1", np.nan
        ),
        "unstable": Var("system delay factor", "1 if unstable, else 0", "1"),
    },
)


@table_row
class CriticalStepRow:
    """One line of ``critical-step.csv``.

    ``measured`` is half-way, as a ratio, between ``stable``, up to which all steps tried were stable, and
    ``unstable``, the next; NaN where the steps tried do not tell. ``ratio``: measured over closed form.
    """

    system: str = column("iteration")
    delay: int = column("delay")
    eigenvalue_real: float = column("critical\neigenvalue", cell=lambda row: _eigenvalue(row))
    eigenvalue_imag: float
    closed_form: float = column("closed\nform", ".6f")
    measured: float = column("measured", ".4f")
    stable: float = column("between", ".4f", to="unstable")
    unstable: float
    ratio: float = column("measured /\nclosed", ".3f")


class CriticalStepStudy(Study):
    """The outcome of ``critical_step``: curves over (system, delay, factor), a row for each system and delay."""

    name = "critical-step"
    rows: tuple[CriticalStepRow, ...]

    @classmethod
    def of(cls, curves: Dataset, *, interrupted: bool = False) -> "CriticalStepStudy":
        """Find where growth begins."""
        unstable = curves.growth.values > 1
        first = unstable.argmax(-1)[..., None]
        bracketed = first > 0  # 0 also where none is unstable, or nothing was done
        low, high = (
            np.where(bracketed, np.take_along_axis(curves.step.values, np.maximum(at, 0), -1), np.nan)[..., 0]
            for at in (first - 1, first)
        )
        measured = np.sqrt(low * high)
        found = {"measured": measured, "stable": low, "unstable": high, "ratio": measured / curves.closed_form.values}
        rows = make_rows(CriticalStepRow, curves, "system delay", **found)
        return cls(LAYOUT.add(curves, unstable=unstable.astype(np.int8)), rows, interrupted=interrupted)

    def summary(self) -> str:
        """How far measured steps are from the closed form."""
        ratios = np.array([row.ratio for row in self.rows])
        told = ratios[np.isfinite(ratios)]
        if not told.size:
            return "No critical step was found among the steps tried."
        return (
            f"x_(k+1) = x_k − β H x_(k−τ), {self.curves.attrs['num_updates']:,} updates for each step: the "
            f"{told.size} critical steps found are {told.min():.3f} to {told.max():.3f} times the closed form, with "
            f"steps {self.curves.attrs['resolution']:.1%} apart."
        )

    def notes(self) -> list[str]:
        """What a reader of the rows must know."""
        said = ["The closed form is 2 sin((π/2 − |arg λ|)/(2τ+1))/|λ|, for a real λ 2 sin(π/(2(2τ+1)))/λ."]
        if self.interrupted:
            said.append("The study was interrupted; what was not done is a dash.")
        missing = [row for row in self.rows if not np.isfinite(row.measured)]
        if missing and not self.interrupted:
            first = missing[0]
            said.append(
                f"{len(missing)} critical steps were not bracketed by the steps tried, the first for "
                f"{first.system!r} at delay {first.delay}; a larger resolution reaches further, more updates see more."
            )
        return said

    def figure(self) -> Figure:
        """Left the steps, lines the closed form; right measured over closed form, bars from stable to unstable."""
        curves, names = self.curves, [str(name) for name in self.curves.system.values]
        at = 2 * curves.delay.values + 1
        with axes.drawing(9.6, 4.3) as figure:
            steps, ratios = figure.subplots(1, 2)
            ratios.axhline(1, color=axes.INK, lw=1)
            handles: list[Any] = []
            for i, name in enumerate(names):
                rows = [row for row in self.rows if row.system == name]
                limit, middle, low, high = axes.fields(rows, "closed_form", "measured", "stable", "unstable")
                look: dict[str, Any] = {"color": axes.PALETTE[i], "marker": _MARKERS[i % 4], "ls": "none", "ms": 5}
                steps.plot(at, limit, color=axes.PALETTE[i], lw=1.2)
                handles += steps.plot(at, middle, label=name, zorder=3, **look)
                # Side by side, so that the bars do not hide each other.
                shifted = at * 1.13 ** (i - (len(names) - 1) / 2)
                spread = np.abs([middle - low, high - middle]) / limit
                ratios.errorbar(shifted, middle / limit, spread, capsize=3, lw=1.2, zorder=3, **look)
            handles += steps.plot([], [], color=axes.INK, lw=1.2)
            steps.legend(handles=handles, labels=[*names, "closed form"], loc="lower left")
            steps.set(yscale="log", title="Critical step against delay", ylabel="critical step β")
            ratios.set(title="Measured over closed form", ylabel="measured β / closed form")
            reach = 1.05 * max(curves.factor.values.max() - 1, 0.0)
            ratios.set_ylim(1 - reach / 3, 1 + reach / 3)
            for ax in (steps, ratios):
                ax.set(xscale="log", xlabel="constant delay τ [updates], on the scale of 2τ + 1")
                axes.fixed_ticks(ax.xaxis, at, lambda value, _: f"{(value - 1) / 2:g}")
        return figure


def critical_step(
    mdp: FiniteMDP, pi: ArrayLike | None = None, *, delays: Sequence[int] = (0, 1, 2, 3, 7, 15, 31),
    resolution: float = 0.01, num_updates: int | None = None, progress: bool | None = None,
) -> CriticalStepStudy:  # fmt: skip
    """The critical step of delayed updates, measured and beside 2 sin(π/(2(2τ+1)))/|λ|.

    For each constant delay τ, steps around the closed form (``stability_limit``) are run in one batch, from
    (1 + resolution)^−9.5 to (1 + resolution)^9.5 times it. A run is unstable if the greatest ‖x‖² of its last quarter
    is above that of the quarter before. The critical step lies between the largest step up to which all are stable and
    the next.

    Four iterations are tried: gradient descent on a quadratic; the critic of ``A3C`` on a single state, where a sample
    is its mean; TD(0) with its mean update on ``mdp``; and the same round a cycle of five states, which has complex
    eigenvalues.

    Args:
        mdp: the problem of the third, and the discount of the second and the fourth.
        pi: its policy [S, A]; uniform if not given.
        delays: constant delays τ, in updates.
        resolution: ratio of neighbouring steps, less one; above 0, at most 0.1.
        num_updates: updates of every run, K; not given: 1.3 (2τ + 1)/resolution for the largest τ. Half a grid step
            beyond its limit a run's ‖x‖² then grows by half between the quarters.
        progress: see ``simulate``.

    Raises:
        ValueError: if an argument is out of range.
        StudyInterrupted: on Ctrl-C, with the iterations that were done.

    >>> import a3cjax
    >>> study = a3cjax.studies.critical_step(a3cjax.families.ring(3), delays=(0, 2), resolution=0.1)
    >>> study.rows[0].closed_form, round(study.rows[1].closed_form, 4), 1.9 < study.rows[0].measured < 2.1
    (2.0, 0.618, True)
    """
    if not isinstance(mdp, FiniteMDP):
        raise ValueError(f"mdp must be an a3cjax.FiniteMDP, but is a {type(mdp).__name__}.")
    pi = np.full((mdp.num_states, mdp.num_actions), 1 / mdp.num_actions) if pi is None else np.asarray(pi)
    delays = distinct_integers("delays", delays, 0)
    check.number("resolution", resolution, above=0, most=0.1)
    if num_updates is None:
        num_updates = max(400, math.ceil(1.3 * (2 * delays[-1] + 1) / resolution))
    num_updates = check.integer("num_updates", num_updates, 8)
    tried = systems(mdp, pi)
    curves = _empty(tried, delays, resolution, num_updates)
    begin(f"Trying twenty steps around the closed form for τ = {listed(delays)}", in_blocks=True)
    with at_work("drawing schedules", progress):
        schedules = [Schedule.from_law(jax.random.key(0), Constant(tau), num_updates) for tau in delays]
        batch = Schedule.stack([schedule for schedule in schedules for _ in range(curves.sizes["factor"])])
    keys = jnp.broadcast_to(jax.random.key(0), (len(batch.delay),))

    def learner_of(i: int) -> Any:
        return tried[i].build(jnp.asarray(curves.step.values[i].reshape(-1)))

    def fill(curves: Dataset, at: tuple[int, ...], progress: bool | None = False) -> None:
        (i,) = at
        record = Record(every=1, metrics={"energy": tried[i].energy})
        result = simulate(learner_of(i), batch, keys, record=record, history="ring", throw=False, progress=progress)
        energy = np.asarray(result.metrics["energy"], np.float64)
        curves["growth"].values[i] = _growth(energy).reshape(len(delays), -1)

    blocks = asked_for()
    if blocks is not None:
        learners = {system.name: learner_of(i) for i, system in enumerate(tried)}
        memory = functools.partial(
            bytes_of_cell, learners, len(batch.delay), num_updates, spacing=1, depth=1 + delays[-1]
        )
        told = identity_of(curves, learners)
        cells = Cells(CriticalStepStudy.name, curves, ("system",), fill, learners, told, memory)
        return dataclasses.replace(CriticalStepStudy.of(cells.run(blocks)), kept=blocks)
    for i, system in enumerate(tried):
        with kept_on_interrupt(
            lambda: CriticalStepStudy.of(curves, interrupted=True),
            f"Interrupted in {system.name!r}, the {i + 1}. of {len(tried)}.",
        ):
            fill(curves, (i,), progress)
    return CriticalStepStudy.of(curves)


def _eigenvalue(row: CriticalStepRow) -> str:
    return f"{row.eigenvalue_real:.4f}" + (f" ± {abs(row.eigenvalue_imag):.4f}i" if row.eigenvalue_imag else "")


def _growth(energy: np.ndarray) -> np.ndarray:
    """The greatest energy of the last quarter over that of the quarter before; 0 if all has died out."""
    quarter = energy.shape[-1] // 4
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        late, before = energy[:, -quarter:].max(-1), energy[:, -2 * quarter : -quarter].max(-1)
        ratio = np.where(late == 0, 0, late / before)
    return np.where(np.isfinite(ratio), ratio, np.inf)


def _empty(tried: Sequence[System], delays: tuple[int, ...], resolution: float, num_updates: int) -> Dataset:
    """The study's curves with everything but what the runs will say."""
    factors = (1 + resolution) ** (np.arange(-_STEPS, _STEPS) + 0.5)
    limits = np.array([stability_limit(system.eigenvalues, delays) for system in tried])
    modes = np.array([critical_mode(system.eigenvalues, delays) for system in tried])
    for system, limit in zip(tried, limits, strict=True):
        if not (np.isfinite(limit) & (limit > 0)).all():
            raise ValueError(
                f"In {system.name!r} no step is stable: −A_θ has an eigenvalue whose real part is not positive. Choose "
                "features that are linearly independent on the states that the policy visits."
            )
    values = {
        "system": [system.name for system in tried], "delay": delays, "factor": factors, "closed_form": limits,
        "eigenvalue_real": np.real(modes), "eigenvalue_imag": np.imag(modes), "step": limits[..., None] * factors,
    }  # fmt: skip
    return LAYOUT.dataset(
        values,
        resolution=resolution,
        num_updates=num_updates,
    )
