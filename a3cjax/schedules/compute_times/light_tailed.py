"""Exponential and gamma compute times: tails that fall exponentially."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from a3cjax._core import check
from a3cjax._core.tree import pytree
from a3cjax.schedules import _random
from a3cjax.schedules._values import plain


@pytree
class Exponential:
    """Exponential compute times, of coefficient of variation 1.

    N equal workers with these make delays geometric on {0, 1, …} with mean N − 1 and variance N(N − 1).

    Args:
        mean: the mean compute time, greater than 0.

    Raises:
        ValueError: if ``mean`` is not positive and finite.

    >>> import jax, a3cjax
    >>> keys = jax.random.split(jax.random.key(0), 100_000)
    >>> times = jax.vmap(a3cjax.compute_times.Exponential(2.0).sample)(keys)
    >>> bool(abs(times.mean() - 2) < 4 * 2 / 100_000**0.5)
    True
    """

    mean: Any

    def __post_init__(self):
        check.number("mean", self.mean, above=0)
        object.__setattr__(self, "mean", plain(self.mean))

    def sample(self, key: Key[Array, ""]) -> Float[Array, ""]:
        """One compute time."""
        return self.mean * _random.exponential(_random.words(key)[0])

    def scaled(self, factor: Any) -> "Exponential":
        """The law of ``factor`` times the compute time: a worker that is ``factor`` times slower."""
        check.number("factor", factor, above=0)
        return Exponential(self.mean * factor)


@pytree
class Gamma:
    """Gamma compute times, of shape 1 / cv² and scale mean cv²; ``cv = 1`` is the exponential law.

    Drawn by the rejection of Marsaglia and Tsang (2000), exact in law. A shape below one uses a variate of shape
    increased by one times U^(1 / shape); where that underflows (``cv`` beyond about 5) the smallest positive float
    stands for it.

    Args:
        mean: the mean compute time, greater than 0.
        cv: the coefficient of variation, standard deviation over mean, greater than 0.

    Raises:
        ValueError: if ``mean`` or ``cv`` is not positive and finite.

    >>> import jax, a3cjax
    >>> keys = jax.random.split(jax.random.key(0), 100_000)
    >>> times = jax.vmap(a3cjax.compute_times.Gamma(2.0, cv=0.5).sample)(keys)
    >>> bool(abs(times.mean() - 2) < 4 * 1 / 100_000**0.5)
    True
    """

    mean: Any
    cv: Any

    def __post_init__(self):
        check.number("mean", self.mean, above=0)
        check.number("cv", self.cv, above=0)
        object.__setattr__(self, "mean", plain(self.mean))
        object.__setattr__(self, "cv", plain(self.cv))

    def sample(self, key: Key[Array, ""]) -> Float[Array, ""]:
        """One compute time."""
        squared_cv = jnp.square(jnp.asarray(self.cv, jnp.result_type(float)))
        shape = 1 / squared_cv
        above_one = jnp.where(shape < 1, shape + 1, shape)
        power = jnp.where(shape < 1, _random.exponential(_random.words(key)[0]) * squared_cv, 0.0)
        variate = _marsaglia_tsang(key, above_one) * jnp.exp(-power)
        return jnp.maximum(variate * (self.mean * squared_cv), jnp.finfo(variate.dtype).tiny)

    def scaled(self, factor: Any) -> "Gamma":
        """The law of ``factor`` times the compute time: a worker that is ``factor`` times slower."""
        check.number("factor", factor, above=0)
        return Gamma(self.mean * factor, self.cv)


def _marsaglia_tsang(key: Key[Array, ""], shape: Float[Array, ""]) -> Float[Array, ""]:
    """A gamma variate of scale one and ``shape`` at least one; an attempt is kept with probability above 0.95."""
    d = shape - 1 / 3
    c = 1 / jnp.sqrt(9 * d)

    def attempt(carry):
        number, _, _ = carry
        x = _random.normal(*_random.words(key, 2 * number + 1))
        kept = _random.exponential(_random.words(key, 2 * number + 2)[0])
        root = 1 + c * x
        v = jnp.maximum(root, 0.0) ** 3
        # u < exp(x²/2 + d − d v + d log v) with u = exp(−kept); log 0 = −∞ refuses the negative roots.
        accepted = -kept < 0.5 * x * x + d * (1 - v + jnp.log(v))
        return number + 1, accepted, d * v

    start = (jnp.int32(0), jnp.bool_(False), jnp.zeros_like(d))
    return jax.lax.while_loop(lambda carry: ~carry[1], attempt, start)[2]
