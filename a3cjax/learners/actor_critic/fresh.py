"""The loss on a rollout that an older policy has sampled, at the parameters that the server has.

With ρ_t = π_w(a_t|s_t) / μ(a_t|s_t), μ the policy that acted, whose log-probabilities the rollout carries:

- no correction: the loss as it is, with ρ_t = 1;
- "truncated", "masked": each step's advantage is multiplied by min(ρ_t, C), or by ρ_t inside an interval and 0 outside.
  The critic's returns stay those of μ;
- "vtrace", Espeholt et al. 2018: the critic's returns are v_t, the actor's advantages min(ρ̄, ρ_t)(q_t − V(s_t)),

      v_t = V(s_t) + e_t,  e_t = min(ρ̄, ρ_t) δ_t + γλ min(c̄, ρ_t) e_{t+1},  q_t = r_t + γ(V(s_{t+1}) + λ e_{t+1});

- "decoupled", Hilton et al. 2022: −A_t log π is replaced by −(π_prox/μ) min(u_t A_t, clip(u_t, 1 ± ε) A_t) with
  u_t = π_w/π_prox and π_prox, A_t and the returns those of the parameters at which the update began.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from a3cjax._core import check
from a3cjax.learners.actor_critic.loss import advantages, combined, errors_of, standardized
from a3cjax.learners.actor_critic.rollout import Rollout
from a3cjax.learners.corrections import Decoupled, Gradient, VTrace, at_most, correction_of


class FreshMessage(NamedTuple):
    """What a worker sends where the server takes the gradient: a rollout; ``samples`` is the same, if it is logged."""

    rollout: Rollout
    samples: Rollout | None


class Target(NamedTuple):
    """What a step pulls towards: advantages, returns, and the log-probabilities of the policy that they are of."""

    advantage: Float[Array, " n"]
    returns: Float[Array, " n"]
    log_probability: Float[Array, " n"]


def fitted_correction(
    gradient: Gradient, correction: Any, thresholds: dict[str, Any], epochs: Any, rollout: int
) -> tuple[Any, int]:
    """The correction, and the optimiser's steps of each update.

    Raises:
        ValueError: if one of them would have no effect.
    """
    found, epochs = correction_of(gradient, correction, thresholds), check.integer("epochs", epochs, 1)
    if gradient == "stale" and epochs > 1:
        raise ValueError(
            f"epochs is {epochs}, but gradient is 'stale': a message is one gradient, good for one step; use "
            "gradient='fresh', or leave epochs out."
        )
    if rollout == 1 and thresholds["trace_clip"] is not None:
        raise ValueError(
            f"trace_clip is {thresholds['trace_clip']!r}, but a rollout of 1 has nothing to trace back; leave it out, "
            "or use a longer rollout."
        )
    if isinstance(found, Decoupled) and epochs == 1:
        raise ValueError(
            "correction is 'decoupled', but epochs is 1: it bounds how far the policy moves away from where the "
            "update began, and the only step begins there; use epochs=2 or more, or correction='truncated' with "
            "clip=jnp.inf."
        )
    return found, epochs


def vtrace(
    rollout: Rollout,
    values: Float[Array, " n"],
    next_values: Float[Array, " n"],
    ratio: Float[Array, " n"],
    discount: Float[Array, ""],
    trace: Float[Array, ""],
    correction: VTrace,
) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """q_t − V(s_t) and v_t − V(s_t) of V-trace, as above; e_{t+1} is 0 where an episode or the rollout ends.

    With ratios of 1 both are generalised advantages.

    >>> import jax.numpy as jnp
    >>> from a3cjax.learners.corrections import correction_of
    >>> no = jnp.zeros(2, bool)
    >>> rollout = Rollout(None, None, jnp.array([1.0, 1.0]), None, no, no, None)
    >>> found = vtrace(rollout, jnp.zeros(2), jnp.zeros(2), jnp.array([0.5, 4.0]), 0.5, 1.0,
    ...                correction_of("fresh", "vtrace", {}))
    >>> [x.tolist() for x in found]  # 1 + ½·1 and 1; ½·1 + ½·½·1 and 1·1
    [[1.5, 1.0], [0.75, 1.0]]
    """
    errors, goes_on = errors_of(rollout, values, next_values, discount)
    traces = at_most(ratio, correction.trace_clip)

    def back(later, at):
        error, weight, traced, goes_on = at
        ahead = discount * trace * jnp.where(goes_on, later, 0)
        now = weight * error + traced * ahead
        return now, (error + ahead, now)

    given = errors, correction.weight(ratio), traces, goes_on
    return lax.scan(back, jnp.zeros((), errors.dtype), given, reverse=True)[1]


def target_of(learner: Any, params: Any, rollout: Rollout) -> Target:
    """Of the parameters; not differentiated."""
    params = lax.stop_gradient(params)
    each = jax.vmap(learner.network.apply, in_axes=(None, 0))
    parameters, values = each(params, rollout.observation)
    _, next_values = each(params, rollout.next_observation)
    log_probability = jax.vmap(learner.policy.log_probability)(parameters, rollout.action)
    given = rollout, values, next_values
    if isinstance(learner.correction, VTrace):
        ratio = jnp.exp(log_probability - rollout.log_probability)
        advantage, error = vtrace(*given, ratio, learner.discount, learner.trace, learner.correction)
    else:
        advantage = error = advantages(*given, learner.discount, learner.trace)
    if learner.normalize_advantages:
        advantage = standardized(advantage)
    return Target(advantage, error + values, log_probability)


def fresh_gradient(learner: Any, params: Any, rollout: Rollout, target: Target | None = None) -> Any:
    """The gradient at the parameters of the loss above, towards their own target if none is given."""
    correction = learner.correction
    target = target_of(learner, params, rollout) if target is None else target

    def loss(params: Any) -> Float[Array, ""]:
        parameters, values = jax.vmap(learner.network.apply, in_axes=(None, 0))(params, rollout.observation)
        log_probability = jax.vmap(learner.policy.log_probability)(parameters, rollout.action)
        if isinstance(correction, Decoupled):
            to_behaviour = jnp.exp(target.log_probability - rollout.log_probability)
            moved = jnp.exp(log_probability - target.log_probability)
            gain = to_behaviour * correction.surrogate(moved, target.advantage)
        else:
            ratio = jnp.exp(lax.stop_gradient(log_probability) - rollout.log_probability)
            weight = 1 if correction is None else correction.weight(ratio)
            gain = weight * target.advantage * log_probability
        randomness = jax.vmap(learner.policy.entropy)(parameters)
        return combined(gain, target.returns - values, randomness, learner.critic_weight, learner.entropy)

    return jax.grad(loss)(params)


def ratios(learner: Any, params: Any, rollout: Rollout) -> Float[Array, " n"]:
    """ρ_t, unbounded."""
    parameters, _ = jax.vmap(learner.network.apply, in_axes=(None, 0))(params, rollout.observation)
    return jnp.exp(jax.vmap(learner.policy.log_probability)(parameters, rollout.action) - rollout.log_probability)
