"""The linear critic V̂_ω(s) = φ(s)ᵀω and its TD error."""

from jaxtyping import Array, Float, Num

from a3cjax._xla.arithmetic import inner, inner_product, plus
from a3cjax._xla.marks import rounded, staged
from a3cjax.learners.a3c.fit import Problem
from a3cjax.learners.sampling.samples import Transition


def td_error(mdp: Problem, x: Transition, omega: Float[Array, " d"]) -> Float[Array, ""]:
    """δ̂(x, ω) = r + (γφ(s') − φ(s))ᵀω."""
    reward = mdp.reward_at(x.state, x.action, x.next_state)
    return plus(reward, inner_product(mdp.feature_change_at(x.state, x.next_state), omega))


def features(mdp: Problem, state: Num[Array, "*n"]) -> Float[Array, " d"]:
    """φ(s)."""
    return mdp.features_at(state)


@staged
def value_change(
    discount: Float[Array, ""], ahead: Float[Array, " d"], here: Float[Array, " d"], omega: Float[Array, " d"]
) -> Float[Array, ""]:
    """γ φ(s')ᵀω − φ(s)ᵀω."""
    return rounded(discount * inner(ahead, omega)) - inner(here, omega)


@staged
def value_ahead(discount: Float[Array, ""], ahead: Float[Array, " d"], omega: Float[Array, " d"]) -> Float[Array, ""]:
    """γ φ(s')ᵀω."""
    return rounded(discount * inner(ahead, omega))
