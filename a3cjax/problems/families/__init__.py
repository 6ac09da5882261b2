"""Families of MDPs, from the paper's dense random one to chains slow enough for delays to bite."""

from a3cjax._core.public import listing
from a3cjax.problems.families.double_integrator import double_integrator
from a3cjax.problems.families.garnet import garnet
from a3cjax.problems.families.gridworld import gridworld
from a3cjax.problems.families.lazy import lazy
from a3cjax.problems.families.random_lqr import random_lqr
from a3cjax.problems.families.ring import ring
from a3cjax.problems.families.synthetic import synthetic

__all__ = ["double_integrator", "garnet", "gridworld", "lazy", "random_lqr", "ring", "synthetic"]
__dir__ = listing(__all__)
