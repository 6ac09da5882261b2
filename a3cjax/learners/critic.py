"""The linear critic V̂_ω(s) = φ(s)ᵀω and its TD error, as stages of the compiled loop."""

import functools
import operator

from jaxtyping import Array, Float, Int

from a3cjax._kernel import dot, read_row, rounded, stage
from a3cjax.learners.sampling.samples import Transition
from a3cjax.problems import FiniteMDP

_UNROLLED_FEATURES = 32


def td_error(mdp: FiniteMDP, x: Transition, omega: Float[Array, " d"]) -> Float[Array, ""]:
    """δ̂(x, ω) = r + γ φ(s')ᵀω − φ(s)ᵀω."""
    reward = mdp.reward_at(x.state, x.action, x.next_state)
    values = features(mdp, x.next_state), features(mdp, x.state), omega
    return stage(operator.add, reward, stage(value_change, mdp.discount, *values))


def features(mdp: FiniteMDP, state: Int[Array, ""]) -> Float[Array, " d"]:
    """φ(s)."""
    return stage(read_row, mdp.features, state)


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
