"""The comparison as a figure."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from a3cjax.studies.frame import axes
from a3cjax.studies.frame.target import metric_of
from a3cjax.studies.frame.types import Axes, Dataset, Figure

_SHIFT = 1.03  # between neighbours on the axis of workers, so that their intervals do not hide each other


def compare_figure(curves: Dataset, rows: Sequence[Any], percent: str) -> Figure:
    """Three panels: async over barrier time to the target, idle shares, and the objective over virtual time.

    The last is for the last law and the most workers: means over seeds, bands hold the middle 80 % of them.
    """
    with axes.drawing(11.4, 3.9) as figure:
        ratio, idle, objective = figure.subplots(1, 3, width_ratios=(1.05, 0.9, 1))
        _ratio_panel(ratio, curves, rows, percent)
        _idle_panel(idle, curves, rows)
        _objective_panel(objective, curves)
    return figure


def _ratio_panel(ax: Axes, curves: Dataset, rows: Sequence[Any], percent: str) -> None:
    from matplotlib.ticker import FuncFormatter

    laws = [str(law) for law in curves.law.values]
    ax.axhline(1, color=axes.INK, lw=0.9)
    for i, law in enumerate(laws):
        barriers = [row for row in rows if row.law == law and row.method != "async" and row.time_ratio > 0]
        for scaled, fill, line in ((True, axes.PALETTE[i], "-"), (False, "white", ":")):
            some = [row for row in barriers if (row.step_factor > 1) == scaled]
            if not some:
                continue
            at, value, low, high = axes.fields(some, "workers", "time_ratio", "ratio_low", "ratio_high")
            at = at * _SHIFT ** (2 * i - len(laws) + 1)
            ax.errorbar(at, value, axes.ends(value, low, high), color=axes.PALETTE[i], mfc=fill, marker="o", ms=5,
                        lw=1.2, ls=line, capsize=3, label=law if scaled else None, zorder=3)  # fmt: skip
        workers, expected = curves.workers.values, curves.expected_time.values[:, i]
        ax.plot(workers, expected[0] / expected[1], color=axes.PALETTE[i], lw=0.9, ls="--", zorder=2)
    ax.plot([], [], color=axes.INK, marker="o", lw=1.2, label=f"barrier with N × step, {percent} interval")
    ax.plot([], [], color=axes.INK, marker="o", mfc="white", ls=":", lw=1.2, label="barrier with the same step")
    ax.plot([], [], color=axes.INK, ls="--", lw=0.9, label="expected from the compute times alone")
    ax.set(xscale="log", yscale="log", title="Time to target, async / barrier", ylabel="ratio (below 1: async sooner)")
    ax.yaxis.set_major_formatter(FuncFormatter(axes.plain))
    ax.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else ""))
    _workers_axis(ax, curves)
    ax.figure.legend(*ax.get_legend_handles_labels(), loc="outside lower left", ncols=3)


def _idle_panel(ax: Axes, curves: Dataset, rows: Sequence[Any]) -> None:
    from matplotlib.ticker import PercentFormatter

    names = ("workers", "idle", "idle_low", "idle_high", "expected_idle")
    for law, colour in zip(curves.law.values, axes.PALETTE, strict=False):
        barriers = [row for row in rows if row.law == law and row.method == "barrier"]
        at, value, low, high, expected = axes.fields(barriers, *names)
        ax.errorbar(at, value, axes.ends(value, low, high), color=colour, marker="o", ms=5, lw=1.2, capsize=3)
        ax.plot(at, expected, color=colour, lw=0.9, ls="--", zorder=2)
    ax.set(xscale="log", title="Idle share at the barrier", ylabel="share of the workers' time spent waiting")
    ax.set_ylim(-0.03, 1)
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    _workers_axis(ax, curves)


def _objective_panel(ax: Axes, curves: Dataset) -> None:
    law, n, metric = str(curves.law.values[-1]), int(curves.workers.values[-1]), metric_of(curves.attrs)
    lines = zip(map(str, curves.method.values), (axes.INK, *[axes.PALETTE[4]] * 2), ("-", ":", "-"), strict=True)
    for m, (name, colour, style) in enumerate(lines):
        time, values = curves.time.values[m, -1, -1].mean(0), curves[metric].values[m, -1, -1]
        there = np.isfinite(values).all(0) & (time > 0)
        axes.middle_band(ax, time[there], values[:, there], 0.13, 1.5, color=colour, ls=style, label=name)
    plain = "metric" not in curves.attrs
    for label, which, style in (("J*" if plain else "optimum", "optimal", "-"), ("target", "target", "--")):
        height = curves.attrs[f"{which}_{metric}"]
        ax.axhline(height, color=axes.INK, lw=0.9, ls=style, zorder=1)
        ax.annotate(label, (1, height), xycoords=("axes fraction", "data"), xytext=(-4, 2), fontsize=8,
                    textcoords="offset points", color=axes.INK, ha="right")  # fmt: skip
    title = f"{'Objective' if plain else metric}, {law}, N = {n}"
    ax.set(xscale="log", title=title, xlabel="virtual time", ylabel="J(θ)" if plain else metric)
    ax.margins(y=0.1)
    if ax.get_legend_handles_labels()[0]:  # a curve at least is finite
        ax.legend(loc="upper left", bbox_to_anchor=(0, 0.9))


def _workers_axis(ax: Axes, curves: Dataset) -> None:
    workers = [int(n) for n in curves.workers.values]
    ax.set_xlabel("workers N")
    ax.set_xlim(workers[0] / 1.25, workers[-1] * 1.25)
    axes.fixed_ticks(ax.xaxis, workers)
