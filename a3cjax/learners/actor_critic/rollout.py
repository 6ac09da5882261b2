"""A worker's own steps in its environment."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from a3cjax.environments.adopted import stepped


class Rollout(NamedTuple):
    """n steps, each leaf [n, …]: what was seen, done and got, under which policy, and what was seen then.

    ``next_observation`` is that of the state reached, before any restart. ``log_probability`` is of the policy that
    acted, whose parameters are stale by the time the server hears of it.
    """

    observation: Any
    action: Any
    reward: Float[Array, " n"]
    next_observation: Any
    terminated: Bool[Array, " n"]
    truncated: Bool[Array, " n"]
    log_probability: Float[Array, " n"]


class Episode(NamedTuple):
    """The sum of rewards, and their number."""

    total: Float[Array, ""]
    length: Int[Array, ""]


class Worker(NamedTuple):
    """Where a worker's environment stands, its episode so far, the last one that ended, and how many have."""

    state: Any
    observation: Any
    running: Episode
    last: Episode
    ended: Int[Array, ""]


def started(environment: Any, key: jax.Array) -> Worker:
    """A worker at the beginning of its first episode."""
    none = Episode(jnp.zeros((), jnp.result_type(float)), jnp.int32(0))
    state, observation = environment.reset(key)
    return Worker(state, observation, none, none, jnp.int32(0))


def rolled_out(
    environment: Any, network: Any, policy: Any, params: Any, worker: Worker, key: jax.Array, steps: int
) -> tuple[Rollout, Worker]:
    """``steps`` steps from where the worker stands, restarting where an episode ends."""
    words = jax.random.bits(key, (steps, 4 + policy.num_words), jnp.uint32)

    def take(worker, words):
        step_key, reset_key = (jax.random.wrap_key_data(pair, impl="threefry2x32") for pair in (words[:2], words[2:4]))
        parameters, _ = network.apply(params, worker.observation)
        action = policy.sample(parameters, words[4:])
        step = stepped(environment, step_key, worker.state, action)
        ended = step.terminated | step.truncated
        taken = Rollout(
            worker.observation,
            action,
            step.reward,
            step.observation,
            step.terminated,
            step.truncated,
            policy.log_probability(parameters, action),
        )
        running = Episode(worker.running.total + step.reward, worker.running.length + 1)
        none = jax.tree.map(jnp.zeros_like, running)
        state, observation = either(ended, environment.reset(reset_key), (step.state, step.observation))
        after = Worker(
            state,
            observation,
            either(ended, none, running),
            either(ended, running, worker.last),
            worker.ended + ended,
        )
        return after, taken

    worker, rollout = lax.scan(take, worker, words)
    return rollout, worker


def either(condition: Bool[Array, ""], one: Any, other: Any) -> Any:
    """One pytree or another of the same shapes."""
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), one, other)
