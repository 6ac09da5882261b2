"""Times of laws on the host, as exact whole numbers, one after the other."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32, Key

from a3cjax._xla.compiler import quickly_compiled
from a3cjax.schedules import _random
from a3cjax.schedules.compute_times import ComputeTime
from a3cjax.schedules.events.stacked_laws import StackedLaws
from a3cjax.schedules.events.ticks import smallest_exponent

_CHUNK = 256  # times drawn at once


class Ticks:
    """Whole numbers of the smallest positive float, which every float is; sums of them are exact. ``one`` is 1."""

    def __init__(self) -> None:
        self._places = -smallest_exponent(jnp.result_type(float))
        self.one = 1 << self._places

    def of(self, number: float) -> int:
        """A float in ticks."""
        numerator, denominator = number.as_integer_ratio()
        return numerator << (self._places - denominator.bit_length() + 1)

    def as_floats(self, ticks: list[int]) -> np.ndarray:
        """The nearest float64 of each."""
        one = self.one
        return np.array([count / one for count in ticks], np.float64)


class Stream:
    """One law's times, t = 0, 1, …, drawn as ``law.sample(fold_in(key, t))``."""

    def __init__(
        self,
        name: str,
        law: ComputeTime,
        laws: StackedLaws,
        place: int,
        key: Key[Array, ""],
        ticks: Ticks,
        may_be_zero: bool = False,
    ):
        """``law`` is at ``place`` among ``laws``, from which it is drawn; ``key`` is its own."""
        self._name, self._law, self._ticks, self._may_be_zero = name, law, ticks, may_be_zero
        self._draw = partial(_times, laws, jnp.int32(place), key)
        self._waiting: list[int] = []
        self._drawn = 0

    def next(self) -> int:
        """The next time, in ticks."""
        if not self._waiting:
            times = np.asarray(self._draw(jnp.int32(self._drawn)), np.float64)
            good = np.isfinite(times) & ((times >= 0) if self._may_be_zero else (times > 0))
            first = int(np.argmin(good)) if not good.all() else len(times)
            if not first:
                wanted = "wait must be a finite number of at least 0"
                wanted = wanted if self._may_be_zero else "compute time must be a positive, finite number"
                raise ValueError(
                    f"{self._name}.sample of {type(self._law).__name__} gave {times[0]} at turn {self._drawn}, but a "
                    f"{wanted}."
                )
            self._drawn += first
            self._waiting = list(map(self._ticks.of, times[:first].tolist()))[::-1]
        return self._waiting.pop()


@quickly_compiled
def _times(
    laws: StackedLaws, place: Int32[Array, ""], key: Key[Array, ""], first: Int32[Array, ""]
) -> Float[Array, "chunk"]:
    laws = jax.lax.optimization_barrier(laws)  # as in workers.py, so that the draws round alike
    return jax.vmap(lambda t: laws.draw(key, place, t))(first + jnp.arange(_CHUNK, dtype=jnp.int32))


def own_key(key: Any, number: int) -> Any:
    """The key of one stream among many, as a worker of that index has it."""
    return _random.fold_in(key, jnp.asarray(number, jnp.uint32))
