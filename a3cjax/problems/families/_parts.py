"""Pieces that several families share."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from a3cjax._core import check
from a3cjax._core.known import numpy_if_known
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
        return check.floats(fraction.view(np.float32).reshape(shape) - 1)
    bits = words[0].astype(np.uint64) << 32 | words[1]
    return check.floats((bits >> 12 | np.float64(1).view(np.uint64)).view(np.float64).reshape(shape) - 1)


def sums(array: Any, axis: int = -1) -> Any:
    """Sums over an axis, which stays, in the order in which JAX adds, which is not NumPy's."""
    _, total = numpy_if_known(jnp.sum(array, axis=axis, keepdims=True))
    return total


def divided(array: Any, by: Any) -> Any:
    """The quotient, rounded as XLA rounds it: it multiplies several numbers that one divides with the inverse."""
    module, array, by = numpy_if_known(array, by)
    return array * (1 / by) if module is np and by.size < array.size else array / by


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


def random_features(key: PRNGKeyArray, num_states: int, num_features: int) -> Float[Array | np.ndarray, "S d"]:
    """Entries from U(0,1), divided by the largest l2 norm of a row."""
    return to_unit_norm(uniform(key, (num_states, num_features)))


def to_unit_norm(features: Float[Array, "S d"]) -> Float[Array | np.ndarray, "S d"]:
    """Features divided by one number, such that the largest row has l2 norm one."""
    module, entries = numpy_if_known(features)
    return divided(entries, module.sqrt(sums(entries**2).max()))


def to_laws(weights: Float[Array, "*rows n"]) -> Float[Array | np.ndarray, "*rows n"]:
    """Rows divided by their sums."""
    return divided(weights, sums(weights))


def random_reward(key: PRNGKeyArray, num_states: int, num_actions: int, reward_on: str) -> Float[Array, "..."]:
    """Entries from U(0,1), for each state and action or for each transition."""
    check.choice("reward_on", reward_on, ("action", "transition"))
    shape = (num_states, num_actions) if reward_on == "action" else (num_states, num_actions, num_states)
    return uniform(key, shape)
