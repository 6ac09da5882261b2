"""What the transformations are handed, looked at before anything is trained."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from a3cjax._core import check
from a3cjax.schedules import Schedule


def check_arguments(inner: Any, schedule: Any) -> None:
    """Refuse what is no optimiser, and a schedule that is not one known list of updates."""
    if not isinstance(inner, optax.GradientTransformation):
        what = f"is the function {getattr(inner, '__name__', inner)}" if callable(inner) else f"is {inner!r}"
        raise ValueError(f"inner {what}, but must be an optax transformation, such as optax.adam(1e-3).")
    if not isinstance(schedule, Schedule):
        raise ValueError(f"schedule is {schedule!r}, but must be an a3cjax.Schedule.")
    if not check.is_concrete(schedule):
        raise ValueError(
            "schedule is being traced, but here its values must be known; draw it outside of jit and vmap."
        )
    if schedule.batch_shape:
        raise ValueError(
            f"schedule is a batch of {schedule.batch_shape[0]}, and an optimiser follows one; give schedule[b]."
        )
    for what, column in (("averages", "commit"), ("discards", "weight")):
        if getattr(schedule, column) is not None:
            raise ValueError(
                f"schedule {what} messages (it has a {column} column), which is not done here; use a3cjax.simulate, or "
                "a schedule without it."
            )


def check_params(params: Any) -> None:
    """Refuse what has no gradient among the parameters."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.inexact):
            raise ValueError(
                f"params{jax.tree_util.keystr(path)} is of {jnp.result_type(leaf)}, which has no gradient; keep what "
                "is not learned out of the parameters."
            )


def check_extra(extra_args: Any, *known: str) -> None:
    """Refuse an argument that the transformation knows by itself."""
    for name in known:
        if name in extra_args:
            raise ValueError(f"{name} is given, but the schedule says it; leave it out.")


def check_memory(name: str, copies: int, params: Any) -> None:
    """Refuse more copies of the parameters than the machine can hold."""
    one = sum(jnp.size(leaf) * jnp.result_type(leaf).itemsize for leaf in jax.tree.leaves(params))
    check.memory(name, copies, float(copies) * one, "use fewer workers or shorter delays")


def check_end(count: Any, most: int, told: str) -> None:
    """Refuse a call beyond the schedule's last update, if the count is known; in a compiled loop it is not."""
    if check.is_concrete(count) and jnp.ndim(count) == 0 and int(count) >= most:
        raise ValueError(f"The schedule ends after {told}, and this call is one more; draw a longer schedule.")


def nan_where(over: Any, changes: Any) -> Any:
    """The changes, or NaN where the schedule is over."""
    return jax.tree.map(lambda leaf: jnp.where(over, jnp.asarray(jnp.nan, leaf.dtype), leaf), changes)
