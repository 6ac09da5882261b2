"""Validation at the door: each check raises one sentence that names the argument, the value and the remedy."""

import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np


def is_concrete(*values: Any) -> bool:
    """Whether every leaf of ``values`` can be looked at now, that is, none is being traced."""
    return not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(values))


def float_array(name: str, value: Any, shape: tuple[int | None, ...]) -> jax.Array:
    """``value`` as a floating-point array of ``shape`` (``None`` admits any length), or a ValueError."""
    try:
        array = jnp.asarray(value, dtype=jnp.result_type(float))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array of numbers, but is {value!r}.") from error
    fits = array.ndim == len(shape) and all(want in (None, got) for want, got in zip(shape, array.shape, strict=True))
    if not fits:
        wanted = "(" + ", ".join("any" if n is None else str(n) for n in shape) + ")"
        raise ValueError(f"{name} has shape {array.shape}, but must have shape {wanted}.")
    if is_concrete(array):
        finite(name, array)
    return array


def finite(name: str, array: Any) -> None:
    """Refuse NaN and infinities, naming the first."""
    values = np.asarray(array)
    bad = ~np.isfinite(values)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(f"{name}{index(where)} is {values[where]}; every entry must be a finite number.")


def distribution(name: str, array: Any, tolerance: float = 1e-5) -> None:
    """Refuse rows (last axis) with a negative entry or that do not sum to one, naming the first."""
    values = np.asarray(array, dtype=np.float64)
    if (values < 0).any():
        where = tuple(int(i) for i in np.argwhere(values < 0)[0])
        raise ValueError(f"{name}{index(where)} is {values[where]:g}; probabilities must not be negative.")
    totals = values.sum(-1)
    off = np.abs(totals - 1) > tolerance
    if off.any():
        where = tuple(int(i) for i in np.argwhere(off)[0])
        raise ValueError(f"{name}{index(where)} sums to {totals[where]:.6g}, not 1; divide it by its sum.")


def number(name: str, value: Any, *, above: float | None = None, least: float | None = None,
           below: float | None = None, most: float | None = None) -> None:  # fmt: skip
    """Refuse a number (or an array of them) outside the bounds; a traced value passes."""
    if not is_concrete(value):
        return
    try:
        values = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be a number, but is {value!r}.") from error
    finite(name, values)
    for bound, holds, words in (
        (above, np.greater, "greater than"),
        (least, np.greater_equal, "at least"),
        (below, np.less, "less than"),
        (most, np.less_equal, "at most"),
    ):
        if bound is not None and not holds(values, bound).all():
            where = tuple(int(i) for i in np.argwhere(~holds(values, bound))[0])
            raise ValueError(f"{name}{index(where)} is {values[where]:g}, but must be {words} {bound:g}.")


def run_scalar(name: str, value: Any) -> jax.Array:
    """A hyper-parameter as a floating-point scalar, or an array [B] with one entry per run."""
    array = jnp.asarray(value, dtype=jnp.result_type(float))
    if array.ndim > 1:
        raise ValueError(f"{name} has shape {array.shape}, but must be one number, or one per run with shape (B,).")
    return array


# The greatest number of updates, messages or workers: they are counted in 32 bits with a sign.
MOST = 2**31 - 1


def integer(name: str, value: Any, least: int, most: int | None = None) -> int:
    """``value`` as a Python integer of at least ``least`` and at most ``most``; a float such as 2.0 is refused."""
    try:
        whole = operator.index(value)
    except TypeError as error:
        raise ValueError(f"{name} must be a whole number, but is {value!r}.") from error
    if whole < least:
        raise ValueError(f"{name} is {whole}, but must be at least {least}.")
    if most is not None and whole > most:
        raise ValueError(f"{name} is {whole}, but must be at most {most}.")
    return whole


def num_rows(name: str, value: int) -> None:
    """Refuse a schedule of more rows than can be counted, before anything of that size is made."""
    if value > MOST:
        raise ValueError(
            f"{name} is {value:,}, but a schedule has at most {MOST:,} rows, 2**31 - 1; "
            "use a shorter one, or several runs, each from the state of the one before."
        )


# What JAX raises where Python looks at a traced value: an if, float(), a NumPy function, an index.
UNTRACEABLE = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
)
STEP_MEND = "use jnp.where in place of if, or an optax schedule such as optax.join_schedules"


def traceable(what: str, call: Callable[[], Any], mend: str) -> Any:
    """What ``call`` gives; what JAX has to say where it looks at a traced value becomes a sentence."""
    try:
        return call()
    except UNTRACEABLE as error:
        raise ValueError(
            f"{what} looks at a value while it is compiled (a Python if, float() or a NumPy function); {mend}."
        ) from error


def choice(name: str, value: Any, options: tuple[str, ...]) -> None:
    """Refuse a word that is not among ``options``."""
    if value not in options:
        listed = ", ".join(repr(option) for option in options)
        raise ValueError(f"{name} is {value!r}, but must be one of {listed}.")


def index(where: tuple[int, ...]) -> str:
    """``[i, j]`` as it is written in a sentence; nothing for a scalar."""
    return f"[{', '.join(map(str, where))}]" if where else ""
