"""Rows as text: aligned for a terminal, and as CSV."""

import csv
import dataclasses
import importlib.metadata
import io
import json
import math
import platform
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import a3cjax

DASH = "–"
WIDTH = 120  # columns of a table; one that would be wider stands closer


def text_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """An aligned table: the first column to the left, the others to the right.

    A header of several lines stands on its last; a line that begins otherwise than the one above is set off by an
    empty one.

    >>> print(text_table(["law", "updates\\nto target"], [["iid", "900"], ["iid", "1,000"]]))
           updates
    law  to target
    iid        900
    iid      1,000
    """
    titles = [title.split("\n") for title in header]
    tall = max(map(len, titles))
    above = list(zip(*([""] * (tall - len(title)) + title for title in titles), strict=True))
    widths = [max(map(len, column)) for column in zip(*above, *lines, strict=True)]
    gap = "  " if sum(widths) + 2 * len(widths) - 2 <= WIDTH else " "
    text = []
    for number, line in enumerate((*above, *lines)):
        if number > tall and line[0] != lines[number - tall - 1][0]:
            text.append("")
        cells = [line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))]
        text.append(gap.join(cells).rstrip())
    return "\n".join(text)


def csv_text(rows: Sequence[Any]) -> str:
    """Dataclasses of one kind, with every digit, so that equal numbers give equal bytes; NaN is ``nan``."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if rows:
        writer.writerow([field.name for field in dataclasses.fields(rows[0])])
    writer.writerows(dataclasses.astuple(row) for row in rows)
    return out.getvalue()


def json_text(value: Any) -> str:
    """JSON that every reader takes: a number that is not finite is the text that ``csv_text`` has for it.

    >>> print(json_text({"target": float("nan"), "steps": (0.5, float("inf"))}), end="")
    {
      "target": "nan",
      "steps": [
        0.5,
        "inf"
      ]
    }
    """
    return json.dumps(_finite(value), indent=2, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {name: _finite(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return str(float(value)) if isinstance(value, float) and not math.isfinite(value) else value


def number(value: float, form: str) -> str:
    """A number in the format ``form``; a dash where there is none.

    >>> number(1234.5, ",.0f"), number(float("nan"), ".2f")
    ('1,234', '–')
    """
    return format(value, form) if math.isfinite(value) else DASH


def short(value: float) -> str:
    """A number to three figures or so; a dash where there is none."""
    return number(value, ".2f" if abs(value) < 100 else ",.0f")


def interval(low: float, high: float, form: str | None = None) -> str:
    """Both ends, or a dash.

    >>> interval(1.8, 2.04)
    '1.80 to 2.04'
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        return DASH
    return " to ".join(short(end) if form is None else number(end, form) for end in (low, high))


def versions() -> dict[str, str]:
    """The versions of whatever the numbers depend on."""
    ours = {"python": platform.python_version(), "a3cjax": a3cjax.__version__}  # which need not be installed
    return ours | {name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "numpy", "scipy", "xarray")}
