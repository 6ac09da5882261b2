"""Remedies as a figure: what each gains over none, with intervals."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from a3cjax.studies.frame import axes
from a3cjax.studies.frame.types import Axes, Figure

_GAIN, _LOSS, _OPEN = "#2060a0", "#c05020", "#9a9a9a"


def remedies_figure(cells: Sequence[Sequence[Any]], percent: str, seeds: int) -> Figure:
    """A panel for each problem (rows) and source of delays (columns), a line for each remedy."""
    problems = list(dict.fromkeys(rows[0].problem for rows in cells))
    sources = list(dict.fromkeys(rows[0].delays for rows in cells))
    names = [row.remedy for row in sorted(cells[0], key=lambda row: (row.remedy != "none", row.remedy))]
    with axes.drawing(2.2 + 2.9 * len(sources), 1.3 + len(problems) * (0.6 + 0.22 * len(names))) as figure:
        grid = figure.subplots(len(problems), len(sources), squeeze=False, sharey=True, sharex="row")
        for rows in cells:
            i, j = problems.index(rows[0].problem), sources.index(rows[0].delays)
            _panel(grid[i, j], rows, names)
            if j == 0:
                grid[i, j].set_yticks(range(len(names)), names)
        for ax in grid[-1]:
            ax.set_xlabel("time without remedy / with it")
        looks = (("sooner", _GAIN, "o"), ("cannot be told apart from none", _OPEN, "o"), ("later", _LOSS, "o"))
        handles = [axes.key(color=colour, marker=mark, lw=1.2, label=said) for said, colour, mark in looks]
        handles.append(axes.key(color=axes.INK, marker="x", lw=0, label="no seed met the target"))
        figure.legend(handles=handles, loc="outside lower center", ncols=4)
        figure.suptitle(f"Each remedy at its own best step: {seeds} seeds, {percent} intervals", x=0.01, ha="left",
                        fontsize=10, fontweight="bold")  # fmt: skip
    return figure


def _panel(ax: Axes, rows: Sequence[Any], names: Sequence[str]) -> None:
    from matplotlib.ticker import FuncFormatter

    ax.axvline(1, color=axes.INK, lw=0.9)
    for row in rows:
        y = names.index(row.remedy)
        if not np.isfinite(row.speedup) or not row.reached:
            ax.plot(1.0, y, marker="x", color=axes.INK, ms=5, lw=0)
            continue
        told = np.isfinite(row.speedup_low) and not row.speedup_low <= 1 <= row.speedup_high
        colour = (_GAIN if row.speedup > 1 else _LOSS) if told else _OPEN
        ends = axes.ends(*(np.array([x]) for x in (row.speedup, row.speedup_low, row.speedup_high)))
        ax.errorbar([row.speedup], [y], xerr=ends, color=colour, marker="o", ms=4.5, lw=1.4, capsize=2.5, zorder=3)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(FuncFormatter(axes.plain))
    ax.xaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else ""))
    ax.set_title(f"{rows[0].problem}, {rows[0].delays}\nmean delay {rows[0].mean_delay:.1f}")
    ax.set_ylim(len(names) - 0.5, -0.5)
