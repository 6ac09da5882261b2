"""The speedup study as text: for a terminal, and as CSV."""

import csv
import dataclasses
import importlib.metadata
import io
import math
import platform
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from a3cjax.studies.speedup_study import SpeedupRow

# Read off Figs. 3 and 4 of arXiv:2012.15511.
PAPER = {
    "iid": {1: 1.0, 2: 2.0, 4: 4.0, 8: 7.0, 16: 14.0},
    "markov": {1: 1.0, 2: 1.63, 4: 3.19, 8: 5.56, 16: 7.95},
}

_DASH = "–"


def speedup_text(rows: Sequence["SpeedupRow"], reached: Sequence[int], seeds: int, confidence: float) -> str:
    """An aligned table; a dash stands where there is no number.

    >>> from a3cjax.studies import SpeedupRow
    >>> row = SpeedupRow("iid", 2, 900.0, 450.0, 1.9, 1.8, 2.0, 451.0, 1.91, 0.95)
    >>> print(speedup_text([row], [3], seeds=3, confidence=0.95).splitlines()[-1])
    iid             2     1.90  1.80 to 2.00      2        0.95        900         450      451     1.91     3 of 3
    """
    header = [
        ("", "sampling"), ("", "workers"), ("", "speedup"), ("", f"{100 * confidence:g} %"), ("", "paper"),
        ("", "efficiency"), ("updates", "to target"), ("samples", "per worker"), ("virtual", "time"),
        ("time", "speedup"), ("runs that", "met it"),
    ]  # fmt: skip
    lines = []
    for row, count in zip(rows, reached, strict=True):
        paper = PAPER.get(row.sampling, {}).get(row.workers)
        interval = f"{_short(row.speedup_low)} to {_short(row.speedup_high)}"
        lines.append(
            (
                row.sampling,
                str(row.workers),
                _short(row.speedup),
                interval if math.isfinite(row.speedup_low) and row.workers > 1 else _DASH,
                _DASH if paper is None else f"{paper:g}",
                _number(row.efficiency, ".2f"),
                _number(row.updates_to_target, ",.0f"),
                _number(row.samples_per_worker, ",.0f"),
                _number(row.time_to_target, ",.4g" if row.time_to_target < 100 else ",.0f"),
                _short(row.time_speedup),
                f"{count} of {seeds}",
            )
        )
    widths = [max(map(len, column)) for column in zip(*zip(*header, strict=True), *lines, strict=True)]
    text = []
    for number, line in enumerate((*zip(*header, strict=True), *lines)):
        if number > 2 and line[0] != lines[number - 3][0]:
            text.append("")
        cells = [line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))]
        text.append("  ".join(cells).rstrip())
    return "\n".join(text)


def csv_text(rows: Sequence["SpeedupRow"]) -> str:
    """The rows with every digit, so that equal numbers give equal bytes; NaN is ``nan``."""
    from a3cjax.studies.speedup_study import SpeedupRow

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([field.name for field in dataclasses.fields(SpeedupRow)])
    writer.writerows(dataclasses.astuple(row) for row in rows)
    return out.getvalue()


def versions() -> dict[str, str]:
    """The versions of whatever the numbers depend on."""
    names = ("a3cjax", "jax", "jaxlib", "numpy", "scipy", "xarray")
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in names}}


def _short(value: float) -> str:
    if not math.isfinite(value):
        return _DASH
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def _number(value: float, how: str) -> str:
    return format(value, how) if math.isfinite(value) else _DASH
