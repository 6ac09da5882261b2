"""Slowing an MDP down."""

from numpy.typing import ArrayLike

from a3cjax._core import check
from a3cjax._core.known import numpy_if_known
from a3cjax.problems.mdp import FiniteMDP


def lazy(mdp: FiniteMDP, stay: ArrayLike) -> FiniteMDP:
    """The same MDP, except that with probability ``stay`` a step goes nowhere: P ← stay · I + (1 − stay) · P.

    Every policy keeps its stationary law, and its chain takes about 1/(1 − stay) times as long to mix; a periodic
    chain becomes aperiodic. Rewards r(s,a) are paid also for staying; rewards r(s,a,s') pay r(s,a,s).

    Raises ValueError for a ``stay`` outside [0, 1).

    >>> import a3cjax
    >>> slow = a3cjax.families.lazy(a3cjax.families.ring(4, slip=0.0), stay=0.75)
    >>> slow.transition[0, 1].tolist()
    [0.75, 0.25, 0.0, 0.0]
    """
    stay = check.float_array("stay", stay, ())
    check.number("stay", stay, least=0, below=1)
    module, stays, moves = numpy_if_known(stay, mdp.transition)
    identity = module.eye(mdp.num_states, dtype=moves.dtype)[:, None, :]
    return FiniteMDP(stays * identity + (1 - stays) * moves, mdp.reward, mdp.initial, mdp.discount, mdp.features)
