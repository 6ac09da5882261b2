"""The runs of a grid: every combination of some steps, keys, schedules, laid out as ``simulate`` takes them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from a3cjax._core import check
from a3cjax._core.text import text_of
from a3cjax.engine.typed_keys import is_key
from a3cjax.schedules import Schedule
from a3cjax.schedules._taken import taken

_SHOWN = 6  # labels of an axis


class Grid:
    """What ``grid`` gives: ``runs.<axis>`` or ``runs["<axis>"]``, one value a run, [B, …], the last axis fastest.

    ``labels``: from each axis' name to its labels; ``sizes``: to how many there are; ``len(runs)``: B.
    """

    labels: dict[str, np.ndarray]

    def __init__(self, labels: dict[str, np.ndarray], values: dict[str, Any]) -> None:
        self.__dict__.update({"labels": labels, "_values": values})

    @property
    def sizes(self) -> dict[str, int]:
        """The length of each axis, by name."""
        return {name: len(labels) for name, labels in self.labels.items()}

    def __len__(self) -> int:
        return math.prod(self.sizes.values())

    def __getattr__(self, name: str) -> Any:
        values = self.__dict__.get("_values", {})
        if name in values:
            return values[name]
        raise AttributeError(f"the grid has no axis {name!r}; it has {', '.join(values)}")

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{name!r} cannot be set; make another grid")

    def __dir__(self) -> list[str]:
        return sorted([*self._values, "labels", "sizes"])

    def __repr__(self) -> str:
        wide = max(map(len, self.labels))
        lines = [f"Grid of {' × '.join(map(str, self.sizes.values()))} = {len(self)} runs, the last axis fastest"]
        for name, labels in self.labels.items():
            shown = ", ".join(map(str, labels[:_SHOWN].tolist())) + ", …" * (len(labels) > _SHOWN)
            lines.append(f"  {name:<{wide}}  {shown}")
        return "\n".join(lines)


def grid(**axes: Any) -> Grid:
    """Every combination of what is along some axes, as batches for ``simulate``: steps × keys × schedules.

    Args:
        **axes: under names of your own, along each axis one of

            - numbers, which are its labels too, as they are written: ``step=(0.1, 0.2)``, ``seed=range(20)``;
            - keys [n], schedules (a batch, or a list of equal lengths), arrays [n, …], a list of arrays or of pytrees
              that have one structure; places 0 to n − 1 are the labels;
            - a dict from labels to any of these: ``schedule={"N=1": one, "N=4": four}``.

            What all runs share is no axis: give it to the learner or to ``simulate`` as it is.

    Returns:
        A ``Grid``: ``runs.step`` is [B], ``runs.key`` B keys, ``runs.schedule`` B schedules, B the product of the
        lengths. ``result.to_xarray(runs)`` names the result's axes.

    An axis of schedules is repeated along the others, which takes 20 bytes of memory for each row of each run. A
    schedule that all runs share is held once.

    Raises:
        ValueError: if there is no axis, one is empty or has a label twice, its entries cannot be stacked or, as words
            and functions, cannot differ within a batch, or a name is taken.

    >>> import a3cjax, jax
    >>> laws = {"fresh": a3cjax.delays.Constant(0), "stale": a3cjax.delays.Constant(3)}
    >>> key = jax.random.key(0)
    >>> schedules = {name: a3cjax.Schedule.from_law(key, law, 40) for name, law in laws.items()}
    >>> runs = a3cjax.grid(step=(0.1, 0.2), key=jax.random.split(key, 5), schedule=schedules)
    >>> runs
    Grid of 2 × 5 × 2 = 20 runs, the last axis fastest
      step      0.1, 0.2
      key       0, 1, 2, 3, 4
      schedule  fresh, stale
    >>> learner = a3cjax.QuadraticSGD(curvature=[1.0], step=runs.step, noise=0.1)
    >>> result = a3cjax.simulate(learner, runs.schedule, runs.key)
    >>> found = result.to_xarray(runs).objective.isel(record=-1).mean("key")
    >>> dict(found.sizes), bool(found.sel(step=0.2, schedule="stale") < 0.1)
    ({'step': 2, 'schedule': 2}, True)
    """
    if not axes:
        raise ValueError("grid has no axis; give at least one, as in grid(step=(0.1, 0.2)).")
    labels: dict[str, np.ndarray] = {}
    along: dict[str, Any] = {}
    for name, given in axes.items():
        if hasattr(Grid, name) or name in ("labels", "_values"):
            raise ValueError(f"an axis cannot be named {name!r}, which a grid has already; take another name.")
        labels[name], along[name] = _axis(name, given)
    sizes = [len(values) for values in labels.values()]
    places = np.indices(sizes).reshape(len(sizes), -1)
    pairs = zip(along.items(), places, strict=True)
    return Grid(labels, {name: _taken(values, rows) for (name, values), rows in pairs})


def _axis(name: str, given: Any) -> tuple[np.ndarray, Any]:
    """Labels and values [n, …] of an axis."""
    named = isinstance(given, Mapping)
    words = list(given) if named else None
    if named:
        given = list(given.values())
    elif isinstance(given, str) or not hasattr(given, "__len__") or (is_key(given) and not given.ndim):
        _refuse_one(name, given)
    if isinstance(given, Schedule) and not given.batch_shape:
        _refuse_one(name, given)
    values = given if isinstance(given, Schedule | np.ndarray | jax.Array) else _stacked(name, list(given), words)
    count = values.batch_shape[0] if isinstance(values, Schedule) else len(jax.tree.leaves(values)[0])
    if words is not None:
        labels = np.asarray(words)
    elif _are_numbers(values):
        labels = np.asarray(given)
        if labels.dtype.kind == "f" and labels.itemsize < 8:  # 0.1, and not what single precision makes of it
            labels = np.array([float(str(label)) for label in labels])
    else:
        labels = np.arange(count)
    if not count:
        raise ValueError(f"{name} is empty; give at least one value, or leave it out.")
    seen: set[Any] = set()
    for i, label in enumerate(labels.tolist()):
        if label in seen:
            raise ValueError(
                f"{name}[{i}] is {label!r} a second time, and a label says which run is meant; give each value once."
            )
        seen.add(label)
    return labels, values


def _refuse_one(name: str, value: Any) -> None:
    shown = text_of(value)
    raise ValueError(
        f"{name} is {shown}, which is one value and not several along an axis; what all runs share is given to the "
        "learner or to simulate as it is."
    )


def _are_numbers(values: Any) -> bool:
    """Whether each entry can be its own label."""
    return isinstance(values, np.ndarray | jax.Array) and values.ndim == 1 and not is_key(values) and (
        check.is_concrete(values)
    )  # fmt: skip


def _stacked(name: str, entries: Sequence[Any], words: Sequence[Any] | None) -> Any:
    """Entries as one value [n, …]."""
    called = [f"{name}[{words[i] if words else i!r}]" for i in range(len(entries))]
    for what, entry in zip(called, entries, strict=True):
        is_function = callable(entry) and jax.tree_util.all_leaves([entry])
        if isinstance(entry, str) or is_function or entry is None:
            raise ValueError(
                f"{what} is {text_of(entry)}, which is part of the program and cannot differ from run to run of one "
                "call; make a call for each, or a function whose numbers differ."
            )
    if entries and all(isinstance(entry, Schedule) for entry in entries):
        lengths = [schedule.delay.shape for schedule in entries]
        for what, shape in zip(called, lengths, strict=True):
            if shape != lengths[0]:
                raise ValueError(
                    f"{what} has shape {shape}, but {called[0]} has {lengths[0]}; the runs of one call have as many "
                    f"rows: cut them with schedule[:{min(shape[-1], lengths[0][-1])}]."
                )
        return Schedule.stack(entries)
    if not entries:
        return np.zeros(0)
    first = jax.tree.structure(entries[0])
    for what, entry in zip(called, entries, strict=True):
        structure = jax.tree.structure(entry)
        shapes, wanted = ([np.shape(leaf) for leaf in jax.tree.leaves(one)] for one in (entry, entries[0]))
        if structure != first or shapes != wanted:
            ours, theirs = text_of(entry), text_of(entries[0])
            raise ValueError(
                f"{what} is {ours}, but {called[0]} is {theirs}; along an axis values have one structure and shape."
            )
    try:
        return jax.tree.map(_stack, *entries)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{called[0]} is {text_of(entries[0])}, but must hold numbers or arrays.") from error


def _stack(*leaves: Any) -> Any:
    on_host = not any(is_key(leaf) or isinstance(leaf, jax.core.Tracer) for leaf in leaves)
    return np.stack(leaves) if on_host else jnp.stack(leaves)


def _taken(values: Any, rows: np.ndarray) -> Any:
    if isinstance(values, Schedule):
        return taken(values, rows)
    return jax.tree.map(lambda leaf: _of_rows(leaf, rows), values)


def _of_rows(leaf: Any, rows: np.ndarray) -> jax.Array:
    if is_key(leaf) or not check.is_concrete(leaf):
        return leaf[rows]
    return jax.device_put(np.asarray(leaf)[rows])  # on the host, where nothing is compiled for it
