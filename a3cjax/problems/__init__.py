"""What is learned: the finite MDP, the linear-quadratic regulator, families of both, and exact oracles."""

from a3cjax.problems import exact, families
from a3cjax.problems.lqr import LQR
from a3cjax.problems.mdp import FiniteMDP
from a3cjax.problems.prior import Prior

__all__ = ["LQR", "FiniteMDP", "Prior", "exact", "families"]
