"""Numbers that a user hands over, as Python values, arrays or files of measurements."""

import os
from pathlib import Path
from typing import Any

import jax
import numpy as np

from a3cjax import _check


def plain(value: Any) -> Any:
    """A scalar that can be looked at as a Python float; anything traced or batched as it is."""
    return float(value) if _check.is_concrete(value) and np.ndim(value) == 0 else value


def whole_numbers(name: str, value: Any, least: int) -> Any:
    """``value`` as an int32 NumPy array of entries of at least ``least``; a traced value passes unseen."""
    if not _check.is_concrete(value):
        return value
    try:
        array = np.asarray(value)
        floats = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold whole numbers, but is {value!r}.") from error
    _check.finite(name, floats)
    for bad, words in (
        (floats != np.floor(floats), "must be a whole number"),
        (floats < least, f"must be at least {least}"),
        (floats > np.iinfo(np.int32).max, f"must be at most {np.iinfo(np.int32).max}"),
    ):
        if bad.any():
            where = tuple(int(i) for i in np.argwhere(bad)[0])
            raise ValueError(f"{name}{_check.index(where)} is {array[where]}, but {words}.")
    return floats.astype(np.int32)


def measurements(name: str, value: Any) -> Any:
    """A list, an array, or the numbers in a file (text, CSV or .npy), as a vector of at least one number."""
    if isinstance(value, (str, os.PathLike)):
        name, value = f"{name} in {os.fspath(value)}", _read(Path(value))
    if not isinstance(value, jax.Array):
        try:
            value = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name} must be numbers or the path of a file of numbers.") from error
    if value.ndim != 1 or value.size == 0:
        raise ValueError(f"{name} has shape {value.shape}, but must be a vector of at least one number.")
    return value


def _read(path: Path) -> np.ndarray:
    """One column of numbers, or numbers in reading order; ``#`` starts a comment, one heading may come first."""
    if path.suffix == ".npy":
        return np.load(path, allow_pickle=False)
    numbers: list[float] = []
    heading = False
    for line, text in enumerate(path.read_text().splitlines(), start=1):
        entries = text.split("#")[0].replace(",", " ").split()
        try:
            numbers.extend(map(float, entries))
        except ValueError as error:
            if heading or numbers or len(entries) > 1:
                raise ValueError(
                    f"{path}, line {line}: {text!r} is not numbers; give one column of numbers."
                ) from error
            heading = True
    return np.asarray(numbers)
