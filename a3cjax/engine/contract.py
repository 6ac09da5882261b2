"""Whether a learner's methods fit each other, in sentences that name the method, the leaf and the mend.

A compiled loop hands what one method returns to the next, and keeps it as bits: a state that changed its type on the
way would be read as another number.
"""

from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import lax

from a3cjax.learners.wrapped import name_of

T = TypeVar("T")


def as_arrays(tree: T) -> T:
    """Python's numbers as arrays, of types that no later operation bends: so they come out of a history, too."""

    def settle(leaf):
        array = jnp.asarray(leaf)
        return lax.convert_element_type(array, array.dtype) if getattr(array, "weak_type", False) else array

    return jax.tree.map(settle, tree)


class Checks:
    """What is asked of the learner's methods while they are traced once."""

    def __init__(self, learner: Any) -> None:
        self._learner = learner
        self._of = f"of a {name_of(learner)}"

    def arrays(self, method: str, tree: Any) -> Any:
        """What a method returned, its leaves arrays of types that no later operation bends."""

        def array(path, leaf):
            try:
                return as_arrays(leaf)
            except (TypeError, ValueError) as error:
                place = jax.tree_util.keystr(path)
                raise ValueError(
                    f"{method} {self._of} returns a {type(leaf).__name__}{place and f' at {place}'}; return arrays or "
                    "numbers, and keep anything else in the learner."
                ) from error

        return jax.tree_util.tree_map_with_path(array, tree)

    def some(self, method: str, tree: Any) -> None:
        """Refuse a server without a state."""
        if not jax.tree.leaves(tree):
            raise ValueError(f"{method} {self._of} returns no arrays; the server's state must hold at least one.")

    def pair(self, proposal: Any) -> tuple[Any, Any]:
        """What propose returned, if it is a message and a worker's state."""
        if isinstance(proposal, tuple) and len(proposal) == 2:
            return proposal[0], proposal[1]
        kind = "array" if isinstance(proposal, jax.Array) else type(proposal).__name__
        count = f"a tuple of {len(proposal)}" if isinstance(proposal, tuple) else f"one {kind}"
        raise ValueError(
            f"propose {self._of} returns {count}, but must return a pair: return message, worker_state (which is () "
            "for workers that keep nothing)."
        )

    def same(self, method: str, what: str, got: Any, first_method: str, first: Any) -> None:
        """Refuse a state that is not of the structure, shapes and types that it began with."""
        given, wanted = (jax.tree_util.tree_flatten_with_path(tree)[0] for tree in (got, first))
        structures = jax.tree.structure(got), jax.tree.structure(first)
        if structures[0] != structures[1]:
            raise ValueError(
                f"{method} {self._of} returns a {what} of another structure than {first_method} does: "
                f"{_structure(structures[0])} instead of {_structure(structures[1])}; return one of the same structure."
            )
        for (path, leaf), (_, want) in zip(given, wanted, strict=True):
            if leaf.shape != want.shape:
                remedy = "return the same shape"
            elif leaf.dtype != want.dtype:
                remedy = f"return .astype({want.dtype}), or let {first_method} begin with {leaf.dtype}"
            else:
                continue
            raise ValueError(
                f"{method} {self._of} returns {what}{jax.tree_util.keystr(path)} as {_kind(leaf)}, but {first_method} "
                f"gives {_kind(want)}; {remedy}."
            )

    def floats(self, method: str, what: str, tree: Any) -> None:
        """Refuse what cannot be divided by a number of messages."""
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
            if not jnp.issubdtype(leaf.dtype, jnp.inexact):
                raise ValueError(
                    f"{method} {self._of} returns {what}{jax.tree_util.keystr(path)} as {_kind(leaf)}, but they are to "
                    "be divided by the number of messages; return floats."
                )

    def rows(self, view: Any, message: Any) -> None:
        """Refuse changed_rows that do not name rows of the view's leaves."""
        leaves, rows = jax.tree.leaves(view), self._learner.changed_rows(message)
        if rows is None:
            return
        if not isinstance(rows, tuple | list) or len(rows) != len(leaves):
            count = f"{len(rows)} entries" if isinstance(rows, tuple | list) else f"a {type(rows).__name__}"
            raise ValueError(
                f"changed_rows {self._of} returns {count}, but the view has {len(leaves)} leaves; return one entry for "
                "each: the rows [r] that the message changes, or None."
            )
        for i, (leaf, row) in enumerate(zip(leaves, rows, strict=True)):
            row = row if row is None else jnp.asarray(row)
            if row is not None and (leaf.ndim < 2 or row.ndim != 1 or not jnp.issubdtype(row.dtype, jnp.integer)):
                raise ValueError(
                    f"changed_rows {self._of} returns {_kind(row)} for leaf {i} of the view, which is {_kind(leaf)}; "
                    "return whole numbers [r] for a table, or None."
                )


def _kind(leaf: Any) -> str:
    return f"{leaf.dtype}{list(leaf.shape)}"


def _structure(structure: Any) -> str:
    """As Python shows it, without JAX's name for it."""
    return str(structure).removeprefix("PyTreeDef(").removesuffix(")")
