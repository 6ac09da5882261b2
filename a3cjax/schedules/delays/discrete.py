"""Delays drawn independently from a bounded set: uniform, measured, or a power law."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int32, Key

from a3cjax._core import check
from a3cjax._core.tree import pytree, static
from a3cjax.schedules import _random
from a3cjax.schedules._values import measurements, plain, whole_numbers


@pytree
class Uniform:
    """Delays uniform on the whole numbers ``low``, …, ``high``, both included.

    Args:
        low: the least delay, in updates, at least 0.
        high: the greatest delay, in updates, at least ``low``.

    Raises:
        ValueError: if a bound is negative or not whole, or ``high`` is below ``low``.

    >>> import jax, a3cjax
    >>> law = a3cjax.delays.Uniform(2, 4)
    >>> law.mean, sorted(set(law.sample(jax.random.key(0), 100).tolist()))
    (3.0, [2, 3, 4])
    """

    low: Any
    high: Any

    def __post_init__(self):
        object.__setattr__(self, "low", whole_numbers("low", self.low, least=0))
        object.__setattr__(self, "high", whole_numbers("high", self.high, least=0))
        if check.is_concrete(self.low, self.high) and (self.high < self.low).any():
            raise ValueError(f"high is {self.high}, but must be at least low, which is {self.low}.")

    @property
    def mean(self) -> Any:
        """The mean delay, in updates."""
        return plain((self.low + self.high) / 2)

    def sample(self, key: Key[Array, ""], num_updates: int) -> Int32[Array, "updates"]:
        """Independent delays of updates 0, …, num_updates − 1."""
        words = jax.random.bits(key, (num_updates,), jnp.uint32)
        return self.low + _random.below(words, self.high - self.low + 1)


@pytree
class Empirical:
    """Delays drawn independently, with equal weight, from measured ones.

    Args:
        values: a list or array [M] of whole numbers of updates, at least 0, or the path of a file of them: a ``.npy``
            vector, or UTF-8 text (CSV) with one number on each line, under a heading or not, or with all of them on
            its only line. ``#`` begins a comment. ``Cyclic`` keeps their order instead.

    Raises:
        ValueError: if ``values`` is empty, an entry is negative or not whole, or the file holds anything else.

    >>> import jax, a3cjax
    >>> law = a3cjax.delays.Empirical([0, 7, 7, 8])
    >>> law.mean, sorted(set(law.sample(jax.random.key(0), 100).tolist()))
    (5.5, [0, 7, 8])
    """

    values: Any

    def __post_init__(self):
        delays = measurements("values", self.values, functools.partial(whole_numbers, least=0))
        object.__setattr__(self, "values", delays)

    @property
    def mean(self) -> Any:
        """The mean of the measured delays, in updates."""
        return plain(self.values.mean(-1))

    def sample(self, key: Key[Array, ""], num_updates: int) -> Int32[Array, "updates"]:
        """Independent delays of updates 0, …, num_updates − 1."""
        words = jax.random.bits(key, (num_updates,), jnp.uint32)
        return jnp.asarray(self.values, jnp.int32)[_random.below(words, self.values.shape[-1])]


@pytree
class Zipf:
    """Delays on {1, …, max} with P(τ) ∝ τ^(−exponent), the law that scipy calls ``zipfian``.

    Args:
        exponent: how fast the tail falls, at least 0 (0 is uniform).
        max: the greatest delay, in updates. It is the length of a table, so another value is another program.

    Raises:
        ValueError: if ``exponent`` is negative or not finite, or ``max`` is not a whole number of at least 1.

    >>> import jax, a3cjax
    >>> law = a3cjax.delays.Zipf(2.0, max=2)  # P(1) = 4/5, P(2) = 1/5
    >>> round(law.mean, 6)
    1.2
    """

    exponent: Any
    max: int = static()

    def __post_init__(self):
        check.number("exponent", self.exponent, least=0)
        object.__setattr__(self, "max", check.integer("max", self.max, least=1))

    @property
    def mean(self) -> Any:
        """The mean delay, in updates: the sum of P(τ > k) over k."""
        return plain(self._tail().sum(-1))

    def sample(self, key: Key[Array, ""], num_updates: int) -> Int32[Array, "updates"]:
        """Independent delays of updates 0, …, num_updates − 1."""
        # τ = #{k: P(τ > k) > u}. Small u means a long delay, and small numbers are where a uniform has all its bits
        # and the sums from the tail all their digits.
        u = _random.uniform(jax.random.bits(key, (num_updates,), jnp.uint32))
        not_above = jnp.searchsorted(self._tail()[::-1], u, side="right")
        return jnp.clip(self.max - not_above, 1, self.max).astype(jnp.int32)

    def _tail(self) -> Float[Array, "max"]:
        """P(τ > k) for k = 0, …, max − 1, summed from the small end."""
        weights = jnp.exp(-self.exponent * jnp.log(jnp.arange(1.0, self.max + 1)))
        sums = jnp.cumsum(weights[::-1])[::-1]
        return sums / sums[0]
