"""What a simulation returns, or raises."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from a3cjax._core.check import is_concrete
from a3cjax._core.tree import pytree, static
from a3cjax.engine.saved import SavedState


@pytree
class Result:
    """What a simulation gives; a batch of runs adds a leading axis [B] to all but ``updates``.

    ``params``: the last view of the learner's state (A3C: ``.theta``, ``.omega``).
    ``updates`` [R], ``time`` [R]: the update counts and virtual times of the records.
    ``metrics``: name → [R].
    ``transitions``: with ``transitions=True`` the samples that each update used, leaves [K]; otherwise None.
    ``nonfinite_from``: the first recorded update count at which a parameter was not finite, or −1. From there on the
    run's numbers mean nothing.
    ``backend``: what the loop over updates was compiled to. On a CPU "kernel" (one function of machine code) or "loops"
    (an operation at a time: a learner with operations that no kernel holds); on an accelerator "persistent kernel" (one
    kernel for a block of updates) or "accelerator" (an operation at a time).
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
    backend: str = static(default="")

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

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (*self.args, self.result), self.__dict__


class Interrupted(KeyboardInterrupt):
    """Ctrl-C: ``result`` holds the updates that were done; ``simulate(..., resume=error.result.state)`` goes on."""

    def __init__(self, message: str, result: Result) -> None:
        super().__init__(message)
        self.result = result

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (*self.args, self.result), self.__dict__


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
