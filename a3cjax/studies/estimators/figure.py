"""The study of estimators as a figure."""

from typing import TYPE_CHECKING

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from a3cjax.studies.frame.axes import INK, PALETTE, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def estimators_figure(curves: xr.Dataset) -> Figure:
    """Exact variances at two policies; J over updates for each N, means over seeds and their middle 80 %."""
    with matplotlib.rc_context(STYLE):
        count = curves.sizes["workers"]
        figure = Figure(figsize=(3.9 * (1 + count), 3.9), layout="constrained")
        panels = figure.subplots(1, 1 + count, squeeze=False)[0]
        _variance_panel(panels[0], curves)
        for j, ax in enumerate(panels[1:]):
            _curve_panel(ax, curves, j)
            ax.sharey(panels[1])
        handles, labels = panels[1].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=max(1, len(labels)))
    return figure


def _variance_panel(ax: "Axes", curves: xr.Dataset) -> None:
    kinds, variance = curves.kind.values, curves.variance.values
    at = np.arange(len(kinds))
    colours = PALETTE[: len(kinds)]
    ax.hlines(at, variance.min(1), variance.max(1), color=colours, lw=1)
    # Hollow at the first policy, filled at the second.
    for p, (point, faces) in enumerate(zip(curves.point.values, ("white", colours), strict=True)):
        ax.scatter(variance[:, p], at, s=42, c=faces, edgecolors=colours, linewidths=1.4, zorder=3)
        ax.plot([], [], "o", ms=6, mec=INK, mfc=("white", INK)[p], ls="none", label=str(point))
    ax.set(yticks=at, yticklabels=kinds, title="Variance of one direction, exact")
    if (variance > 0).any():  # a logarithmic axis needs a number
        ax.set_xscale("log")
    ax.set_xlabel("trace of the covariance (reward²)")
    ax.margins(y=0.12)
    ax.invert_yaxis()
    ax.legend(loc="upper right")


def _curve_panel(ax: "Axes", curves: xr.Dataset, j: int) -> None:
    x = curves.updates.values
    for i, (kind, colour) in enumerate(zip(curves.kind.values, PALETTE, strict=False)):
        runs = curves.objective.values[i, j]
        runs = runs[np.isfinite(runs).all(-1)]
        if runs.size:
            ax.fill_between(x, *np.quantile(runs, (0.1, 0.9), axis=0), color=colour, alpha=0.12, lw=0)
            ax.plot(x, runs.mean(0), color=colour, lw=1.4, label=str(kind))
    ax.axhline(curves.attrs["optimal_objective"], color=INK, lw=0.9)
    ax.annotate(
        "J*", (0, curves.attrs["optimal_objective"]), xycoords=("axes fraction", "data"), xytext=(4, 2),
        textcoords="offset points", fontsize=8, color=INK,
    )  # fmt: skip
    n = int(curves.workers.values[j])
    ax.margins(y=0.1)
    ax.set(title=f"J, {n} worker{'s' * (n > 1)}", xlabel="updates k", ylabel="J(θ_k)")
