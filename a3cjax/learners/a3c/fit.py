"""What of a learner's arguments must fit its problem: each kind of problem says so once, here."""

import functools
from typing import Any

import jax
import numpy as np

from a3cjax._core import check
from a3cjax.learners.a3c.ergodicity import warn_of_states_left_behind
from a3cjax.learners.policies import LinearGaussian, TabularSoftmax
from a3cjax.learners.sampling.words import alias_table
from a3cjax.problems import LQR, FiniteMDP, Prior

Problem = FiniteMDP | LQR


def check_problem(problem: Any) -> None:
    """Refuse what is of no known kind."""
    if fitted_policy.dispatch(type(problem)) is fitted_policy.dispatch(object):
        fitted_policy(problem, None)


@functools.singledispatch
def fitted_policy(problem: Any, policy: Any) -> Any:
    """The policy itself, its class applied to the problem's sizes, or the usual one if None is given.

    Raises:
        ValueError: if the problem is of no known kind, or the policy does not fit it.
    """
    del policy
    raise ValueError(f"mdp must be an a3cjax.FiniteMDP or an a3cjax.LQR, but is a {type(problem).__name__}.")


@fitted_policy.register
def _(problem: FiniteMDP, policy: Any) -> Any:
    policy = _made(TabularSoftmax, policy, problem.num_states, problem.num_actions)
    if not hasattr(policy, "probabilities"):
        raise _no_policy(policy, TabularSoftmax)
    check_sizes("policy", policy.num_states, policy.num_actions, problem)
    return policy


@fitted_policy.register
def _(problem: LQR, policy: Any) -> Any:
    policy = _made(LinearGaussian, policy, problem.state_dim, problem.action_dim)
    if not hasattr(policy, "mean"):
        raise _no_policy(policy, LinearGaussian)
    if (policy.state_dim, policy.action_dim) != (problem.state_dim, problem.action_dim):
        raise ValueError(
            f"policy is for states of dimension {policy.state_dim} and actions of dimension {policy.action_dim}, but "
            f"the LQR has {problem.state_dim} and {problem.action_dim}; build it with the LQR's dimensions."
        )
    return policy


@functools.singledispatch
def prior_tables(problem: Any, prior: Prior) -> Any:
    """Tables to draw the prior's states and actions from, where the problem has tables of both."""
    del problem, prior


@prior_tables.register
def _(problem: FiniteMDP, prior: Prior) -> Any:
    num_states, num_actions = prior.policy.shape
    check_sizes("prior.policy", num_states, num_actions, problem)
    return alias_table(prior.states), alias_table(prior.policy)


@functools.singledispatch
def check_start(problem: Any, policy: Any, theta: jax.Array, given: dict[str, bool], on_policy: bool) -> None:
    """Refuse options ``given`` that are for tables only, and a start from which the critic has nothing to learn.

    ``on_policy``: the critic, or the actor, follows the chain of the policy for ever.
    """
    del problem, policy, theta, given, on_policy


@check_start.register
def _(problem: FiniteMDP, policy: Any, theta: jax.Array, given: dict[str, bool], on_policy: bool) -> None:
    del given
    if on_policy:
        warn_of_states_left_behind(problem, policy, theta)


@check_start.register
def _(problem: LQR, policy: Any, theta: jax.Array, given: dict[str, bool], on_policy: bool) -> None:
    del policy, on_policy
    for name, is_given in given.items():
        if is_given:
            raise ValueError(
                f"{name} is given, but it works on tables over states and actions, and an LQR has none; leave it out."
            )
    if not check.is_concrete(problem, theta):
        return
    state, control, gain = (np.asarray(x, np.float64) for x in (problem.state_matrix, problem.input_matrix, theta))
    radius = np.abs(np.linalg.eigvals(state + control @ gain)).max()
    if radius >= 1:
        raise ValueError(
            f"theta, the start, leaves the LQR unstable: ρ(A + Bθ) is {radius:.4g}, but must be below 1, or the "
            "critic's states have no law; start from a stabilising gain, such as lqr.optimal_gain() / 2."
        )


def check_sizes(name: str, num_states: int, num_actions: int, mdp: FiniteMDP) -> None:
    """Refuse a table that is not [S, A]."""
    if (num_states, num_actions) != (mdp.num_states, mdp.num_actions):
        raise ValueError(
            f"{name} is for {num_states} states and {num_actions} actions, but the MDP has {mdp.num_states} and "
            f"{mdp.num_actions}; build it with the MDP's sizes."
        )


def _made(usual: Any, policy: Any, *sizes: int) -> Any:
    policy = usual if policy is None else policy
    return policy(*sizes) if isinstance(policy, type) else policy


def _no_policy(policy: Any, usual: type) -> ValueError:
    return ValueError(f"policy must be a policy such as a3cjax.policies.{usual.__name__}, but is {policy!r}.")
