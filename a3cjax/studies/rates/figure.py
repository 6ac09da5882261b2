"""The study of rates as a figure."""

from collections.abc import Sequence

import numpy as np

from a3cjax.studies.frame import axes
from a3cjax.studies.frame.types import Axes, Dataset, Figure

_LABELS = {
    "critic_error_sq": ("Critic", "(1/K) Σ ‖ω − ω*(θ)‖²"),
    "gradient_norm_sq": ("Actor", "(1/K) Σ ‖∇J_λ(θ)‖²"),
}
_MARKERS = "osD^vP"


def rates_figure(curves: Dataset, metrics: Sequence[str], percent: str) -> Figure:
    """A row for each metric: its averages against K for each sampling, and their local slopes.

    Points are means over seeds, bars their intervals.
    """
    samplings = [str(name) for name in curves.sampling.values]
    with axes.drawing(2.6 + 3.1 * len(samplings) + 2.6, 3.3 * len(metrics)) as figure:
        grid = figure.subplots(
            len(metrics), 2 * len(samplings), width_ratios=(1.15, 1) * len(samplings), squeeze=False
        )  # fmt: skip
        for r, variable in enumerate(metrics):
            for i, name in enumerate(samplings):
                averages, slopes = grid[r, 2 * i], grid[r, 2 * i + 1]
                for ax in (averages, slopes):
                    ax.set(xscale="log", xlim=curves.num_updates.values[[0, -1]] * (0.6, 1.7))
                    ax.set_xlabel("updates K" if r == len(metrics) - 1 else "")
                _average_panel(averages, curves, variable, i, axes.NAMES.get(name, name), grid[r, 0])
                _slope_panel(slopes, curves, variable, i, grid[r, 1])
        handles = [
            axes.key(color=colour, marker=_MARKERS[j % len(_MARKERS)], ms=4.5, lw=1.3)
            for j, colour in enumerate(axes.shades(curves.sizes["delay"]))
        ]
        handles.append(axes.key(color=axes.INK, lw=1, ls="--"))
        labels = [_delay(str(label)) for label in curves.delay.values] + ["exponent −2/5"]
        law = "constant delays" if curves.attrs["delay_law"] == "constant" else "delays uniform on 0, …, K_0"
        title = f"{law}; bars are {percent} intervals"
        figure.legend(handles, labels, title=title, loc="outside lower center", ncols=len(labels))
    return figure


def _average_panel(ax: Axes, curves: Dataset, variable: str, i: int, sampling: str, first: Axes) -> None:
    who, label = _LABELS.get(variable, (variable, f"(1/K) Σ {variable}"))
    counts = curves.num_updates.values
    means = curves[variable].values[i].mean(-1)
    low, high = (curves[f"{variable}_{end}"].values[i] for end in ("low", "high"))
    for j, colour in enumerate(axes.shades(means.shape[0])):
        _series(ax, counts * _aside(j, len(means)), means[j], low[j], high[j], colour, j)
    if np.isfinite(means[0, -1]):
        # Through the last point of the first delay.
        ax.plot(counts, means[0, -1] * (counts / counts[-1]) ** -0.4, color=axes.INK, lw=1, ls="--", zorder=1)
    ax.set_title(f"{who}, {sampling} sampling")
    if np.isfinite(means).any():  # an interrupted study may have nothing to put on a logarithmic axis
        ax.set_yscale("log")
    if ax is first:
        ax.set_ylabel(f"{label}   [reward²]" if variable in _LABELS else label)
    else:
        ax.sharey(first)
        first.autoscale(axis="y")


def _slope_panel(ax: Axes, curves: Dataset, variable: str, i: int, first: Axes) -> None:
    who, _ = _LABELS.get(variable, (variable, ""))
    counts = curves.num_updates.values
    middle = np.sqrt(counts[1:] * counts[:-1])
    parts = [curves[f"{variable}_local_slope{end}"].values[i, :, 1:] for end in ("", "_low", "_high")]
    for j, colour in enumerate(axes.shades(parts[0].shape[0])):
        value, low, high = (part[j] for part in parts)
        _series(ax, middle * _aside(j, len(parts[0])), value, low, high, colour, j)
    ax.axhline(-0.4, color=axes.INK, lw=1, ls="--", zorder=1)
    ax.set(title=f"{who}'s local slope", ylabel="d log average / d log K")
    if ax is not first:
        ax.sharey(first)
        first.autoscale(axis="y")


def _series(ax: Axes, x: np.ndarray, value: np.ndarray, low: np.ndarray, high: np.ndarray, colour: str, j: int) -> None:
    there = np.isfinite(value)
    spread = axes.ends(value, low, high)[:, there]
    marker = _MARKERS[j % len(_MARKERS)]
    ax.errorbar(x[there], value[there], spread, color=colour, marker=marker, ms=4, lw=1.2, capsize=2, zorder=3)


def _aside(j: int, count: int) -> float:
    """A little to either side, so that intervals do not hide each other."""
    return 1.05 ** (2 * j - count + 1)


def _delay(label: str) -> str:
    return f"K_0 = {label}" if label.isdecimal() else f"K_0 = ⌈{label}⌉"
