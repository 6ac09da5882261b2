"""Option 1 for a linear-quadratic regulator: μ and d are Gaussian laws that can be written down.

Under a ~ N(θs, σ²I) the state after t steps from m_0 is N(Mᵗm_0, MᵗΣ_0(Mᵗ)ᵀ + X_t), X_t = Σ_{i<t} Mⁱ W' (Mⁱ)ᵀ, with
M = A + Bθ and W' = W + σ²BBᵀ. The powers M^(2ʲ) and X_(2ʲ) take one round each, X_2t = X_t + Mᵗ X_t (Mᵗ)ᵀ. So

- μ = N(0, X_∞) takes as many rounds as the horizon has binary digits;
- d, the law of s_T with P(T ≥ t) = γᵗ, takes the rounds in which the drawn T has a digit one.

No state is followed, so this costs the logarithm of a rollout.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, UInt32

from a3cjax._core.check import is_concrete
from a3cjax._core.tree import pytree, static
from a3cjax._xla.marks import rounded, stage, staged
from a3cjax._xla.small_matrices import largest, lower_root, product, sandwich, times
from a3cjax.learners.sampling.linear import LinearDynamics, gaussian
from a3cjax.learners.sampling.samples import Draw, Transition
from a3cjax.learners.sampling.words import geometric
from a3cjax.problems.lqr import LQR

_ROUNDS = 14  # 2¹⁴ steps: enough for ρ(M) up to .9995 or so; beyond, and where no μ exists, samples are NaN
_FORGOTTEN = 2.0**-12  # the most that may be left of M^(2ʲ): its square is the working precision


@pytree
class LinearIIDSampler:
    """s ~ μ_θ and ŝ ~ d_θ afresh for every update, then one step of the system from each.

    The law of T is exact up to the 24 digits of its word, and that of the state given T up to rounding. The covariance
    of μ is short by a relative 2⁻²⁴ at most. Where ρ(A + Bθ) ≥ 1 there is no μ, and a sample is NaN: the run stops
    counting there. With ``shared`` the actor uses the critic's sample.
    """

    dynamics: LinearDynamics
    lqr: LQR
    age_digits: int = static()
    shared: bool = static(default=False)

    @classmethod
    def of(cls, lqr: LQR, shared: bool = False) -> "LinearIIDSampler":
        """The sampler of an LQR, whose discount must be known: it says how many digits T may have."""
        if not is_concrete(lqr.discount):
            raise ValueError("sampling 'iid' needs the LQR's discount to be known, but it is traced; build it outside.")
        discount = float(lqr.discount)
        oldest = math.log(2.0**-33) / math.log(discount) if discount > 0 else 0
        return cls(LinearDynamics.of(lqr), lqr, max(1, math.ceil(math.log2(oldest + 2))), shared)

    @property
    def num_words(self) -> int:
        """A state, an action and a next state of each kind, and the actor's T."""
        dynamics = self.dynamics
        one = dynamics.start_words + dynamics.act_words + dynamics.move_words
        return one if self.shared else 2 * one + 1

    def init(self, key: jax.Array) -> tuple[()]:
        """Independent samples leave nothing to keep."""
        del key
        return ()

    def sample(
        self, policy: Any, theta: Any, nothing: tuple[()], words: UInt32[Array, " num_words"]
    ) -> tuple[Draw, tuple[()]]:
        """Fresh samples of both kinds."""
        theta = jnp.asarray(theta)
        lqr, digits = self.lqr, 0 if self.shared else self.age_digits
        age = jnp.int32(0) if self.shared else geometric(words[-1], lqr.discount, (1 << digits) - 1)
        loop, spread = _closed_loop(lqr.state_matrix, lqr.input_matrix, lqr.noise_covariance, theta, policy.std)

        def twice(j, at):
            power, gathered, mean, covariance = at
            taken = ((age >> j) & 1) == 1
            mean = jnp.where(taken, times(power, mean), mean)
            covariance = jnp.where(taken, sandwich(power, covariance) + gathered, covariance)
            return product(power, power), gathered + sandwich(power, gathered), mean, covariance

        begin = loop, spread, lqr.initial_mean, lqr.initial_covariance
        power, gathered, mean, covariance = lax.fori_loop(0, max(_ROUNDS, digits), twice, begin)
        size = power.shape[0] * largest(power)
        stationary = stage(lower_root, jnp.where(size <= _FORGOTTEN, gathered, jnp.nan))
        critic, probabilities = self._step(policy, theta, jnp.zeros_like(mean), stationary, words)
        if self.shared:
            return Draw(critic, critic, probabilities), nothing
        half = self.num_words // 2
        actor, probabilities = self._step(policy, theta, mean, stage(lower_root, covariance), words[half:])
        return Draw(critic, actor, probabilities), nothing

    def _step(
        self, policy: Any, theta: Any, mean: Float[Array, " n"], root: Float[Array, "n n"], words: UInt32[Array, " w"]
    ) -> tuple[Transition, Float[Array, " m"]]:
        """A transition whose state is N(mean, root·rootᵀ), and the mean of its action."""
        dynamics = self.dynamics
        first, second = dynamics.start_words, dynamics.start_words + dynamics.act_words
        state = gaussian(mean, root, words[:first])
        action, action_mean = dynamics.act(policy, theta, state, words[first:second])
        ahead = dynamics.move(state, action, words[second : second + dynamics.move_words])
        return Transition(state, action, ahead), action_mean


@staged
def _closed_loop(
    state_matrix: Float[Array, "n n"],
    input_matrix: Float[Array, "n m"],
    noise: Float[Array, "n n"],
    theta: Float[Array, "m n"],
    std: Float[Array, ""],
) -> tuple[Float[Array, "n n"], Float[Array, "n n"]]:
    """M = A + Bθ and W' = W + σ²BBᵀ."""
    added = rounded(std**2 * product(input_matrix, input_matrix.T))
    return state_matrix + product(input_matrix, theta), noise + added
