"""Sparse random MDPs."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray
from numpy.typing import ArrayLike

from a3cjax._core import check
from a3cjax._core.known import numpy_if_known
from a3cjax._xla.threefry import split
from a3cjax.problems.families._parts import check_size, initial_law, random_features, random_reward, uniform
from a3cjax.problems.mdp import FiniteMDP


def garnet(
    key: PRNGKeyArray,
    num_states: int,
    num_actions: int,
    branching: int,
    num_features: int | None = None,
    discount: ArrayLike = 0.9,
    *,
    reward_on: Literal["action", "transition"] = "action",
    initial: ArrayLike | Literal["uniform"] = "uniform",
) -> FiniteMDP:
    """A Garnet (Archibald, McKinnon and Thomas 1995): ``branching`` successors for each state and action.

    The successors are distinct and uniform among all states; their probabilities are the spacings of
    ``branching`` − 1 uniform numbers. Rewards are from U(0,1). Features are tabular (the identity, d = S), or with
    ``num_features`` drawn from U(0,1) and scaled so that the largest norm is one. With few branches the chain can
    have transient states or several recurrent classes.

    Works under ``jit`` and ``vmap`` with a traced key. Raises ValueError for a size below one or more branches than
    states.

    >>> import a3cjax, jax
    >>> mdp = a3cjax.families.garnet(jax.random.key(0), num_states=10, num_actions=2, branching=3)
    >>> int((mdp.transition > 0).sum(-1).max())
    3
    """
    num_states = check.integer("num_states", num_states, 1)
    num_actions = check.integer("num_actions", num_actions, 1)
    branching = check.integer("branching", branching, 1)
    if branching > num_states:
        raise ValueError(f"branching is {branching}, but there are only {num_states} states to move to.")
    check_size("num_states", num_states, num_states, num_actions)
    for_successors, for_spacings, for_reward, for_features = split(key, 4)
    # The places of the largest among independent uniforms are a uniform choice without replacement.
    lots = uniform(for_successors, (num_states, num_actions, num_states))
    _, successors = jax.lax.top_k(lots, branching)
    module, cuts = numpy_if_known(uniform(for_spacings, (num_states, num_actions, branching - 1)))
    spacings = module.diff(module.pad(module.sort(cuts), ((0, 0), (0, 0), (1, 1)), constant_values=(0, 1)))
    return FiniteMDP(
        transition=jnp.put_along_axis(jnp.zeros_like(lots), successors, spacings, axis=-1, inplace=False),
        reward=random_reward(for_reward, num_states, num_actions, reward_on),
        initial=initial_law(initial, num_states),
        discount=discount,
        features=np.eye(num_states)
        if num_features is None
        else random_features(for_features, num_states, check.integer("num_features", num_features, 1)),
    )
