"""From a view to samples, and from samples and a view to the message of eq. (13): for one sample of each kind."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt32

from a3cjax._xla.arithmetic import scaled
from a3cjax.learners.a3c.critic import td_error
from a3cjax.learners.a3c.messages import Message, Params
from a3cjax.learners.sampling.samples import Draw, StateAction
from a3cjax.learners.sampling.words import alias_draw, softmax


def drawn(learner: Any, view: Params, kept: Any, words: UInt32[Array, " n"]) -> tuple[Draw, StateAction | None, Any]:
    """The critic's and the actor's transition with the policy of the view, the prior's sample, and what is kept."""
    sampler = learner.sampler
    draw, kept = sampler.sample(learner.policy, view.theta, kept, words)
    if learner.prior_tables is None:
        return draw, None, kept
    states, actions = learner.prior_tables
    state = alias_draw(states, 0, learner.mdp.num_states, words[sampler.num_words])
    action = alias_draw(actions, state, learner.mdp.num_actions, words[sampler.num_words + 1])
    return draw, StateAction(state, action), kept


def message_of(
    learner: Any,
    view: Params,
    draw: Draw,
    prior: StateAction | None,
    weight: Float[Array, ""],
    importance: tuple[Float[Array, ""], Float[Array, ""]] | None = None,
) -> Message:
    """g and the actor's direction at the view, without samples; ``weight`` is the estimator's of the actor's sample.

    ``importance``: what g and the actor's direction are multiplied by; the prior's pull is not.
    """
    deltas = td_error(learner.mdp, draw.critic, view.omega), learner.above_baseline(weight, draw.actor)
    if importance is not None:
        deltas = scaled(deltas[0], importance[0]), scaled(deltas[1], importance[1])
    critic_delta, actor_delta = (delta / learner.minibatch for delta in deltas)
    policy, actor = learner.policy, draw.actor
    direction = policy.score(actor.state, actor.action, draw.actor_probabilities, actor_delta)
    if prior is not None:
        probabilities = softmax(policy.logits(view.theta, prior.state))
        pull = policy.score(prior.state, prior.action, probabilities, learner.prior.weight / learner.minibatch)
        direction = policy.merge(jax.tree.map(lambda *both: jnp.stack(both), direction, pull))
    return Message(draw.critic.state, critic_delta, direction, None)
