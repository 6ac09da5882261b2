"""Gradients that are left out."""

from typing import Any

import optax

from a3cjax._core import check
from a3cjax.remedies.rule import distance as distance_of
from a3cjax.remedies.rule import kept_if, rule


def drop_above(delay: Any) -> optax.GradientTransformationExtraArgs:
    """g ← g if τ ≤ ``delay``, else 0: a bound on staleness, and the discard of Koloskova et al. 2022.

    Ringmaster, Maranjyan, Tyurin, Richtárik 2025, arXiv:2501.16168, which ignores τ ≥ R, is a bound of R − 1. The
    update counts all the same, and what stands after this in a chain sees a gradient of zero: a momentum decays.

    Args:
        delay: the greatest that is applied, in updates, at least 0.

    Raises:
        ValueError: if the bound is negative; on ``update`` without ``delay``.

    >>> import a3cjax, jax.numpy as jnp
    >>> rule = a3cjax.remedies.drop_above(2)
    >>> [float(rule.update(jnp.float32(1.0), rule.init(None), delay=jnp.int32(tau))[0]) for tau in (0, 2, 3)]
    [1.0, 1.0, 0.0]
    """
    check.number("delay", delay, least=0)
    bound = delay

    def update(updates, state, delay):
        return kept_if(delay <= bound, updates), state

    return rule("drop_above", ("delay",), update)


def drop_far(distance: Any) -> optax.GradientTransformationExtraArgs:
    """g ← g if ‖θ_k − θ_{k−τ}‖ ≤ ``distance``, else 0: what counts is how far the parameters have gone, not how long.

    The test of Picky SGD, Cohen, Daniely, Drori, Koren, Schain 2021, arXiv:2106.11879, and, for TD(0) and other
    stochastic approximation, of the delay-adaptive scheme of arXiv:2402.11800. The norm is over all parameters of this
    optimiser. Never drops without delay.

    Args:
        distance: in units of the parameters, at least 0.

    Raises:
        ValueError: if the distance is negative; on ``update`` without ``stale`` and ``params``.

    >>> import a3cjax, jax.numpy as jnp
    >>> rule = a3cjax.remedies.drop_far(5.0)
    >>> gradient, stale = jnp.array([1.0, 1.0]), jnp.zeros(2)
    >>> [rule.update(gradient, rule.init(stale), params, stale=stale)[0].tolist() for params in
    ...  (jnp.array([3.0, 4.0]), jnp.array([3.0, 4.1]))]
    [[1.0, 1.0], [0.0, 0.0]]
    """
    check.number("distance", distance, least=0)

    def update(updates, state, stale, params):
        return kept_if(distance_of(params, stale) <= distance, updates), state

    return rule("drop_far", ("stale", "params"), update)
