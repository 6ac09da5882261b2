"""Validation at the door: each check raises one sentence that names the argument, the value and the remedy."""

import contextlib
import inspect
import math
import operator
import os
import pathlib
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np


def is_concrete(*values: Any) -> bool:
    """Whether every leaf of ``values`` can be looked at now, that is, none is being traced."""
    return not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(values))


def is_tracing(*values: Any) -> bool:
    """Whether what is computed from ``values`` now is traced: these may be known, and the place be inside a function
    that JAX is tracing.

    >>> import jax
    >>> is_tracing(1.0), jax.jit(lambda: is_tracing(1.0))()
    (False, Array(True, dtype=bool))
    """
    return not is_concrete(_constant(), *values)


@jax.jit
def _constant() -> int:
    return 0


def float_array(name: str, value: Any, shape: tuple[int | None, ...]) -> jax.Array:
    """``value`` as a floating-point array of ``shape`` (``None`` admits any length), or a ValueError."""
    if isinstance(value, np.ndarray | jax.Array):  # perhaps a view that takes no memory yet
        memory(f"{name}.shape", value.shape, value.size * float_size(), "give a smaller problem")
    try:
        array = floats(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array of numbers, but is {value!r}.") from error
    fits = array.ndim == len(shape) and all(want in (None, got) for want, got in zip(shape, array.shape, strict=True))
    if not fits:
        wanted = "(" + ", ".join("any" if n is None else str(n) for n in shape) + ")"
        raise ValueError(f"{name} has shape {array.shape}, but must have shape {wanted}.")
    if is_concrete(array):
        finite(name, array)
    return array


def floats(value: Any) -> jax.Array:
    """``value`` as an array of JAX's default floating type.

    NumPy converts what it knows: JAX would compile a program for each shape, which takes longer.

    >>> floats([1, 2]), floats(0.5)
    (Array([1., 2.], dtype=float32), Array(0.5, dtype=float32))
    """
    dtype = jnp.result_type(float)
    known = bool | int | float | np.ndarray | np.generic
    if all(isinstance(leaf, known) for leaf in jax.tree.leaves(value, is_leaf=lambda leaf: leaf is None)):
        with contextlib.suppress(ValueError, OverflowError):  # JAX has more to say
            value = np.asarray(value, dtype)
    return jnp.asarray(value, dtype)


def finite(name: str, array: Any) -> None:
    """Refuse NaN and infinities, naming the first."""
    values = np.asarray(array)
    bad = ~np.isfinite(values)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(f"{name}{index(where)} is {values[where]}; every entry must be a finite number.")


def laws(name: str, value: Any, shape: tuple[int | None, ...]) -> jax.Array:
    """``value`` as an array of ``shape`` whose rows (last axis) are laws, or a ValueError that names the first.

    Rows may be off one by 1e-5, as printed numbers are. Such a row is divided by its sum, in the precision in which it
    was given, so that all who use it use one law; a row that is off by rounding alone stays as it is, bit for bit.
    """
    array = float_array(name, value, shape)
    rounding = 8 * float(jnp.finfo(array.dtype).eps)
    if not is_concrete(array):
        total = array.sum(-1, keepdims=True)
        return jnp.where(jnp.abs(total - 1) > rounding, array / total, array)
    given = np.asarray(value)
    given = given if np.issubdtype(given.dtype, np.floating) else given.astype(np.float64)
    if (given < 0).any():
        where = tuple(int(i) for i in np.argwhere(given < 0)[0])
        raise ValueError(f"{name}{index(where)} is {given[where]:g}; probabilities must not be negative.")
    totals = given.sum(-1, dtype=np.float64)
    off = np.abs(totals - 1)
    if (off > 1e-5).any():
        where = tuple(int(i) for i in np.argwhere(off > 1e-5)[0])
        raise ValueError(f"{name}{index(where)} sums to {totals[where]:.6g}, not 1; divide it by its sum.")
    if (off > rounding).any():
        divisor = np.where(off > rounding, totals, 1)[..., None]
        array = jnp.asarray(given.astype(np.float64) / divisor, array.dtype)
    return array


def discount(value: Any) -> jax.Array:
    """γ as an array, in [0, 1), with a warning where the working precision keeps too few digits of 1/(1 − γ)."""
    array = float_array("discount", value, ())
    number("discount", array, least=0, below=1)
    if is_concrete(array):
        rounding = float(jnp.finfo(array.dtype).eps) / 2
        lost = rounding / (1 - float(array))
        if lost > 1e-4:
            given = float(np.asarray(value, np.float64))
            warnings.warn(
                f"discount is {given:.8g}, and {array.dtype} keeps it to {rounding:.0e}: values, which grow like "
                f"1/(1 − γ), and the critic's optimum may be off by {lost:.0e} of their size; for more digits use "
                'double precision, jax.config.update("jax_enable_x64", True), before anything else.',
                stacklevel=level_of_caller(),
            )
    return array


def level_of_caller() -> int:
    """The ``stacklevel``, for the function that asks, of the first frame outside this package.

    Calls that ``functools.singledispatch`` hands on go through a frame of ``functools``.
    """
    frame, level = inspect.currentframe(), 0
    ours = (__name__.split(".")[0], "functools")
    while frame is not None and frame.f_globals.get("__name__", "").split(".")[0] in ours:
        frame, level = frame.f_back, level + 1
    return level


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
    array = floats(value)
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


def memory(name: str, value: Any, needed: float, remedy: str) -> None:
    """Refuse what needs more than this machine has, before any of it is allocated.

    Args:
        name: what asks for it, such as "num_states".
        value: its value.
        needed: bytes, an estimate of what is held at once.
        remedy: what to do, such as "use fewer states".
    """
    there = memory_of_machine()
    if needed > there:
        raise ValueError(
            f"{name} is {value}, which takes about {_size(needed)} of memory, but this machine has {_size(there)}; "
            f"{remedy}."
        )


def memory_of_machine() -> float:
    """Bytes: what is installed, or what a control group leaves of it; infinite where neither is told."""
    limits = [math.inf]
    with contextlib.suppress(AttributeError, OSError, ValueError):
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            limits.append(int(pathlib.Path(limit).read_text()))
    return min(limit for limit in limits if limit > 0)


def _size(count: float) -> str:
    unit, name = (2**30, "GiB") if count >= 2**30 else (2**20, "MiB")
    return f"{count / unit:,.{0 if count >= 10 * unit else 1}f} {name}"


def float_size() -> int:
    """Bytes of a floating-point number in JAX's default precision."""
    return jnp.result_type(float).itemsize


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
