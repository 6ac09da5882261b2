"""The speedup study as a figure."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from a3cjax.studies.frame import axes
from a3cjax.studies.frame.target import metric_of
from a3cjax.studies.frame.types import Axes, Dataset, Figure

# Read off Figs. 3 and 4 of arXiv:2012.15511.
PAPER = {
    "iid": {1: 1.0, 2: 2.0, 4: 4.0, 8: 7.0, 16: 14.0},
    "markov": {1: 1.0, 2: 1.63, 4: 3.19, 8: 5.56, 16: 7.95},
}
_POINTS = 40


def speedup_figure(curves: Dataset, rows: Sequence[Any], percent: str) -> Figure:
    """Three panels: critic gap over virtual time, objective over samples per worker, speedup over workers.

    The first two have a row for each sampling. Lines are means over seeds, bands hold the middle 80 % of the seeds.
    Where there is no critic there is no first panel.
    """
    samplings = [str(name) for name in curves.sampling.values]
    panels: list[Callable[..., None]] = [_critic_panel] if "critic_error_sq" in curves else []
    panels.append(_objective_panel)
    with axes.drawing(1.2 + 3.2 * (len(panels) + 1), 1.2 + 2.55 * len(samplings)) as figure:
        places = figure.add_gridspec(len(samplings), len(panels) + 1, width_ratios=(*[1] * len(panels), 1.05))
        first: list[Any] = [None] * len(panels)
        for i, name in enumerate(samplings):
            for p, panel in enumerate(panels):
                ax = first[p] = figure.add_subplot(places[i, p], sharex=first[p], sharey=first[p])
                panel(ax, curves, i, f"{axes.NAMES.get(name, name)} sampling", i == len(samplings) - 1)
        paper = PAPER if curves.attrs.get("beside_paper", 1) else {}
        _speedup_panel(figure.add_subplot(places[:, -1]), rows, samplings, percent, paper)
        # One legend for the colours of the columns on the left.
        handles = [axes.key(color=colour, lw=1.8) for colour in axes.shades(curves.sizes["workers"])]
        labels = [f"{n} worker{'s' if n > 1 else ''}" for n in curves.workers.values]
        figure.legend(handles, labels, loc="outside lower left", ncols=min(len(labels), 8))
    return figure


def _critic_panel(ax: Axes, curves: Dataset, i: int, sampling: str, last: bool) -> None:
    for j, colour in enumerate(axes.shades(curves.sizes["workers"])):
        band(ax, curves.time.values[j].mean(0), curves.critic_error_sq.values[i, j], colour)
    ax.set(xscale="log", yscale="log", title=f"Critic gap, {sampling}", ylabel="‖ω − ω*(θ)‖²")
    _label_x(ax, "virtual time", last)


def _objective_panel(ax: Axes, curves: Dataset, i: int, sampling: str, last: bool) -> None:
    metric = metric_of(curves.attrs)
    for j, colour in enumerate(axes.shades(curves.sizes["workers"])):
        band(ax, curves.samples_per_worker.values[j], curves[metric].values[i, j], colour)
    axes.level(ax, "J*" if "metric" not in curves.attrs else "optimum", curves.attrs[f"optimal_{metric}"], zorder=1)
    axes.level(ax, "target", curves.attrs[f"target_{metric}"], "--", zorder=1)
    plain = "metric" not in curves.attrs
    ax.set(xscale="log", title=f"{'Objective' if plain else metric}, {sampling}", ylabel="J(θ)" if plain else metric)
    ax.margins(y=0.12)
    _label_x(ax, "samples per worker", last)


def _speedup_panel(
    ax: Axes, rows: Sequence[Any], samplings: Sequence[str], percent: str, paper: dict[str, dict[int, float]]
) -> None:
    workers = sorted({row.workers for row in rows})
    reach = (workers[0], max(workers[-1], 2))
    legend: list[Any] = ax.plot(reach, reach, color=axes.INK, lw=0.9, ls="--", label="ideal: N", zorder=1)
    for i, name in enumerate(samplings):
        known = axes.NAMES.get(name, name)
        look: dict[str, Any] = {"color": axes.COLOURS.get(name, axes.INK), "marker": axes.MARKERS.get(name, "o")}
        met = [row for row in rows if row.sampling == name and np.isfinite(row.speedup)]
        at, value, low, high = axes.fields(met, "workers", "speedup", "speedup_low", "speedup_high")
        # A little to either side, so that the two samplings' intervals do not hide each other.
        at = at * 1.035 ** (2 * i - len(samplings) + 1)
        line = look | {"ms": 5, "lw": 1.3, "zorder": 3}
        if any(np.isfinite(row.speedup_low) for row in met if row.workers > 1):
            label = f"{known}, with {percent} interval"
            legend.append(ax.errorbar(at, value, axes.ends(value, low, high), capsize=3, label=label, **line))
        elif met:
            legend += ax.plot(at, value, label=known, **line)
        else:
            legend.append(axes.key(lw=0, label=f"{known}: target not met"))
        figures = {n: figure for n, figure in paper.get(name, {}).items() if n in workers}
        if figures:
            label = f"{known}, the paper's figure"
            points = (np.array(list(figures)), np.array(list(figures.values())))
            legend += ax.plot(*points, ms=6, mfc="white", ls=":", lw=1, label=label, zorder=2, **look)
    ax.set(xscale="log", yscale="log", title="Speedup in samples per worker, eq. (1)")
    ax.set(xlabel="workers N", ylabel="speedup(N)")
    for axis in (ax.xaxis, ax.yaxis):
        axes.fixed_ticks(axis, workers)
    ax.legend(handles=legend, loc="upper left")


def band(ax: Axes, x: np.ndarray, curves: np.ndarray, colour: str) -> None:
    """Mean over seeds, and between the first and last decile; records that some seed lacks are left out."""
    there = np.flatnonzero(np.isfinite(curves).all(0) & (x > 0))
    if not there.size:
        return
    # On a logarithmic axis the last decade holds most records; evenly spaced ones are enough, and can be told apart.
    wanted = np.geomspace(x[there[0]], x[there[-1]], _POINTS)
    there = there[np.unique(np.searchsorted(x[there], wanted).clip(max=there.size - 1))]
    axes.middle_band(ax, x[there], curves[:, there], 0.13, color=colour)


def _label_x(ax: Axes, label: str, last: bool) -> None:
    if last:
        ax.set_xlabel(label)
    else:
        ax.tick_params(labelbottom=False)
