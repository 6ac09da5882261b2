"""Families of MDPs, from the paper's dense random one to chains slow enough for delays to bite."""

from a3cjax.problems.families.garnet import garnet
from a3cjax.problems.families.gridworld import gridworld
from a3cjax.problems.families.lazy import lazy
from a3cjax.problems.families.ring import ring
from a3cjax.problems.families.synthetic import synthetic

__all__ = ["garnet", "gridworld", "lazy", "ring", "synthetic"]
