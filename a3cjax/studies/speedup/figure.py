"""The speedup study as a figure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from a3cjax.studies.frame.axes import COLOURS, INK, MARKERS, NAMES, STYLE, shades
from a3cjax.studies.speedup.table import PAPER

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from a3cjax.studies.speedup.result import SpeedupRow

_POINTS = 40


def speedup_figure(curves: xr.Dataset, rows: Sequence["SpeedupRow"], confidence: float) -> Figure:
    """Three panels: critic gap over virtual time, objective over samples per worker, speedup over workers.

    The first two have a row for each sampling. Lines are means over seeds, bands hold the middle 80 % of the seeds.
    """
    samplings = [str(name) for name in curves.sampling.values]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10.8, 1.2 + 2.55 * len(samplings)), layout="constrained")
        grid = figure.add_gridspec(len(samplings), 3, width_ratios=(1, 1, 1.05))
        gap: Axes | None = None
        objective: Axes | None = None
        for i, name in enumerate(samplings):
            last = i == len(samplings) - 1
            gap = figure.add_subplot(grid[i, 0], sharex=gap, sharey=gap)
            objective = figure.add_subplot(grid[i, 1], sharex=objective, sharey=objective)
            _critic_panel(gap, curves, i, f"Critic gap, {NAMES.get(name, name)} sampling", last)
            _objective_panel(objective, curves, i, f"Objective, {NAMES.get(name, name)} sampling", last)
        paper = PAPER if curves.attrs.get("beside_paper", 1) else {}
        _speedup_panel(figure.add_subplot(grid[:, 2]), rows, samplings, confidence, paper)
        colours = shades(curves.sizes["workers"])
        # One legend for the colours of both columns on the left.
        handles = [Line2D([], [], color=colours[j], lw=1.8) for j in range(len(colours))]
        labels = [f"{n} worker{'s' if n > 1 else ''}" for n in curves.workers.values]
        figure.legend(handles, labels, loc="outside lower left", ncols=min(len(labels), 8))
    return figure


def _critic_panel(ax: "Axes", curves: xr.Dataset, i: int, title: str, last: bool) -> None:
    for j, colour in enumerate(shades(curves.sizes["workers"])):
        _band(ax, curves.time.values[j].mean(0), curves.critic_error_sq.values[i, j], colour)
    ax.set(xscale="log", yscale="log", title=title, ylabel="‖ω − ω*(θ)‖²")
    _label_x(ax, "virtual time", last)


def _objective_panel(ax: "Axes", curves: xr.Dataset, i: int, title: str, last: bool) -> None:
    for j, colour in enumerate(shades(curves.sizes["workers"])):
        _band(ax, curves.samples_per_worker.values[j], curves.objective.values[i, j], colour)
    levels = (("J*", curves.attrs["optimal_objective"], "-"), ("target", curves.attrs["target_objective"], "--"))
    for label, level, style in levels:
        ax.axhline(level, color=INK, lw=0.9, ls=style, zorder=1)
        ax.annotate(
            label, (0, level), xycoords=("axes fraction", "data"), xytext=(4, 2), textcoords="offset points",
            fontsize=8, color=INK,
        )  # fmt: skip
    ax.set(xscale="log", title=title, ylabel="J(θ)")
    ax.margins(y=0.12)
    _label_x(ax, "samples per worker", last)


def _speedup_panel(
    ax: "Axes",
    rows: Sequence["SpeedupRow"],
    samplings: Sequence[str],
    confidence: float,
    figures: dict[str, dict[int, float]],
) -> None:
    workers = sorted({row.workers for row in rows})
    reach = (workers[0], max(workers[-1], 2))
    legend: list[Any] = ax.plot(reach, reach, color=INK, lw=0.9, ls="--", label="ideal: N", zorder=1)
    for i, name in enumerate(samplings):
        colour, marker = COLOURS.get(name, INK), MARKERS.get(name, "o")
        own = [row for row in rows if row.sampling == name and np.isfinite(row.speedup)]
        # A little to either side, so that the two samplings' intervals do not hide each other.
        at = np.array([row.workers for row in own]) * 1.035 ** (2 * i - len(samplings) + 1)
        value = np.array([row.speedup for row in own])
        low, high = (np.array([getattr(row, f"speedup_{end}") for row in own]) for end in ("low", "high"))
        spread = np.nan_to_num([value - low, high - value]).clip(0)
        known = NAMES.get(name, name)
        look: dict[str, Any] = {"color": colour, "marker": marker, "ms": 5, "lw": 1.3}
        if any(np.isfinite(row.speedup_low) for row in own if row.workers > 1):
            look["label"] = f"{known}, with {100 * confidence:g} % interval"
            legend.append(ax.errorbar(at, value, spread, capsize=3, zorder=3, **look))
        elif own:
            legend += ax.plot(at, value, zorder=3, label=known, **look)
        else:
            legend.append(Line2D([], [], lw=0, label=f"{known}: target not met"))
        paper = {n: figure for n, figure in figures.get(name, {}).items() if n in workers}
        if paper:
            label = f"{NAMES.get(name, name)}, the paper's figure"
            points = (np.array(list(paper)), np.array(list(paper.values())))
            legend += ax.plot(
                *points, color=colour, marker=marker, ms=6, mfc="white", ls=":", lw=1, label=label, zorder=2
            )
    ax.set(xscale="log", yscale="log", title="Speedup in samples per worker, eq. (1)")
    ax.set(xlabel="workers N", ylabel="speedup(N)")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(FixedLocator(workers))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.legend(handles=legend, loc="upper left")


def _band(ax: "Axes", x: np.ndarray, curves: np.ndarray, colour: str) -> None:
    """Mean over seeds, and between the first and last decile; records that some seed lacks are left out."""
    there = np.flatnonzero(np.isfinite(curves).all(0) & (x > 0))
    if not there.size:
        return
    # On a logarithmic axis the last decade holds most records; evenly spaced ones are enough, and can be told apart.
    wanted = np.geomspace(x[there[0]], x[there[-1]], _POINTS)
    there = there[np.unique(np.searchsorted(x[there], wanted).clip(max=there.size - 1))]
    x, curves = x[there], curves[:, there]
    ax.fill_between(x, *np.quantile(curves, (0.1, 0.9), axis=0), color=colour, alpha=0.13, lw=0)
    ax.plot(x, curves.mean(0), color=colour, lw=1.4)


def _label_x(ax: "Axes", label: str, last: bool) -> None:
    if last:
        ax.set_xlabel(label)
    else:
        ax.tick_params(labelbottom=False)
