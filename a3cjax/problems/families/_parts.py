"""Pieces that several families share."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from a3cjax._core import check
from a3cjax._xla import threefry

_MANY = 1 << 20  # numbers, which a compiled program draws sooner than it takes to be compiled


def uniform(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "*shape"]:
    """The numbers of ``jax.random.uniform``, of the default float type.

    With a known key NumPy makes them: to compile a program for each shape takes longer than all else of a problem.
    """
    if not threefry.is_known(key) or math.prod(shape) > _MANY:
        return jax.random.uniform(key, shape, dtype=float)
    first, second = np.asarray(jax.random.key_data(key))[:, None]
    number = np.arange(math.prod(shape), dtype=np.uint32)
    words = threefry.rounds((first, second), (np.zeros_like(number), number))
    if jnp.result_type(float) == jnp.float32:
        fraction = (words[0] ^ words[1]) >> 9 | np.float32(1).view(np.uint32)
        return jnp.asarray(fraction.view(np.float32) - 1).reshape(shape)
    bits = words[0].astype(np.uint64) << 32 | words[1]
    return jnp.asarray((bits >> 12 | np.float64(1).view(np.uint64)).view(np.float64) - 1).reshape(shape)


def initial_law(initial: Any, num_states: int) -> Float[Array | np.ndarray, "S"]:
    """The uniform law for the word "uniform"; any other value is the law itself."""
    if isinstance(initial, str):
        check.choice("initial", initial, ("uniform",))
        return np.full(num_states, 1 / num_states)
    return initial


def check_size(name: str, value: Any, num_states: int, num_actions: int) -> None:
    """Refuse a problem too large for this machine: three arrays [S, A, S] are held while one is made."""
    needed = 3 * num_states**2 * num_actions * check.float_size()
    check.memory(name, value, needed, "transition[s, a, t] has S²A entries: use fewer states or actions")


def random_features(key: PRNGKeyArray, num_states: int, num_features: int) -> Float[Array, "S d"]:
    """Entries from U(0,1), divided by the largest l2 norm of a row."""
    return to_unit_norm(uniform(key, (num_states, num_features)))


def to_unit_norm(features: Float[Array, "S d"]) -> Float[Array, "S d"]:
    """Features divided by one number, such that the largest row has l2 norm one."""
    return features / jnp.sqrt((features**2).sum(1).max())


def random_reward(key: PRNGKeyArray, num_states: int, num_actions: int, reward_on: str) -> Float[Array, "..."]:
    """Entries from U(0,1), for each state and action or for each transition."""
    check.choice("reward_on", reward_on, ("action", "transition"))
    shape = (num_states, num_actions) if reward_on == "action" else (num_states, num_actions, num_states)
    return uniform(key, shape)
