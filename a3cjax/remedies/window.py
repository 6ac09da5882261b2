"""Steps whose sum over the time that a gradient was under way is bounded."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Int, UInt32

from a3cjax._core import check
from a3cjax._xla.marks import read_row, row_of, write_row
from a3cjax.remedies.rule import rule, scaled

_ONE = 1 << 31  # γ′, in the unit in which steps are counted


class WindowState(NamedTuple):
    """Updates so far, and the sums of all steps before each of the last ones.

    A sum is two words, whole multiples of 2³² and the rest, in units of γ′/2³¹: floats would lose the difference of two
    sums that grow without end, and with it whether a step of γ′/(τ+1) just fits.
    """

    updates: Int[Array, ""]
    total: UInt32[Array, "2"]
    past: UInt32[Array, "max_delay+1 2"]


def adaptive_window(variant: int, max_delay: int, fraction: Any = None) -> optax.GradientTransformationExtraArgs:
    """g ← (γ_k/γ′) g, with steps γ_k that keep γ_k + Σ_{t=k−τ_k}^{k−1} γ_t ≤ γ′, however long the delay τ_k.

    The delay-adaptive steps of Wu, Magnússon, Feyzmahdavian, Johansson 2022, arXiv:2202.08550, over their γ′, by which
    the chain goes on to multiply, as in ``optax.chain(adaptive_window(1, 64), optax.scale(-gamma))``:

    - variant 1: γ_k = a · max(γ′ − Σ, 0);
    - variant 2: γ_k = γ′/(τ_k + 1) if that is at most γ′ − Σ, else 0.

    The paper takes γ′ = 0.99/L and a = 0.9. Without delay variant 2 is 1, and variant 1 is a. Steps are whole multiples
    of γ′/2³¹.

    Args:
        variant: 1 or 2.
        max_delay: the greatest delay; so many sums are kept. A greater one makes the update NaN, and a run stops there.
        fraction: a in (0, 1], for variant 1 only.

    Raises:
        ValueError: if an argument is outside its range, or ``fraction`` would have no effect; on ``update`` without
            ``delay``.

    >>> import a3cjax, jax.numpy as jnp
    >>> rule = a3cjax.remedies.adaptive_window(variant=1, max_delay=2, fraction=0.5)
    >>> state = rule.init(None)
    >>> for delay in (0, 1, 2):  # ½ · 1, ½ · (1 − ½), ½ · (1 − ½ − ¼)
    ...     changes, state = rule.update(jnp.float32(1.0), state, delay=jnp.int32(delay))
    ...     print(float(changes))
    0.5
    0.25
    0.125
    """
    if variant not in (1, 2):
        raise ValueError(f"variant is {variant!r}, but must be 1 or 2.")
    if fraction is not None and variant == 2:
        raise ValueError(f"fraction is {fraction!r}, but variant 2 has none; leave it out.")
    fraction = 0.9 if fraction is None else fraction
    check.number("fraction", fraction, above=0, most=1)
    room = check.integer("max_delay", max_delay, 0) + 1

    def step_in(left, delay):
        if variant == 2:
            even = jnp.uint32(_ONE) // (delay.astype(jnp.uint32) + 1)
            return jnp.where(even <= left, even, jnp.uint32(0))
        part = (jnp.asarray(fraction, jnp.result_type(float)) * left.astype(jnp.result_type(float))).astype(jnp.uint32)
        return jnp.minimum(part, left)

    def update(updates, state, delay):
        delay = jnp.asarray(delay, jnp.int32)
        past = write_row(state.past, lax.rem(state.updates, jnp.int32(room)), state.total)
        before = read_row(past, lax.rem(jnp.maximum(state.updates - delay, 0), jnp.int32(room)))
        borrow = (state.total[1] < before[1]).astype(jnp.uint32)
        many, since = state.total[0] - before[0] - borrow, state.total[1] - before[1]
        full = (many > 0) | (since >= jnp.uint32(_ONE))
        step = step_in(jnp.where(full, jnp.uint32(0), jnp.uint32(_ONE) - since), delay)
        rest = state.total[1] + step
        carry = (rest < step).astype(jnp.uint32)
        factor = step.astype(jnp.result_type(float)) / float(_ONE)
        changes = scaled(updates, jnp.where(delay < room, factor, jnp.nan))
        return changes, WindowState(state.updates + 1, row_of([state.total[0] + carry, rest]), past)

    def init(params):
        del params
        return WindowState(jnp.int32(0), jnp.zeros(2, jnp.uint32), jnp.zeros((room, 2), jnp.uint32))

    return rule("adaptive_window", ("delay",), update, init)
