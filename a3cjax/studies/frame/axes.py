"""The look of every figure. Matplotlib is imported where something is drawn: it takes long, and few draw."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from a3cjax.studies.frame.types import Axes, Figure

INK = "#404040"
NAMES = {"iid": "i.i.d.", "markov": "Markovian"}
COLOURS = {"iid": "#2060a0", "markov": "#c05020"}
MARKERS = {"iid": "o", "markov": "s"}
# For things without an order, told apart also by those who see few colours.
PALETTE = ("#2060a0", "#c05020", "#3a8a5a", "#8a5ca8", "#b08a1e", "#5a6a7a")
STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.7,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
}


def plain(value: float, position: int | None = None) -> str:
    """A number as it is written on an axis."""
    del position
    return f"{value:g}"


@contextlib.contextmanager
def drawing(width: float, height: float) -> Iterator[Figure]:
    """Within, an empty figure of so many inches, and everything in the package's style."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


def shades(count: int) -> list[str]:
    """``count`` colours from light to dark, for things that have an order."""
    import matplotlib
    from matplotlib.colors import to_hex

    return [to_hex(colour) for colour in matplotlib.colormaps["viridis_r"](np.linspace(0.12, 1, count))]


def key(**look: Any) -> Any:
    """A line of that look for a legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], **look)


def ends(value: Any, low: Any, high: Any) -> np.ndarray:
    """Error bars [2, …] from a value to both ends of its interval; none where there is none."""
    return np.nan_to_num([value - low, high - value]).clip(0)


def fields(rows: Sequence[Any], *names: str) -> tuple[np.ndarray, ...]:
    """Fields of rows as arrays."""
    return tuple(np.array([getattr(row, name) for row in rows]) for name in names)


def level(ax: Axes, label: str, height: float, line: str = "-", shift: float = 2, **look: Any) -> None:
    """A horizontal line through the whole panel with a word at its left end."""
    ax.axhline(height, color=INK, lw=0.9, ls=line, **look)
    ax.annotate(
        label, (0, height), xycoords=("axes fraction", "data"), xytext=(4, shift), textcoords="offset points",
        fontsize=8, color=INK,
    )  # fmt: skip


def middle_band(ax: Axes, x: np.ndarray, runs: np.ndarray, alpha: float, width: float = 1.4, **look: Any) -> None:
    """Of curves [seeds, R] that are finite throughout the mean, and a band that holds the middle 80 % of them."""
    runs, colour = runs[np.isfinite(runs).all(-1)], look["color"]
    if not runs.size:
        return
    ax.fill_between(x, *np.quantile(runs, (0.1, 0.9), axis=0), color=colour, alpha=alpha, lw=0)
    ax.plot(x, runs.mean(0), lw=width, **look)


def fixed_ticks(axis: Any, ticks: Any, write: Callable[..., str] = plain) -> None:
    """Have an axis [of matplotlib] name these numbers and no others."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(write))


def logarithmic(axis: Any, write: Callable[[float], str]) -> None:
    """Have an axis [of matplotlib, on a logarithmic scale] write every number alike, and two of them at least.

    Powers of ten stand where there are two of them in sight; 1, 2 and 5 times them where there are fewer, and where
    that is not enough all whole multiples.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    low, high = sorted(axis.get_view_interval())
    for multiples in ((1,), (1, 2, 5), range(1, 10)):
        ticks = LogLocator(subs=multiples).tick_values(low, high)
        if ((ticks >= low) & (ticks <= high)).sum() > 1:
            break
    axis.set_major_locator(LogLocator(subs=multiples, numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: write(value)))
    axis.set_minor_locator(LogLocator(subs=range(1, 10), numticks=12) if len(multiples) < 9 else NullLocator())
    axis.set_minor_formatter(NullFormatter())
