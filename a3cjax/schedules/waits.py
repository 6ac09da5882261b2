"""Laws of the wait between a worker's own write and its next read, which may be 0.

Every law of ``a3cjax.compute_times`` is one too; these have mass at 0.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from a3cjax._core import check
from a3cjax._core.public import listing
from a3cjax._core.tree import pytree
from a3cjax.schedules import _own, _random
from a3cjax.schedules._measured_law import MeasuredLaw
from a3cjax.schedules._values import measurements, plain
from a3cjax.schedules.compute_times import ComputeTime, Stretches

__all__ = ["Empirical", "Sometimes"]
__dir__ = listing(__all__)

_COIN = 0xFFFFFFFF  # the number of the draw that decides, which no law uses


@pytree
class Empirical(MeasuredLaw):
    """Waits drawn independently, with equal weight, from measured ones.

    Args:
        values: a list or array [M] of times of at least 0, or the path of a file of them, as for
            ``compute_times.Empirical``.

    Raises:
        ValueError: if ``values`` is empty, an entry is negative or not finite, or the file holds anything else.

    >>> import jax, a3cjax
    >>> law = a3cjax.waits.Empirical([0.0, 0.0, 0.0, 2.0])
    >>> law.mean, float(law.sample(jax.random.key(0))) in (0.0, 2.0)
    (0.5, True)
    """

    values: Any

    def __post_init__(self):
        object.__setattr__(self, "values", measurements("values", self.values, _not_negative))


@pytree
class Sometimes:
    """A wait drawn from ``law`` with probability ``share``, and else none: P(w = 0) = 1 − share.

    Args:
        share: of the reads that wait, between 0 and 1.
        law: of their waits, a law of ``a3cjax.compute_times``.

    Raises:
        ValueError: if ``share`` is no probability, or ``law`` is not a law.

    >>> import jax, a3cjax
    >>> law = a3cjax.waits.Sometimes(0.25, a3cjax.compute_times.Exponential(2.0))
    >>> waits = jax.vmap(law.sample)(jax.random.split(jax.random.key(0), 10_000))
    >>> law.mean, bool(abs((waits > 0).mean() - 0.25) < 4 * (0.25 * 0.75 / 10_000) ** 0.5)
    (0.5, True)
    """

    share: Any
    law: Any

    def __post_init__(self):
        check.number("share", self.share, least=0, most=1)
        object.__setattr__(self, "share", plain(self.share))
        if not isinstance(self.law, type) and not isinstance(self.law, ComputeTime):
            raise ValueError(f"law is {self.law!r}, which has no mean and sample; see a3cjax.compute_times.")
        _own.check_method("law", self.law, "key")
        if isinstance(self.law, Stretches):
            raise ValueError("law is Stretches, whose draws follow each other; here use Empirical, of the same values.")

    @property
    def mean(self) -> Any:
        """The mean wait."""
        return self.share * self.law.mean

    def sample(self, key: Key[Array, ""]) -> Float[Array, ""]:
        """One wait."""
        waits = _random.uniform(_random.words(key, _COIN)[0]) <= self.share
        return jnp.where(waits, jnp.asarray(self.law.sample(key), jnp.result_type(float)), 0)

    def scaled(self, factor: Any) -> "Sometimes":
        """The law of ``factor`` times the wait."""
        check.number("factor", factor, above=0)
        return Sometimes(self.share, self.law.scaled(factor))


def _not_negative(name: str, values: Any) -> Any:
    check.number(name, values, least=0)
    return values
