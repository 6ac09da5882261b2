"""Where an update's samples come from: the paper's two options.

A sampler has ``of(mdp, shared)`` (whether the actor uses the critic's sample), ``num_words``, ``init(key)`` (what one
worker keeps) and ``sample(policy, theta, kept, words)``.
"""

from typing import Any

from a3cjax.learners.sampling.iid import IIDSampler
from a3cjax.learners.sampling.linear_iid import LinearIIDSampler
from a3cjax.learners.sampling.markov import MarkovSampler
from a3cjax.problems import LQR

SAMPLERS = {"markov": MarkovSampler, "iid": IIDSampler}

__all__ = ["SAMPLERS", "IIDSampler", "LinearIIDSampler", "MarkovSampler", "sampler_of"]


def sampler_of(sampling: str, problem: Any, shared: bool) -> Any:
    """The sampler of an option for a problem."""
    if sampling == "iid" and isinstance(problem, LQR):
        return LinearIIDSampler.of(problem, shared)
    return SAMPLERS[sampling].of(problem, shared)
