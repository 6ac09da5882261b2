"""How one update is made: the protocol, A3C with TD(0), policies, samplers."""

from a3cjax.learners import policies
from a3cjax.learners.a3c import A3C
from a3cjax.learners.protocol import Learner
from a3cjax.learners.quadratic import QuadraticSGD

__all__ = ["A3C", "Learner", "QuadraticSGD", "policies"]
