"""The study of regularisation as a figure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from a3cjax.studies.frame.axes import INK, PALETTE, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from a3cjax.studies.regularisation.result import RegularisationRow

_J, _REGULARISED, _GAP = PALETTE[0], PALETTE[1], PALETTE[2]


def regularisation_figure(curves: xr.Dataset, rows: Sequence["RegularisationRow"], confidence: float) -> Figure:
    """A column for each prior: J and J_λ, the distance to the prior, J* − J beside its bounds, against λ.

    Lines are exact maximisers of J_λ; points are A3C's means over seeds, bars their intervals.
    """
    priors = [str(name) for name in curves.prior.values]
    values = np.atleast_1d(curves.attrs["prior_objectives"])
    best = curves.attrs["optimal_objective"]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(1.2 + 3.2 * len(priors), 7.4), layout="constrained")
        grid = figure.subplots(3, len(priors), sharex=True, squeeze=False)
        # Given beforehand, since one weight alone does not span an axis.
        grid[0, 0].set(xscale="log", xlim=curves.weight.values[[0, -1]] * (0.7, 1.4))
        for i, name in enumerate(priors):
            own = [row for row in rows if row.prior == name]
            weights = np.array([row.weight for row in own])
            top, middle, bottom = grid[:, i]
            _lines(top, weights, own, "objective", _J, "o")
            _lines(top, weights, own, "regularized_objective", _REGULARISED, "s")
            for label, level, above in (("J*", best, True), ("J(π_p)", values[i], False)):
                top.axhline(level, color=INK, lw=0.9, ls=":", zorder=1)
                top.annotate(
                    label, (0, level), xycoords=("axes fraction", "data"), xytext=(4, 2 if above else -10),
                    textcoords="offset points", fontsize=8, color=INK,
                )  # fmt: skip
            top.set_title(f"{name} prior")
            top.margins(y=0.12)
            _lines(middle, weights, own, "divergence", _J, "o")
            middle.set(yscale="log")
            _bounds(bottom, weights, own, best)
        for ax, label in zip(grid[:, 0], ("J and J_λ   [reward]", "E KL(π_p ‖ π)   [nat]", "J* − J   [reward]"),
                             strict=True):  # fmt: skip
            ax.set_ylabel(label)
        for ax in grid[2]:
            ax.set_xlabel("λ")
        figure.legend(*_key(confidence), loc="outside lower center", ncols=4)
    return figure


def _lines(
    ax: "Axes", weights: np.ndarray, rows: Sequence["RegularisationRow"], name: str, colour: str, marker: str
) -> None:
    ax.plot(weights, [getattr(row, f"best_{name}") for row in rows], color=colour, lw=1.3, zorder=2)
    value, low, high = (np.array([getattr(row, f"{name}{end}") for row in rows]) for end in ("", "_low", "_high"))
    _points(ax, weights, value, low, high, colour, marker)


def _points(ax: "Axes", x: Any, value: Any, low: Any, high: Any, colour: str, marker: str) -> None:
    there = np.isfinite(value)
    spread = np.nan_to_num([value - low, high - value]).clip(0)[:, there]
    ax.errorbar(
        x[there], value[there], spread, color=colour, marker=marker, ls="", ms=4.5, mfc="white", capsize=2.5, lw=1.1,
        zorder=3,
    )  # fmt: skip


def _bounds(ax: "Axes", weights: np.ndarray, rows: Sequence["RegularisationRow"], best: float) -> None:
    gap = np.array([row.gap for row in rows])
    there = gap > 1e-9
    ax.plot(weights[there], gap[there], color=_J, lw=1.3, zorder=2)
    value, low, high = (
        best - np.array([getattr(row, f"objective{end}") for row in rows]) for end in ("", "_high", "_low")
    )
    _points(ax, weights, np.where(value > 0, value, np.nan), low, high, _J, "o")
    ax.plot(weights, [row.bound for row in rows], color=_GAP, lw=1.1, ls="-.", zorder=1)
    epsilon = np.array([row.epsilon for row in rows])
    if np.isfinite(epsilon).any():
        ax.plot(weights, epsilon, color=INK, lw=1.1, ls="--", zorder=1)
    ax.set(yscale="log")


def _key(confidence: float) -> tuple[list[Any], list[str]]:
    share = f"{100 * confidence:g} %"
    entries = {
        "J (and KL, J* − J), largest J_λ": Line2D([], [], color=_J, lw=1.3),
        f"the same, A3C with {share} interval": Line2D([], [], color=_J, marker="o", mfc="white", ls="", ms=4.5),
        "J_λ, its largest value": Line2D([], [], color=_REGULARISED, lw=1.3),
        f"the same, A3C with {share} interval ": Line2D([], [], color=_REGULARISED, marker="s", mfc="white", ls=""),
        "sharper bound λ Σ η_p d*/d": Line2D([], [], color=_GAP, lw=1.1, ls="-."),
        "ε_λ of Theorem 5": Line2D([], [], color=INK, lw=1.1, ls="--"),
    }
    return list(entries.values()), list(entries)
