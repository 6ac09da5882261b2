"""The one loop: simulate, its two histories, randomness, what is recorded, the result."""

from a3cjax.engine.grid import Grid, grid
from a3cjax.engine.interval import Interval, interval
from a3cjax.engine.record import Record
from a3cjax.engine.result import Diverged, Interrupted, Result
from a3cjax.engine.saved import SavedState
from a3cjax.engine.simulate import simulate

__all__ = [
    "Diverged", "Grid", "Interrupted", "Interval", "Record", "Result", "SavedState", "grid", "interval", "simulate",
]  # fmt: skip
