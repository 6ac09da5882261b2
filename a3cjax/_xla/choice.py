"""Two ways to one value: a quick one where it is known to hold, a general one elsewhere."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Bool

_left_out: ContextVar[bool] = ContextVar("left_out", default=False)


@contextlib.contextmanager
def general_left_out() -> Iterator[None]:
    """Within, what is traced has no general ways, and is NaN where it needs one: half as much to compile.

    Whoever finds a NaN has to ask a program with both ways. What JAX keeps the trace of would be taken for that one, so
    within nothing may be traced but what is ``told_apart``: no code of a user's.
    """
    before = _left_out.set(True)
    try:
        yield
    finally:
        _left_out.reset(before)


def is_left_out() -> bool:
    """Whether that is so here."""
    return _left_out.get()


def told_apart(make: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
    """A function that is made twice: for programs without the general ways and for all others.

    JAX may keep the trace of a function, and knows it by what it is and not by what surrounds it.
    """
    made = functools.cache(lambda left_out: make())

    def call(*args: Any, **kwargs: Any) -> Any:
        return made(is_left_out())(*args, **kwargs)

    return call


def not_known(like: Any) -> Any:
    """NaN in place of the numbers of such a tree, and nothing in place of integers and flags."""

    def one(leaf):
        return jnp.full(leaf.shape, jnp.nan if jnp.issubdtype(leaf.dtype, jnp.inexact) else 0, leaf.dtype)

    return jax.tree.map(one, like)


def either(quick: Callable[..., Any], general: Callable[..., Any]) -> Callable[..., Any]:
    """``f(holds, *given)``: ``quick(*given)`` where ``holds``, else ``general(*given)``.

    Only one of them is computed; in a batch the general one is computed too if any element needs it, and an element's
    value does not depend on who is beside it. A derivative has to come from elsewhere (``derived_from``).

    >>> import jax.numpy as jnp
    >>> root = either(lambda x: jnp.sqrt(x), lambda x: jnp.nan * x)
    >>> jax.vmap(lambda x: root(x >= 0, x))(jnp.array([4.0, -1.0])).tolist()
    [2.0, nan]
    """

    def make():
        @custom_vmap
        def choose(holds: Bool[Array, "*batch"], *given: Any) -> Any:
            def some_general(*given):
                others = not_known(jax.eval_shape(quick, *given)) if is_left_out() else general(*given)
                if holds.ndim == 0:
                    return others
                return jax.tree.map(lambda *both: _where(holds, *both), quick(*given), others)

            return lax.cond(holds.all(), quick, some_general, *given)

        @choose.def_vmap
        def choose_in_a_batch(size: int, batched: Any, holds: Any, *given: Any) -> tuple[Any, Any]:
            # One more axis on the flags, and not a batched condition, which would compute both ways for all.
            axes = jax.tree.map(lambda differs: 0 if differs else None, tuple(batched[1:]))
            holds = holds if batched[0] else jnp.broadcast_to(holds, (size, *holds.shape))
            out = either(jax.vmap(quick, axes, axis_size=size), jax.vmap(general, axes, axis_size=size))(holds, *given)
            return out, jax.tree.map(lambda _: True, out)

        return choose

    return told_apart(make)


def derived_from(source: Callable[..., Any], value: Callable[..., Any]) -> Callable[..., Any]:
    """``f(known, *given)``: ``value(known, *given)`` with the derivative of ``source(*given)``.

    For a value found by a loop or a condition, beside a plain formula of what it depends on.

    >>> import jax.numpy as jnp
    >>> square = derived_from(lambda x: x * x, lambda known, x: known)
    >>> jax.value_and_grad(lambda x: square(jnp.float32(9), x))(jnp.float32(3))
    (Array(9., dtype=float32), Array(6., dtype=float32))
    """

    def make():
        @jax.custom_jvp
        def found(known: Any, *given: Any) -> Any:
            return value(known, *given)

        @found.defjvp
        def derivative(primals: Any, tangents: Any) -> tuple[Any, Any]:
            _, tangent = jax.jvp(source, primals[1:], tangents[1:])
            return found(*primals), tangent

        return found

    found = told_apart(make)

    def with_known(known: Any, *given: Any) -> Any:
        return found(jax.tree.map(lax.stop_gradient, known), *given)

    return with_known


def _where(holds: Array, one: Array, other: Array) -> Array:
    return jnp.where(holds.reshape(holds.shape + (1,) * (one.ndim - holds.ndim)), one, other)
