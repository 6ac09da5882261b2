"""What an object is, on a few lines: small numbers as they are, arrays by their shape."""

import dataclasses
import functools
import inspect
import types
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

_WIDE = 100  # characters, beyond which each field has a line
_FEW = 4  # numbers that are shown


def text_of(value: Any) -> str:
    """Of any value. Of a dataclass, what its constructor takes; a field that is None is left out.

    >>> import jax.numpy as jnp
    >>> text_of({"step": jnp.float32(0.1), "table": jnp.zeros((5, 2)), "steps": jnp.array([1, 2])})
    "{'step': 0.1, 'table': float32[5, 2], 'steps': [1, 2]}"
    """
    known: Any = value
    if isinstance(value, np.ndarray | jax.Array):
        return _array(value)
    if callable(value) and hasattr(value, "__wrapped__"):  # what jit returns
        return text_of(known.__wrapped__)
    if isinstance(value, types.FunctionType | types.BuiltinFunctionType | types.MethodType | type):
        return value.__qualname__
    if isinstance(value, functools.partial):
        given = [text_of(x) for x in value.args] + [f"{name}={text_of(x)}" for name, x in value.keywords.items()]
        return _folded("partial(", [text_of(value.func), *given], ")") if given else text_of(value.func)
    if type(value).__repr__ is summary:
        asked = inspect.signature(type(value)).parameters
        return _named(value, [f.name for f in dataclasses.fields(known) if f.name in asked])
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return _named(value, known._fields)
    if type(value) is tuple:
        return _folded("(", [text_of(x) for x in known], ",)" if len(known) == 1 else ")")
    if type(value) is list:
        return _folded("[", [text_of(x) for x in known], "]")
    if isinstance(value, Mapping) and type(value).__repr__ is dict.__repr__:
        return _folded("{", [f"{name!r}: {text_of(x)}" for name, x in value.items()], "}")
    return repr(value)


def summary(self: Any) -> str:
    """The ``__repr__`` of a dataclass that has none of its own."""
    return text_of(self)


def _named(value: Any, fields: Iterable[str]) -> str:
    given = [(name, getattr(value, name, None)) for name in fields]
    return _folded(f"{type(value).__name__}(", [f"{name}={text_of(x)}" for name, x in given if x is not None], ")")


def _array(x: Any) -> str:
    if isinstance(x, Tracer) or jax.dtypes.issubdtype(x.dtype, jax.dtypes.extended) or x.ndim > 1:
        return f"{x.dtype}{list(x.shape)}"
    if x.ndim == 0:
        return str(np.asarray(x)[()])
    if len(x) > _FEW:
        return f"{x.dtype}{list(x.shape)}"
    return f"[{', '.join(str(entry) for entry in np.asarray(x))}]"


def _folded(opening: str, parts: list[str], closing: str) -> str:
    """On one line, or a line for each part."""
    line = f"{opening}{', '.join(parts)}{closing}"
    if len(line) <= _WIDE and "\n" not in line:
        return line
    inside = ",\n".join(parts).replace("\n", "\n    ")
    return f"{opening}\n    {inside},\n{closing.removeprefix(',')}"
