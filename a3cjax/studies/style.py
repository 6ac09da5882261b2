"""The look of every figure."""

from typing import Any

import matplotlib
import numpy as np
from matplotlib.colors import to_hex

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
