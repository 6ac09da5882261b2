"""Momentum where asynchrony has made some already."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from a3cjax._core import check
from a3cjax._xla.marks import rounded
from a3cjax.remedies.rule import rule


class MomentumState(NamedTuple):
    """The accumulated gradients."""

    trace: Any


def correct_implicit_momentum(momentum: Any, workers: Any) -> optax.GradientTransformationExtraArgs:
    """v_k = β v_{k−1} + g_k with the explicit momentum β = μ − (1 − 1/N), which may be negative, for a total of μ.

    N workers with exponential compute times make, in the mean, an implicit momentum of 1 − 1/N: Mitliagkas, Zhang,
    Hadjis, Ré 2016, arXiv:1605.09774. So what is added explicitly is as much less: the coefficient of the last
    change is μ in the mean. N = 1 is ``optax.trace(μ)``.

    Args:
        momentum: μ, the total that is wanted, in [0, 1).
        workers: N, at least 1; for other schedules one more than the mean delay.

    Raises:
        ValueError: if a number is outside its range.

    >>> import a3cjax, jax.numpy as jnp
    >>> rule = a3cjax.remedies.correct_implicit_momentum(0.5, workers=4)  # β = −¼
    >>> changes, state = rule.update(jnp.float32(1.0), rule.init(jnp.float32(0.0)))
    >>> float(rule.update(jnp.float32(1.0), state)[0])
    0.75
    """
    check.number("momentum", momentum, least=0, below=1)
    check.number("workers", workers, least=1)

    def update(updates, state):
        explicit = momentum - (1 - 1 / jnp.asarray(workers, jnp.result_type(float)))
        trace = jax.tree.map(lambda kept, gradient: rounded(explicit * kept) + gradient, state.trace, updates)
        return trace, MomentumState(trace)

    return rule(
        "correct_implicit_momentum", (), update, lambda params: MomentumState(jax.tree.map(jnp.zeros_like, params))
    )
