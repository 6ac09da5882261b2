"""A forecast as a figure: updates a unit of time, delay, and time to the target against the workers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from a3cjax.studies.forecast.cases import BOUNDED, CASES, SLOWER
from a3cjax.studies.frame import axes
from a3cjax.studies.frame.types import Figure


def forecast_figure(
    rows: Sequence[Any],
    percent: str,
    seeds: int,
    slower: float,
    bound: float,
    seen: tuple[int, dict[str, float]] | None,
) -> Figure:
    """Three panels, a line for each case; the log itself is a cross, and the grey line linear in N."""
    names = {SLOWER: f"one worker {slower:g} times slower", BOUNDED: f"delays of {bound:g} N and more thrown away"}
    with axes.drawing(11, 4.0) as figure:
        panels = figure.subplots(1, 3)
        shown = (
            ("rate", "rate_low", "rate_high", "Updates in a unit of time"),
            ("mean_delay", "mean_delay_low", "mean_delay_high", "Delay in updates: mean, and 99 % dotted"),
            ("time_to_target", "time_low", "time_high", "Time to the target"),
        )
        for i, case in enumerate(CASES):
            line = [row for row in rows if row.case == case]
            if not line:
                continue
            x = axes.fields(line, "workers")[0] * (1 + 0.03 * (i - 1))
            look = dict(color=axes.PALETTE[i], marker="os^"[i], ms=4.5, lw=1.3)
            for ax, (name, low, high, _) in zip(panels, shown, strict=True):
                value, below, above = axes.fields(line, name, low, high)
                ax.errorbar(x, value, yerr=axes.ends(value, below, above), capsize=2, elinewidth=0.9, **look)
            panels[1].plot(x, axes.fields(line, "p99_delay")[0], ls=":", **{**look, "ms": 3})
            short = np.array([row.reached < seeds for row in line])
            panels[2].plot(x[short], axes.fields(line, "time_to_target")[0][short], marker="x", color=axes.INK, lw=0)
        team = [row for row in rows if row.case == CASES[0]]
        workers = axes.fields(team, "workers")[0].astype(float)
        for ax, start, power in ((panels[0], team[0].rate, 1), (panels[2], team[0].time_to_target, -1)):
            ax.plot(workers, start * (workers / workers[0]) ** power, color="#b0b0b0", lw=1, zorder=0)
        if seen is not None:
            known = (seen[1]["rate"], seen[1]["mean_delay"])
            for ax, value in zip(panels, known, strict=False):
                ax.plot(seen[0], value, marker="P", color=axes.INK, ms=9, mfc="none", lw=0)
        for ax, (_, _, _, title) in zip(panels, shown, strict=True):
            ax.set_title(title)
            ax.set_xlabel("workers N")
            ax.set_xscale("log")
            axes.fixed_ticks(ax.xaxis, workers)
            if ax is panels[1]:
                ax.set_yscale("symlog", linthresh=1)
                top = max(row.p99_delay for row in rows)
                ax.set_ylim(-0.05, 1.3 * max(top, 1.0))
                axes.fixed_ticks(ax.yaxis, [0, *(10**power for power in range(8) if 10**power <= 1.3 * top)])
            else:
                ax.set_yscale("log")
                axes.logarithmic(ax.yaxis, axes.plain)
        handles = [
            axes.key(color=axes.PALETTE[i], marker="os^"[i], lw=1.3, ms=4.5, label=names.get(case, case))
            for i, case in enumerate(CASES)
            if any(row.case == case for row in rows)
        ]
        handles.append(axes.key(color="#b0b0b0", lw=1, label="linear"))
        if seen is not None:
            handles.append(axes.key(marker="P", color=axes.INK, mfc="none", ms=8, lw=0, label="the log"))
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
        figure.suptitle(f"Forecast: {seeds} seeds, {percent} intervals of a run", x=0.01, ha="left", fontsize=10,
                        fontweight="bold")  # fmt: skip
    return figure
