"""The loss of A3C on a rollout, as a function of the parameters that acted."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from a3cjax.learners.actor_critic.rollout import Rollout

_LEAST_SPREAD = 1e-8


def advantages(
    rollout: Rollout,
    values: Float[Array, " n"],
    next_values: Float[Array, " n"],
    discount: Float[Array, ""],
    trace: Float[Array, ""],
) -> Float[Array, " n"]:
    """Generalised advantages, Schulman et al. 2016: A_t = δ_t + γλ A_{t+1} within an episode, and A_t = δ_t at its end,

        δ_t = r_t + γ V(s_{t+1}) − V(s_t),  without the value ahead where the episode is terminated.

    Where the rollout ends, or an episode is truncated, the value of the last observation stands for what follows. With
    λ = 1 they are n-step returns less V(s_t), as in A3C.

    >>> import jax.numpy as jnp
    >>> no = jnp.zeros(3, bool)
    >>> rollout = Rollout(None, None, jnp.array([1.0, 1.0, 1.0]), None, no, no, None)
    >>> values = jnp.array([0.0, 4.0, 2.0, 8.0])
    >>> advantages(rollout, values[:-1], values[1:], 0.5, 1.0).tolist()  # 1 + (1 + (1 + 8/2)/2)/2 − 0, …
    [2.75, -0.5, 3.0]
    """
    errors, goes_on = errors_of(rollout, values, next_values, discount)

    def back(later, at):
        error, goes_on = at
        now = error + discount * trace * jnp.where(goes_on, later, 0)
        return now, now

    return lax.scan(back, jnp.zeros((), errors.dtype), (errors, goes_on), reverse=True)[1]


def errors_of(
    rollout: Rollout, values: Float[Array, " n"], next_values: Float[Array, " n"], discount: Float[Array, ""]
) -> tuple[Float[Array, " n"], Bool[Array, " n"]]:
    """δ_t, and whether step t + 1 is of the same episode and rollout."""
    ahead = jnp.where(rollout.terminated, 0, next_values)
    errors = rollout.reward + discount * ahead - values
    return errors, (~(rollout.terminated | rollout.truncated)).at[-1].set(False)


def standardized(advantage: Float[Array, " n"]) -> Float[Array, " n"]:
    """With mean 0 and deviation 1."""
    return (advantage - advantage.mean()) / (advantage.std() + _LEAST_SPREAD)


def combined(
    gain: Float[Array, " n"],
    error: Float[Array, " n"],
    randomness: Float[Array, " n"],
    critic_weight: Float[Array, ""],
    entropy: Float[Array, ""],
) -> Float[Array, ""]:
    """The loss: the mean of −gain + critic_weight·error² − entropy·randomness."""
    return jnp.mean(-gain + critic_weight * error**2 - entropy * randomness)


def loss(
    params: Any,
    rollout: Rollout,
    network: Any,
    policy: Any,
    discount: Float[Array, ""],
    trace: Float[Array, ""],
    entropy: Float[Array, ""],
    critic_weight: Float[Array, ""],
    normalize: bool,
) -> Float[Array, ""]:
    """Mean over the rollout of −A_t log π(a_t|s_t) + critic_weight (R_t − V(s_t))² − entropy · H(π(·|s_t)).

    R_t = A_t + V(s_t); neither A_t nor R_t is differentiated, and both are of the same parameters.
    """
    each = jax.vmap(network.apply, in_axes=(None, 0))
    parameters, values = each(params, rollout.observation)
    _, next_values = each(lax.stop_gradient(params), rollout.next_observation)
    advantage = advantages(rollout, lax.stop_gradient(values), next_values, discount, trace)
    returns = advantage + lax.stop_gradient(values)
    if normalize:
        advantage = standardized(advantage)
    log_probability = jax.vmap(policy.log_probability)(parameters, rollout.action)
    randomness = jax.vmap(policy.entropy)(parameters)
    return combined(advantage * log_probability, returns - values, randomness, critic_weight, entropy)
