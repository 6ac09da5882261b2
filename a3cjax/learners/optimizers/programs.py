"""An optimiser's update as the program that it is: what it looks at, and whether it only multiplies the gradient.

That is found in the program and not asked of the user, so that any chain is known for what it does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import eval_jaxpr
from jaxtyping import Array, Float

from a3cjax._xla.backend import ACCELERATOR, current
from a3cjax._xla.marks import rounded

_CALLS = frozenset({"jit", "pjit", "closed_call", "custom_jvp_call"})
_SAME = frozenset({"copy", "copy_p", "stop_gradient", "convert_element_type"})
_PRODUCTS = frozenset({"mul", "square", "integer_pow"})
_ENTRYWISE = _SAME | frozenset(
    {
        "abs",
        "add",
        "add_any",
        "and",
        "clamp",
        "div",
        "eq",
        "exp",
        "expm1",
        "ge",
        "gt",
        "integer_pow",
        "is_finite",
        "le",
        "log",
        "log1p",
        "logistic",
        "lt",
        "max",
        "min",
        "mul",
        "ne",
        "neg",
        "not",
        "or",
        "pow",
        "rsqrt",
        "select_n",
        "sign",
        "sqrt",
        "square",
        "sub",
        "tanh",
    }
)
_ZERO_OF_ZERO = _SAME | frozenset({"abs", "integer_pow", "neg", "sign", "sqrt", "square", "tanh", "expm1", "log1p"})
_ZERO_OF_ZEROS = frozenset({"add", "add_any", "sub", "max", "min"})


@dataclass(frozen=True)
class Program:
    """A traced ``update(gradient, memory, params, delay, stale)``."""

    jaxpr: Any
    consts: Sequence[Any]
    results: Any  # their shapes: the changes, the memory
    given: tuple[Any, ...]

    @classmethod
    def of(cls, update: Callable[..., Any], *given: Any) -> "Program":
        """The program for arguments of these shapes, which may be shapes alone."""
        program, results = jax.make_jaxpr(update, return_shape=True)(*given)
        return cls(program.jaxpr, program.consts, results, given)

    def uses(self, place: int) -> bool:
        """Whether any result depends on the argument at this place."""
        used = _used(self.jaxpr, [True] * len(self.jaxpr.outvars))
        ends = np.cumsum([len(jax.tree.leaves(one)) for one in self.given])
        return any(used[ends[place] - len(jax.tree.leaves(self.given[place])) : ends[place]])

    def run(self) -> Any:
        """The results; every product is rounded before anything is added to it (``marks.py``)."""
        return self._results(_run(self.jaxpr, self.consts, jax.tree.leaves(self.given)))

    def run_multiplying(self) -> tuple[Float[Array, ""], Any]:
        """The number that the gradient, one array whose values are not looked at, is multiplied by, and the memory.

        Raises:
            NotMultipleError: if it is not multiplied by a number that does not depend on it, and nothing else.
        """
        gradient, *rest = self.given
        leaves = jax.tree.leaves(gradient)
        if len(leaves) != 1:
            raise NotMultipleError
        one = Multiple(jnp.ones((), leaves[0].dtype))
        change, *memory = _run(self.jaxpr, self.consts, [one, *jax.tree.leaves(rest)])
        if _is_zero(change):
            change = Multiple(jnp.zeros_like(one.factor))
        if not isinstance(change, Multiple) or any(isinstance(leaf, Multiple) for leaf in memory):
            raise NotMultipleError
        return change.factor, self._memory(memory)

    def run_on_part(self, gradient: Array, params: Array, stale: Array) -> tuple[Array, Any]:
        """The changes of a part of the parameters, outside of which the gradient is zero; and the memory.

        Raises:
            NotEntrywiseError: if changes elsewhere are not zero, or those of an entry depend on others.
        """
        _, memory, _, delay, _ = self.given
        parts = Entries(gradient, True), Entries(params, False), Entries(stale, False)
        change, *memory = _run(self.jaxpr, self.consts, [parts[0], *jax.tree.leaves(memory), parts[1], delay, parts[2]])
        if _is_zero(change):
            change = Entries(jnp.zeros_like(gradient), True)
        if not isinstance(change, Entries) or not change.zero or any(isinstance(leaf, Entries) for leaf in memory):
            raise NotEntrywiseError
        return change.value, self._memory(memory)

    def _memory(self, leaves: Sequence[Any]) -> Any:
        return jax.tree.unflatten(jax.tree.structure(self.results[1]), [_value(leaf) for leaf in leaves])

    def _results(self, leaves: Sequence[Any]) -> Any:
        return jax.tree.unflatten(jax.tree.structure(self.results), [_value(leaf) for leaf in leaves])


class NotMultipleError(Exception):
    """The gradient is not multiplied by one number, and nothing else."""


class NotEntrywiseError(Exception):
    """A change is not zero where the gradient is, or depends on more than its own entry."""


class Entries(NamedTuple):
    """A part of an array each entry of which depends on the same entry of others; is it zero where the gradient is?"""

    value: Any
    zero: bool


class Multiple(NamedTuple):
    """The gradient times a number."""

    factor: Any


class Uniform(NamedTuple):
    """An array that is the same number everywhere."""

    number: Any
    shape: tuple[int, ...]


def _used(jaxpr: Any, wanted: Sequence[bool]) -> list[bool]:
    """Which inputs the wanted results depend on."""
    needed = {v for v, is_wanted in zip(jaxpr.outvars, wanted, strict=True) if is_wanted and not _is_literal(v)}
    for equation in reversed(jaxpr.eqns):
        asked = [v in needed for v in equation.outvars]
        if not any(asked):
            continue
        inner = _called(equation)
        used = _used(inner.jaxpr, asked) if inner is not None else [True] * len(equation.invars)
        needed |= {v for v, is_used in zip(equation.invars, used, strict=True) if is_used and not _is_literal(v)}
    return [v in needed for v in jaxpr.invars]


def _run(jaxpr: Any, consts: Sequence[Any], args: Sequence[Any]) -> list[Any]:
    known = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *args), strict=True))
    live = _live(jaxpr)

    def read(v):
        return v.val if _is_literal(v) else known[v]

    for equation in (one for one, is_live in zip(jaxpr.eqns, live, strict=True) if is_live):
        given = [read(v) for v in equation.invars]
        inner = _called(equation)
        if inner is not None:
            results = _run(inner.jaxpr, inner.consts, given)
        elif isinstance(given[0] if given else None, Multiple | Entries) and _is_rounding(equation):
            results = [given[0]]
        elif any(isinstance(value, Multiple) for value in given):
            results = [_multiple(equation, given)]
        elif any(isinstance(value, Entries) for value in given):
            results = [_entries(equation, given)]
        elif equation.primitive.name == "broadcast_in_dim" and jnp.ndim(given[0]) == 0:
            results = [Uniform(given[0], tuple(equation.params["shape"]))]
        else:
            results = _bound(jaxpr, equation, known)
        known.update(zip(equation.outvars, results, strict=True))
    return [read(v) for v in jaxpr.outvars]


def _is_rounding(equation: Any) -> bool:
    """Whether an equation is part of the mark ``rounded``, which on some backends turns to bits and back.

    Where an optimiser is looked through for the first time the mark is nothing, so any such equation is its own.
    """
    return current() is not ACCELERATOR and equation.primitive.name in ("bitcast_convert_type", "xor")


def _live(jaxpr: Any) -> list[bool]:
    """Which equations some result depends on."""
    needed = {v for v in jaxpr.outvars if not _is_literal(v)}
    found = []
    for equation in reversed(jaxpr.eqns):
        found.append(any(v in needed for v in equation.outvars))
        if found[-1]:
            needed |= {v for v in equation.invars if not _is_literal(v)}
    return found[::-1]


def _bound(jaxpr: Any, equation: Any, known: dict[Any, Any]) -> list[Any]:
    """What an equation makes of arrays."""
    inputs = list(dict.fromkeys(v for v in equation.invars if not _is_literal(v)))
    alone = jaxpr.replace(constvars=[], invars=inputs, outvars=equation.outvars, eqns=[equation])
    results = list(eval_jaxpr(alone, [], *(_value(known[v]) for v in inputs)))
    return results if equation.primitive.multiple_results else [_rounded(equation, results[0])]


def _rounded(equation: Any, result: Array) -> Array:
    is_product = equation.primitive.name in _PRODUCTS and jnp.issubdtype(result.dtype, jnp.floating)
    return rounded(result) if is_product else result


def _multiple(equation: Any, given: list[Any]) -> Multiple:
    """What an equation makes of arrays, some of which are multiples of the gradient: another multiple."""
    name = equation.primitive.name
    if name in _SAME or (name == "integer_pow" and equation.params["y"] == 1):
        return Multiple(given[0].factor.astype(equation.outvars[0].aval.dtype))
    if name == "neg":
        return Multiple(-given[0].factor)
    if name == "mul":
        ours, others = ([x for x in given if isinstance(x, Multiple) is is_ours] for is_ours in (True, False))
        if len(others) == 1:
            return Multiple(ours[0].factor * _number(others[0]))
    if name == "div" and isinstance(given[0], Multiple) and not isinstance(given[1], Multiple):
        return Multiple(given[0].factor / _number(given[1]))
    if name in ("add", "add_any", "sub"):
        first, second = (_factor(x) for x in given)
        return Multiple(first - second if name == "sub" else first + second)
    if name == "select_n" and not isinstance(given[0], Multiple) and jnp.ndim(given[0]) == 0:
        chosen, *cases = given
        factors = [_factor(case) for case in cases]
        dtype = jnp.result_type(*factors)
        return Multiple(jax.lax.select_n(chosen, *(jnp.asarray(factor, dtype) for factor in factors)))
    raise NotMultipleError


def _entries(equation: Any, given: list[Any]) -> Entries:
    """What an equation makes of arrays, of some of which a part is known: the same part."""
    name = equation.primitive.name
    if name not in _ENTRYWISE:
        raise NotEntrywiseError
    shape = next(jnp.shape(x.value) for x in given if isinstance(x, Entries))
    values = []
    for i, x in enumerate(given):
        value = x.value if isinstance(x, Entries) else _number(x, NotEntrywiseError)
        chooses = name == "select_n" and i == 0 and jnp.ndim(value) == 0
        values.append(value if chooses or name == "clamp" else jnp.broadcast_to(value, shape))
    zeros = [x.zero if isinstance(x, Entries) else _is_zero(x) for x in given]
    zero = (
        (name in _ZERO_OF_ZERO and zeros[0])
        or (name in _ZERO_OF_ZEROS and all(zeros))
        or (name == "select_n" and all(zeros[1:]))
        or (name == "mul" and any(zeros))
        or (name == "div" and zeros[0])
    )
    return Entries(_rounded(equation, equation.primitive.bind(*values, **equation.params)), zero)


def _factor(value: Any) -> Any:
    if isinstance(value, Multiple):
        return value.factor
    if _is_zero(value):
        return jnp.zeros(())
    raise NotMultipleError


def _number(value: Any, error: type[Exception] = NotMultipleError) -> Any:
    """What an array is everywhere."""
    if isinstance(value, Uniform):
        return value.number
    if jnp.ndim(value) == 0:
        return value
    raise error


def _is_zero(value: Any) -> bool:
    """Whether the program itself says that it is zero everywhere; a hyper-parameter may be another in another run."""
    number = value.number if isinstance(value, Uniform) else value
    return not isinstance(number, jax.Array | Multiple | Entries) and np.ndim(number) == 0 and bool(number == 0)


def _value(value: Any) -> Any:
    return jnp.broadcast_to(value.number, value.shape) if isinstance(value, Uniform) else value


def _called(equation: Any) -> Any:
    """The program that an equation calls, closed, if that is all that it does."""
    if equation.primitive.name not in _CALLS:
        return None
    found = [x for x in equation.params.values() if hasattr(x, "jaxpr") and hasattr(x, "consts")]
    return found[0] if len(found) == 1 else None


def _is_literal(v: Any) -> bool:
    return hasattr(v, "val")
