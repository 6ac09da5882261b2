"""The columns of a schedule whose delays are drawn from a law."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from a3cjax._core import check
from a3cjax._xla.compiler import quickly_compiled
from a3cjax.schedules import _own, _random

_LONG = 1 << 22  # updates, beyond which drawing takes longer than compiling


def draw_delays(key: Any, law: Any, num_updates: int, num_workers: int) -> tuple[Any, Any]:
    """Workers, uniform at random, and delays min(draw, k).

    A law that is a pytree of numbers is drawn from in one compiled program. Any other is called as it stands, so that
    its ``sample`` may be any Python.
    """
    _own.check_method("law", law, "key, num_updates")
    if _own.is_data(law):
        drawn = _sooner_drawn if num_updates > _LONG else _sooner_compiled
        worker, delay = _own.sampled("law", law, lambda: drawn(key, law, num_updates, num_workers))
    else:
        law_key, worker_key = jax.random.split(key)
        drawn = _own.check_pure("law", law, lambda: _own.sampled("law", law, lambda: law.sample(law_key, num_updates)))
        worker, delay = _columns(worker_key, _whole(law, drawn, num_updates), num_workers)
    if check.is_concrete(delay):
        negative = np.asarray(delay) < 0
        if negative.any():
            k = int(np.argmax(negative))
            raise ValueError(
                f"law.sample of {type(law).__name__} gave {delay[k]} for update {k}, but a delay must be at least 0."
            )
    return worker, delay


def _of_data(key: Any, law: Any, num_updates: int, num_workers: int) -> tuple[Any, Any]:
    law_key, worker_key = jax.random.split(key)
    return _columns(worker_key, _whole(law, law.sample(law_key, num_updates), num_updates), num_workers)


# The same bits: Poisson's law is compiled in a third of the time, and its delays are drawn in three times the time.
_sooner_compiled, _sooner_drawn = (
    compiled(_of_data, static_argnums=(2, 3)) for compiled in (quickly_compiled, jax.jit)
)


def _columns(worker_key: Any, drawn: Any, num_workers: int) -> tuple[Any, Any]:
    (num_updates,) = drawn.shape
    delay = jnp.minimum(drawn, jnp.arange(num_updates, dtype=jnp.int32))
    worker = _random.below(jax.random.bits(worker_key, (num_updates,), jnp.uint32), num_workers)
    return worker, delay.astype(jnp.int32)


def _whole(law: Any, drawn: Any, num_updates: int) -> Any:
    """Delays as int32 [K], or a ValueError; what is beyond 32 bits is beyond every k, and stays so."""
    name = f"law.sample of {type(law).__name__}"
    drawn = drawn if isinstance(drawn, jax.Array) else np.asarray(drawn)
    if drawn.shape != (num_updates,):
        raise ValueError(
            f"{name} gave delays of shape {drawn.shape}, but must give one for each update, ({num_updates},)."
        )
    if drawn.dtype.kind not in "iu":
        raise ValueError(
            f"{name} gave {drawn.dtype}, but delays are whole numbers of updates; "
            "round them as you mean it, as in jnp.floor(x).astype(jnp.int32)."
        )
    if drawn.dtype.itemsize >= 4 and drawn.dtype != np.int32:
        xp: Any = np if isinstance(drawn, np.ndarray) else jnp
        least = 0 if drawn.dtype.kind == "u" else np.iinfo(np.int32).min
        drawn = xp.clip(drawn, xp.asarray(least, drawn.dtype), xp.asarray(check.MOST, drawn.dtype))
    return drawn.astype(np.int32)
