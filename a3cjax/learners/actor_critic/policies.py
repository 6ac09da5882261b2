"""What a network's output says of actions: a law on whole numbers, or normal laws of a vector's components.

A policy has ``num_words`` (32-bit random words an action takes), ``check(parameters)`` (of the network's output, shapes
only), ``sample(parameters, words)``, ``log_probability(parameters, action)`` and ``entropy(parameters)``, for one
observation.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt32

from a3cjax._core.tree import pytree, static
from a3cjax.learners.sampling.words import normal, softmax_draw


@pytree
class Categorical:
    """π(a) = exp(logit_a) / Σ_b exp(logit_b).

    An action is drawn with one uniform number of 24 bits (float64: 32), so one of probability below 2⁻²⁴ may never be.
    """

    num_actions: int = static()

    @property
    def num_words(self) -> int:
        """Of one action."""
        return 1

    def check(self, parameters: Any) -> None:
        """Refuse what are no logits of these actions."""
        if getattr(parameters, "shape", None) != (self.num_actions,):
            raise ValueError(
                f"the network returns {_shapes(parameters)} for the policy, but the environment has num_actions = "
                f"{self.num_actions}; return logits of shape ({self.num_actions},)."
            )

    def sample(self, logits: Float[Array, " A"], words: UInt32[Array, "1"]) -> Int[Array, ""]:
        """An action."""
        return softmax_draw(logits, words[0])[0]

    def log_probability(self, logits: Float[Array, " A"], action: Int[Array, ""]) -> Float[Array, ""]:
        """log π(a)."""
        chosen = jnp.arange(self.num_actions) == action
        return jnp.sum(jnp.where(chosen, jax.nn.log_softmax(logits), 0))

    def entropy(self, logits: Float[Array, " A"]) -> Float[Array, ""]:
        """−Σ_a π(a) log π(a)."""
        logs = jax.nn.log_softmax(logits)
        return -jnp.sum(jnp.exp(logs) * logs)


@pytree
class Gaussian:
    """Independent normal components with means and log σ from the network."""

    action_size: int = static()

    @property
    def num_words(self) -> int:
        """Of one action."""
        return self.action_size

    def check(self, parameters: Any) -> None:
        """Refuse what is no mean and log σ of such actions."""
        pair = isinstance(parameters, tuple | list) and len(parameters) == 2
        if not pair or any(getattr(leaf, "shape", None) != (self.action_size,) for leaf in parameters):
            raise ValueError(
                f"the network returns {_shapes(parameters)} for the policy, but the environment has action_size = "
                f"{self.action_size}; return a pair, mean and logarithm of the standard deviation, each of shape "
                f"({self.action_size},)."
            )

    def sample(self, parameters: tuple[Array, Array], words: UInt32[Array, " action_size"]) -> Float[Array, " n"]:
        """An action."""
        mean, log_std = parameters
        return mean + jnp.exp(log_std) * normal(words)

    def log_probability(self, parameters: tuple[Array, Array], action: Float[Array, " n"]) -> Float[Array, ""]:
        """The logarithm of the density."""
        mean, log_std = parameters
        return -jnp.sum(0.5 * ((action - mean) * jnp.exp(-log_std)) ** 2 + log_std + 0.5 * math.log(2 * math.pi))

    def entropy(self, parameters: tuple[Array, Array]) -> Float[Array, ""]:
        """Σ_i (log σ_i + ½ log 2πe)."""
        return jnp.sum(parameters[1] + 0.5 * math.log(2 * math.pi * math.e))


def policy_of(environment: Any) -> Categorical | Gaussian:
    """The policy for an environment's actions."""
    if environment.num_actions is not None:
        return Categorical(int(environment.num_actions))
    return Gaussian(int(environment.action_size))


def _shapes(parameters: Any) -> str:
    if hasattr(parameters, "shape"):
        return f"an array of shape {parameters.shape}"
    leaves = jax.tree.leaves(parameters)
    return f"a {type(parameters).__name__} of arrays of shapes {', '.join(str(jnp.shape(leaf)) for leaf in leaves)}"
