"""What laws of measured times share: each of the values is as likely as any other."""

import dataclasses
from typing import Any, Self

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from a3cjax._core import check
from a3cjax.schedules import _random
from a3cjax.schedules._values import plain


class MeasuredLaw:
    """The base of a law whose ``values`` [M] were measured."""

    values: Any

    @property
    def mean(self) -> Any:
        """The mean of the measured times."""
        return plain(self.values.mean(-1))

    def sample(self, key: Key[Array, ""]) -> Float[Array, ""]:
        """One of them by itself."""
        values = jnp.asarray(self.values, jnp.result_type(float))
        return values[_random.below(_random.words(key)[0], values.shape[-1])]

    def scaled(self, factor: Any) -> Self:
        """The law of ``factor`` times the time: a worker that is ``factor`` times slower."""
        check.number("factor", factor, above=0)
        law: Any = self
        return dataclasses.replace(law, values=self.values * factor)
