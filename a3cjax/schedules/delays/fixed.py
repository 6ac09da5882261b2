"""Delays that are written down: one value, or a list that repeats."""

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int32, Key

from a3cjax._core.tree import pytree
from a3cjax.schedules._values import measurements, plain, whole_numbers


@pytree
class Constant:
    """Every delay is ``value`` updates.

    Args:
        value: the delay, a whole number of updates, at least 0.

    Raises:
        ValueError: if ``value`` is negative or not whole.

    >>> import jax, a3cjax
    >>> a3cjax.delays.Constant(3).sample(jax.random.key(0), 4).tolist()
    [3, 3, 3, 3]
    """

    value: Any

    def __post_init__(self):
        object.__setattr__(self, "value", whole_numbers("value", self.value, least=0))

    @property
    def mean(self) -> Any:
        """The mean delay, in updates."""
        return plain(self.value)

    def sample(self, key: Key[Array, ""], num_updates: int) -> Int32[Array, "updates"]:
        """The delays of updates 0, …, num_updates − 1."""
        del key  # nothing is random
        return jnp.full(num_updates, self.value, dtype=jnp.int32)


@pytree
class Cyclic:
    """The delay of update k is ``values[k mod len(values)]``: adversarial and hand-made patterns.

    Args:
        values: a list or array [M] of whole numbers of updates, at least 0, or the path of a file of them, as for
            ``Empirical``.

    Raises:
        ValueError: if ``values`` is empty, an entry is negative or not whole, or the file holds anything else.

    >>> import jax, a3cjax
    >>> a3cjax.delays.Cyclic([0, 0, 5]).sample(jax.random.key(0), 7).tolist()
    [0, 0, 5, 0, 0, 5, 0]
    """

    values: Any

    def __post_init__(self):
        check = functools.partial(whole_numbers, least=0)
        object.__setattr__(self, "values", measurements("values", self.values, check))

    @property
    def mean(self) -> Any:
        """The mean delay over one cycle, in updates."""
        return plain(self.values.mean(-1))

    def sample(self, key: Key[Array, ""], num_updates: int) -> Int32[Array, "updates"]:
        """The delays of updates 0, …, num_updates − 1."""
        del key  # nothing is random
        return jnp.asarray(self.values, jnp.int32)[np.arange(num_updates) % self.values.shape[-1]]
