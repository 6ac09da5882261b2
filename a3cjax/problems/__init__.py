"""What is learned: the finite MDP, families of them, and exact oracles."""

from a3cjax.problems import exact, families
from a3cjax.problems.mdp import FiniteMDP
from a3cjax.problems.prior import Prior

__all__ = ["FiniteMDP", "Prior", "exact", "families"]
