"""The columns of a schedule whose delays are drawn from a law."""

from functools import partial

import jax
import jax.numpy as jnp

from a3cjax.schedules import _random


@partial(jax.jit, static_argnums=(2, 3))
def draw_delays(key, law, num_updates, num_workers):
    """Workers, uniform at random, and delays min(draw, k)."""
    law_key, worker_key = jax.random.split(key)
    delay = jnp.minimum(law.sample(law_key, num_updates), jnp.arange(num_updates, dtype=jnp.int32))
    worker = _random.below(jax.random.bits(worker_key, (num_updates,), jnp.uint32), num_workers)
    return worker, delay.astype(jnp.int32)
