"""The study of regularisation as a figure."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from a3cjax.studies.frame import axes
from a3cjax.studies.frame.types import Axes, Dataset, Figure

_J, _REGULARISED, _GAP = axes.PALETTE[:3]


def regularisation_figure(curves: Dataset, rows: Sequence[Any], percent: str) -> Figure:
    """A column for each prior: J and J_λ, the distance to the prior, J* − J beside its bounds, against λ.

    Lines are exact maximisers of J_λ; points are A3C's means over seeds, bars their intervals.
    """
    priors = [str(name) for name in curves.prior.values]
    values = np.atleast_1d(curves.attrs["prior_objectives"])
    best = curves.attrs["optimal_objective"]
    with axes.drawing(1.2 + 3.2 * len(priors), 7.4) as figure:
        grid = figure.subplots(3, len(priors), sharex=True, squeeze=False)
        # Given beforehand, since one weight alone does not span an axis.
        grid[0, 0].set(xscale="log", xlim=curves.weight.values[[0, -1]] * (0.7, 1.4))
        for i, name in enumerate(priors):
            of_prior = [row for row in rows if row.prior == name]
            top, middle, bottom = grid[:, i]
            _lines(top, of_prior, "objective", _J, "o")
            _lines(top, of_prior, "regularized_objective", _REGULARISED, "s")
            axes.level(top, "J*", best, ":", zorder=1)
            axes.level(top, "J(π_p)", values[i], ":", shift=-10, zorder=1)
            top.set_title(f"{name} prior")
            top.margins(y=0.12)
            _lines(middle, of_prior, "divergence", _J, "o")
            middle.set(yscale="log")
            _bounds(bottom, of_prior, best)
            bottom.set_xlabel("λ")
        labels = ("J and J_λ   [reward]", "E KL(π_p ‖ π)   [nat]", "J* − J   [reward]")
        for ax, label in zip(grid[:, 0], labels, strict=True):
            ax.set_ylabel(label)
        figure.legend(*_key(percent), loc="outside lower center", ncols=4)
    return figure


def _lines(ax: Axes, rows: Sequence[Any], name: str, colour: str, marker: str) -> None:
    weights, best = axes.fields(rows, "weight", f"best_{name}")
    ax.plot(weights, best, color=colour, lw=1.3, zorder=2)
    value, low, high = axes.fields(rows, name, f"{name}_low", f"{name}_high")
    _points(ax, weights, value, low, high, colour, marker)


def _points(ax: Axes, x: Any, value: Any, low: Any, high: Any, colour: str, marker: str) -> None:
    there = np.isfinite(value)
    spread = axes.ends(value, low, high)[:, there]
    ax.errorbar(
        x[there], value[there], spread, color=colour, marker=marker, ls="", ms=4.5, mfc="white", capsize=2.5, lw=1.1,
        zorder=3,
    )  # fmt: skip


def _bounds(ax: Axes, rows: Sequence[Any], best: float) -> None:
    weights, gap, bound, epsilon = axes.fields(rows, "weight", "gap", "bound", "epsilon")
    there = gap > 1e-9
    ax.plot(weights[there], gap[there], color=_J, lw=1.3, zorder=2)
    value, low, high = (best - x for x in axes.fields(rows, "objective", "objective_high", "objective_low"))
    _points(ax, weights, np.where(value > 0, value, np.nan), low, high, _J, "o")
    ax.plot(weights, bound, color=_GAP, lw=1.1, ls="-.", zorder=1)
    if np.isfinite(epsilon).any():
        ax.plot(weights, epsilon, color=axes.INK, lw=1.1, ls="--", zorder=1)
    ax.set(yscale="log")


def _key(percent: str) -> tuple[list[Any], list[str]]:
    entries = {
        "J (and KL, J* − J), largest J_λ": axes.key(color=_J, lw=1.3),
        f"the same, A3C with {percent} interval": axes.key(color=_J, marker="o", mfc="white", ls="", ms=4.5),
        "J_λ, its largest value": axes.key(color=_REGULARISED, lw=1.3),
        f"the same, A3C with {percent} interval ": axes.key(color=_REGULARISED, marker="s", mfc="white", ls=""),
        "sharper bound λ Σ η_p d*/d": axes.key(color=_GAP, lw=1.1, ls="-."),
        "ε_λ of Theorem 5": axes.key(color=axes.INK, lw=1.1, ls="--"),
    }
    return list(entries.values()), list(entries)
