"""Where TD(0) ends, also with features that depend on each other."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Bool, Float

from a3cjax._xla.choice import is_left_out, not_known, told_apart
from a3cjax._xla.compiler import quickly_compiled
from a3cjax.problems.chains import factor, solve_factored


@quickly_compiled
def td_fixed_point(
    matrix: Float[Array, "d d"], right: Float[Array, "d"], features: Float[Array, "S d"], law: Float[Array, "S"]
) -> Float[Array, "d"]:
    """The ω with A ω + b = 0 in the span of the features φ(s) of states that ``law`` visits; NaN if that is not unique.

    TD(0) moves ω by multiples of such φ(s), so what starts at zero stays in their span. Where they are independent that
    is everything, and ω = −A⁻¹b. Otherwise A vanishes on what is orthogonal to the span, and of all solutions this is
    the one of least norm.

    >>> import jax.numpy as jnp
    >>> twice = jnp.array([[1.0, 1.0], [0.5, 0.5]])  # one feature, twice: with x = (1, ½) it is A = −½ E x², b = E r x
    >>> matrix, right = -0.5 * twice.T @ twice / 2, jnp.array([0.5, 0.5])
    >>> [round(float(w), 4) for w in td_fixed_point(matrix, right, twice, jnp.full(2, 0.5))]  # (ω_1 + ω_2)·5/16 = ½
    [0.8, 0.8]
    """
    # On the scale of each feature's own second moment the diagonal is of order one, so what is left of a small pivot
    # tells a singular system from a badly scaled one. A feature that is zero wherever the chain goes has a zero row and
    # column, and its weight stays zero.
    moment = (law[:, None] * features**2).sum(0)
    used = moment > jnp.finfo(moment.dtype).tiny / jnp.finfo(moment.dtype).eps
    scale = jnp.where(used, lax.rsqrt(jnp.where(used, moment, 1)), 0)
    scaled = scale[:, None] * matrix * scale[None, :] - jnp.diag(jnp.where(used, 0, 1).astype(matrix.dtype))
    omega, singular = _solution(scaled, scale * right)
    omega = scale * omega
    given = (singular, omega, scaled, scale, right, features, law)
    return _differentiable(singular, _where_singular(*map(lax.stop_gradient, given)), omega)


@jax.custom_jvp
def _differentiable(singular: Array, found: Array, omega: Array) -> Array:
    """The fixed point found, with the derivative of ω = −A⁻¹b; it has none where A is singular, which is NaN."""
    del singular, omega
    return found


@_differentiable.defjvp
def _derivative(primals: Any, tangents: Any) -> tuple[Array, Array]:
    return _differentiable(*primals), jnp.where(primals[0], jnp.nan, 1) * tangents[2]


@told_apart
def _where_singular() -> Callable[..., Any]:
    """Of whether a system is singular, its ω and the system: ω, or where it is its solution in the span, which takes
    decompositions."""

    @custom_vmap
    def solved(singular: Bool[Array, ""], omega: Float[Array, "d"], *system: Array) -> Float[Array, "d"]:
        return lax.cond(singular, lambda: _in_the_span(*system), lambda: omega)

    @solved.def_vmap
    def where_any_is_singular(
        size: int, batched: Any, singular: Any, omega: Any, *system: Any
    ) -> tuple[Float[Array, "b d"], bool]:
        # As one would loop over the systems: a batch of conditions would decompose every one of them.
        given = (singular, omega, *system)
        pairs = zip(given, batched, strict=True)
        given = [x if differs else jnp.broadcast_to(x, (size, *x.shape)) for x, differs in pairs]

        def one_by_one():
            return lax.map(lambda one: solved(*one), given)

        return lax.cond(given[0].any(), one_by_one, lambda: given[1]), True

    return solved


def _in_the_span(
    scaled: Float[Array, "d d"],
    scale: Float[Array, "d"],
    right: Float[Array, "d"],
    features: Float[Array, "S d"],
    law: Float[Array, "S"],
) -> Float[Array, "d"]:
    """The solution of least norm, or NaN if there are several in the span of the features that ``law`` visits."""
    if is_left_out():
        return not_known(right)
    seen = jnp.sqrt(law)[:, None] * features * scale[None, :]
    lengths, directions = jnp.linalg.eigh(jnp.matmul(seen.T, seen, precision="highest"))
    # A and the moments vanish on the same directions; there −1 takes the place of A, and the weight stays zero.
    never = jnp.where((lengths <= _rounding(right) * lengths.max())[None, :], directions, 0)
    held = scaled - jnp.matmul(never, never.T, precision="highest")
    found, still_singular = _solution(held, scale * right)
    # Zero on the scale of the moments; on that of ω it is what lies across the span that has to be zero.
    across, sizes, _ = jnp.linalg.svd(scale[:, None] * never)
    across = jnp.where((sizes > _rounding(right) * sizes.max())[None, :], across, 0)
    found = scale * found
    found = found - jnp.matmul(across, jnp.matmul(across.T, found, precision="highest"), precision="highest")
    return jnp.where(still_singular, jnp.nan, found)


def _solution(matrix: Float[Array, "d d"], right: Float[Array, "d"]) -> tuple[Float[Array, "d"], Bool[Array, ""]]:
    """−M⁻¹ b for an M whose diagonal is of order one, and whether M is singular to working precision."""
    factored = factor(matrix)
    pivots = jnp.abs(jnp.diag(factored[0]))
    return -solve_factored(factored, right), ~(pivots.min() > _rounding(right))


def _rounding(right: Float[Array, "d"]) -> float:
    """What a sum of d terms of order one may be off."""
    return right.size * float(jnp.finfo(right.dtype).eps)
