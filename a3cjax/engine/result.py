"""What a simulation returns, and how it can be saved and continued."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from a3cjax._check import is_concrete
from a3cjax._tree import pytree, static


@pytree
class SavedState:
    """Where a simulation stands: enough to continue it to the same bits.

    ``leaves`` are the arrays of parameters, workers and history in a fixed order, each with a leading run axis.

    >>> import a3cjax, jax, tempfile, pathlib
    >>> schedule = a3cjax.Schedule.sequential(40)
    >>> learner = a3cjax.QuadraticSGD(curvature=[1.0], step=0.1, noise=1.0)
    >>> half = a3cjax.simulate(learner, schedule[:20], jax.random.key(0))
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "half.npz"
    >>> half.state.save(path)
    >>> rest = a3cjax.simulate(learner, schedule, jax.random.key(0), resume=a3cjax.SavedState.load(path))
    >>> bool((rest.params.x == a3cjax.simulate(learner, schedule, jax.random.key(0)).params.x).all())
    True
    """

    leaves: tuple[Array, ...]
    updates: int = static()
    history: str = static()
    depth: int = static()  # of the ring; 0 for the mailbox

    @classmethod
    def put_off(cls, leaves: Callable[[], tuple[Array, ...]], updates: int, history: str, depth: int) -> "SavedState":
        """A state whose leaves are put together when they are first asked for: most are not, and they can be large."""
        state = object.__new__(cls)
        for name, value in {"_leaves": leaves, "updates": updates, "history": history, "depth": depth}.items():
            object.__setattr__(state, name, value)
        return state

    def __getattr__(self, name: str) -> Any:
        if name != "leaves" or "_leaves" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        object.__setattr__(self, "leaves", self._leaves())
        object.__delattr__(self, "_leaves")
        return self.leaves

    def __getstate__(self) -> dict[str, Any]:
        return {"leaves": self.leaves, "updates": self.updates, "history": self.history, "depth": self.depth}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write an ``.npz`` file, complete or not at all."""
        arrays: dict[str, Any] = {f"leaf_{i}": np.asarray(leaf) for i, leaf in enumerate(self.leaves)}
        arrays |= {"updates": self.updates, "history": self.history, "depth": self.depth}
        target = Path(path)
        handle, temporary = tempfile.mkstemp(dir=target.parent, suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, **arrays)
            os.replace(temporary, target)
        except BaseException:
            os.unlink(temporary)
            raise

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "SavedState":
        """Read what ``save`` wrote."""
        with np.load(path) as data:
            if not {"history", "updates", "depth"} <= set(data):
                raise ValueError(f"{os.fspath(path)} does not hold a saved simulation; give a file that .save wrote.")
            count = sum(name.startswith("leaf_") for name in data)
            leaves = tuple(data[f"leaf_{i}"] for i in range(count))
            return cls(leaves, int(data["updates"]), str(data["history"]), int(data["depth"]))


@pytree
class Result:
    """What a simulation gives; a batch of runs adds a leading axis [B] to all but ``updates``.

    ``params``: the last view of the learner's state (A3C: ``.theta``, ``.omega``).
    ``updates`` [R], ``time`` [R]: the update counts and virtual times of the records.
    ``metrics``: name → [R].
    ``transitions``: with ``transitions=True`` the samples that each update used, leaves [K]; otherwise None.
    ``nonfinite_from``: the first recorded update count at which a parameter was not finite, or −1. From there on the
    run's numbers mean nothing.
    ``state``: what ``simulate(..., resume=state)`` continues from; ``state.save(path)`` keeps it.
    """

    params: Any
    updates: Int[Array | np.ndarray, " R"]
    time: Float[Array, "*B R"]
    metrics: dict[str, Array]
    transitions: Any
    nonfinite_from: Int[Array, "*B"]
    state: SavedState | None
    num_updates: int = static()

    def __repr__(self) -> str:
        lines = [f"Result of {self.num_updates} updates, {_size(self)} in all"]
        named = {"params": self.params, "updates": self.updates, "time": self.time, "transitions": self.transitions}
        rows = [(name, leaf) for name, node in named.items() for name, leaf in _leaves(name, node)]
        rows += [(f"metrics[{name!r}]", leaf) for name, leaf in self.metrics.items()]
        wide = max(len(name) for name, _ in rows)
        lines += [f"  {name:<{wide}}  {leaf.dtype}{list(leaf.shape)}  {_size(leaf)}" for name, leaf in rows]
        if is_concrete(self.nonfinite_from):
            lost = np.asarray(self.nonfinite_from)
            if (lost >= 0).any():
                lines.append(
                    f"  not finite: {int((lost >= 0).sum())} of {lost.size} runs, from update {lost[lost >= 0].min()}"
                )
        return "\n".join(lines)


class Diverged(FloatingPointError):
    """A parameter stopped being a finite number; ``result`` holds everything up to the end."""

    def __init__(self, message: str, result: Result) -> None:
        super().__init__(message)
        self.result = result


class Interrupted(KeyboardInterrupt):
    """Ctrl-C: ``result`` holds the updates that were done; ``simulate(..., resume=error.result.state)`` goes on."""

    def __init__(self, message: str, result: Result) -> None:
        super().__init__(message)
        self.result = result


def _leaves(name: str, node: Any) -> list[tuple[str, Any]]:
    paths = jax.tree_util.tree_flatten_with_path(node)[0]
    return [(name + jax.tree_util.keystr(path), leaf) for path, leaf in paths]


def _size(node: Any) -> str:
    count = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(node) if hasattr(leaf, "dtype"))
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:.4g} GiB"
