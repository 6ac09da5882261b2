"""Bounds as a figure: throughput, samples to the target, and the time that comes of both."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from a3cjax.studies.frame import axes
from a3cjax.studies.frame.rivals import SOONEST
from a3cjax.studies.frame.types import Figure


def bound_figure(rows: Sequence[Any], percent: str, seeds: int) -> Figure:
    """Three panels over the bounds, a line for each batch, queue and correction; the best is ringed."""
    bounds = list(dict.fromkeys(row.bound for row in rows))
    groups: dict[tuple[Any, ...], list[Any]] = {}
    for row in rows:
        groups.setdefault((row.batch, row.queue, row.correction), []).append(row)
    pipes = list(dict.fromkeys(key[:2] for key in groups))
    corrections = list(dict.fromkeys(key[2] for key in groups))
    with axes.drawing(11, 4.2) as figure:
        left, middle, right = figure.subplots(1, 3)
        panels = (
            (left, "throughput", "Samples trained on per unit of time"),
            (middle, "samples", "Samples to the target"),
            (right, "time", "Time to the target"),
        )
        for (batch, queue, correction), line in groups.items():
            colour = axes.PALETTE[pipes.index((batch, queue)) % len(axes.PALETTE)]
            which = corrections.index(correction)
            look = dict(color=colour, marker="os^Dvx"[which % 6], ls=("-", "--", ":", "-.")[which % 4], lw=1.3, ms=4.5)
            x = np.arange(len(bounds)) + 0.06 * (which - (len(corrections) - 1) / 2)
            for ax, name, _ in panels:
                if name == "throughput":
                    if which == 0:
                        ax.plot(x, axes.fields(line, name)[0], **look)
                    continue
                value, low, high = axes.fields(line, f"{name}_to_target", f"{name}_low", f"{name}_high")
                ax.errorbar(x, value, yerr=axes.ends(value, low, high), capsize=2, elinewidth=0.9, **look)
                short = np.array([row.reached < seeds for row in line])
                ax.plot(x[short], value[short], marker="x", color=axes.INK, lw=0, ms=8)
                best = [i for i, row in enumerate(line) if row.verdict == SOONEST]
                ax.plot(x[best], value[best], marker="o", mfc="none", mec=axes.INK, mew=1.4, ms=12, lw=0)
        for ax, _, title in panels:
            ax.set_yscale("log")
            ax.set_title(title)
            ax.set_xlabel("maximum staleness")
            ax.set_xticks(range(len(bounds)), bounds)
            axes.logarithmic(ax.yaxis, axes.plain)
        queues = len({queue for _, queue in pipes}) > 1
        handles = [
            axes.key(color=axes.PALETTE[i % len(axes.PALETTE)], lw=2,
                     label=f"batch {batch}" + (f", queue {queue}" if queues else ""))
            for i, (batch, queue) in enumerate(pipes)
        ]  # fmt: skip
        handles += [
            axes.key(color=axes.INK, marker="os^Dvx"[i % 6], ls=("-", "--", ":", "-.")[i % 4], lw=1.2, ms=4.5,
                     label="no correction" if name == "none" else f"{name} weights")
            for i, name in enumerate(corrections)
        ]  # fmt: skip
        handles.append(axes.key(marker="o", mfc="none", mec=axes.INK, mew=1.4, ms=10, lw=0, label="soonest"))
        if any(row.reached < seeds for row in rows):
            handles.append(axes.key(marker="x", color=axes.INK, lw=0, ms=7, label="some seed late: at least"))
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 6))
        figure.suptitle(f"Which staleness to allow: {seeds} seeds, {percent} intervals", x=0.01, ha="left",
                        fontsize=10, fontweight="bold")  # fmt: skip
    return figure
