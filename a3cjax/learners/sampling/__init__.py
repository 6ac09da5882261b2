"""Where an update's samples come from: the paper's two options.

A sampler has ``of(mdp, shared)`` (whether the actor uses the critic's sample), ``num_words``, ``init(key)`` (what one
worker keeps) and ``sample(policy, theta, kept, words)``.
"""

from a3cjax.learners.sampling.iid import IIDSampler
from a3cjax.learners.sampling.markov import MarkovSampler

SAMPLERS = {"markov": MarkovSampler, "iid": IIDSampler}

__all__ = ["SAMPLERS", "IIDSampler", "MarkovSampler"]
