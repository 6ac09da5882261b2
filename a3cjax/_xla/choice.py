"""Two ways to one value: a quick one where it is known to hold, a general one elsewhere."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Bool


def either(quick: Callable[..., Any], general: Callable[..., Any]) -> Callable[..., Any]:
    """``f(holds, *given)``: ``quick(*given)`` where ``holds``, else ``general(*given)``.

    Only one of them is computed; in a batch the general one is computed too if any element needs it, and an element's
    value does not depend on who is beside it. A derivative has to come from elsewhere (``derived_from``).

    >>> import jax.numpy as jnp
    >>> root = either(lambda x: jnp.sqrt(x), lambda x: jnp.nan * x)
    >>> jax.vmap(lambda x: root(x >= 0, x))(jnp.array([4.0, -1.0])).tolist()
    [2.0, nan]
    """

    @custom_vmap
    def choose(holds: Bool[Array, "*batch"], *given: Any) -> Any:
        def some_general(*given):
            if holds.ndim == 0:
                return general(*given)
            return jax.tree.map(lambda *both: _where(holds, *both), quick(*given), general(*given))

        return lax.cond(holds.all(), quick, some_general, *given)

    @choose.def_vmap
    def choose_in_a_batch(size: int, batched: Any, holds: Any, *given: Any) -> tuple[Any, Any]:
        # One more axis on the flags, and not a batched condition, which would compute both ways for all.
        axes = jax.tree.map(lambda differs: 0 if differs else None, tuple(batched[1:]))
        holds = holds if batched[0] else jnp.broadcast_to(holds, (size, *holds.shape))
        out = either(jax.vmap(quick, axes, axis_size=size), jax.vmap(general, axes, axis_size=size))(holds, *given)
        return out, jax.tree.map(lambda _: True, out)

    return choose


def derived_from(source: Callable[..., Any], value: Callable[..., Any]) -> Callable[..., Any]:
    """``f(known, *given)``: ``value(known, *given)`` with the derivative of ``source(*given)``.

    For a value found by a loop or a condition, beside a plain formula of what it depends on.

    >>> import jax.numpy as jnp
    >>> square = derived_from(lambda x: x * x, lambda known, x: known)
    >>> jax.value_and_grad(lambda x: square(jnp.float32(9), x))(jnp.float32(3))
    (Array(9., dtype=float32), Array(6., dtype=float32))
    """

    @jax.custom_jvp
    def found(known: Any, *given: Any) -> Any:
        return value(known, *given)

    @found.defjvp
    def derivative(primals: Any, tangents: Any) -> tuple[Any, Any]:
        _, tangent = jax.jvp(source, primals[1:], tangents[1:])
        return found(*primals), tangent

    def with_known(known: Any, *given: Any) -> Any:
        return found(jax.tree.map(lax.stop_gradient, known), *given)

    return with_known


def _where(holds: Array, one: Array, other: Array) -> Array:
    return jnp.where(holds.reshape(holds.shape + (1,) * (one.ndim - holds.ndim)), one, other)
