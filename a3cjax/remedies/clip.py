"""Gradients that are not longer than a bound."""

from typing import Any

import jax.numpy as jnp
import optax

from a3cjax._core import check
from a3cjax.remedies.rule import norm as norm_of
from a3cjax.remedies.rule import rule, scaled


def clip_by_norm(norm: Any) -> optax.GradientTransformationExtraArgs:
    """g ← min(1, c / ‖g‖) g with c = ``norm``, the l2 norm of all leaves together.

    It asks for no delay, and bounds what delays do: Erickson and Johansson 2026, arXiv:2606.13287, show that with
    clipping the number of updates that asynchronous SGD needs does not depend on the greatest delay, also under heavy
    tails of the noise. A step α moves the parameters by α c at most, so a gradient of delay τ was computed within
    α c τ of where it is applied.

    The rule is that of ``optax.clip_by_global_norm``; here a run's bits do not depend on the runs beside it.

    Args:
        norm: c, positive.

    Raises:
        ValueError: if the norm is not positive.

    >>> import a3cjax, jax.numpy as jnp
    >>> rule = a3cjax.remedies.clip_by_norm(1.0)
    >>> rule.update(jnp.array([0.0, 4.0]), rule.init(None))[0].tolist()
    [0.0, 1.0]
    """
    check.number("norm", norm, above=0)

    def update(updates, state):
        length = norm_of(updates)
        return scaled(updates, jnp.where(length > norm, norm / jnp.where(length > 0, length, 1), 1)), state

    return rule("clip_by_norm", (), update)
