"""The picture of a log's delays."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from a3cjax.studies.frame import axes
from a3cjax.studies.frame.types import Axes, Dataset, Figure

_MOST_WORKERS = 40
_FIRST, _SECOND = axes.PALETTE[:2]


def draw(curves: Dataset, rows: Sequence[Any]) -> Figure:
    """Delays over the run; their shares beside the nearest law; each worker's; and their autocorrelation."""
    with axes.drawing(9.6, 5.6) as figure:
        grid = figure.subplots(2, 2, width_ratios=(3, 2))
        _over_run(grid[0, 0], curves)
        _shares(grid[0, 1], curves)
        _by_worker(grid[1, 0], curves, rows)
        _dependence(grid[1, 1], curves)
        for ax in grid.flat:
            ax.set_axisbelow(True)
    return figure


def _over_run(ax: Axes, curves: Dataset) -> None:
    least, low, middle, high, most = curves.over_run.values.T
    at = curves.piece.values
    ax.fill_between(at, least, most, color=_FIRST, alpha=0.15, lw=0, step="post", label="least to greatest")
    ax.fill_between(at, low, high, color=_FIRST, alpha=0.35, lw=0, step="post", label="5 to 95 %")
    ax.step(at, middle, color=_FIRST, lw=1.2, where="post", label="median")
    ax.set(title="Delays over the run", xlabel="row", ylabel="delay τ [updates]")
    ax.set_xlim(0, max(float(at[-1]), 1))
    ax.set_ylim(0, 1.25 * max(float(most.max()), 1))
    ax.legend(loc="upper right", ncols=3)


def _shares(ax: Axes, curves: Dataset) -> None:
    share, law, delay = curves.share.values, curves.law.values, curves.delay.values
    # What one delay in a thousand exceeds would push the others together.
    end = int(np.searchsorted(np.cumsum(share), 0.999)) + 1
    ax.bar(delay[:end], share[:end], width=0.9, color=_FIRST, alpha=0.7, label="log")
    ax.plot(
        delay[:end], law[:end], "o-", color=_SECOND, ms=3, lw=1, label=f"{curves.attrs['nearest_law']}, the nearest"
    )
    ax.axvline(curves.attrs["mean_delay"], color=axes.INK, lw=1, ls=":", label=f"mean {curves.attrs['mean_delay']:.3g}")
    ax.set_ylim(0, 1.4 * max(share[:end].max(), law[:end].max()))
    beyond = 1 - share[:end].sum()
    title = "Share of each delay" + (f" ({beyond:.2%} are greater)" if beyond > 1e-9 else "")
    ax.set(title=title, xlabel="delay τ [updates]", ylabel="share")
    ax.legend(loc="upper right")


def _by_worker(ax: Axes, curves: Dataset, rows: Sequence[Any]) -> None:
    values = curves["quantiles"].values
    count = min(len(values), _MOST_WORKERS)
    _, low, middle, high, _ = values[:count].T
    at = np.arange(count)
    ax.vlines(at, low, high, color=_FIRST, lw=5, alpha=0.35, label="5 to 95 %")
    ax.plot(at, middle, "_", color=_FIRST, ms=12, mew=2, label="median")
    means = {row.worker: row.mean for row in rows}
    names = [str(name) for name in curves.worker.values[:count]]
    ax.plot(at, [means.get(name, np.nan) for name in names], "o", color=_SECOND, ms=4, label="mean")
    short = all(len(name) <= 3 for name in names)
    ax.set_xticks(at, names, rotation=0 if short else 30, ha="center" if short else "right")
    ax.set_xlim(-0.7, count - 0.3)
    ax.set_ylim(0, 1.3 * max(float(high.max()), 1))
    shown = "" if count == len(values) else f" (the first {count} of {len(values)})"
    ax.set(title=f"Delays of each worker{shown}", xlabel="worker", ylabel="delay τ [updates]")
    ax.legend(loc="upper right", ncols=3)


def _dependence(ax: Axes, curves: Dataset) -> None:
    lag, value = curves.lag.values, curves.autocorrelation.values
    # Independent delays stay within this in 95 of 100 lags.
    noise = 1.96 / np.sqrt(max(float(curves.attrs["num_delays"]), 1))
    ax.axhspan(-noise, noise, color="#e6e6e6", lw=0)
    ax.axhline(0, color=axes.INK, lw=0.8)
    ax.bar(lag, value, width=0.6, color=_FIRST, alpha=0.7)
    reach = max(0.1, 1.15 * float(np.nanmax(np.abs(value), initial=0)))
    ax.set_ylim(-reach, reach)
    ax.set(title="Autocorrelation (grey: none)", xlabel="lag [rows]", ylabel="correlation")
