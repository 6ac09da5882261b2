"""Linear iterations that a delay can make unstable, each as a learner with a known matrix."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy.typing import ArrayLike

from a3cjax._core.tree import pytree
from a3cjax._xla.marks import rounded
from a3cjax.learners import A3C, QuadraticSGD
from a3cjax.problems import FiniteMDP, exact, families
from a3cjax.studies.stability import critic_eigenvalues


@dataclasses.dataclass(frozen=True)
class System:
    """x_{k+1} = x_k − β H x_{k−τ}: H's eigenvalues, the learner for steps β [B], and ‖x‖² or ‖Δx‖² of its state."""

    name: str
    eigenvalues: np.ndarray
    build: Callable[[Float[Array, " B"]], Any]
    energy: Callable[[Any], Float[Array, ""]]


class ErrorState(NamedTuple):
    """The critic's error ω − ω*, and its last change."""

    error: Float[Array, " d"]
    change: Float[Array, " d"]


@pytree
class MeanCritic:
    """TD(0) with its samples replaced by their mean: e_{k+1} = e_k + β A_θ e_{k−τ_k} for e = ω − ω*."""

    matrix: Float[Array, "d d"]  # A_θ
    start: Float[Array, " d"]
    step: Float[Array, "*B"]

    num_words = 0
    run_scalars = ("step",)

    def init(self, key: jax.Array) -> ErrorState:
        """The error before the first update."""
        del key
        return ErrorState(self.start, jnp.zeros_like(self.start))

    def init_worker(self, key: jax.Array) -> tuple[()]:
        """Workers keep nothing."""
        del key
        return ()

    def view(self, state: ErrorState) -> Float[Array, " d"]:
        """A worker copies the error."""
        return state.error

    def propose(self, view: Any, worker_state: tuple[()], key: jax.Array) -> tuple[Float[Array, " d"], tuple[()]]:
        """The mean of g(x, ω) at the view."""
        del key
        return jnp.sum(rounded(self.matrix * view), axis=-1), worker_state

    def apply(self, state: ErrorState, message: Float[Array, " d"], delay: Int[Array, ""]) -> ErrorState:
        """One step."""
        del delay
        change = rounded(self.step * message)
        return ErrorState(state.error + change, change)


def systems(mdp: FiniteMDP, pi: ArrayLike) -> tuple[System, ...]:
    """Gradient descent, the sampled critic where nothing is random, and the mean critic on two problems."""
    discount = float(mdp.discount)
    # One state with reward 0 and feature 1: every sample is the mean, A_θ = γ − 1, and ω* = 0.
    one = FiniteMDP(np.ones((1, 1, 1)), np.zeros((1, 1)), [1.0], discount, np.ones((1, 1)))
    # Round a cycle: A_θ = (γP − I)/5, P with the fifth roots of unity, but for slips, as eigenvalues.
    cycle, onward = families.ring(5, slip=0.1, discount=discount), np.tile([0.0, 1.0], (5, 1))
    return (
        System(
            "gradient descent, H = 1",
            np.ones(1, np.complex128),
            lambda step: QuadraticSGD(curvature=[1.0], step=step),
            lambda state: jnp.sum(state.x**2),
        ),
        System(
            "A3C's critic, one state",
            critic_eigenvalues(one, np.ones((1, 1))),
            lambda step: A3C(one, actor_step=0.0, critic_step=step, omega=[1.0]),
            lambda state: jnp.sum(state.omega**2),
        ),
        _mean_critic("mean TD(0), the MDP", mdp, pi),
        _mean_critic("mean TD(0), round a cycle", cycle, onward),
    )


def _mean_critic(name: str, mdp: FiniteMDP, pi: ArrayLike) -> System:
    matrix, _ = exact.critic_system(mdp, np.asarray(pi))
    # Some of every mode. Slow modes are stable and long in the error, but hardly in its changes.
    start = jnp.asarray(np.random.default_rng(0).standard_normal(matrix.shape[0]), matrix.dtype)
    return System(
        name,
        critic_eigenvalues(mdp, pi),
        lambda step: MeanCritic(matrix, start, step),
        lambda state: jnp.sum(state.change**2),
    )
