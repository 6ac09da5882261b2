"""What all rules share: what they ask for, and the few steps of arithmetic on pytrees that they are made of."""

import functools
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from a3cjax._xla.marks import dot, rounded, stage

_WIDE = 64  # entries of a long sum that are added side by side, as vectors
_HANDED = {
    "delay": "the delay of the gradient, in updates",
    "stale": "the parameters that the gradient was computed at",
    "params": "the parameters that it is applied to",
}


def rule(
    name: str, needs: tuple[str, ...], update: Callable[..., tuple[Any, Any]], init: Callable[[Any], Any] | None = None
) -> optax.GradientTransformationExtraArgs:
    """A transformation that asks for what it ``needs``, in this order of ``update``'s arguments after the state.

    Raises:
        ValueError: on ``update``, if something that is needed is not handed over.
    """

    def checked(updates, state, params=None, *, delay=None, stale=None, **extra_args):
        del extra_args
        given = {"delay": delay, "stale": stale, "params": params}
        for one in needs:
            if given[one] is None:
                raise ValueError(
                    f"{name} is not given {one}, {_HANDED[one]}; call update(gradient, state, params, delay=…, "
                    "stale=…), as A3C, ActorCritic, QuadraticSGD and a3cjax.optax.delayed do."
                )
        if stale is not None and "stale" in needs:
            _check_same(name, stale, updates)
        return update(updates, state, *(given[one] for one in needs))

    start: Any = init or (lambda params: optax.EmptyState())
    return optax.GradientTransformationExtraArgs(start, checked)


def scaled(updates: Any, factor: Any) -> Any:
    """factor · updates, each leaf in its own type."""
    return jax.tree.map(lambda leaf: leaf * jnp.asarray(factor).astype(jnp.result_type(leaf)), updates)


def kept_if(condition: Any, updates: Any) -> Any:
    """The updates, or zeros, also where an update is not finite."""
    return jax.tree.map(lambda leaf: jnp.where(condition, leaf, jnp.zeros_like(leaf)), updates)


def norm(tree: Any) -> Float[Array, ""]:
    """The l2 norm of all leaves together, its sums in one order whatever is beside them."""
    rows = [jnp.ravel(leaf) for leaf in jax.tree.leaves(tree) if jnp.size(leaf)]
    return jnp.sqrt(functools.reduce(operator.add, (_sum_of_squares(row) for row in rows), jnp.zeros(())))


def distance(params: Any, stale: Any) -> Float[Array, ""]:
    """‖θ_k − θ_{k−τ}‖ over all leaves together."""
    return norm(jax.tree.map(jnp.subtract, params, stale))


def _sum_of_squares(row: Float[Array, " n"]) -> Float[Array, ""]:
    """Σ x_j²; of a row that is long, but not too long to be written out, first those 64 apart."""
    blocks = row.size // _WIDE
    if not 1 < blocks <= _WIDE:
        return dot(row, row)

    def fold(row):
        parts = (row[_WIDE * i : _WIDE * (i + 1)] for i in range(blocks))
        return functools.reduce(operator.add, (rounded(part * part) for part in parts))

    wide, rest = stage(fold, row), row[_WIDE * blocks :]
    narrow = functools.reduce(operator.add, jnp.split(wide, 8))
    entries = functools.reduce(operator.add, [narrow[j] for j in range(narrow.size)])
    return entries + dot(rest, rest) if rest.size else entries


def _check_same(name: str, stale: Any, updates: Any) -> None:
    shapes = [jax.tree.map(jnp.shape, tree) for tree in (stale, updates)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"{name} is given stale of shapes {shapes[0]}, but the gradient has {shapes[1]}; hand it the parameters "
            "that the gradient was computed at, as they were."
        )
