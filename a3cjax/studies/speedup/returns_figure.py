"""Speedups to a return as a figure."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from a3cjax.studies.frame import axes
from a3cjax.studies.frame.types import Axes, Dataset, Figure
from a3cjax.studies.speedup.figure import band


def returns_figure(curves: Dataset, rows: Sequence[Any], percent: str) -> Figure:
    """Three panels: return over samples per worker, and the speedups in samples and in time over workers.

    Lines on the left are means over seeds, bands hold the middle 80 % of the seeds.
    """
    with axes.drawing(12, 4.2) as figure:
        returns, samples, time = figure.subplots(1, 3, width_ratios=(1.15, 1, 1))
        shades = axes.shades(curves.sizes["workers"])
        for j, (n, colour) in enumerate(zip(curves.workers.values, shades, strict=True)):
            band(returns, curves.samples_per_worker.values[j], curves.episode_return.values[0, j], colour)
            returns.plot([], [], color=colour, lw=1.8, label=f"{n} worker{'s' if n > 1 else ''}")
        axes.level(returns, "target", curves.attrs["target_episode_return"], "--", zorder=1)
        returns.set(xscale="log", xlabel="samples per worker (environment steps)", ylabel="return of an episode")
        returns.set_title(f"{curves.sampling.values[0]}: mean and middle 80 % of seeds")
        returns.legend(loc="upper left")
        _speedups(samples, rows, "speedup", "paper", percent)
        samples.set(title="Speedup in samples per worker, eq. (1)", ylabel="speedup(N)")
        _speedups(time, rows, "time_speedup", "paper_time", percent)
        time.set(title="Speedup in virtual time", ylabel="virtual time with one worker / with N")
    return figure


def _speedups(ax: Axes, rows: Sequence[Any], name: str, paper: str, percent: str) -> None:
    workers, value, low, high, known = axes.fields(rows, "workers", name, f"{name}_low", f"{name}_high", paper)
    reach = (workers[0], max(workers[-1], 2))
    ax.plot(reach, reach, color=axes.INK, lw=0.9, ls="--", label="ideal: N", zorder=1)
    there = np.isfinite(known)
    if there.any():
        clock = "" if name == "speedup" else ", its machines' time"
        label = f"the paper's figure{clock}"
        ax.plot(
            workers[there], known[there], "s:", color=axes.PALETTE[1], mfc="white", ms=6, lw=1, label=label, zorder=2
        )
    met = np.isfinite(value)
    if met.any():
        ends = axes.ends(value, low, high)[:, met]
        label = f"measured, with {percent} interval" if ends.any() else "measured"
        look: Any = {"color": axes.PALETTE[0], "ms": 5, "lw": 1.3, "capsize": 3, "zorder": 3}
        ax.errorbar(workers[met], value[met], ends, fmt="o-", label=label, **look)
    else:
        ax.plot([], [], lw=0, label="target not met by every run")
    ax.set(xscale="log", yscale="log", xlabel="workers N")
    for axis in (ax.xaxis, ax.yaxis):
        axes.fixed_ticks(axis, workers)
    ax.legend(loc="upper left")
