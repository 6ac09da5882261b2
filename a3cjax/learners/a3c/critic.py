"""The linear critic V̂_ω(s) = φ(s)ᵀω, its TD error and its step."""

from jaxtyping import Array, Float, Num

from a3cjax._xla.arithmetic import inner, inner_product, moved, plus
from a3cjax._xla.marks import rounded, staged
from a3cjax._xla.repeated import one_by_one
from a3cjax.learners.a3c.fit import Problem
from a3cjax.learners.sampling.samples import Transition


def td_error(mdp: Problem, x: Transition, omega: Float[Array, " d"]) -> Float[Array, ""]:
    """δ̂(x, ω) = r + (γφ(s') − φ(s))ᵀω."""
    reward = mdp.reward_at(x.state, x.action, x.next_state)
    return plus(reward, inner_product(mdp.feature_change_at(x.state, x.next_state), omega))


def features(mdp: Problem, state: Num[Array, "*n"]) -> Float[Array, " d"]:
    """φ(s)."""
    return mdp.features_at(state)


def moved_along(
    omega: Float[Array, " d"],
    mdp: Problem,
    state: Num[Array, "M *n"],
    delta: Float[Array, " M"],
    step: Float[Array, ""] | None = None,
) -> Float[Array, " d"]:
    """ω + step·Σ_m δ_m φ(s_m), term after term; a step of None is 1."""

    def add(m, omega):
        return moved(omega, delta[m] if step is None else step * delta[m], features(mdp, state[m]))

    return one_by_one(delta.shape[0], add, omega)


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
