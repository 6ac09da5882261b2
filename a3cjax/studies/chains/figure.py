"""The study of chains as a figure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from a3cjax.studies.chains.result import REFERENCE
from a3cjax.studies.frame.axes import INK, PALETTE, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from a3cjax.studies.chains.result import ChainsRow


def chains_figure(curves: xr.Dataset, rows: Sequence["ChainsRow"], confidence: float) -> Figure:
    """Three panels: the bias over γ, J over updates for one γ, and simulated against exact bias, MDP by MDP."""
    weights = [float(weight) for weight in curves.weight.values]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11.4, 3.7), layout="constrained")
        over, path, pairs = figure.subplots(1, 3)
        _bias_panel(over, curves, rows, weights, confidence)
        _path_panel(path, curves)
        _pairs_panel(pairs, curves, weights)
    return figure


def _bias_panel(
    ax: "Axes", curves: xr.Dataset, rows: Sequence["ChainsRow"], weights: list[float], confidence: float
) -> None:
    discounts = curves.discount.values
    for w, (weight, colour) in enumerate(zip(weights, PALETTE, strict=False)):
        own = [row for row in rows if row.weight == weight]
        if curves.sizes["mdp"] > 1:
            thin = ax.plot(discounts, curves.bias.values[w], color=colour, lw=0.6, alpha=0.35, zorder=1)
            thin[0].set_label(f"λ = {weight:g}, each MDP")
        ax.plot(discounts, [row.bias for row in own], color=colour, lw=1.8, label=f"λ = {weight:g}, mean motion")
        value = np.array([row.simulated_bias for row in own])
        ends = np.array([(row.simulated_low, row.simulated_high) for row in own]).T
        spread = np.nan_to_num(np.abs(ends - value))
        label = f"λ = {weight:g}, simulated, {100 * confidence:g} %"
        ax.errorbar(discounts + 0.006, value, spread, color=colour, fmt="o", ms=4, capsize=3, label=label, zorder=3)
    known = {g: bias for (weight, g), bias in REFERENCE.items() if weight in weights and g in discounts}
    if known:
        ax.plot(
            list(known), list(known.values()), "D", color=INK, mfc="white", ms=5, label="reference, one MDP, λ = 0.3"
        )
    ax.axhline(0, color=INK, lw=0.8)
    ax.set(title="Bias of one shared chain", xlabel="discount γ", ylabel="J separate − J shared", xticks=discounts)
    ax.legend(fontsize=7)


def _path_panel(ax: "Axes", curves: xr.Dataset) -> None:
    """The first λ and γ, mean over MDPs; bands hold the middle 80 % of the seeds."""
    for c, (chain, colour) in enumerate(zip(curves.chain.values, (PALETTE[2], PALETTE[3]), strict=True)):
        runs = curves.objective.values[0, 0, :, c].mean(0)
        there = np.isfinite(runs).all(-1)
        if there.any():
            band = np.quantile(runs[there], (0.1, 0.9), axis=0)
            ax.fill_between(curves.updates.values, *band, color=colour, alpha=0.25, lw=0)
            ax.plot(curves.updates.values, runs[there].mean(0), color=colour, lw=1.4, label=f"{chain}, simulated")
        mean = curves.mean_objective.values[0, 0, :, c].mean(0)
        ax.plot(curves.updates.values, mean, color=INK, lw=1, ls="--", label="mean motion" if c else None)
    ax.set(
        title=f"J, λ = {curves.weight.values[0]:g}, γ = {curves.discount.values[0]:g}",
        xlabel="updates k",
        ylabel="J(θ_k)",
    )
    ax.legend(loc="lower right")


def _pairs_panel(ax: "Axes", curves: xr.Dataset, weights: list[float]) -> None:
    exact, simulated = curves.bias.values, curves.simulated_bias.values.mean(-1)
    for w, (weight, colour) in enumerate(zip(weights, PALETTE, strict=False)):
        for g, marker in zip(range(curves.sizes["discount"]), "osD^vP", strict=False):
            label = f"λ = {weight:g}, γ = {curves.discount.values[g]:g}"
            ax.plot(exact[w, g], simulated[w, g], marker, color=colour, ms=4, alpha=0.8, label=label)
    ends = np.array([exact.min(), exact.max()])
    ax.plot(ends, ends, color=INK, lw=0.9, ls="--", zorder=1, label="equal")
    ax.set(title="Each MDP", xlabel="bias of the mean motion", ylabel="simulated bias, mean over seeds")
    ax.legend(fontsize=7)
