"""The finite Markov decision problem that every run, oracle and family speaks of."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy.typing import ArrayLike

from a3cjax._core import check
from a3cjax._core.tree import pytree
from a3cjax._xla.compiler import quickly_compiled
from a3cjax._xla.marks import read_difference, read_row, rounded


@pytree
class FiniteMDP:
    """A finite MDP with linear features: (S, A, P, r, η, γ, φ), as arrays.

    The problem of Shen et al. 2023. Arguments, with S states, A actions and d features:

    - ``transition[s, a, t]``: the probability P(t|s,a) of moving from s to t; rows sum to one; shape [S, A, S].
      Rows, and ``initial``, that are off by more than rounding, but by 1e-5 at most, are divided by their sums.
    - ``reward``: r(s,a) as [S, A], or r(s,a,s') as [S, A, S].
    - ``initial``: the initial law η, shape [S].
    - ``discount``: γ, a number in [0, 1).
    - ``features``: φ(s) as rows, shape [S, d], each with l2 norm at most one.

    Numbers become arrays of JAX's default floating type: float32, or float64 when x64 is on. An instance is a
    pytree, so it goes through ``jit`` and ``vmap``; values that are being traced are checked for shape only.

    Raises ValueError for a wrong shape, a NaN or infinity, a negative probability, a law that does not sum to one,
    a discount outside [0, 1), or features whose norm is above one. Warns where the precision keeps γ, and so values, to
    fewer than four digits of 1/(1 − γ): beyond γ = 0.9994 in float32.

    >>> import a3cjax
    >>> stay, move = [1.0, 0.0], [0.0, 1.0]
    >>> mdp = a3cjax.FiniteMDP(
    ...     transition=[[stay, move], [move, stay]],
    ...     reward=[[0.0, 0.0], [1.0, 1.0]],
    ...     initial=[1.0, 0.0],
    ...     discount=0.9,
    ...     features=[[1.0, 0.0], [0.0, 1.0]],
    ... )
    >>> mdp.num_states, mdp.num_actions, mdp.num_features
    (2, 2, 2)
    >>> float(mdp.reward_at(1, 0, 1))
    1.0
    """

    transition: Float[Array, "S A S"]
    reward: Float[Array, "S A"] | Float[Array, "S A S"]
    initial: Float[Array, "S"]
    discount: Float[Array, ""]
    features: Float[Array, "S d"]

    def __init__(
        self,
        transition: ArrayLike,
        reward: ArrayLike,
        initial: ArrayLike,
        discount: ArrayLike,
        features: ArrayLike,
    ):
        fields = _checked(transition, reward, initial, discount, features)
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    @property
    def num_states(self) -> int:
        """S, the number of states."""
        return self.transition.shape[-1]

    @property
    def num_actions(self) -> int:
        """A, the number of actions."""
        return self.transition.shape[-2]

    @property
    def num_features(self) -> int:
        """d, the length of φ(s)."""
        return self.features.shape[-1]

    def expected_reward(self) -> Float[Array, "S A"]:
        """r(s,a), the mean of r(s,a,s') over the next state.

        >>> import a3cjax
        >>> a3cjax.families.ring(4).expected_reward().shape
        (4, 2)
        """
        if self._reward_on_action:
            return self.reward
        return _mean(self.transition, self.reward)

    def reward_at(
        self, state: Int[Array, ""] | int, action: Int[Array, ""] | int, next_state: Int[Array, ""] | int
    ) -> Float[Array, ""]:
        """The reward of one transition; for any shape of indices, traced or not, that broadcast together.

        The indices are promised to be in bounds: they are not checked.

        >>> import a3cjax
        >>> float(a3cjax.families.ring(4).reward_at(0, 1, 1))
        1.0
        """
        where = (state, action) if self._reward_on_action else (state, action, next_state)
        return self.reward.at[where].get(mode="promise_in_bounds")

    def features_at(self, state: Int[Array, ""]) -> Float[Array, " d"]:
        """φ(s) of one state, which is promised to be in bounds.

        >>> import a3cjax
        >>> a3cjax.families.ring(3).features_at(1).tolist()
        [0.0, 1.0, 0.0]
        """
        return read_row(self.features, state)

    def feature_change_at(self, state: Int[Array, ""], next_state: Int[Array, ""]) -> Float[Array, " d"]:
        """γφ(s') − φ(s) of one transition, which δ̂ weighs with ω; the states are promised to be in bounds.

        >>> import a3cjax
        >>> a3cjax.families.ring(3, discount=0.5).feature_change_at(1, 2).tolist()
        [0.0, -1.0, 0.5]
        """
        ahead = rounded(self.discount * self.features)
        return read_difference(ahead, next_state, self.features, state)

    @property
    def _reward_on_action(self) -> bool:
        return self.reward.ndim < self.transition.ndim


@quickly_compiled
def _mean(transition: Float[Array, "S A S"], reward: Float[Array, "S A S"]) -> Float[Array, "S A"]:
    """Compiled wherever it is called, so that the product is never an array."""
    return (transition * reward).sum(-1)


def _checked(transition: Any, reward: Any, initial: Any, discount: Any, features: Any) -> dict[str, Array]:
    transition = check.laws("transition", transition, (None, None, None))
    num_states = transition.shape[0]
    if num_states != transition.shape[2]:
        raise ValueError(
            f"transition has shape {transition.shape}, but must have shape (S, A, S): transition[s, a, t] is the "
            "probability of moving from state s to state t under action a."
        )
    if 0 in transition.shape:
        raise ValueError(f"transition has shape {transition.shape}; give at least one state and one action.")
    on_action = np.ndim(reward) == 2
    reward = check.float_array("reward", reward, transition.shape[: 2 if on_action else 3])
    initial = check.laws("initial", initial, (num_states,))
    discount = check.discount(discount)
    features = check.float_array("features", features, (num_states, None))
    if features.shape[1] == 0:
        raise ValueError(f"features has shape {features.shape}; give every state at least one feature.")

    if check.is_concrete(features):
        _norms_at_most_one(features)
    return {
        "transition": transition,
        "reward": reward,
        "initial": initial,
        "discount": jnp.asarray(discount),
        "features": features,
    }


def _norms_at_most_one(features: Array) -> None:
    norms = np.linalg.norm(np.asarray(features, np.float64), axis=1)
    worst = int(norms.argmax())
    if norms[worst] > 1 + 1e-6:
        raise ValueError(
            f"features[{worst}] has l2 norm {norms[worst]:.6g}, but must have at most 1; "
            f"divide the features by {norms[worst]:.6g}."
        )
