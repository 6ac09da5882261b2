"""The linear critic V̂_ω(s) = φ(s)ᵀω and its TD error, as stages of the compiled loop."""

import functools
import operator

from jaxtyping import Array, Float, Num

from a3cjax._xla.marks import dot, rounded, stage
from a3cjax.learners.a3c.fit import Problem
from a3cjax.learners.sampling.samples import Transition

_UNROLLED_FEATURES = 32


def td_error(mdp: Problem, x: Transition, omega: Float[Array, " d"]) -> Float[Array, ""]:
    """δ̂(x, ω) = r + (γφ(s') − φ(s))ᵀω."""
    reward = mdp.reward_at(x.state, x.action, x.next_state)
    return stage(operator.add, reward, stage(inner, mdp.feature_change_at(x.state, x.next_state), omega))


def features(mdp: Problem, state: Num[Array, "*n"]) -> Float[Array, " d"]:
    """φ(s)."""
    return mdp.features_at(state)


def value_change(
    discount: Float[Array, ""], ahead: Float[Array, " d"], here: Float[Array, " d"], omega: Float[Array, " d"]
) -> Float[Array, ""]:
    """γ φ(s')ᵀω − φ(s)ᵀω."""
    return rounded(discount * inner(ahead, omega)) - inner(here, omega)


def value_ahead(discount: Float[Array, ""], ahead: Float[Array, " d"], omega: Float[Array, " d"]) -> Float[Array, ""]:
    """γ φ(s')ᵀω."""
    return rounded(discount * inner(ahead, omega))


def inner(x: Float[Array, " d"], y: Float[Array, " d"]) -> Float[Array, ""]:
    """xᵀy, written out for few features: a reduction over a short last axis does not vectorise over runs."""
    if x.shape[0] > _UNROLLED_FEATURES:
        return dot(x, y)
    products = rounded(x * y)
    return functools.reduce(operator.add, (products[j] for j in range(x.shape[0])))
