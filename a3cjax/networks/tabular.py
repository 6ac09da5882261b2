"""A table of logits and a linear critic: what the paper's A3C learns, as a network."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from numpy.typing import ArrayLike

from a3cjax._core import check
from a3cjax._core.tree import static
from a3cjax.environments.adopted import name_of
from a3cjax.environments.finite import Finite
from a3cjax.networks.network import AbstractNetwork


class TabularParams(NamedTuple):
    """The actor's θ and the critic's ω."""

    theta: Float[Array, "S A"]
    omega: Float[Array, " d"]


class Tabular(AbstractNetwork):
    """For ``Finite``: logits θ[s] and value φ(s)ᵀω, from zeros, with the MDP's features φ.

    It is what ``A3C`` learns with a ``TabularSoftmax``: parameters are ``theta`` [S, A] and ``omega`` [d].

    Args:
        features: other features for the critic, [S, d]; None for the MDP's. ``jnp.eye(S)`` is a value for each state.

    Raises:
        ValueError: if the environment is no ``Finite``, or the features are not of its states.

    >>> import a3cjax, jax
    >>> environment = a3cjax.environments.Finite(a3cjax.families.ring(4))
    >>> network = a3cjax.networks.Tabular().fitted(environment)
    >>> state, observation = environment.reset(jax.random.key(0))
    >>> network.apply(network.init(jax.random.key(1)), observation)[0].tolist()
    [0.0, 0.0]
    """

    features: Float[Array, "S d"] | None
    num_actions: int | None = static()

    def __init__(self, features: ArrayLike | None = None) -> None:
        put = functools.partial(object.__setattr__, self)
        put("features", None if features is None else check.float_array("features", features, (None, None)))
        put("num_actions", None)

    def fitted(self, environment: Any) -> "Tabular":
        """The network for an MDP's states and actions."""
        if not isinstance(environment, Finite):
            raise ValueError(
                f"Tabular has a row for each state of a Finite, but the environment is a {name_of(environment)}; use "
                "MLP."
            )
        mdp = environment.mdp
        features = mdp.features if self.features is None else self.features
        if features.shape[0] != mdp.num_states:
            raise ValueError(f"features has {features.shape[0]} rows, but the MDP has {mdp.num_states} states.")
        fitted = Tabular(features)
        object.__setattr__(fitted, "num_actions", mdp.num_actions)
        return fitted

    def init(self, key: jax.Array) -> TabularParams:
        """Zeros: the uniform policy."""
        del key
        if self.features is None or self.num_actions is None:
            raise ValueError("The network has not been told its sizes; use Tabular().fitted(environment).")
        num_states, num_features = self.features.shape
        return TabularParams(jnp.zeros((num_states, self.num_actions)), jnp.zeros(num_features))

    def apply(
        self, params: TabularParams, observation: Float[Array, "S"]
    ) -> tuple[Float[Array, " A"], Float[Array, ""]]:
        """The row of θ, and φᵀω."""
        assert self.features is not None
        return observation @ params.theta, (observation @ self.features) @ params.omega
