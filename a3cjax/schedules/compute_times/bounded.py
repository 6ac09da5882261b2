"""Compute times without a tail: always the same, uniform, or measured."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from a3cjax._core import check
from a3cjax._core.tree import pytree
from a3cjax.schedules import _random
from a3cjax.schedules._measured_law import MeasuredLaw
from a3cjax.schedules._values import measurements, plain, positive


@pytree
class Deterministic:
    """Every computation takes ``mean``.

    Args:
        mean: the compute time, greater than 0.

    Raises:
        ValueError: if ``mean`` is not positive and finite.

    >>> import jax, a3cjax
    >>> float(a3cjax.compute_times.Deterministic(2.5).sample(jax.random.key(0)))
    2.5
    """

    mean: Any

    def __post_init__(self):
        check.number("mean", self.mean, above=0)
        object.__setattr__(self, "mean", plain(self.mean))

    def sample(self, key: Key[Array, ""]) -> Float[Array, ""]:
        """One compute time."""
        del key  # nothing is random
        return jnp.asarray(self.mean, jnp.result_type(float))

    def scaled(self, factor: Any) -> "Deterministic":
        """The law of ``factor`` times the compute time: a worker that is ``factor`` times slower."""
        check.number("factor", factor, above=0)
        return Deterministic(self.mean * factor)


@pytree
class Uniform:
    """Compute times uniform between ``low`` and ``high``.

    Args:
        low: the shortest, at least 0.
        high: the longest, greater than ``low``.

    Raises:
        ValueError: if ``low`` is negative or ``high`` is not greater than ``low``.

    >>> import jax, a3cjax
    >>> law = a3cjax.compute_times.Uniform(1.0, 2.0)
    >>> law.mean, bool(1 < law.sample(jax.random.key(0)) < 2)
    (1.5, True)
    """

    low: Any
    high: Any

    def __post_init__(self):
        check.number("low", self.low, least=0)
        check.number("high", self.high, above=0)
        object.__setattr__(self, "low", plain(self.low))
        object.__setattr__(self, "high", plain(self.high))
        if check.is_concrete(self.low, self.high) and not jnp.less(self.low, self.high).all():
            raise ValueError(f"high is {self.high}, but must be greater than low, which is {self.low}.")

    @property
    def mean(self) -> Any:
        """The mean compute time."""
        return (self.low + self.high) / 2

    def sample(self, key: Key[Array, ""]) -> Float[Array, ""]:
        """One compute time."""
        return self.low + (self.high - self.low) * _random.uniform(_random.words(key)[0])

    def scaled(self, factor: Any) -> "Uniform":
        """The law of ``factor`` times the compute time: a worker that is ``factor`` times slower."""
        check.number("factor", factor, above=0)
        return Uniform(self.low * factor, self.high * factor)


@pytree
class Empirical(MeasuredLaw):
    """Compute times drawn independently, with equal weight, from measured ones.

    Args:
        values: a list or array [M] of positive times, or the path of a file of them: a ``.npy`` vector, or UTF-8 text
            (CSV) with one number on each line, under a heading or not, or with all of them on its only line. ``#``
            begins a comment.

    Raises:
        ValueError: if ``values`` is empty, an entry is not positive and finite, or the file holds anything else.

    >>> import jax, a3cjax
    >>> law = a3cjax.compute_times.Empirical([0.5, 1.5])
    >>> law.mean, float(law.sample(jax.random.key(0))) in (0.5, 1.5)
    (1.0, True)
    """

    values: Any

    def __post_init__(self):
        object.__setattr__(self, "values", measurements("values", self.values, positive))
