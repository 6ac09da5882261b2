"""Chains that forget where they started within a few steps: their laws and values by as many products with P.

For any law c, two laws of the state come closer in one step by the factor κ = max_s ‖P(·|s) − c‖₁ at least: Dobrushin's
coefficient is at most κ, by the triangle inequality. So a difference of two laws shrinks, ‖uP‖₁ ≤ κ‖u‖₁, and so does
the span of a function, span(Pf) ≤ κ span(f). With κ < 1 both give the size of everything that a sum of products leaves
out. The sums here stop where that is below the working precision; how many terms it takes is the chain's true rate of
mixing and not κ, and depends on nothing but the chain at hand.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from a3cjax._xla.compiler import quickly_compiled
from a3cjax.problems.resolvent import Values

FAST = 0.9  # the largest κ that is worth walking: 150 products at worst in single precision, most often below 10
EVEN = 16.0  # the most that P(t|s) may be over μ(t): an entry of μ is then good to half of that, in units of rounding


class Mixing(NamedTuple):
    """κ, and the law c that it was found with."""

    contraction: Float[Array, ""]
    center: Float[Array, "S"]

    @property
    def fast(self) -> Bool[Array, ""]:
        """Whether laws and values are found by walking; not where P has a NaN."""
        return self.contraction <= FAST


class Laws(NamedTuple):
    """μ and d, and whether every entry of μ is known to a few roundings of its own size."""

    stationary: Float[Array, "S"]
    visitation: Float[Array, "S"]
    even: Bool[Array, ""]


@quickly_compiled
def mixing(kernel: Float[Array, "S S"]) -> Mixing:
    """How fast a chain is known to mix, looking at each entry of P twice.

    >>> import jax.numpy as jnp
    >>> float(mixing(jnp.array([[0.5, 0.5], [0.25, 0.75]])).contraction)  # c = (3/8, 5/8)
    0.25
    """
    center = kernel.mean(0)
    # A product with ones is the quicker sum along rows, if it is not fused with what it sums up.
    apart = lax.optimization_barrier(jnp.abs(kernel - center[None, :]))
    return Mixing(_times(apart, jnp.ones_like(center)).max(), center)


def walked_laws(
    kernel: Float[Array, "S S"], initial: Float[Array, "S"], discount: Float[Array, ""], known: Mixing
) -> Laws:
    """μ = η + Σ_t u_t and d = η + Σ_t γᵗ u_t, with u_1 = ηP − η and u_{t+1} = u_t P, for a chain that mixes fast.

    After u_T is added, ‖u_T‖₁ κ/(1 − κ) bounds what is missing of μ, and of d too. Both then take one step more, which
    sums up positive numbers: their entries are good relative to their own size, as far as columns of P are even.
    """
    rounding = jnp.finfo(kernel.dtype).eps

    def far(loop):
        change, *_ = loop
        # In a batch a slow chain may stand beside fast ones: its walk has no end, and is not made.
        return known.fast & (jnp.abs(change).sum() > rounding * (1 - known.contraction))

    def step(loop):
        change, law, visits, weight = loop
        law, weight = law + change, weight * discount
        visits = visits + weight * change
        change = _times(change, kernel)
        # u sums to zero; what rounding leaves of a sum would be carried along for ever.
        return change - change.sum() * known.center, law, visits, weight

    start = (_times(initial, kernel) - initial, initial, initial, jnp.ones((), kernel.dtype))
    _, law, visits, _ = lax.while_loop(far, step, start)
    law = _times(law, kernel)
    visits = (1 - discount) * initial + discount * _times(visits, kernel)
    even = jnp.all(kernel.max(0) <= EVEN * law)
    return Laws(law / law.sum(), visits / visits.sum(), even)


def walked_values(
    kernel: Float[Array, "S S"], reward: Float[Array, "S"], discount: Float[Array, ""], known: Mixing
) -> Values:
    """V = Σ_t γᵗ Pᵗ r for a chain that mixes fast, as its entry nearest to zero and what is left.

    With m_0 the middle of r, z_0 = r − m_0, and m_{t+1} the middle of Pz_t, z_{t+1} = Pz_t − m_{t+1}, it is
    Σ_t γᵗ m_t / (1 − γ) + Σ_t γᵗ z_t. All that follows z_T and m_T is below γᵀ max|z_T| γ/(1 − γκ), in the second sum
    and, times 1/(1 − γ), in the first: no part of V is divided by 1 − γ that is not as large as that.
    """
    rounding = jnp.finfo(kernel.dtype).eps

    def far(loop):
        *_, size = loop
        return known.fast & (size * discount > rounding / 2 * (1 - discount * known.contraction) * largest)

    def step(loop):
        rest, relative, mean, weight, _ = loop
        ahead = _times(kernel, rest)
        middle = _middle(ahead)
        rest, weight = ahead - middle, weight * discount
        return rest, relative + weight * rest, mean + weight * middle, weight, weight * jnp.abs(rest).max()

    middle = _middle(reward)
    rest = reward - middle
    largest = jnp.abs(rest).max()
    _, relative, mean, _, _ = lax.while_loop(far, step, (rest, rest, middle, jnp.ones((), kernel.dtype), largest))
    level = mean / (1 - discount)
    nearest = jnp.argmin(jnp.abs(level + relative))
    return Values(level + relative[nearest], relative - relative[nearest])


def walked_advantages(
    transition: Float[Array, "S A S"], reward: Float[Array, "S A"], values: Values, discount: Float[Array, ""]
) -> Float[Array, "S A"]:
    """r(s,a) + γ E V(s') − V(s), where V varies by little more than r does: a product and a difference."""
    level, relative = values
    num_states, num_actions, _ = transition.shape
    ahead = _times(transition.reshape(num_states * num_actions, num_states), relative)
    change = ahead.reshape(num_states, num_actions) - relative[:, None]
    return reward - (1 - discount) * (level + relative[:, None]) + discount * change


def _times(a: Float[Array, "..."], b: Float[Array, "..."]) -> Float[Array, "..."]:
    """A matrix times a vector, or a vector times a matrix: unlike a product of matrices never split over threads."""
    return jnp.dot(a, b, precision="highest")


def _middle(values: Float[Array, "S"]) -> Float[Array, ""]:
    return (values.max() + values.min()) / 2
