"""The dense random MDP of the paper's experiments."""

from typing import Literal

from jaxtyping import PRNGKeyArray
from numpy.typing import ArrayLike

from a3cjax._core import check
from a3cjax._xla.threefry import split
from a3cjax.problems.families._parts import check_size, initial_law, random_features, random_reward, to_laws, uniform
from a3cjax.problems.mdp import FiniteMDP


def synthetic(
    key: PRNGKeyArray,
    num_states: int = 100,
    num_actions: int = 5,
    num_features: int = 10,
    discount: ArrayLike = 0.9,
    *,
    reward_on: Literal["action", "transition"] = "action",
    initial: ArrayLike | Literal["uniform"] = "uniform",
) -> FiniteMDP:
    """The random MDP of the experiments of Shen et al. 2023: entries of P, r and φ drawn from U(0,1).

    Rows of P are divided by their sums, and φ by one number, such that the largest φ(s) has l2 norm one. What the
    paper leaves open is decided here: the discount, a uniform initial law (or ``initial`` [S]), and rewards r(s,a).
    With ``reward_on="transition"`` they are r(s,a,s'), whose means over s' hardly differ between actions, so that
    there is little to learn. The chain mixes almost at once: for delays that bite, see ``garnet``, ``ring`` and
    ``lazy``.

    Works under ``jit`` and ``vmap`` with a traced key. Raises ValueError for a size below one or another word.

    >>> import a3cjax, jax
    >>> mdp = a3cjax.families.synthetic(jax.random.key(0), num_states=20)
    >>> mdp.transition.shape, mdp.reward.shape, mdp.features.shape
    ((20, 5, 20), (20, 5), (20, 10))
    """
    num_states = check.integer("num_states", num_states, 1)
    num_actions = check.integer("num_actions", num_actions, 1)
    num_features = check.integer("num_features", num_features, 1)
    check_size("num_states", num_states, num_states, num_actions)
    for_transition, for_reward, for_features = split(key, 3)
    return FiniteMDP(
        transition=to_laws(uniform(for_transition, (num_states, num_actions, num_states))),
        reward=random_reward(for_reward, num_states, num_actions, reward_on),
        initial=initial_law(initial, num_states),
        discount=discount,
        features=random_features(for_features, num_states, num_features),
    )
