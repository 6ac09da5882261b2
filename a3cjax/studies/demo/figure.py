"""Who works when, and what that does to learning, as a figure."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from a3cjax.schedules import Schedule
from a3cjax.studies.frame import axes
from a3cjax.studies.frame.types import Axes, Dataset, Figure


def demo_figure(drawn: Schedule, curves: Dataset, rows: Sequence[Any]) -> Figure:
    """Workers' updates as bars over virtual time; below, the objective against updates and against virtual time."""
    with axes.drawing(8.6, 6.0) as figure:
        places = figure.add_gridspec(2, 2, height_ratios=(1, 1.35))
        _work(figure.add_subplot(places[0, :]), drawn)
        by_updates, by_time = figure.add_subplot(places[1, 0]), figure.add_subplot(places[1, 1])
        for j, colour in enumerate(axes.shades(curves.sizes["workers"])):
            runs = curves.objective.values[0, j]
            axes.middle_band(by_updates, curves.updates.values, runs, 0.15, color=colour, label=_label(rows[j]))
            axes.middle_band(by_time, curves.time.values[j].mean(0), runs, 0.15, color=colour)
        for ax in (by_updates, by_time):
            axes.level(ax, "J*", curves.attrs["optimal_objective"], zorder=1)
            axes.level(ax, "target", curves.attrs["target_objective"], "--", zorder=1)
            ax.margins(x=0, y=0.12)
        by_updates.set(title="Stale updates are about as good …", xlabel="updates", ylabel="objective J(θ)")
        by_time.set(title="… and N workers make N times as many", xlabel="virtual time", xscale="log")
        by_time.set_xlim(curves.time.values[-1].mean(0)[1], None)
        axes.logarithmic(by_time.xaxis, axes.plain)
        by_updates.legend(loc="lower right")
    return figure


def _label(row: Any) -> str:
    if row.workers == 1:
        return "1 worker"
    sooner = f", {row.speedup:.3g} × as soon" if np.isfinite(row.speedup) else ""
    return f"{row.workers} workers{sooner}"


def _work(ax: Axes, drawn: Schedule) -> None:
    """A bar from each read to its write; its number, and its colour, is the delay."""
    import matplotlib
    from matplotlib.colors import BoundaryNorm

    worker, delay, time = (np.asarray(column) for column in (drawn.worker, drawn.delay, drawn.time))
    most = int(delay.max())
    colours = matplotlib.colormaps["YlOrBr"]
    shade = BoundaryNorm(np.arange(-0.5, most + 3), colours.N)  # beyond the largest delay, so that its number is read
    read = np.zeros(drawn.num_workers)
    for i, tau, written in zip(worker, delay, time, strict=True):
        start, read[i] = read[i], written
        ax.barh(i, written - start, 0.72, start, color=colours(shade(tau)), edgecolor="white", lw=1)
        if written - start > 0.015 * time[-1]:  # room for a digit
            ink = "white" if tau > 0.7 * most else axes.INK
            ax.text((start + written) / 2, i, f"{tau}", ha="center", va="center", fontsize=8.5, color=ink)
        ax.plot(written, i, "|", ms=13, color=axes.INK, mew=1.4)
    ax.set(title="Who works when: from read to write, with its delay τ, the updates that others made in between")
    ax.set(xlabel="virtual time", ylabel="worker", xlim=(0, time[-1] * 1.01), ylim=(drawn.num_workers - 0.4, -0.6))
    ax.set_yticks(range(drawn.num_workers))
    ax.grid(visible=False)
