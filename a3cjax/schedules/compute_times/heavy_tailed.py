"""Lognormal and Pareto compute times: tails that fall more slowly than any exponential."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from a3cjax._core import check
from a3cjax._core.tree import pytree
from a3cjax.schedules import _random
from a3cjax.schedules._values import plain


@pytree
class Lognormal:
    """Lognormal compute times: exp of a normal of variance log(1 + cv²).

    A ``cv`` of 0.12 to 0.2 matches the delays measured on eight real workers (logs of Wu et al. 2022).

    Args:
        mean: the mean compute time, greater than 0.
        cv: the coefficient of variation, standard deviation over mean, at least 0.

    Raises:
        ValueError: if ``mean`` is not positive, ``cv`` is negative, or either is not finite.

    >>> import jax, a3cjax
    >>> keys = jax.random.split(jax.random.key(0), 100_000)
    >>> times = jax.vmap(a3cjax.compute_times.Lognormal(2.0, cv=0.5).sample)(keys)
    >>> bool(abs(times.mean() - 2) < 4 * 1 / 100_000**0.5)
    True
    """

    mean: Any
    cv: Any

    def __post_init__(self):
        check.number("mean", self.mean, above=0)
        check.number("cv", self.cv, least=0)
        object.__setattr__(self, "mean", plain(self.mean))
        object.__setattr__(self, "cv", plain(self.cv))

    def sample(self, key: Key[Array, ""]) -> Float[Array, ""]:
        """One compute time."""
        variance = jnp.log1p(jnp.square(jnp.asarray(self.cv, jnp.result_type(float))))
        normal = _random.normal(*_random.words(key))
        return self.mean * jnp.exp(jnp.sqrt(variance) * normal - variance / 2)

    def scaled(self, factor: Any) -> "Lognormal":
        """The law of ``factor`` times the compute time: a worker that is ``factor`` times slower."""
        check.number("factor", factor, above=0)
        return Lognormal(self.mean * factor, self.cv)


@pytree
class Pareto:
    """Pareto compute times: P(c > x) = (scale / x)^shape for x ≥ scale = mean (shape − 1) / shape.

    The variance is infinite for ``shape`` of 2 or less: stragglers without a typical size.

    Args:
        mean: the mean compute time, greater than 0.
        shape: the tail's exponent, greater than 1.

    Raises:
        ValueError: if ``mean`` is not positive, ``shape`` is 1 or less, or either is not finite.

    >>> import jax, a3cjax
    >>> law = a3cjax.compute_times.Pareto(3.0, shape=1.5)  # no time is shorter than 3 · 0.5 / 1.5 = 1
    >>> bool(law.sample(jax.random.key(0)) >= 1)
    True
    """

    mean: Any
    shape: Any

    def __post_init__(self):
        check.number("mean", self.mean, above=0)
        check.number("shape", self.shape, above=1)
        object.__setattr__(self, "mean", plain(self.mean))
        object.__setattr__(self, "shape", plain(self.shape))

    def sample(self, key: Key[Array, ""]) -> Float[Array, ""]:
        """One compute time."""
        # A product with the inverse rounds alike alone and in a batch; XLA rewrites a quotient in some of them.
        inverse = 1 / jnp.asarray(self.shape, jnp.result_type(float))
        return self.mean * (1 - inverse) * jnp.exp(_random.exponential(_random.words(key)[0]) * inverse)

    def scaled(self, factor: Any) -> "Pareto":
        """The law of ``factor`` times the compute time: a worker that is ``factor`` times slower."""
        check.number("factor", factor, above=0)
        return Pareto(self.mean * factor, self.shape)
