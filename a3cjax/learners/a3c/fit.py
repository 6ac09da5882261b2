"""What of a learner's arguments must fit the problem, finite or linear-quadratic."""

from typing import Any

import jax
import numpy as np

from a3cjax._core import check
from a3cjax.learners.policies import LinearGaussian, TabularSoftmax
from a3cjax.problems import LQR, FiniteMDP

Problem = FiniteMDP | LQR


def check_problem(problem: Any) -> None:
    """Refuse what is neither."""
    if not isinstance(problem, FiniteMDP | LQR):
        raise ValueError(f"mdp must be an a3cjax.FiniteMDP or an a3cjax.LQR, but is a {type(problem).__name__}.")


def fitted_policy(policy: Any, problem: Problem) -> Any:
    """The policy itself, its class applied to the problem's sizes, or the usual one if None is given."""
    continuous = isinstance(problem, LQR)
    policy = (LinearGaussian if continuous else TabularSoftmax) if policy is None else policy
    if isinstance(policy, type):
        sizes = (problem.state_dim, problem.action_dim) if continuous else (problem.num_states, problem.num_actions)
        policy = policy(*sizes)
    usual = "LinearGaussian" if continuous else "TabularSoftmax"
    if not hasattr(policy, "mean" if continuous else "probabilities"):
        raise ValueError(f"policy must be a policy such as a3cjax.policies.{usual}, but is {policy!r}.")
    if isinstance(problem, FiniteMDP):
        check_sizes("policy", policy.num_states, policy.num_actions, problem)
    elif (policy.state_dim, policy.action_dim) != (problem.state_dim, problem.action_dim):
        raise ValueError(
            f"policy is for states of dimension {policy.state_dim} and actions of dimension {policy.action_dim}, but "
            f"the LQR has {problem.state_dim} and {problem.action_dim}; build it with the LQR's dimensions."
        )
    return policy


def check_sizes(name: str, num_states: int, num_actions: int, mdp: FiniteMDP) -> None:
    """Refuse a table that is not [S, A]."""
    if (num_states, num_actions) != (mdp.num_states, mdp.num_actions):
        raise ValueError(
            f"{name} is for {num_states} states and {num_actions} actions, but the MDP has {mdp.num_states} and "
            f"{mdp.num_actions}; build it with the MDP's sizes."
        )


def check_regulated(lqr: LQR, theta: jax.Array, given: dict[str, bool]) -> None:
    """Refuse options ``given`` that are for finite MDPs only, and a start without a stationary law."""
    for name, is_given in given.items():
        if is_given:
            raise ValueError(
                f"{name} is given, but it works on tables over states and actions, and an LQR has none; leave it out."
            )
    if not check.is_concrete(lqr, theta):
        return
    state, control, gain = (np.asarray(x, np.float64) for x in (lqr.state_matrix, lqr.input_matrix, theta))
    radius = np.abs(np.linalg.eigvals(state + control @ gain)).max()
    if radius >= 1:
        raise ValueError(
            f"theta, the start, leaves the LQR unstable: ρ(A + Bθ) is {radius:.4g}, but must be below 1, or the "
            "critic's states have no law; start from a stabilising gain, such as lqr.optimal_gain() / 2."
        )
