"""Critical steps against delay, beside the closed form."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from a3cjax.studies.frame.axes import INK, PALETTE, STYLE

if TYPE_CHECKING:
    from a3cjax.studies.critical_step.result import CriticalStepRow

_MARKERS = "osD^"


def critical_figure(curves: xr.Dataset, rows: Sequence["CriticalStepRow"]) -> Figure:
    """Left the steps, lines the closed form; right measured over closed form, bars from stable to unstable."""
    delays = curves.delay.values
    at = 2 * delays + 1
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 4.3), layout="constrained")
        steps, ratios = figure.subplots(1, 2)
        ratios.axhline(1, color=INK, lw=1)
        handles: list[Any] = []
        for i, name in enumerate(curves.system.values):
            colour, own = PALETTE[i], [row for row in rows if row.system == name]
            limit, middle, low, high = (
                np.array([getattr(row, field) for row in own])
                for field in ("closed_form", "measured", "stable", "unstable")
            )
            look: dict[str, Any] = {"color": colour, "marker": _MARKERS[i % 4], "ls": "none", "ms": 5, "zorder": 3}
            steps.plot(at, limit, color=colour, lw=1.2)
            handles += steps.plot(at, middle, label=str(name), **look)
            beside = at * 1.13 ** (i - (len(curves.system) - 1) / 2)
            spread = np.abs([middle - low, high - middle]) / limit
            ratios.errorbar(beside, middle / limit, spread, capsize=3, lw=1.2, **look)
        (line,) = steps.plot([], [], color=INK, lw=1.2)
        steps.legend(
            handles=[*handles, line], labels=[*map(str, curves.system.values), "closed form"], loc="lower left"
        )
        steps.set(yscale="log", title="Critical step against delay", ylabel="critical step β")
        ratios.set(title="Measured over closed form", ylabel="measured β / closed form")
        reach = 1.05 * max(curves.factor.values.max() - 1, 0.0)
        ratios.set_ylim(1 - reach / 3, 1 + reach / 3)
        for ax in (steps, ratios):
            ax.set(xscale="log", xlabel="constant delay τ [updates], on the scale of 2τ + 1")
            ax.xaxis.set_major_locator(FixedLocator(at))
            ax.xaxis.set_minor_locator(NullLocator())
            ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{(value - 1) / 2:g}"))
    return figure
