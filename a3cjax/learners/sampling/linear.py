"""One step of a linear-quadratic regulator, drawn from words."""

import jax.numpy as jnp
from jaxtyping import Array, Float, UInt32

from a3cjax._core.tree import pytree
from a3cjax._xla.marks import staged
from a3cjax._xla.small_matrices import times
from a3cjax.learners.policies.gaussian import LinearGaussian
from a3cjax.learners.sampling.samples import dynamics_of
from a3cjax.learners.sampling.words import normal
from a3cjax.problems.lqr import LQR
from a3cjax.problems.matrix_equations import square_root


@pytree
class LinearDynamics:
    """What ``Dynamics`` is for an LQR: a word for each coordinate that is drawn, with the accuracy of ``normal``."""

    state_matrix: Float[Array, "n n"]
    input_matrix: Float[Array, "n m"]
    noise_root: Float[Array, "n n"]
    initial_mean: Float[Array, " n"]
    initial_root: Float[Array, "n n"]

    @classmethod
    def of(cls, lqr: LQR) -> "LinearDynamics":
        """With roots of the covariances."""
        return cls(
            lqr.state_matrix,
            lqr.input_matrix,
            square_root(lqr.noise_covariance),
            lqr.initial_mean,
            square_root(lqr.initial_covariance),
        )

    @property
    def start_words(self) -> int:
        """Words of s_0."""
        return self.state_matrix.shape[0]

    @property
    def act_words(self) -> int:
        """Words of an action."""
        return self.input_matrix.shape[1]

    @property
    def move_words(self) -> int:
        """Words of s'."""
        return self.state_matrix.shape[0]

    def start(self, words: UInt32[Array, "*n"]) -> Float[Array, " n"]:
        """s ~ η."""
        return gaussian(self.initial_mean, self.initial_root, words)

    def act(
        self, policy: LinearGaussian, theta: Float[Array, "m n"], state: Float[Array, " n"], words: UInt32[Array, "*m"]
    ) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
        """a ~ π_θ(·|s), and the mean θs."""
        mean = policy.mean(jnp.asarray(theta), state)
        return policy.action(mean, normal(words.reshape(-1))), mean

    def law(self, policy: LinearGaussian, theta: Float[Array, "m n"], state: Float[Array, " n"]) -> Float[Array, " m"]:
        """The mean θs, without a draw."""
        return policy.mean(jnp.asarray(theta), state)

    def choose(
        self, policy: LinearGaussian, theta: Float[Array, "m n"], state: Float[Array, " n"], words: UInt32[Array, "*m"]
    ) -> Float[Array, " m"]:
        """a ~ π_θ(·|s) alone."""
        return self.act(policy, theta, state, words)[0]

    def move(
        self, state: Float[Array, " n"], action: Float[Array, " m"], words: UInt32[Array, "*n"]
    ) -> Float[Array, " n"]:
        """s' = A s + B a + w."""
        onward = _onward(self.state_matrix, self.input_matrix, state, action)
        return gaussian(onward, self.noise_root, words)


@dynamics_of.register
def _(problem: LQR) -> LinearDynamics:
    return LinearDynamics.of(problem)


def gaussian(mean: Float[Array, " n"], root: Float[Array, "n n"], words: UInt32[Array, "*n"]) -> Float[Array, " n"]:
    """A draw from N(mean, root·rootᵀ)."""
    return _around(mean, root, normal(words.reshape(-1)))


@staged
def _onward(
    state_matrix: Float[Array, "n n"],
    input_matrix: Float[Array, "n m"],
    state: Float[Array, " n"],
    action: Float[Array, " m"],
) -> Float[Array, " n"]:
    return times(state_matrix, state) + times(input_matrix, action)


@staged
def _around(mean: Float[Array, " n"], root: Float[Array, "n n"], draws: Float[Array, " n"]) -> Float[Array, " n"]:
    return mean + times(root, draws)
