"""Episodes that nobody learns from."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from a3cjax.environments.adopted import stepped
from a3cjax.environments.finite import Finite
from a3cjax.learners.actor_critic.rollout import either
from a3cjax.problems import exact


def episode_return(
    environment: Any, network: Any, policy: Any, params: Any, key: jax.Array, episodes: int, most_steps: int
) -> Float[Array, ""]:
    """The mean sum of rewards of ``episodes`` episodes, each followed to its end or for ``most_steps`` steps."""
    begin, go_on = jax.random.split(key)

    def step(t, alive, at):
        state, observation, total, lives = at
        act_key, step_key = jax.random.split(jax.random.fold_in(alive, t))
        words = jax.random.bits(act_key, (policy.num_words,), jnp.uint32)
        parameters, _ = network.apply(params, observation)
        after = stepped(environment, step_key, state, policy.sample(parameters, words))
        state, observation = either(lives, (after.state, after.observation), (state, observation))
        total = total + jnp.where(lives, after.reward, 0)
        return state, observation, total, lives & ~(after.terminated | after.truncated)

    def any_lives(loop):
        t, (_, _, _, lives) = loop
        return (t < most_steps) & lives.any()

    def step_all(loop):
        t, at = loop
        return t + 1, jax.vmap(step, in_axes=(None, 0, 0))(t, keys, at)

    keys = jax.random.split(go_on, episodes)
    state, observation = jax.vmap(environment.reset)(jax.random.split(begin, episodes))
    at = state, observation, jnp.zeros(episodes, jnp.result_type(float)), jnp.ones(episodes, bool)
    return lax.while_loop(any_lives, step_all, (jnp.int32(0), at))[1][2].mean()


def objective(environment: Finite, network: Any, params: Any) -> Float[Array, ""]:
    """J of the policy at all states of a finite MDP, with the MDP's own discount."""
    observations = jax.vmap(environment.observe)(jnp.arange(environment.mdp.num_states))
    logits, _ = jax.vmap(network.apply, in_axes=(None, 0))(params, observations)
    return exact.objective(environment.mdp, jax.nn.softmax(logits, axis=-1))
