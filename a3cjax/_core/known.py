"""What is known while nothing is traced, which NumPy computes sooner than JAX compiles."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from a3cjax._core import check


def numpy_if_known(*values: Any) -> tuple[Any, ...]:
    """A module to compute with and the values as its arrays: NumPy where all are known, else ``jax.numpy``.

    JAX would compile a program for each operation and shape. Single operations on entries round alike in both; sums of
    many and quotients by one number do not.

    >>> module, x = numpy_if_known([1.0, 4.0])
    >>> module.__name__, module.sqrt(x).tolist()
    ('numpy', [1.0, 2.0])
    """
    module = jnp if check.is_tracing(*values) else np
    return module, *(module.asarray(value) for value in values)
