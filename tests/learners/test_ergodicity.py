"""What A3C says of chains that do not come back. Graphs are small enough to see what is transient."""

import dataclasses
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import a3cjax
from a3cjax import families


def walk(*successors: list[set[int]], initial: Any = 0) -> a3cjax.FiniteMDP:
    """An MDP where action a at s moves to one of ``successors[s][a]``, each as likely."""
    size, actions = len(successors), len(successors[0])
    transition = np.zeros((size, actions, size))
    for s, a in np.ndindex(size, actions):
        transition[s, a, list(successors[s][a])] = 1 / len(successors[s][a])
    start = np.eye(size)[initial] if np.ndim(initial) == 0 else initial
    return a3cjax.FiniteMDP(transition, np.zeros((size, actions)), start, 0.9, np.eye(size))


def learner(mdp, **options):
    return a3cjax.A3C(mdp, actor_step=0.1, critic_step=0.1, **options)


CORRIDOR = walk([{0}, {1}], [{0}, {2}], [{2}, {2}])  # 0 ⇄ 1 → 2, which absorbs
FORK = walk([{1}, {2}], [{1}, {1}], [{2}, {2}])  # 0 → 1 or 2, both absorb
TWO_ROOMS = walk([{1}, {0}], [{0}, {1}], [{3}, {2}], [{2}, {3}], initial=[0.5, 0, 0.5, 0])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sampling": "iid"},
        {"shared_chain": True},
        {"estimator": "q"},
        {"estimator": "reinforce", "shared_chain": True},
    ],
)
def test_an_absorbing_goal_is_told(options):
    with pytest.warns(UserWarning, match=r"leaves 2 of the 3 states that it visits for ever, state 0 among") as told:
        learner(CORRIDOR, **options)
    assert told[0].filename == __file__
    assert "Give mdp.transition a way back" in str(told[0].message)


def test_several_classes_are_told():
    with pytest.warns(UserWarning, match="leaves 1 of the 3 states"):
        learner(FORK)
    with pytest.warns(UserWarning, match="stays for ever in one of 2 classes of states"):
        learner(TWO_ROOMS)


class First:
    """A policy of probabilities that are its parameters."""

    num_states, num_actions, shape = 3, 2, (3, 2)

    def probabilities(self, theta):
        return theta


def test_what_counts_is_the_start_policy():
    # 0 ⇄ 1 under action 0; action 1 leads from 1 to 2, which absorbs.
    mdp = walk([{1}, {1}], [{0}, {2}], [{2}, {2}])
    stays = jnp.tile(jnp.array([1.0, 0.0]), (3, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        learner(mdp, policy=First(), theta=stays)
    with pytest.warns(UserWarning, match="leaves 2 of the 3"):
        learner(mdp, policy=First(), theta=stays.at[1].set(jnp.array([0.999999, 1e-6])))


@pytest.mark.parametrize(
    ("mdp", "options"),
    [
        (CORRIDOR, {"estimator": "reinforce"}),  # the actor needs no critic
        (walk([{1}], [{0}], [{0}]), {}),  # state 2 is transient, and never visited
        (walk([{1}], [{2}], [{0}]), {}),  # periodic, but it comes back
        (walk([{0}, {1}], [{0}, {2}], [{0}, {0}]), {}),  # a goal that starts again
        (walk([{0}]), {}),
        (families.gridworld(3, 4), {}),
        (families.gridworld(3, 4, slip=0.0, goal=(0, 1)), {}),
        (families.gridworld(2, 3, initial="uniform"), {}),
        (families.lazy(families.ring(6), 0.9), {}),
        (families.garnet(jax.random.key(0), 100, 5, 5), {}),
    ],
)
def test_chains_that_come_back_are_met_with_silence(mdp, options):
    learner(mdp, **options)  # a warning is an error here


def test_inside_jit_what_is_known_is_looked_at():
    said = pytest.warns(UserWarning, match="leaves 2 of the 3")
    with said:
        known = learner(CORRIDOR)
    with said:
        assert jax.jit(lambda step: dataclasses.replace(known, actor_step=step).omega[-1])(0.2) == 0


def test_inside_jit_nothing_is_looked_at():
    def last(mdp):
        return learner(mdp).theta.sum()

    assert jax.jit(last)(CORRIDOR) == 0
