"""A learner some of whose leaves carry a run axis."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
from jaxtyping import Array, Int


@dataclass(frozen=True)
class Batched:
    """The learners of a tile's runs, as one pytree's leaves: [lanes, …] where ``axes`` is 0, else the same for all."""

    leaves: list[Array]
    axes: tuple[int | None, ...]
    structure: Any

    @classmethod
    def of(cls, learner: Any, axes: tuple[int | None, ...]) -> "Batched":
        """A learner whose leaves have the run axis where ``axes`` is 0."""
        leaves, structure = jax.tree.flatten(learner)
        return cls(leaves, axes, structure)

    def of_run(self, b: Int[Array, ""] | int) -> Any:
        """The learner of run b."""
        leaves = [leaf if axis is None else leaf[b] for leaf, axis in zip(self.leaves, self.axes, strict=True)]
        return jax.tree.unflatten(self.structure, leaves)

    def vmap(self, method: Callable[..., Any], in_axes: tuple[Any, ...]) -> Callable[..., Any]:
        """``method(learner, *args)`` over runs."""

        def on_leaves(leaves, *args):
            return method(jax.tree.unflatten(self.structure, leaves), *args)

        return functools.partial(jax.vmap(on_leaves, (list(self.axes), *in_axes)), self.leaves)
