"""The comparison as a figure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter

from a3cjax.studies.frame.axes import INK, PALETTE, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from a3cjax.studies.compare.result import CompareRow

_SHIFT = 1.03  # between neighbours on the axis of workers, so that their intervals do not hide each other


def compare_figure(curves: xr.Dataset, rows: Sequence["CompareRow"], confidence: float) -> Figure:
    """Three panels: async over barrier time to the target, idle shares, and the objective over virtual time.

    The last is for the last law and the most workers: means over seeds, bands hold the middle 80 % of them.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11.4, 3.9), layout="constrained")
        ratio, idle, objective = figure.subplots(1, 3, width_ratios=(1.05, 0.9, 1))
        _ratio_panel(ratio, curves, rows, confidence)
        _idle_panel(idle, curves, rows)
        _objective_panel(objective, curves)
    return figure


def _ratio_panel(ax: "Axes", curves: xr.Dataset, rows: Sequence["CompareRow"], confidence: float) -> None:
    laws = [str(law) for law in curves.law.values]
    ax.axhline(1, color=INK, lw=0.9)
    for i, law in enumerate(laws):
        own = [row for row in rows if row.law == law]
        for factor, fill, line in (("scaled", PALETTE[i], "-"), ("same", "white", ":")):
            some = [
                row
                for row in own
                if row.method != "async" and (row.step_factor > 1) == (factor == "scaled") and row.time_ratio > 0
            ]
            if not some:
                continue
            at = np.array([row.workers for row in some]) * _SHIFT ** (2 * i - len(laws) + 1)
            value = np.array([row.time_ratio for row in some])
            ends = np.array([[row.time_ratio - row.ratio_low, row.ratio_high - row.time_ratio] for row in some]).T
            label = law if factor == "scaled" else None
            ax.errorbar(at, value, np.nan_to_num(ends).clip(0), color=PALETTE[i], mfc=fill, marker="o", ms=5, lw=1.2,
                        ls=line, capsize=3, label=label, zorder=3)  # fmt: skip
        workers, expected = curves.workers.values, curves.expected_time.values[:, i]
        ax.plot(workers, expected[0] / expected[1], color=PALETTE[i], lw=0.9, ls="--", zorder=2)
    ax.plot([], [], color=INK, marker="o", lw=1.2, label=f"barrier with N × step, {100 * confidence:g} % interval")
    ax.plot([], [], color=INK, marker="o", mfc="white", ls=":", lw=1.2, label="barrier with the same step")
    ax.plot([], [], color=INK, ls="--", lw=0.9, label="expected from the compute times alone")
    ax.set(xscale="log", yscale="log", title="Time to target, async / barrier", ylabel="ratio (below 1: async sooner)")
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else ""))
    _workers_axis(ax, curves)
    ax.figure.legend(*ax.get_legend_handles_labels(), loc="outside lower left", ncols=3)


def _idle_panel(ax: "Axes", curves: xr.Dataset, rows: Sequence["CompareRow"]) -> None:
    for i, law in enumerate(map(str, curves.law.values)):
        own = [row for row in rows if row.law == law and row.method == "barrier"]
        at, value = [row.workers for row in own], np.array([row.idle for row in own])
        ends = np.array([[row.idle - row.idle_low, row.idle_high - row.idle] for row in own]).T
        ax.errorbar(at, value, np.nan_to_num(ends).clip(0), color=PALETTE[i], marker="o", ms=5, lw=1.2, capsize=3)
        ax.plot(at, [row.expected_idle for row in own], color=PALETTE[i], lw=0.9, ls="--", zorder=2)
    ax.set(xscale="log", title="Idle share at the barrier", ylabel="share of the workers' time spent waiting")
    ax.set_ylim(-0.03, 1)
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    _workers_axis(ax, curves)


def _objective_panel(ax: "Axes", curves: xr.Dataset) -> None:
    law, n = str(curves.law.values[-1]), int(curves.workers.values[-1])
    lines = zip(map(str, curves.method.values), (INK, PALETTE[4], PALETTE[4]), ("-", ":", "-"), strict=True)
    for m, (name, colour, style) in enumerate(lines):
        time, values = curves.time.values[m, -1, -1].mean(0), curves.objective.values[m, -1, -1]
        there = np.isfinite(values).all(0) & (time > 0)
        if there.any():
            low, high = np.quantile(values[:, there], (0.1, 0.9), axis=0)
            ax.fill_between(time[there], low, high, color=colour, alpha=0.13, lw=0)
            ax.plot(time[there], values[:, there].mean(0), color=colour, ls=style, lw=1.5, label=name)
    for label, name, style in (("J*", "optimal_objective", "-"), ("target", "target_objective", "--")):
        ax.axhline(curves.attrs[name], color=INK, lw=0.9, ls=style, zorder=1)
        ax.annotate(label, (1, curves.attrs[name]), xycoords=("axes fraction", "data"), xytext=(-4, 2), fontsize=8,
                    textcoords="offset points", color=INK, ha="right")  # fmt: skip
    ax.set(xscale="log", title=f"Objective, {law}, N = {n}", xlabel="virtual time", ylabel="J(θ)")
    ax.margins(y=0.1)
    if ax.get_legend_handles_labels()[0]:  # a curve at least is finite
        ax.legend(loc="upper left", bbox_to_anchor=(0, 0.9))


def _workers_axis(ax: "Axes", curves: xr.Dataset) -> None:
    workers = [int(n) for n in curves.workers.values]
    ax.set_xlabel("workers N")
    ax.set_xlim(workers[0] / 1.25, workers[-1] * 1.25)
    ax.xaxis.set_major_locator(FixedLocator(workers))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
