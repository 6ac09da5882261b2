"""Geometric delays: what workers with exponential compute times show."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int32, Key

from a3cjax._core import check
from a3cjax._core.tree import pytree
from a3cjax.schedules import _random
from a3cjax.schedules._values import plain


@pytree
class Geometric:
    """Geometric delays on {0, 1, …}: P(τ) = p (1 − p)^τ with p = 1 / (1 + mean), variance mean (1 + mean).

    This is the delay of N always-busy workers with exponential compute times, with mean N − 1 (Mitliagkas et al.
    2016, where it acts like a momentum of 1 − 1/N).

    Args:
        mean: the mean delay, in updates, at least 0.

    Raises:
        ValueError: if ``mean`` is negative or not finite.

    >>> import jax, a3cjax
    >>> delays = a3cjax.delays.Geometric(7.0).sample(jax.random.key(0), 100_000)
    >>> bool(abs(delays.mean() - 7) < 4 * (7 * 8 / 100_000) ** 0.5)
    True
    """

    mean: Any

    def __post_init__(self):
        check.number("mean", self.mean, least=0)
        object.__setattr__(self, "mean", plain(self.mean))

    def sample(self, key: Key[Array, ""], num_updates: int) -> Int32[Array, "updates"]:
        """Independent delays of updates 0, …, num_updates − 1."""
        # The whole part of an exponential variate of rate −log(1 − p) = log(1 + 1 / mean).
        rate = jnp.log1p(1 / jnp.asarray(self.mean, jnp.result_type(float)))
        waiting = _random.exponential(jax.random.bits(key, (num_updates,), jnp.uint32)) * (1 / rate)
        return jnp.minimum(waiting, 2.0**30).astype(jnp.int32)
