"""Logits linear in features of the state and the action."""

import functools
import operator

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from numpy.typing import ArrayLike

from a3cjax._core import check
from a3cjax._core.tree import pytree
from a3cjax._xla.arithmetic import moved, over
from a3cjax._xla.marks import dot, read_row, rounded, staged


@pytree
class LinearSoftmax:
    """π_θ(a|s) ∝ exp(f(s,a)ᵀθ), with θ of shape [m].

    ψ_θ(s,a) = f(s,a) − Σ_b π_θ(b|s) f(s,b).

    Args:
        features: f, shape [S, A, m].

    Raises:
        ValueError: if ``features`` has another rank or an entry that is not finite.

    >>> import a3cjax, jax.numpy as jnp
    >>> policy = a3cjax.policies.LinearSoftmax(jnp.eye(3)[None])
    >>> [round(float(p), 4) for p in policy.probabilities(jnp.log(jnp.array([1.0, 2.0, 5.0])))[0]]
    [0.125, 0.25, 0.625]
    """

    features: Float[Array, "S A m"]

    def __init__(self, features: ArrayLike) -> None:
        object.__setattr__(self, "features", check.float_array("features", features, (None, None, None)))

    @property
    def num_states(self) -> int:
        """S, the states that it has features of."""
        return self.features.shape[0]

    @property
    def num_actions(self) -> int:
        """A, the actions of each state."""
        return self.features.shape[1]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of θ."""
        return self.features.shape[2:]

    def init(self) -> Float[Array, " m"]:
        """θ = 0, the uniform policy."""
        return jnp.zeros(self.shape)

    def probabilities(self, theta: Float[Array, " m"]) -> Float[Array, "S A"]:
        """π_θ as a table."""
        return jax.nn.softmax(jnp.sum(self.features * theta[None, None, :], axis=-1), axis=-1)

    def logits(self, theta: Float[Array, " m"], state: Int[Array, ""]) -> Float[Array, " A"]:
        """The logits at one state."""
        return _logits(self._at(state), theta)

    def describe(self, theta: Float[Array, " m"], state: Int[Array, ""]) -> Float[Array, " A"]:
        """π_θ(·|s), as ``score`` takes it."""
        return jax.nn.softmax(self.logits(theta, state))

    def score(
        self,
        state: Int[Array, ""],
        action: Int[Array, ""],
        probabilities: Float[Array, " A"],
        weight: Float[Array, ""],
    ) -> Float[Array, " m"]:
        """weight·ψ_θ(s,a), from π_θ(·|s)."""
        features = self._at(state)
        chosen = read_row(features, action)
        return _weighted_score(features, chosen, probabilities, weight)

    def likelihood(self, probabilities: Float[Array, " A"], action: Int[Array, ""]) -> Float[Array, ""]:
        """π_θ(a|s), which a sample carries so that another policy's ratio to it can be taken."""
        return read_row(probabilities, action)

    def ratio(
        self, probabilities: Float[Array, " A"], action: Int[Array, ""], likelihood: Float[Array, ""]
    ) -> Float[Array, ""]:
        """π_θ(a|s) over the ``likelihood`` under the policy that acted."""
        return over(self.likelihood(probabilities, action), likelihood)

    def merge(self, directions: Float[Array, "M m"]) -> Float[Array, " m"]:
        """A stack of directions as their sum."""
        return functools.reduce(operator.add, directions)

    def ascend(
        self, theta: Float[Array, " m"], direction: Float[Array, " m"], step: Float[Array, ""]
    ) -> Float[Array, " m"]:
        """θ + step·direction."""
        return moved(theta, step, direction)

    def changed_rows(self, direction: Float[Array, " m"]) -> None:
        """All of θ changes."""
        del direction

    def _at(self, state: Int[Array, ""]) -> Float[Array, "A m"]:
        return read_row(self.features, state)


@staged
def _logits(features: Float[Array, "A m"], theta: Float[Array, " m"]) -> Float[Array, " A"]:
    return dot(features, theta)


@staged
def _weighted_score(
    features: Float[Array, "A m"],
    chosen: Float[Array, " m"],
    probabilities: Float[Array, " A"],
    weight: Float[Array, ""],
) -> Float[Array, " m"]:
    mean = functools.reduce(operator.add, rounded(probabilities[:, None] * features))
    return weight * (chosen - mean)
