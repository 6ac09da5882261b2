"""How one update is made: the protocol, A3C with TD(0), networks, policies, samplers."""

from a3cjax.learners import policies
from a3cjax.learners.a3c.learner import A3C
from a3cjax.learners.actor_critic import ActorCritic
from a3cjax.learners.protocol import AbstractLearner, Learner
from a3cjax.learners.quadratic import QuadraticSGD
from a3cjax.learners.wrapped import WrappedLearner

__all__ = ["A3C", "AbstractLearner", "ActorCritic", "Learner", "QuadraticSGD", "WrappedLearner", "policies"]
