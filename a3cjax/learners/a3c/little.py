"""How much of A3C is little work; see ``AbstractLearner.little_work``."""

from typing import Any

import jax.numpy as jnp

from a3cjax.learners.policies import LinearSoftmax, TabularSoftmax
from a3cjax.problems import FiniteMDP

# So many take 8 ms longer than in a program that was compiled well, which takes half a second more to compile; and a
# user who simulates them again and again waits as long for everything else.
_SAMPLES = 1 << 15


def updates_of_little_work(learner: Any) -> int:
    """For what is known to the last bit: tables or linear softmax policies in single precision, steps that are numbers.

    An exponential in double precision, and a draw from a normal law, are sums of products that nobody rounds; and so
    may be a step that is a function, or an optimiser.
    """
    is_known = type(learner.mdp) is FiniteMDP and type(learner.policy) in (TabularSoftmax, LinearSoftmax)
    numbers = not any(one is None or callable(one) for one in (learner.actor_step, learner.critic_step))
    if not is_known or not numbers or jnp.result_type(float) != jnp.float32:
        return 0
    transitions = getattr(learner.gradient_estimator, "horizon", 1)
    return _SAMPLES // (learner.minibatch * transitions)
