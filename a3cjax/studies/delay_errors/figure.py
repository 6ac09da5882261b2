"""The delay-error study as a figure."""

from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from a3cjax.studies.frame.axes import INK, STYLE, logarithmic, shades

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from a3cjax.studies.delay_errors.result import DelayErrorStudy

_TITLES = {
    "critic": ("Critic: ‖g(x, ω at k−τ) − g(x, ω at k)‖", "share of ‖g‖"),
    "actor": ("Actor: ‖v(x̂, θ, ω at k−τ) − v(x̂, θ, ω at k)‖", "share of ‖v‖"),
}


def delay_errors_figure(study: "DelayErrorStudy") -> Figure:
    """Four panels: mean error of critic and actor against the delay, beside the bound and as a share.

    Points are means over updates and then seeds, bars their intervals. Dotted lines grow as √τ and as τ.
    """
    workers = [int(n) for n in study.curves.workers.values]
    colours = dict(zip(workers, shades(len(workers)), strict=True))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8.6, 6.4), layout="constrained")
        axes = figure.subplots(2, 2, sharex=True)
        for column, term in enumerate(_TITLES):
            title, share = _TITLES[term]
            _points(axes[0, column], study, term, "error", colours)
            _bound(axes[0, column], study, term)
            axes[0, column].set(title=title, ylabel="mean error norm (reward)", yscale="log")
            _points(axes[1, column], study, term, "share", colours)
            axes[1, column].set(xlabel="delay τ (updates)", ylabel=share, yscale="log")
            axes[1, column].set_title(f"The same as a {share} that was applied")
            for ax in axes[:, column]:
                _guides(ax, study, term, "error" if ax is axes[0, column] else "share")
                logarithmic(ax.yaxis, (lambda y: f"{y:g}") if ax is axes[0, column] else (lambda y: f"{100 * y:g} %"))
                ax.set_xscale("log", base=2)
                ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
                ax.xaxis.set_minor_locator(NullLocator())
        handles: list[Any] = [Line2D([], [], color=colour, marker="o", ms=4) for colour in colours.values()]
        labels = [f"{n} worker{'s' if n > 1 else ''}" for n in workers]
        handles += [Line2D([], [], color=INK, ls=":", lw=1), Line2D([], [], color=INK, ls="--", lw=1)]
        labels += ["∝ √τ and ∝ τ", "bound"]
        handles.append(Line2D([], [], color=INK, marker="|", ms=9, lw=0))
        labels.append(f"{100 * study.confidence:g} % interval")
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 7))
    return figure


def _points(ax: "Axes", study: "DelayErrorStudy", term: str, what: str, colours: dict[int, str]) -> None:
    for n, colour in colours.items():
        own = [row for row in study.rows if row.workers == n and getattr(row, f"{term}_{what}") > 0]
        at = np.array([row.mean_delay for row in own])
        value, low, high = (
            np.array([getattr(row, f"{term}_{what}{end}") for row in own]) for end in ("", "_low", "_high")
        )
        spread = np.nan_to_num([value - low, high - value]).clip(0)
        ax.errorbar(at, value, spread, color=colour, marker="o", ms=4, lw=1.2, capsize=2.5, zorder=3)


def _bound(ax: "Axes", study: "DelayErrorStudy", term: str) -> None:
    largest = max((row.mean_delay for row in study.rows), default=0)
    if study.bound is None or largest < 1:
        return
    at = np.geomspace(1, largest, 60)
    ax.plot(at, getattr(study.bound, term)(at), color=INK, ls="--", lw=1)


def _guides(ax: "Axes", study: "DelayErrorStudy", term: str, what: str) -> None:
    """Through the most workers' first point, so that slopes can be read off."""
    own = [row for row in study.rows if row.workers == study.rows[-1].workers and getattr(row, f"{term}_{what}") > 0]
    if len(own) < 2:
        return
    at = np.array([own[0].mean_delay, own[-1].mean_delay])
    for power in (0.5, 1):
        ax.plot(at, getattr(own[0], f"{term}_{what}") * (at / at[0]) ** power, color=INK, ls=":", lw=0.9, zorder=1)
