"""Functions that do the same, as one object, so that what was compiled for one of them serves all.

``optax.adam(1e-3)`` makes new functions at every call, and to JAX a new function is a new program: an equal learner
would be compiled again, for seconds. Two functions are taken for the same if their code is, and everything that it can
see from where it was made: defaults, closed-over values and the globals that it names, each compared by value where it
cannot change, and by identity where that is enough. Whatever can change unseen makes a function equal to itself only.
"""

import functools
import types
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

_MOST = 4096  # objects remembered
_LARGEST = 1 << 16  # entries of an array that is compared by its bytes
_known: OrderedDict[Any, Any] = OrderedDict()  # by what they do
_asked: OrderedDict[int, tuple[Any, Any]] = OrderedDict()  # by identity: the object, so that it lives, and the answer


def interned(value: Any) -> Any:
    """``value``, or an earlier one that does the same.

    >>> def scaled_by(factor):
    ...     return lambda x: factor * x
    >>> interned(scaled_by(2)) is interned(scaled_by(2)), interned(scaled_by(2)) is interned(scaled_by(3))
    (True, False)
    """
    if isinstance(value, str | int | float | None):
        return value
    if id(value) not in _asked:
        _remember(_asked, id(value), (value, _first_like(value)))
    return _asked[id(value)][1]


def _first_like(value: Any) -> Any:
    try:
        signature = _signature(value)
    except _Changeable:
        return value
    found = _known.get(signature, value)
    if found is not value and _signature(found) != signature:  # a list that it closes over has changed since
        found = value
    _remember(_known, signature, found)
    return found


def _remember(answers: OrderedDict[Any, Any], question: Any, answer: Any) -> None:
    answers[question] = answer
    if len(answers) > _MOST:
        answers.popitem(last=False)


class _Changeable(Exception):
    """Something whose behaviour may change while it stays the same object."""


class _Same:
    """Equal to what holds the same object, which it keeps alive."""

    def __init__(self, held: Any) -> None:
        self.held = held

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.held is other.held

    def __hash__(self) -> int:
        return id(self.held)


_FIXED = (type, types.BuiltinFunctionType, types.MethodWrapperType, np.ufunc, np.dtype, jnp.ufunc, type(jax.jit(abs)))


def _signature(value: Any) -> Any:
    """Something hashable that is equal for values that do the same."""
    if value is None or isinstance(value, bool | int | str | bytes):
        return type(value), value
    if isinstance(value, float):
        return float, value.hex()
    if isinstance(value, tuple):
        return type(value), tuple(_signature(item) for item in value)
    if isinstance(value, list | set | frozenset):
        return type(value), tuple(_signature(item) for item in value)
    if isinstance(value, dict):
        return type(value), tuple((_signature(key), _signature(item)) for key, item in value.items())
    if isinstance(value, functools.partial):  # JAX's Partial among them
        named = tuple((name, _signature(item)) for name, item in value.keywords.items())
        return type(value), _signature(value.func), _signature(value.args), named
    if isinstance(value, types.MethodType):
        return types.MethodType, _signature(value.__func__), _signature(value.__self__)
    if isinstance(value, types.FunctionType):
        return _signature_of_function(value)
    if isinstance(value, jax.Array) and not isinstance(value, jax.core.Tracer) and value.size <= _LARGEST:
        is_key = jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
        array = np.asarray(jax.random.key_data(value) if is_key else value)
        return jax.Array, str(value.dtype), array.shape, array.tobytes()
    if isinstance(value, np.ndarray | np.generic) and value.size <= _LARGEST and value.dtype != object:
        return type(value), str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, (*_FIXED, types.ModuleType)):
        return _Same(value)
    raise _Changeable


def _signature_of_function(function: types.FunctionType) -> Any:
    if function.__closure__ is None and "<" not in function.__qualname__:
        return _Same(function)  # of a module, where there is one of it
    try:
        cells = tuple(_signature(cell.cell_contents) for cell in function.__closure__ or ())
    except ValueError:  # a cell that is still empty
        raise _Changeable from None
    seen = tuple((name, _signature(value)) for name, value in _globals_of(function))
    keywords = tuple((name, _signature(value)) for name, value in (function.__kwdefaults__ or {}).items())
    return types.FunctionType, function.__code__, _signature(function.__defaults__), keywords, cells, seen


def _globals_of(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """The globals that a function's code, or that of one within it, may look up, and what it may take from modules."""
    names = sorted(set(_names_in(function.__code__)))
    for name in names:
        if name in function.__globals__:
            value = function.__globals__[name]
            yield name, value
            if isinstance(value, types.ModuleType):  # which may have been loaded again
                yield from ((f"{name}.{of}", vars(value)[of]) for of in names if of in vars(value))


def _names_in(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names_in(constant)
