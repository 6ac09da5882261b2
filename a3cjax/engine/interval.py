"""A mean over runs and how sure it is, with the names of the axes that remain."""

import sys
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from a3cjax._core import check
from a3cjax._core.statistics import mean_interval


class Interval(NamedTuple):
    """A mean and the ends of its confidence interval, each of the kind that the values were of."""

    mean: Any
    low: Any
    high: Any


def interval(values: Any, over: Any, *, confidence: float = 0.95) -> Interval:
    """The mean over an axis of independent runs, with a confidence interval: Student's t, corrected for skewness.

    As in all studies; ``a3cjax.studies.mean_interval`` has the formula (Hall 1992) and how often it covers the truth.
    That holds where the entries along ``over`` are independent, as runs of different keys are, and not for records of
    one run.

    Args:
        values: an array; or a DataArray or a Dataset of xarray, as ``Result.to_xarray`` gives it, all of whose
            variables have the axis.
        over: the axis, by number in an array, by name otherwise; or several, whose entries are pooled.
        confidence: the coverage, between 0 and 1.

    Returns:
        ``(mean, low, high)``, in double precision. Where a NaN or an infinity is among the values, all three are NaN,
        and a warning says of how many; nothing is left out of a mean.

    Raises:
        ValueError: if there is no such axis, or fewer than two entries along it, the values are no numbers or are
            True and False, or ``confidence`` is out of range.

    >>> import a3cjax, xarray
    >>> runs = xarray.DataArray([[4.0, 6.0], [1.0, 1.0]], dims=("step", "seed"))
    >>> mean, low, high = a3cjax.interval(runs, over="seed")
    >>> mean.values.tolist(), low.values.round(3).tolist(), high.dims
    ([5.0, 1.0], [-7.706, 1.0], ('step',))
    """
    check.number("confidence", confidence, above=0, below=1)
    xarray = sys.modules.get("xarray")  # who has a dataset has imported it
    if xarray is not None and isinstance(values, xarray.Dataset):
        rest = values.mean(_names("values", values, over), skipna=False, keep_attrs=True)
        found = {str(name): _of_array(str(name), values[name], over, confidence) for name in values.data_vars}
        return Interval(*(rest.assign({name: parts[i] for name, parts in found.items()}) for i in range(3)))
    if xarray is not None and isinstance(values, xarray.DataArray):
        return _of_array(str(values.name or "values"), values, over, confidence)
    array = _numbers("values", values)
    axes = _places(array, over)
    return Interval(*_of_last("values", _pooled(array, axes), over, confidence))


def _of_array(name: str, values: Any, over: Any, confidence: float) -> Interval:
    axes = _names(name, values, over)
    array = _numbers(name, values.values)
    pooled = _pooled(array, [values.dims.index(axis) for axis in axes])
    rest = values.mean(axes, skipna=False, keep_attrs=True)
    return Interval(*(rest.copy(data=part) for part in _of_last(name, pooled, over, confidence)))


def _of_last(name: str, cells: np.ndarray, over: Any, confidence: float) -> tuple[np.ndarray, ...]:
    """Mean and both ends over the last axis."""
    count = cells.shape[-1]
    if count < 2:
        raise ValueError(
            f"{name} has {count} {'entry' if count == 1 else 'entries'} along {over!r}, which tells nothing of how far "
            "a mean may be off; give two or more."
        )
    unknown = ~np.isfinite(cells).all(-1)
    if unknown.any():
        where = check.index(tuple(int(i) for i in np.argwhere(unknown)[0]))
        warnings.warn(
            f"{name} holds a NaN or an infinity in {int(unknown.sum())} of {unknown.size} means, the first "
            f"{where or 'the only one'}; they and their intervals are NaN.",
            stacklevel=check.level_of_caller(),
        )
    with np.errstate(invalid="ignore"):
        parts = mean_interval(cells, confidence=confidence)
    return tuple(np.where(unknown, np.nan, part) for part in parts)


def _numbers(name: str, values: Any) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype == bool:
        raise ValueError(
            f"{name} holds True and False, whose mean is a share; a3cjax.studies.proportion_interval is for shares."
        )
    if array.dtype.kind not in "iuf" and array.dtype.name not in ("bfloat16", "float8_e4m3fn", "float8_e5m2"):
        raise ValueError(f"{name} holds {array.dtype}, and an interval is of real numbers.")
    return array.astype(np.float64)


def _pooled(array: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    """The axes as the last one."""
    last = np.moveaxis(array, axes, range(-len(axes), 0))
    return last.reshape(*last.shape[: array.ndim - len(axes)], -1)


def _names(name: str, values: Any, over: Any) -> list[Any]:
    axes = list(over) if isinstance(over, tuple | list) else [over]
    for axis in axes:
        if axis not in values.dims:
            listed = ", ".join(repr(str(known)) for known in values.dims) or "none"
            raise ValueError(f"over names the axis {axis!r}, but {name} has {listed}; give one of them.")
    return _distinct(axes)


def _places(array: np.ndarray, over: Any) -> list[int]:
    axes = list(over) if isinstance(over, tuple | list) else [over]
    for axis in axes:
        if isinstance(axis, str):
            raise ValueError(f"over is {axis!r}, but the axes of an array have numbers; use over=0 for the first.")
        place = check.integer("over", axis, -array.ndim)
        if place >= array.ndim:
            raise ValueError(f"over is {place}, but values has {array.ndim} axes, counted from 0.")
    return _distinct([axis % array.ndim for axis in axes])


def _distinct(axes: list[Any]) -> list[Any]:
    if not axes or len(set(axes)) < len(axes):
        raise ValueError(f"over is {axes!r}, but must name each axis once, and one at least.")
    return axes
