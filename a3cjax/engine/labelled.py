"""A result as a dataset whose axes have names, and its runs those of whoever asked for them."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from a3cjax._core import check
from a3cjax.engine.asked import versions
from a3cjax.engine.grid import Grid
from a3cjax.engine.saved import as_plain
from a3cjax.engine.structure import word
from a3cjax.engine.typed_keys import is_key

if TYPE_CHECKING:
    import xarray

# Of metrics that mean the same whoever measures them.
_UNITS = {
    "mean_delay": "updates",
    "max_delay": "updates",
    "delay": "updates",
    "gradient_norm_sq": "reward²",
    "critic_error_sq": "reward²",
    "regularized_objective": "reward",
    "critic_delay_error_sq": "reward²",
    "actor_delay_error_sq": "reward²",
    "critic_direction_sq": "reward²",
    "actor_direction_sq": "reward²",
    "training_return": "reward",
    "training_length": "steps",
}
_OWN = ("record", "update", "updates", "time")


def dataset(result: Any, labels: Mapping[str, np.ndarray]) -> "xarray.Dataset":
    """See ``Result.to_xarray``; ``labels`` are what ``labels_of`` gives."""
    import xarray

    shape = np.shape(result.nonfinite_from)
    axes, sizes = tuple(labels), tuple(len(values) for values in labels.values())

    def variable(leaf: Any, *named: str, rest: str) -> tuple[tuple[str, ...], np.ndarray]:
        leaf = as_plain(leaf) if is_key(leaf) else np.asarray(leaf)
        leaf = leaf.reshape((*sizes, *leaf.shape[len(shape) :]))
        return (*axes, *named, *(f"{rest}_{i}" for i in range(leaf.ndim - len(axes) - len(named)))), leaf

    rows = [(name, leaf, ("record",)) for one, tree in result.metrics.items() for name, leaf in _leaves(one, tree)]
    rows += [(name, leaf, ()) for name, leaf in _leaves("params", result.params)]
    rows += [(name, leaf, ("update",)) for name, leaf in _leaves("transitions", result.transitions)]
    names = [*axes, *(name for name, *_ in rows), *_OWN, "nonfinite_from"]
    taken = [name for name in names if names.count(name) > 1]
    if taken:
        raise ValueError(
            f"{taken[0]!r} names an axis of runs or a metric, but something else of the dataset too; take another name."
        )
    found: dict[str, Any] = {name: variable(leaf, *named, rest=name) for name, leaf, named in rows}
    for name in {*found} & {*_UNITS} & {*result.metrics}:
        found[name] = *found[name], {"units": _UNITS[name]}
    found["nonfinite_from"] = variable(result.nonfinite_from, rest="nonfinite_from")
    time = np.asarray(result.time)
    times = variable(time, "record", rest="time") if time.ndim > 1 else (("record",), time)
    updates = np.asarray(result.updates)
    coordinates = {
        **labels,
        "updates": ("record", updates[(0,) * (updates.ndim - 1)], {"long_name": "updates so far", "units": "1"}),
        "time": (*times, {"long_name": "virtual time", "units": "that of the compute times"}),
    }
    about = {"num_updates": result.num_updates, "backend": result.backend}
    about |= {name: result.asked[name] for name in ("learner", "schedule") if name in result.asked}
    about |= {f"{name}_version": version for name, version in result.asked.get("versions", dict(versions())).items()}
    return xarray.Dataset(found, coordinates, about)


def name_in_dataset(path: str) -> str:
    """What the dataset calls the array that has ``path`` in the result, as in "metrics.objective"."""
    return path.removeprefix("metrics.")


def check_known(result: Any, purpose: str) -> None:
    """Refuse a result that is being traced."""
    if not check.is_concrete(result.metrics, result.params, result.time):
        raise ValueError(f"a result has no numbers {purpose} while it is traced; call it outside of jit.")


def labels_of(result: Any, runs: Grid | Mapping[str, Any] | str | None) -> dict[str, np.ndarray]:
    """From the name of each axis of runs to its labels; those that were saved with a result, if none are given."""
    shape = np.shape(result.nonfinite_from)
    if isinstance(runs, Grid):
        runs = runs.labels
    if runs is None and result.__dict__.get("_runs") is not None:
        return dict(result.__dict__["_runs"])
    if runs is None:
        names = ["run"] if len(shape) == 1 else [f"run_{i}" for i in range(len(shape))]
        return {name: np.arange(size) for name, size in zip(names, shape, strict=True)}
    count = math.prod(shape)
    if not shape:
        raise ValueError("runs has no effect on the result of one run, which has no axis for them; leave it out.")
    if isinstance(runs, str):
        return {runs: np.arange(count)}
    if not isinstance(runs, Mapping):
        raise ValueError(f"runs must be a grid, a name, or a dict from each axis' name to its labels, but is {runs!r}.")
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
    parts = [[name] * bool(name) + [str(word(key)) for key in path] for path, _ in paths]
    return [(".".join(part), leaf) for part, (_, leaf) in zip(parts, paths, strict=True)]
