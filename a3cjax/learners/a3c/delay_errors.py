"""The two error terms that a delay adds to A3C with TD(0): the same samples at the version read and at the newest.

    g(x, ω_{k−τ}) − g(x, ω_k)   and   v(x̂, θ_{k−τ}, ω_{k−τ}) − v(x̂, θ_k, ω_k)

with g(x, ω) = δ̂(x, ω) φ(s) and v(x̂, θ, ω) = δ̂(x̂, ω) ψ_θ(ŝ, â), each the mean over the mini-batch. The prior's pull
λψ_θ(x^p), which (13b) adds to v, is part of neither term. Both versions are evaluated here, from samples and views, and
not taken from a message, in which v and the pull may have been added up. Another estimator's weight stands in the place
of δ̂(x̂, ω); a return is part of the sample, and so the same at both versions.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from a3cjax.learners.a3c.critic import features, td_error
from a3cjax.learners.a3c.fit import Problem
from a3cjax.learners.sampling.samples import Transition

DELAY_METRICS = ("critic_delay_error_sq", "actor_delay_error_sq", "critic_direction_sq", "actor_direction_sq")


def delay_errors(
    mdp: Problem,
    policy: Any,
    weight: Callable[[Transition, Any, Any], Float[Array, ""]],
    stale: Any,
    view: Any,
    samples: Any,
    names: tuple[str, ...],
) -> dict[str, Float[Array, ""]]:
    """The squared norms of the two terms, and of the stale g and v that were applied.

    ``stale`` and ``view`` have ``theta`` and ``omega``; the samples have a leading axis M.
    ``weight(x̂, view, return)`` is what ψ is multiplied by: δ̂, or what another estimator makes of the same sample.
    """

    def direction(x, returned, at):
        described = policy.describe(at.theta, x.state)
        score = policy.score(x.state, x.action, described, weight(x, at, returned))
        return policy.ascend(jnp.zeros(policy.shape, at.theta.dtype), score, jnp.ones((), at.theta.dtype))

    def g_and_v(at):
        g = jax.vmap(lambda x: td_error(mdp, x, at.omega) * features(mdp, x.state))(samples.critic)
        v = jax.vmap(lambda x, returned: direction(x, returned, at))(samples.actor, samples.returns)
        return jnp.mean(g, axis=0), jnp.mean(v, axis=0)

    # A loop, so that one piece of machine code computes both: equal views give equal bits, and no error.
    g, v = lax.map(g_and_v, jax.tree.map(lambda *both: jnp.stack(both), stale, view))
    values = {
        "critic_delay_error_sq": lambda: jnp.sum((g[0] - g[1]) ** 2),
        "actor_delay_error_sq": lambda: jnp.sum((v[0] - v[1]) ** 2),
        "critic_direction_sq": lambda: jnp.sum(g[0] ** 2),
        "actor_direction_sq": lambda: jnp.sum(v[0] ** 2),
    }
    return {name: values[name]() for name in names}
