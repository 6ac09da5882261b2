"""A schedule as a file: a NumPy archive, written whole or not at all."""

import os
from typing import Any

import numpy as np

from a3cjax._core import files

_COLUMNS = ("worker", "delay", "time")
_OPTIONAL = ("commit", "weight")
_IS = "a schedule", "give a file written by Schedule.save, or columns of your own to Schedule"


def save(path: str | os.PathLike[str], columns: tuple[Any, Any, Any], num_workers: int, **optional: Any) -> None:
    """Write the columns, the number of workers, and what there is of commits and weights."""
    named: dict[str, Any] = dict(zip(_COLUMNS, map(np.asarray, columns), strict=True))
    named |= {name: np.asarray(column) for name, column in optional.items() if column is not None}
    files.write_whole(path, lambda file: np.savez(file, num_workers=num_workers, **named))


def load(path: str | os.PathLike[str]) -> tuple[tuple[np.ndarray, ...], int, dict[str, np.ndarray]]:
    """The columns, the number of workers, and the optional columns in a file that ``save`` wrote."""
    arrays = files.read_arrays(path, *_IS)
    wrong = _what_is_wrong(arrays)
    if wrong:
        what, remedy = _IS
        raise files.refusal(path, what, wrong, remedy)
    optional = {name: arrays[name] for name in _OPTIONAL if name in arrays}
    return tuple(arrays[name] for name in _COLUMNS), int(arrays["num_workers"]), optional


def _what_is_wrong(arrays: dict[str, np.ndarray]) -> str:
    """Why these arrays are not those of a schedule; nothing if they are."""
    for name in (*_COLUMNS, "num_workers"):
        if name not in arrays:
            return f"it has no {name}"
    known = [name for name in (*_COLUMNS, "num_workers", *_OPTIONAL) if name in arrays]
    for name in known:
        if arrays[name].dtype.kind not in "iufb":
            return f"{name} holds {arrays[name].dtype}, not numbers"
    if arrays["num_workers"].shape != ():
        return "num_workers is not one number"
    shapes = {name: arrays[name].shape for name in known if name != "num_workers"}
    if len(set(shapes.values())) > 1:
        return f"its columns have different shapes, {', '.join(f'{name} {shape}' for name, shape in shapes.items())}"
    return ""
