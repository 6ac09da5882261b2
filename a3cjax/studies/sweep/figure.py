"""The sweep as heat maps."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from a3cjax.studies.frame import axes
from a3cjax.studies.frame.types import Axes, Dataset, Figure

_LINE = "#2060a0"


def sweep_figure(curves: Dataset, rows: Sequence[Any]) -> Figure:
    """Mean final J above, share of runs that diverged below, over delay and step; a column for each law.

    The line is the critical step of a constant delay, where the critic's step was swept.
    """
    shape = tuple(curves.sizes[name] for name in ("law", "delay", "step"))
    objective, diverged = (found.reshape(shape) for found in axes.fields(rows, "objective", "diverged"))
    value = curves.attrs.get("metric", "J(θ)")
    laws = [str(law) for law in curves.law.values]
    with axes.drawing(2.2 + 2.9 * len(laws), 6.4) as figure:
        panels = figure.subplots(2, len(laws), sharex=True, sharey=True, squeeze=False)
        known = objective[np.isfinite(objective)]
        span: dict[str, float] = {} if not known.size else {"vmin": known.min(), "vmax": known.max()}
        above: Any = None
        below: Any = None
        line = None
        for i, law in enumerate(laws):
            above = _map(panels[0, i], curves, objective[i], "viridis", f"{value}, {law} delay", **span)
            below = _map(panels[1, i], curves, diverged[i], "magma_r", f"Diverged, {law} delay", vmin=0, vmax=1)
            _limit(panels[0, i], curves)
            line = _limit(panels[1, i], curves)
            panels[1, i].set_xlabel(f"{curves.attrs['delay_is']} delay [updates]")
        for ax in panels[:, 0]:
            ax.set_ylabel(_step_label(curves))
        figure.colorbar(above, ax=panels[0], label=f"{value} after the last update, mean over seeds", aspect=15)
        figure.colorbar(below, ax=panels[1], label="share of runs that diverged", aspect=15)
        if line is not None:
            figure.legend(
                handles=[line], labels=["critical β of a constant delay, 2 sin(π/(2(2τ+1)))/|λ|"],
                loc="outside lower left",
            )  # fmt: skip
    return figure


def _map(ax: Axes, curves: Dataset, values: np.ndarray, colours: str, title: str, **span: Any) -> Any:
    """Cells over delay (side by side) and step (logarithmic); what is not known is grey."""
    delays, steps = curves.delay.values, curves[_swept(curves)].values
    ax.set_facecolor("#cccccc")
    ax.grid(False)
    mesh = ax.pcolormesh(np.arange(len(delays) + 1) - 0.5, _edges(steps), values.T, cmap=colours, **span)
    ax.set(yscale="log", title=title, ylim=(_edges(steps)[0], _edges(steps)[-1]), xlim=(-0.5, len(delays) - 0.5))
    axes.fixed_ticks(ax.xaxis, range(len(delays)), lambda at, _: str(delays[int(at)]))
    axes.fixed_ticks(ax.yaxis, steps.tolist(), lambda value, _: f"{value:.3g}")
    return mesh


def _limit(ax: Axes, curves: Dataset) -> Any:
    if _swept(curves) != "critic_step":
        return None
    limits = curves.stability_limit.values
    ax.plot(np.arange(limits.size), limits, color="white", lw=3.6, zorder=3)
    (line,) = ax.plot(np.arange(limits.size), limits, color=_LINE, lw=1.7, marker="o", ms=4, mfc="white", zorder=4)
    return line


def _swept(curves: Dataset) -> str:
    """The coordinate on the axis of steps: the critic's step, or the actor's alone, or the factor if there are none."""
    wanted = "actor_step" if curves.attrs["scale"] == "actor" else "critic_step"
    return wanted if wanted in curves.coords else "step"


def _step_label(curves: Dataset) -> str:
    if curves.attrs["scale"] == "both" and "actor_step" in curves.coords:
        ratio = float(curves.actor_step.values[0] / curves.critic_step.values[0])
        return f"critic step β (actor step α = {ratio:.3g} β)"
    return {"actor_step": "actor step α", "critic_step": "critic step β", "step": "factor on the steps"}[_swept(curves)]


def _edges(steps: np.ndarray) -> np.ndarray:
    """Borders of the cells, half-way on a logarithmic axis."""
    if steps.size == 1:
        return steps[0] * np.array([0.7, 1.4])
    logs = np.log(steps)
    middle = (logs[1:] + logs[:-1]) / 2
    return np.exp(np.concatenate([[2 * logs[0] - middle[0]], middle, [2 * logs[-1] - middle[-1]]]))
