"""A worker's own steps in its environment."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from a3cjax._xla.threefry import bits
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
    """``steps`` steps from where the worker stands, restarting where an episode ends.

    What no step depends on is found for all of them at once, for in a loop every small operation is a call: the states
    to restart from beforehand, the sums of the episodes afterwards.
    """
    words = bits(key, steps * (4 + policy.num_words)).reshape(steps, 4 + policy.num_words)
    fresh = jax.vmap(environment.reset)(jax.random.wrap_key_data(words[:, 2:4], impl="threefry2x32"))

    def take(at, given):
        (state, observation), (words, fresh) = at, given
        parameters, _ = network.apply(params, observation)
        action = policy.sample(parameters, words[4:])
        step = stepped(environment, jax.random.wrap_key_data(words[:2], impl="threefry2x32"), state, action)
        taken = Rollout(
            observation,
            action,
            step.reward,
            step.observation,
            step.terminated,
            step.truncated,
            policy.log_probability(parameters, action),
        )
        return either(step.terminated | step.truncated, fresh, (step.state, step.observation)), taken

    (state, observation), rollout = lax.scan(take, (worker.state, worker.observation), (words, fresh))
    return rollout, Worker(state, observation, *_episodes(worker, rollout))


def _episodes(before: Worker, rollout: Rollout) -> tuple[Episode, Episode, Int[Array, ""]]:
    """The running episode after a rollout, the last that ended, and how many have."""
    ends = rollout.terminated | rollout.truncated
    place = jnp.arange(ends.shape[0])
    last = jnp.max(jnp.where(ends, place, -1))
    one_before = jnp.max(jnp.where(ends & (place < last), place, -1))

    def between(begin: Array, end: Array | int) -> Episode:
        """Steps after ``begin`` and up to ``end``, with what ran before the rollout if none had ended by ``begin``."""
        inside = (place > begin) & (place <= end)
        total, length = jnp.sum(jnp.where(inside, rollout.reward, 0)), jnp.sum(inside, dtype=jnp.int32)
        ran = jax.tree.map(lambda x: jnp.where(begin < 0, x, 0), before.running)
        return Episode(ran.total + total, ran.length + length)

    ended = either(last >= 0, between(one_before, last), before.last)
    return between(last, ends.shape[0]), ended, before.ended + jnp.sum(ends, dtype=jnp.int32)


def either(condition: Bool[Array, ""], one: Any, other: Any) -> Any:
    """One pytree or another of the same shapes."""
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), one, other)
