"""Numbers that a user hands over, as Python values, arrays or files of measurements."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from a3cjax._core import check
from a3cjax.schedules._measured import read_measured


def plain(value: Any) -> Any:
    """A scalar that can be looked at as a Python float; anything traced or batched as it is."""
    return float(value) if check.is_concrete(value) and np.ndim(value) == 0 else value


def whole_numbers(name: str, value: Any, least: int) -> Any:
    """``value`` as an int32 NumPy array of entries of at least ``least``; a traced value passes unseen."""
    if not check.is_concrete(value):
        return value
    try:
        array = np.asarray(value)
        floats = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold whole numbers, but is {value!r}.") from error
    check.finite(name, floats)
    for bad, words in (
        (floats != np.floor(floats), "must be a whole number"),
        (floats < least, f"must be at least {least}"),
        (floats > np.iinfo(np.int32).max, f"must be at most {np.iinfo(np.int32).max}"),
    ):
        if bad.any():
            where = tuple(int(i) for i in np.argwhere(bad)[0])
            raise ValueError(f"{name}{check.index(where)} is {array[where]}, but {words}.")
    return floats.astype(np.int32)


def measurements(name: str, value: Any, accept: Callable[[str, Any], Any]) -> Any:
    """A list, an array, or the numbers in a file, as a vector of at least one number, and what ``accept`` makes of it.

    ``accept(name, numbers)`` refuses numbers that will not do; those of a file are then named by their line. See
    ``_measured.py`` for what is a file of numbers.
    """
    places: list[str] = []
    if isinstance(value, (str, os.PathLike)):
        value, places = read_measured(Path(value))
    if not isinstance(value, jax.Array):
        try:
            value = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name} must be numbers or the path of a file of numbers.") from error
    if value.ndim != 1 or value.size == 0:
        raise ValueError(f"{name} has shape {value.shape}, but must be a vector of at least one number.")
    try:
        return accept(name, value)
    except ValueError:
        for place, number in zip(places, value, strict=False):
            accept(f"{place} the value", number)
        raise


def positive(name: str, values: Any) -> Any:
    """For ``measurements``: the values, each of them greater than 0."""
    check.number(name, values, above=0)
    return values
