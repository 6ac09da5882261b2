"""The replay as a figure."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from a3cjax._core.statistics import mean_interval
from a3cjax.studies.frame import axes
from a3cjax.studies.frame.target import metric_of
from a3cjax.studies.frame.types import Axes, Dataset, Figure


def replay_figure(curves: Dataset, rows: Sequence[Any], percent: str) -> Figure:
    """The metric over the updates, with delays and without; the paired difference; updates to the target."""
    colours = axes.PALETTE[: len(rows)] if len(rows) <= len(axes.PALETTE) else axes.shades(len(rows))
    confidence = float(percent.split()[0]) / 100
    with axes.drawing(11.4, 3.9) as figure:
        left, middle, right = figure.subplots(1, 3, width_ratios=(1.1, 1.1, 0.9))
        _curves(left, curves, colours)
        _differences(middle, curves, colours, percent, confidence)
        _ratios(right, rows, colours, curves.sizes["seed"])
        handles = [
            axes.key(color=colour, lw=2, label=f"{row.factor:g} × step")
            for row, colour in zip(rows, colours, strict=True)
        ]
        handles.append(axes.key(color=axes.INK, lw=1.4, label="recorded delays"))
        handles.append(axes.key(color=axes.INK, lw=1.4, ls=":", label="without delay"))
        if any(min(row.reached, row.fresh_reached) < len(curves.seed) for row in rows):
            handles.append(axes.key(color=axes.INK, marker="o", mfc="white", lw=0, label="some run did not meet it"))
            handles.append(axes.key(color=axes.INK, marker="x", lw=0, label="none did"))
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _curves(ax: Axes, curves: Dataset, colours: Sequence[str]) -> None:
    metric, at = metric_of(curves.attrs), curves.messages.values
    for i, colour in enumerate(colours):
        for d, (style, alpha) in enumerate((("-", 0.15), (":", 0.0))):
            axes.middle_band(ax, at, curves[metric].values[d, i], alpha, color=colour, ls=style)
    plain = "metric" not in curves.attrs
    for label, which, style in (("J*" if plain else "optimum", "optimal", "-"), ("target", "target", "--")):
        height = curves.attrs[f"{which}_{metric}"]
        if np.isfinite(height):
            axes.level(ax, label, height, style, zorder=1)
    title = "Objective, and the middle 80 % of runs" if plain else f"{metric}, and the middle 80 % of runs"
    ax.set(title=title, xlabel="rows of the log", ylabel="J(θ)" if plain else metric)


def _differences(ax: Axes, curves: Dataset, colours: Sequence[str], percent: str, confidence: float) -> None:
    metric, at = metric_of(curves.attrs), curves.messages.values
    ax.axhline(0, color=axes.INK, lw=0.9)
    for i, colour in enumerate(colours):
        stale, fresh = curves[metric].values[:, i]
        if not (np.isfinite(stale).all() and np.isfinite(fresh).all()):
            continue
        mean = mean_interval((stale - fresh).T, confidence=confidence)
        ax.fill_between(at, mean.low, mean.high, color=colour, alpha=0.2, lw=0)
        ax.plot(at, mean.value, color=colour, lw=1.4)
    ax.set(title=f"With delays less without, {percent} interval", xlabel="rows of the log")


def _ratios(ax: Axes, rows: Sequence[Any], colours: Sequence[str], seeds: int) -> None:
    ax.axhline(1, color=axes.INK, lw=0.9)
    for i, (row, colour) in enumerate(zip(rows, colours, strict=True)):
        if not np.isfinite(row.ratio):
            continue
        if not min(row.reached, row.fresh_reached):
            ax.plot([i], [1], marker="x", color=colour, ms=7, lw=0)
            continue
        value, low, high = axes.fields([row], "ratio", "ratio_low", "ratio_high")
        whole = min(row.reached, row.fresh_reached) == seeds
        ax.errorbar([i], value, axes.ends(value, low, high), color=colour, mfc=colour if whole else "white", marker="o",
                    ms=6, lw=1.4, capsize=3)  # fmt: skip
    ax.set_xticks(range(len(rows)), [f"{row.factor:g}" for row in rows])
    ax.set_xlim(-0.6, len(rows) - 0.4)
    ax.set(title="Updates to target, ratio", xlabel="factor on the steps")
