"""The look of every figure."""

from collections.abc import Callable
from typing import Any

import matplotlib
import numpy as np
from matplotlib.colors import to_hex
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

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


def shades(count: int) -> list[str]:
    """``count`` colours from light to dark, for things that have an order."""
    return [to_hex(colour) for colour in matplotlib.colormaps["viridis_r"](np.linspace(0.12, 1, count))]


def logarithmic(axis: Any, write: Callable[[float], str]) -> None:
    """Have an axis [of matplotlib, on a logarithmic scale] write every number alike, and two of them at least.

    Powers of ten stand where there are two of them in sight; 1, 2 and 5 times them where there are fewer, and where
    that is not enough all whole multiples.
    """
    low, high = sorted(axis.get_view_interval())
    for multiples in ((1,), (1, 2, 5), range(1, 10)):
        ticks = LogLocator(subs=multiples).tick_values(low, high)
        if ((ticks >= low) & (ticks <= high)).sum() > 1:
            break
    axis.set_major_locator(LogLocator(subs=multiples, numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: write(value)))
    axis.set_minor_locator(LogLocator(subs=range(1, 10), numticks=12) if len(multiples) < 9 else NullLocator())
    axis.set_minor_formatter(NullFormatter())
