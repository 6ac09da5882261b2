"""Results that are computed once and stored, before anything uses them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

try:
    from jax.experimental.xla_metadata import set_xla_metadata
except ImportError:  # an experimental module: without it everything is right, and slower

    def set_xla_metadata(x: Any, **marks: str) -> Any:
        """Mark nothing."""
        del marks
        return x


def stored(function: Callable[..., Any], *args: Any) -> Any:
    """``function(*args)`` as a call of its own in the compiled program; nothing is fused across its border."""

    # With a second result, for a call of one operation and one result would be inlined all the same.
    def with_spare(*args):
        return function(*args), jnp.int32(0)

    return set_xla_metadata(jax.jit(with_spare)(*args)[0], inlineable="false")
