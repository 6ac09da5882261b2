"""Where the critic's law has no mass although the actor goes there, told before a run is made."""

import contextlib
import warnings
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Bool, Float

from a3cjax._core import check
from a3cjax._xla.compiler import quickly_compiled
from a3cjax.learners.policies import LinearSoftmax, TabularSoftmax
from a3cjax.problems import FiniteMDP


def warn_of_states_left_behind(mdp: FiniteMDP, policy: Any, theta: Float[Array, "*theta"]) -> None:
    """Warn if the chain from η under π_θ leaves some states for ever, or can end in several classes of states.

    A matter of which transitions are possible, so no tolerance is involved: a state is transient if its strongly
    connected component has a way out. If η can reach a transient state, it has mass on one.
    """
    if not check.is_concrete(mdp, theta):
        return
    # Where nothing is traced, without another context, for which the same programs would be compiled once more.
    with jax.ensure_compile_time_eval() if check.is_tracing() else contextlib.nullcontext():
        taken = np.asarray(probabilities(policy, theta)) > 0
    possible = np.asarray(mdp.transition) > 0
    steps = np.zeros((mdp.num_states, mdp.num_states), bool)
    for action in range(mdp.num_actions):
        steps |= taken[:, action, None] & possible[:, action]
    first = np.arange(mdp.num_states) == 0
    if _reached(steps, first).all() and _reached(steps.T, first).all():
        return
    # Here, because it takes long to import, and a chain seldom leaves anything behind.
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    count, component = connected_components(csr_array(steps), connection="strong")
    start = np.asarray(mdp.initial) > 0
    visited = _reached(steps, start)
    here, there = np.nonzero(steps)
    closed = np.ones(count, bool)
    closed[component[here[component[here] != component[there]]]] = False
    left = visited & ~closed[component]
    classes = np.unique(component[visited & closed[component]])
    if left.any():
        what = (
            f"leaves {left.sum()} of the {visited.sum()} states that it visits for ever, state {left.argmax()} among "
            "them. The stationary law μ has no mass there, so the critic never learns their values, although the actor "
            "learns from them"
        )
    elif len(classes) > 1:
        what = (
            f"stays for ever in one of {len(classes)} classes of states. A chain of the critic learns the values of "
            "one class alone, although the actor learns from all"
        )
    else:
        return
    warnings.warn(
        f"Under the start policy the chain from mdp.initial {what}: the policy that is learned may be wrong, and "
        "critic_error_sq, taken under μ, does not show it. Give mdp.transition a way back, such as a goal from where "
        "one starts again (as in families.gridworld), or use estimator='reinforce', which needs no critic.",
        stacklevel=check.level_of_caller(),
    )


def probabilities(policy: Any, theta: Float[Array, "*theta"]) -> Float[Array, "S A"]:
    """π_θ, for a door: of our own policies as one small program; others need not be of what JAX can trace here."""
    own = type(policy) in (TabularSoftmax, LinearSoftmax)
    return _at_once(policy, theta) if own else policy.probabilities(theta)


@quickly_compiled
def _at_once(policy: Any, theta: Float[Array, "*theta"]) -> Float[Array, "S A"]:
    return policy.probabilities(theta)


def _reached(steps: Bool[np.ndarray, "S S"], start: Bool[np.ndarray, " S"]) -> Bool[np.ndarray, " S"]:
    """What can be reached from ``start``, that included."""
    reached, new = start.copy(), start
    while new.any():
        new = steps[new].any(0) & ~reached
        reached |= new
    return reached
