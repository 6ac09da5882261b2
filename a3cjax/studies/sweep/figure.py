"""The sweep as heat maps."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from a3cjax.studies.frame.axes import STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from a3cjax.studies.sweep.result import SweepRow

_LINE = "#2060a0"


def sweep_figure(curves: xr.Dataset, rows: Sequence["SweepRow"]) -> Figure:
    """Mean final J above, share of runs that diverged below, over delay and step; a column for each law.

    The line is the critical step of a constant delay, where the critic's step was swept.
    """
    shape = tuple(curves.sizes[name] for name in ("law", "delay", "step"))
    objective = np.array([row.objective for row in rows]).reshape(shape)
    diverged = np.array([row.diverged for row in rows]).reshape(shape)
    laws = [str(law) for law in curves.law.values]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(2.2 + 2.9 * len(laws), 6.4), layout="constrained")
        axes = figure.subplots(2, len(laws), sharex=True, sharey=True, squeeze=False)
        known = objective[np.isfinite(objective)]
        span: dict[str, float] = {} if not known.size else {"vmin": known.min(), "vmax": known.max()}
        above: Any = None
        below: Any = None
        line = None
        for i, law in enumerate(laws):
            above = _map(axes[0, i], curves, objective[i], "viridis", f"J(θ), {law} delay", **span)
            below = _map(axes[1, i], curves, diverged[i], "magma_r", f"Diverged, {law} delay", vmin=0, vmax=1)
            _limit(axes[0, i], curves)
            line = _limit(axes[1, i], curves)
            axes[1, i].set_xlabel(f"{curves.attrs['delay_is']} delay [updates]")
        for ax in axes[:, 0]:
            ax.set_ylabel(_step_label(curves))
        figure.colorbar(above, ax=axes[0], label="J(θ) after the last update, mean over seeds", aspect=15)
        figure.colorbar(below, ax=axes[1], label="share of runs that diverged", aspect=15)
        if line is not None:
            figure.legend(
                handles=[line], labels=["critical β of a constant delay, 2 sin(π/(2(2τ+1)))/|λ|"],
                loc="outside lower left",
            )  # fmt: skip
    return figure


def _map(ax: "Axes", curves: xr.Dataset, values: np.ndarray, colours: str, title: str, **span: Any) -> Any:
    """Cells over delay (side by side) and step (logarithmic); what is not known is grey."""
    delays, steps = curves.delay.values, _steps(curves)
    ax.set_facecolor("#cccccc")
    ax.grid(False)
    mesh = ax.pcolormesh(np.arange(len(delays) + 1) - 0.5, _edges(steps), values.T, cmap=colours, **span)
    ax.set(yscale="log", title=title, ylim=(_edges(steps)[0], _edges(steps)[-1]), xlim=(-0.5, len(delays) - 0.5))
    ax.xaxis.set_major_locator(FixedLocator(range(len(delays))))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda at, _: str(delays[int(at)])))
    ax.yaxis.set_major_locator(FixedLocator(steps.tolist()))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    return mesh


def _limit(ax: "Axes", curves: xr.Dataset) -> Any:
    if curves.attrs["scale"] == "actor":
        return None
    limits = curves.stability_limit.values
    ax.plot(np.arange(limits.size), limits, color="white", lw=3.6, zorder=3)
    (line,) = ax.plot(np.arange(limits.size), limits, color=_LINE, lw=1.7, marker="o", ms=4, mfc="white", zorder=4)
    return line


def _steps(curves: xr.Dataset) -> np.ndarray:
    return curves.actor_step.values if curves.attrs["scale"] == "actor" else curves.critic_step.values


def _step_label(curves: xr.Dataset) -> str:
    scale = curves.attrs["scale"]
    if scale == "both":
        ratio = float(curves.actor_step.values[0] / curves.critic_step.values[0])
        return f"critic step β (actor step α = {ratio:.3g} β)"
    return "actor step α" if scale == "actor" else "critic step β"


def _edges(steps: np.ndarray) -> np.ndarray:
    """Borders of the cells, half-way on a logarithmic axis."""
    if steps.size == 1:
        return steps[0] * np.array([0.7, 1.4])
    logs = np.log(steps)
    middle = (logs[1:] + logs[:-1]) / 2
    return np.exp(np.concatenate([[2 * logs[0] - middle[0]], middle, [2 * logs[-1] - middle[-1]]]))
