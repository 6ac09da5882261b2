"""Poisson delays."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, Bool, Float, Int32, Key

from a3cjax._core import check
from a3cjax._core.tree import pytree
from a3cjax.schedules import _random
from a3cjax.schedules._values import plain

_SMALL_MEAN = 12.0


@pytree
class Poisson:
    """Poisson delays: P(τ) = exp(−mean) mean^τ / τ!, variance mean.

    A mean below 12 counts the arrivals of a Poisson process before time ``mean``; a greater one goes through Hörmann's
    transformed rejection (PTRS, 1993), with probabilities in Loader's form (2000), which keeps its digits for any
    mean. Both are exact in law.

    Args:
        mean: the mean delay, in updates, at least 0.

    Raises:
        ValueError: if ``mean`` is negative or not finite.

    >>> import jax, a3cjax
    >>> delays = a3cjax.delays.Poisson(7.0).sample(jax.random.key(0), 100_000)
    >>> bool(abs(delays.mean() - 7) < 4 * (7 / 100_000) ** 0.5)
    True
    """

    mean: Any

    def __post_init__(self):
        check.number("mean", self.mean, least=0)
        object.__setattr__(self, "mean", plain(self.mean))

    def sample(self, key: Key[Array, ""], num_updates: int) -> Int32[Array, "updates"]:
        """Independent delays of updates 0, …, num_updates − 1."""
        mean = jnp.asarray(self.mean, jnp.result_type(float))
        few = mean < _SMALL_MEAN
        # Each loop is given a harmless mean, and ends at once, where it is the other that is asked for.
        counted = _arrivals(key, jnp.where(few, mean, 0.0), num_updates)
        accepted = _rejection(key, jnp.where(few, _SMALL_MEAN, mean), num_updates, done=few)
        return jnp.where(few, counted, accepted).astype(jnp.int32)


def _arrivals(key: Key[Array, ""], mean: Float[Array, ""], num_updates: int) -> Float[Array, "updates"]:
    """How many exponential gaps fit into ``mean``."""

    def gap(carry):
        attempt, elapsed, count = carry
        bits = jax.random.bits(jax.random.fold_in(key, attempt), (num_updates,), jnp.uint32)
        elapsed = elapsed + _random.exponential(bits)
        return attempt + 1, elapsed, count + (elapsed <= mean)

    start = (jnp.int32(0), jnp.zeros(num_updates, mean.dtype), jnp.zeros(num_updates, mean.dtype))
    return jax.lax.while_loop(lambda carry: (carry[1] < mean).any(), gap, start)[2]


def _rejection(
    key: Key[Array, ""], mean: Float[Array, ""], num_updates: int, done: Bool[Array, ""]
) -> Float[Array, "updates"]:
    """Transformed rejection with squeeze; the constants are those of Hörmann's table for means of at least 10."""
    b = 0.931 + 2.53 * jnp.sqrt(mean)
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    squeeze = 0.9277 - 3.6224 / (b - 2.0)

    def attempt(carry):
        number, accepted, value = carry
        first, second = jax.random.bits(jax.random.fold_in(key, number), (num_updates, 2), jnp.uint32).T
        # One bit is the sign; the other 31 place the candidate, with all of them counting near the two ends.
        edge = _random.uniform(first >> 1)
        side = jnp.where(first & 1, 1.0, -1.0) * (0.5 - edge)
        height = _random.uniform(second)
        candidate = jnp.floor((2 * a / edge + b) * side + mean + 0.43)
        inside = (edge >= 0.07) & (height <= squeeze)
        density = jnp.log(height * inverse_alpha / (a / (edge * edge) + b))
        under = (candidate >= 0) & (density <= _log_probability(jnp.maximum(candidate, 0.0), mean))
        under &= (edge >= 0.013) | (height <= edge)
        return number + 1, accepted | inside | under, jnp.where(accepted, value, candidate)

    start = (jnp.int32(0), jnp.full(num_updates, done), jnp.zeros(num_updates, mean.dtype))
    return jax.lax.while_loop(lambda carry: ~carry[1].all(), attempt, start)[2]


def _log_probability(count: Float[Array, "updates"], mean: Float[Array, ""]) -> Float[Array, "updates"]:
    """log P(count), from count 10 on as Stirling's error and a deviance, between which no digits cancel."""
    direct = count * jnp.log(mean) - mean - gammaln(count + 1)
    many = jnp.maximum(count, 10.0)
    excess = (many - mean) * (1 / mean)
    deviance = mean * ((1 + excess) * jnp.log1p(excess) - excess)
    stirling = (1 - (1 - 2 / (7 * many * many)) / (30 * many * many)) / (12 * many)
    return jnp.where(count < 10, direct, -stirling - deviance - 0.5 * jnp.log(2 * math.pi * many))
