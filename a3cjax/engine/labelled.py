"""A result as a dataset whose axes have names, and its runs those of whoever asked for them."""

import importlib.metadata
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from a3cjax._core import check

if TYPE_CHECKING:
    import xarray

_OWN = ("record", "update", "updates", "time")


def dataset(result: Any, runs: Mapping[str, Any] | str | None) -> "xarray.Dataset":
    """See ``Result.to_xarray``."""
    import xarray

    _check_known(result)
    shape = np.shape(result.nonfinite_from)
    labels = _labels(runs, shape)
    axes, sizes = tuple(labels), tuple(len(values) for values in labels.values())

    def variable(leaf: Any, *named: str, rest: str) -> tuple[tuple[str, ...], np.ndarray]:
        leaf = np.asarray(leaf)
        leaf = leaf.reshape((*sizes, *leaf.shape[len(shape) :]))
        return (*axes, *named, *(f"{rest}_{i}" for i in range(leaf.ndim - len(axes) - len(named)))), leaf

    found = {name: variable(leaf, "record", rest=name) for name, leaf in _leaves("", result.metrics)}
    found |= {name: variable(leaf, rest=name) for name, leaf in _leaves("params", result.params)}
    found |= {name: variable(leaf, "update", rest=name) for name, leaf in _leaves("transitions", result.transitions)}
    taken = sorted({*axes, *found} & {*_OWN, "nonfinite_from"} | {*axes} & {*found})
    if taken:
        raise ValueError(
            f"{taken[0]!r} names an axis of runs or a metric, but something else of the dataset too; take another name."
        )
    found["nonfinite_from"] = variable(result.nonfinite_from, rest="nonfinite_from")
    time = np.asarray(result.time)
    times = variable(time, "record", rest="time") if time.ndim > 1 else (("record",), time)
    updates = np.asarray(result.updates)
    coordinates = {
        **labels,
        "updates": ("record", updates.reshape(-1, updates.shape[-1])[0], {"long_name": "updates so far", "units": "1"}),
        "time": (*times, {"long_name": "virtual time", "units": "that of the compute times"}),
    }
    about = {"num_updates": result.num_updates, "backend": result.backend}
    about |= {f"{name}_version": importlib.metadata.version(name) for name in ("a3cjax", "jax")}
    return xarray.Dataset(found, coordinates, about)


def _check_known(result: Any) -> None:
    if not check.is_concrete(result.metrics, result.params, result.time):
        raise ValueError("a result has no numbers to put into a dataset while it is traced; call it outside of jit.")


def _labels(runs: Mapping[str, Any] | str | None, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """From the name of each axis of runs to its labels."""
    if runs is None:
        names = ["run"] if len(shape) == 1 else [f"run_{i}" for i in range(len(shape))]
        return {name: np.arange(size) for name, size in zip(names, shape, strict=True)}
    count = math.prod(shape)
    if not shape:
        raise ValueError("runs has no effect on the result of one run, which has no axis for them; leave it out.")
    if isinstance(runs, str):
        return {runs: np.arange(count)}
    if not isinstance(runs, Mapping):
        raise ValueError(f"runs must be a name or a dict from each axis' name to its labels, but is {runs!r}.")
    labels = {str(name): np.asarray(list(values)) for name, values in runs.items()}
    for name, values in labels.items():
        if values.ndim != 1:
            raise ValueError(f"runs[{name!r}] must be a list of labels, one for each place along the axis.")
    if math.prod(map(len, labels.values())) != count:
        sizes = " × ".join(str(len(values)) for values in labels.values())
        raise ValueError(
            f"runs has {sizes} labels, but the result has {count} runs; give as many, the last axis fastest."
        )
    return labels


def _leaves(name: str, node: Any) -> list[tuple[str, Any]]:
    """Each array of a tree with its path, as in "params.theta"."""
    paths = jax.tree_util.tree_flatten_with_path(node)[0]
    parts = [[name] * bool(name) + [_word(key) for key in path] for path, _ in paths]
    return [(".".join(part), leaf) for part, (_, leaf) in zip(parts, paths, strict=True)]


def _word(key: Any) -> str:
    """Of a path's step: a field, a key of a dict, or a place."""
    return str(next(getattr(key, kind) for kind in ("name", "key", "idx") if hasattr(key, kind)))
