"""A schedule drawn: delays over the run, their histogram, and what each worker is doing."""

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#1f4e79"
ACCENT = "#c8502d"
_MOST_POINTS = 2000
_MOST_LANES = 40


def plot(
    worker: np.ndarray,
    delay: np.ndarray,
    time: np.ndarray,
    num_workers: int,
    ax: "Axes | None",
    commit: np.ndarray | None = None,
    weight: np.ndarray | None = None,
) -> "Figure | Any":
    """Delays on ``ax``; without one, a figure of three panels.

    ``commit`` says which rows end an averaged group. Rows of ``weight`` 0 are discarded: they are crosses among the
    delays and pale in the activity, and neither the bands of a long run nor the histogram count them.
    """
    from matplotlib import pyplot as plt

    unit = "update" if commit is None and weight is None else "message"
    kept = np.ones(len(delay), bool) if weight is None else weight == 1
    if ax is not None:
        _delays(ax, delay, unit, kept)
        return ax.figure
    lanes = num_workers <= _MOST_LANES
    figure = plt.figure(figsize=(9, 5.4 if lanes else 3.2), layout="constrained")
    grid = figure.add_gridspec(2 if lanes else 1, 2, width_ratios=(3, 1))
    over_run = figure.add_subplot(grid[0, 0])
    _delays(over_run, delay, unit, kept)
    _histogram(figure.add_subplot(grid[0, 1], sharey=over_run), delay[kept], unit)
    if lanes:
        _activity(figure.add_subplot(grid[1, :]), worker, time, num_workers, commit, kept)
    return figure


def _delays(ax: "Axes", delay: np.ndarray, unit: str, kept: np.ndarray) -> None:
    """Every delay as a point, or, for a long run, bands of percentiles over equal pieces of it."""
    from matplotlib.ticker import MaxNLocator

    num_updates = len(delay)
    if num_updates <= _MOST_POINTS:
        rows = np.arange(num_updates)
        ax.plot(rows[kept], delay[kept], ".", color=INK, markersize=3, alpha=0.6)
        if not kept.all():
            ax.plot(rows[~kept], delay[~kept], "x", color=ACCENT, markersize=4, alpha=0.6, label="discarded")
            ax.legend(loc="upper right", frameon=False, fontsize="small")
    else:
        edges = np.linspace(0, num_updates, 201).astype(int)
        pieces = [delay[a:b][kept[a:b]] if kept[a:b].any() else [np.nan] for a, b in pairwise(edges)]
        least, low, median, high, most = np.array([np.percentile(p, (0, 5, 50, 95, 100)) for p in pieces]).T
        centre = (edges[:-1] + edges[1:]) / 2
        ax.fill_between(centre, least, most, color=INK, alpha=0.15, linewidth=0, label="least to greatest")
        ax.fill_between(centre, low, high, color=INK, alpha=0.35, linewidth=0, label="5–95 %")
        ax.plot(centre, median, color=INK, linewidth=1.2, label="median")
        ax.legend(loc="upper right", frameon=False, ncols=3, fontsize="small")
    tidy(ax)
    ax.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    ax.set_xlim(0, num_updates)
    ax.set_ylim(bottom=min(-0.5, -0.03 * delay.max()), top=1.15 * max(delay.max(), 1) + 0.5)
    ax.set_xlabel(f"{unit} k")
    ax.set_ylabel("delay τ (updates)")


def _histogram(ax: "Axes", delay: np.ndarray, unit: str) -> None:
    """How often each delay occurs, sideways beside the delays, with the mean."""
    width = max(1, int(np.ceil((delay.max() + 1) / 60)))
    edges = np.arange(0, delay.max() + width + 1, width) - 0.5
    share = np.histogram(delay, edges)[0] / len(delay)
    ax.barh(edges[:-1] + width / 2, share, height=0.9 * width, color=INK, alpha=0.6)
    ax.axhline(delay.mean(), color=ACCENT, linewidth=1.5)
    ax.text(1, 0.99, f"mean {delay.mean():.3g}", transform=ax.transAxes, ha="right", va="top", color=ACCENT)
    tidy(ax)
    ax.tick_params(labelleft=False)
    ax.set_xlabel(f"share of {unit}s" if width == 1 else f"share of {unit}s (bins of {width})")
    if delay.max() > 20 * delay.mean():  # a tail that would be invisible on a linear axis
        ax.set_xscale("log")


def _activity(
    ax: "Axes", worker: np.ndarray, time: np.ndarray, num_workers: int, commit: np.ndarray | None, kept: np.ndarray
) -> None:
    """Each worker's landings as ticks, at the start of the run, where they can be told apart, and the commits."""
    from matplotlib.ticker import MaxNLocator

    first = min(len(time), 25 * num_workers, 400)
    time, worker = time[:first], worker[:first]
    # What lies far from zero, as Unix timestamps do, is told from a round number shortly before it.
    span = float(time[-1] - time[0])
    origin = 0.0
    if abs(time[0]) > 20 * span > 0:
        unit = 10.0 ** np.floor(np.log10(span))
        origin = float(np.floor(time[0] / unit) * unit)
    time = time - origin
    kept = kept[:first]
    for i in range(num_workers):
        ax.vlines(time[(worker == i) & kept], i - 0.4, i + 0.4, color=INK, linewidth=1)
        if not kept.all():
            ax.vlines(time[(worker == i) & ~kept], i - 0.4, i + 0.4, color=INK, linewidth=1, alpha=0.3)
    if commit is not None:
        ax.vlines(time[commit[:first]], -0.5, num_workers - 0.5, color=ACCENT, linewidth=0.8, alpha=0.7)
    ends = time[-1]
    marks = "" if commit is None else "; a line at every commit"
    after = f" after {origin:,.15g}" if origin else ""
    tidy(ax)
    ax.set_xlim(0 if time[0] >= 0 else time[0], ends if ends > min(time[0], 0) else ends + 1)
    ax.set_ylim(num_workers - 0.5, -0.5)
    ax.ticklabel_format(axis="x", useOffset=False)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel(f"time{after} (unit of the schedule), first {first} landings{marks}")
    ax.set_ylabel("worker")


def tidy(ax: "Axes") -> None:
    """The look of every panel."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_axisbelow(True)
    ax.grid(color="0.92", linewidth=0.8)
