"""Where an update's samples come from: the paper's two options.

A sampler has ``of(mdp, shared)`` (whether the actor uses the critic's sample), ``num_words``, ``init(key)`` (what one
worker keeps) and ``sample(policy, theta, kept, words)``.
"""

import functools
from typing import Any

from a3cjax.learners.sampling.iid import IIDSampler
from a3cjax.learners.sampling.linear_iid import LinearIIDSampler
from a3cjax.learners.sampling.markov import MarkovSampler
from a3cjax.problems import LQR, FiniteMDP

SAMPLERS = {"markov": MarkovSampler, "iid": IIDSampler}

__all__ = ["SAMPLERS", "IIDSampler", "LinearIIDSampler", "MarkovSampler", "sampler_of"]


def sampler_of(sampling: str, problem: Any, shared: bool) -> Any:
    """The sampler of an option for a problem: for independent samples each kind of problem has its own."""
    kind = iid_sampler.dispatch(type(problem)) if sampling == "iid" else MarkovSampler.of
    return kind(problem, shared)


@functools.singledispatch
def iid_sampler(problem: FiniteMDP, shared: bool) -> Any:
    """Independent samples of a problem."""
    return IIDSampler.of(problem, shared)


@iid_sampler.register
def _(problem: LQR, shared: bool) -> Any:
    return LinearIIDSampler.of(problem, shared)
