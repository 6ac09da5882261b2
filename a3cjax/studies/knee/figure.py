"""Efficiency against workers, and the knee against the step."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from a3cjax.studies.frame.axes import INK, PALETTE, STYLE, logarithmic

if TYPE_CHECKING:
    from a3cjax.studies.knee.result import KneeRow

_MARKERS = "osD^vP"


def knee_figure(curves: xr.Dataset, rows: Sequence["KneeRow"], confidence: float) -> Figure:
    """A panel of efficiencies for each factor on the actor's step, and one of knees; arrows: beyond the largest N."""
    factors, workers = curves.step.values, curves.workers.values
    problems = [str(name) for name in curves.problem.values]
    threshold, largest = curves.attrs["threshold"], workers[-1]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(1.2 + 2.9 * (len(factors) + 1), 3.7), layout="constrained")
        places = figure.add_gridspec(1, len(factors) + 1)
        panels = [figure.add_subplot(places[0, 0])]
        panels += [figure.add_subplot(places[0, j], sharey=panels[0]) for j in range(1, len(factors))]
        last = figure.add_subplot(places[0, -1])
        handles: list[Any] = []
        for j, ax in enumerate(panels):
            ax.axhline(1, color=INK, lw=0.9, ls="--")
            ax.axhline(threshold, color=INK, lw=0.9)
            for i in range(len(problems)):
                look: dict[str, Any] = {"color": PALETTE[i % len(PALETTE)], "marker": _MARKERS[i % 6]}
                lines = ax.plot(workers, curves.efficiency.values[i, j], lw=1.3, ms=4.5, **look)
                handles += lines if j == 0 else []
            steps = sorted(set(curves.actor_step.values[:, j].round(12)))
            told = f"α = {steps[0]:.3g}" if len(steps) == 1 else f"α × {factors[j]:g}"
            ax.set(title=f"Efficiency, {told}", xscale="log", xlabel="workers N", yscale="log")
            ax.xaxis.set_major_locator(FixedLocator(workers))
            ax.xaxis.set_minor_locator(NullLocator())
            ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        logarithmic(panels[0].yaxis, lambda value: f"{value:g}")
        panels[0].set_ylabel("speedup(N)/N")
        panels[0].annotate(f"{threshold:g}", (0.01, threshold), xycoords=("axes fraction", "data"), va="bottom")
        for i, name in enumerate(problems):
            own = [row for row in rows if row.problem == name and not np.isnan(row.knee)]
            look = {"color": PALETTE[i % len(PALETTE)]}
            at = np.array([row.actor_step for row in own]) * 1.05 ** (i - (len(problems) - 1) / 2)
            knees, low, high = (
                np.minimum([getattr(row, field) for row in own], largest) for field in ("knee", "knee_low", "knee_high")
            )
            spread = np.clip([knees - low, high - knees], 0, None)
            last.errorbar(at, knees, spread, marker=_MARKERS[i % 6], ms=4.5, lw=1.2, capsize=3, **look)
            beyond = [x for x, row in zip(at, own, strict=True) if np.isinf(row.knee)]
            last.plot(beyond, [1.15 * largest] * len(beyond), marker="$↑$", ms=9, ls="none", **look)
        last.axhline(largest, color=INK, lw=0.9, ls=":")
        last.set(title=f"Knee N*, {100 * confidence:g} % interval", xscale="log", yscale="log")
        last.set(xlabel="actor step α", ylabel="N*")
        for axis, ticks in ((last.yaxis, workers), (last.xaxis, np.unique(curves.actor_step.values.round(12)))):
            axis.set_major_locator(FixedLocator(ticks.tolist()))
            axis.set_minor_locator(NullLocator())
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
        times = curves.relaxation_time.values
        labels = [f"{name} (relaxes in {time:.1f} steps)" for name, time in zip(problems, times, strict=True)]
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure
