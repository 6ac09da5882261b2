"""Measured compute times in whole stretches, which keep their order, and so how they depend on each other."""

import math
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int32, Key

from a3cjax._core import check
from a3cjax._core.tree import pytree
from a3cjax.schedules import _random
from a3cjax.schedules._measured_law import MeasuredLaw
from a3cjax.schedules._values import measurements, positive


def default_length(count: int) -> int:
    """⌈√count⌉ of ``count`` measured values in order; see ``Stretches``."""
    return math.isqrt(count - 1) + 1


@pytree
class Stretches(MeasuredLaw):
    """Measured compute times, ``length`` of them on end at a time: the circular block bootstrap of a log.

    A worker's draws t = 0, 1, … are values[(s + t mod length) mod M], where s, uniform on 0, …, M − 1, is drawn anew
    for each stretch t // length (Politis and Romano 1992). So each draw has the law of ``values`` exactly, as from
    ``Empirical``, and draws that follow each other depend on each other as in the log: of an autocorrelation ρ_l at lag
    l < length, (1 − l / length) ρ_l is left.

    Args:
        values: a list or array [M] of positive times in the order in which one worker took them, or the path of a file
            of them, as for ``Empirical``.
        length: how many follow each other, between 1 (independent draws) and M; ⌈√M⌉ if not given. That loses
            1 / √M of the lag-1 autocorrelation, the standard error to which M values tell it at all, and leaves √M
            stretches to be put together anew.

    Raises:
        ValueError: if ``values`` is empty, an entry is not positive and finite, the file holds anything else, or
            ``length`` is out of range.

    >>> import jax, a3cjax
    >>> law = a3cjax.compute_times.Stretches([1.0, 2.0, 3.0, 4.0, 5.0], length=3)
    >>> a3cjax.Schedule.from_workers(jax.random.key(0), [law], 6).time.tolist()
    [1.0, 3.0, 6.0, 10.0, 15.0, 16.0]
    """

    values: Any
    length: Any = None

    def __post_init__(self):
        object.__setattr__(self, "values", measurements("values", self.values, positive))
        most = self.values.shape[-1]
        length = default_length(most) if self.length is None else check.integer("length", self.length, 1, most)
        object.__setattr__(self, "length", length)

    def sample_turn(self, key: Key[Array, ""], turn: Int32[Array, ""]) -> Float[Array, ""]:
        """The compute time of number ``turn`` of the worker whose key is ``key``."""
        values = jnp.asarray(self.values, jnp.result_type(float))
        start = _random.below(_random.words(_random.fold_in(key, turn // self.length))[0], values.shape[-1])
        return values[(start + turn % self.length) % values.shape[-1]]
