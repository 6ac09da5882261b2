"""Gradients that count less, the further the parameters have gone since."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from a3cjax._core import check
from a3cjax._xla.marks import rounded
from a3cjax.remedies.rule import distance, rule, scaled


class GapAwareState(NamedTuple):
    """Updates so far, and the running mean of g², entry by entry."""

    updates: Int[Array, ""]
    mean_square: Any


_LEAST_STEP = 1e-8


def gap_aware(step: Any = 1.0, decay: Any = 0.999) -> optax.GradientTransformationExtraArgs:
    """g ← g / (1 + |θ_k − θ_{k−τ}| / C_k), entry by entry, with C_k the usual size of one step there.

    Gap-aware ASGD, Barkai, Hakimi, Schuster 2020, arXiv:1909.10802: a gap of n usual steps divides by 1 + n. Here

        C_k = step · (√(m_k / (1 − d^k)) + 10⁻⁸),    m_k = d m_{k−1} + (1 − d) g²,    k = 1, 2, …

    Nothing changes without delay.

    Args:
        step: what g is multiplied by later on, at most, positive; 1, the default, where this stands at the end of a
            chain and g is a step itself.
        decay: d in [0, 1).

    Raises:
        ValueError: if a number is outside its range; on ``update`` without ``stale`` and ``params``.

    >>> import a3cjax, jax.numpy as jnp
    >>> rule = a3cjax.remedies.gap_aware()
    >>> stale, params = jnp.zeros(2), jnp.array([0.0, 6.0])
    >>> changes, _ = rule.update(jnp.array([2.0, 2.0]), rule.init(params), params, stale=stale)  # a gap of 3 steps
    >>> changes.round(5).tolist()
    [2.0, 0.5]
    """
    check.number("step", step, above=0)
    check.number("decay", decay, least=0, below=1)

    def mean(kept, gradient):
        return rounded(decay * kept) + rounded((1 - decay) * rounded(gradient * gradient))

    def update(updates, state, stale, params):
        count = state.updates + 1
        squares = jax.tree.map(mean, state.mean_square, updates)
        seen = 1 - jnp.asarray(decay, jnp.result_type(float)) ** count.astype(jnp.result_type(float))

        def penalised(gradient, now, then, square):
            usual = step * (jnp.sqrt(square / seen) + _LEAST_STEP)
            return gradient / (1 + jnp.abs(now - then) / usual)

        changes = jax.tree.map(penalised, updates, params, stale, squares)
        return changes, GapAwareState(count, squares)

    return rule("gap_aware", ("stale", "params"), update, _start)


def clip_by_gap(gap: Any) -> optax.GradientTransformationExtraArgs:
    """g ← min(1, c / ‖θ_k − θ_{k−τ}‖) g with c = ``gap``: ``drop_far`` without its edge.

    The norm is over all parameters of this optimiser. Nothing changes without delay.

    Args:
        gap: c, in units of the parameters, positive.

    Raises:
        ValueError: if the gap is not positive; on ``update`` without ``stale`` and ``params``.

    >>> import a3cjax, jax.numpy as jnp
    >>> rule = a3cjax.remedies.clip_by_gap(1.0)
    >>> rule.update(jnp.array([2.0]), rule.init(None), jnp.array([4.0]), stale=jnp.array([0.0]))[0].tolist()
    [0.5]
    """
    check.number("gap", gap, above=0)

    def update(updates, state, stale, params):
        far = distance(params, stale)
        return scaled(updates, jnp.where(far > gap, gap / jnp.where(far > 0, far, 1), 1)), state

    return rule("clip_by_gap", ("stale", "params"), update)


def _start(params: Any) -> GapAwareState:
    return GapAwareState(jnp.int32(0), jax.tree.map(jnp.zeros_like, params))
