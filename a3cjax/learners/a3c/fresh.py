"""A gradient that is stale in its data alone: a worker sends samples, and the server computes at its own θ_k and ω_k.

    ω_{k+1} = Π_R( ω_k + β_k w(x_k) g(x_k, ω_k) )
    θ_{k+1} = θ_k + α_k ( w(x̂_k) δ̂(x̂_k, ω_k) ψ_{θ_k}(ŝ_k, â_k) + λ ψ_{θ_k}(x^p_k) )

with actions drawn by μ = π_{θ_{k−τ_k}}, and w = 1 or a bounded ratio π_{θ_k}(a|s)/μ(a|s), each sample its own
(``learners/corrections.py``). The law of the states stays that of μ.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from a3cjax._xla.marks import reshape
from a3cjax.learners.a3c.delay_errors import DELAY_METRICS
from a3cjax.learners.a3c.messages import FreshMessage, Message, Params, Samples
from a3cjax.learners.a3c.proposal import drawn, message_of
from a3cjax.learners.corrections import CorrectionName, Gradient, correction_of
from a3cjax.learners.sampling.samples import Draw, Transition

DELAY_METRICS_OF = {
    "stale": DELAY_METRICS,
    "fresh": ("critic_ratio", "actor_ratio", "critic_ratio_sq", "actor_ratio_sq"),
}


def fitted_correction(
    gradient: Gradient, correction: CorrectionName | None, thresholds: dict[str, Any], policy: Any, estimator: str
) -> Any:
    """The correction of A3C's one transition.

    Raises:
        ValueError: if ``correction_of`` refuses it, or one transition and one step have no such thing.
    """
    if correction == "decoupled":
        raise ValueError(
            "correction is 'decoupled', which bounds how far the policy moves away from where an update began, but "
            "A3C's update is one step, which begins at 0: the bound would never act; use correction='truncated' with "
            "clip=jnp.inf, which is the same here, or ActorCritic with epochs=2 or more."
        )
    found = correction_of(gradient, correction, thresholds)
    if gradient == "fresh" and estimator == "reinforce":
        raise ValueError(
            "gradient is 'fresh', but estimator 'reinforce' weighs with a return that the stale policy has gone on to "
            "sample, of which the server has no fresh version; use estimator 'td', 'advantage' or 'q'."
        )
    if found is not None and not (hasattr(policy, "likelihood") and hasattr(policy, "ratio")):
        raise ValueError(
            f"correction is {correction!r}, but {type(policy).__name__} has no methods likelihood and ratio; see "
            "a3cjax.learners.policies for what they give."
        )
    return found


def sampled(learner: Any, view: Params, kept: Any, words: Any) -> tuple[FreshMessage, Any]:
    """What a worker sends of one sample of each kind, and keeps."""
    draw, prior, kept = drawn(learner, view, kept, words)
    likelihoods = None
    if learner.correction is not None:
        critic, actor = draw.critic, draw.actor
        law = learner.sampler.dynamics.law(learner.policy, view.theta, critic.state)
        likelihoods = (
            learner.policy.likelihood(law, critic.action),
            learner.policy.likelihood(draw.actor_probabilities, actor.action),
        )
    return FreshMessage(draw.critic, draw.actor, prior, likelihoods, Samples(draw.critic, draw.actor, prior)), kept


def message_at(learner: Any, message: FreshMessage, view: Params) -> Message:
    """The message of eq. (13) that the samples make at a view, with their importance weights."""

    def one(of: FreshMessage) -> Message:
        law = learner.sampler.dynamics.law(learner.policy, view.theta, of.actor.state)
        draw = Draw(of.critic, of.actor, law)
        weight = learner.weight_of(of.actor, view, None)
        return message_of(learner, view, draw, of.prior, weight, _importance(learner, of, view, law))

    made = _each(learner, one, message)
    return made._replace(direction=learner.policy.merge(made.direction))


def changed_rows(learner: Any, message: FreshMessage) -> Any:
    """The rows of θ that the samples will change, wherever they are evaluated, if these are a few of a table."""
    policy, dynamics = learner.policy, learner.sampler.dynamics

    def one(of: FreshMessage) -> Any:
        pairs = [of.actor, *([] if of.prior is None else [of.prior])]
        law = jax.eval_shape(lambda state: dynamics.law(policy, learner.theta, state), of.actor.state)
        nothing = jnp.zeros(law.shape, law.dtype)
        scores = [policy.score(x.state, x.action, nothing, jnp.ones((), law.dtype)) for x in pairs]
        return scores[0] if len(scores) == 1 else policy.merge(jax.tree.map(lambda *both: jnp.stack(both), *scores))

    return policy.changed_rows(policy.merge(_each(learner, one, message)))


def _each(learner: Any, function: Callable[[FreshMessage], Any], message: FreshMessage) -> Any:
    """``function`` of every sample, stacked."""
    message = message._replace(samples=None)
    if learner.minibatch > 1:
        return lax.map(function, message)
    single = function(jax.tree.map(lambda leaf: reshape(leaf, leaf.shape[1:]), message))
    return jax.tree.map(lambda leaf: reshape(leaf, (1, *leaf.shape)), single)


def _importance(
    learner: Any, of: FreshMessage, view: Params, law: Any
) -> tuple[Float[Array, ""], Float[Array, ""]] | None:
    """The weights of the critic's and the actor's sample."""
    if of.likelihoods is None:
        return None
    policy, (of_critic, of_actor) = learner.policy, of.likelihoods
    critic_law = learner.sampler.dynamics.law(policy, view.theta, of.critic.state)
    return (
        learner.correction.weight(policy.ratio(critic_law, of.critic.action, of_critic)),
        learner.correction.weight(policy.ratio(law, of.actor.action, of_actor)),
    )


def ratios(learner: Any, stale: Params, view: Params, samples: Samples, names: tuple[str, ...]) -> dict[str, Any]:
    """Means over the mini-batch of ρ and ρ², unbounded, of the critic's and the actor's actions.

    E ρ is 1, and (mean ρ)² / mean ρ² over many updates is the share of samples that are effective.
    """
    policy, law = learner.policy, learner.sampler.dynamics.law

    def ratio(x: Transition) -> Float[Array, ""]:
        likelihood = policy.likelihood(law(policy, stale.theta, x.state), x.action)
        return policy.ratio(law(policy, view.theta, x.state), x.action, likelihood)

    found = {"critic": jax.vmap(ratio)(samples.critic), "actor": jax.vmap(ratio)(samples.actor)}
    values = {f"{name}_ratio{power}": of for name, of in found.items() for power, of in (("", of), ("_sq", of**2))}
    return {name: jnp.mean(values[name]) for name in names}
