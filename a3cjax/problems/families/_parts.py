"""Pieces that several families share."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from a3cjax._core import check


def initial_law(initial: Any, num_states: int) -> Float[Array, "S"]:
    """The uniform law for the word "uniform"; any other value is the law itself."""
    if isinstance(initial, str):
        check.choice("initial", initial, ("uniform",))
        return jnp.full(num_states, 1 / num_states)
    return initial


def check_size(name: str, value: Any, num_states: int, num_actions: int) -> None:
    """Refuse a problem too large for this machine: three arrays [S, A, S] are held while one is made."""
    needed = 3 * num_states**2 * num_actions * check.float_size()
    check.memory(name, value, needed, "transition[s, a, t] has S²A entries: use fewer states or actions")


def random_features(key: PRNGKeyArray, num_states: int, num_features: int) -> Float[Array, "S d"]:
    """Entries from U(0,1), divided by the largest l2 norm of a row."""
    return to_unit_norm(jax.random.uniform(key, (num_states, num_features), dtype=float))


def to_unit_norm(features: Float[Array, "S d"]) -> Float[Array, "S d"]:
    """Features divided by one number, such that the largest row has l2 norm one."""
    return features / jnp.sqrt((features**2).sum(1).max())


def random_reward(key: PRNGKeyArray, num_states: int, num_actions: int, reward_on: str) -> Float[Array, "..."]:
    """Entries from U(0,1), for each state and action or for each transition."""
    check.choice("reward_on", reward_on, ("action", "transition"))
    shape = (num_states, num_actions) if reward_on == "action" else (num_states, num_actions, num_states)
    return jax.random.uniform(key, shape, dtype=float)
