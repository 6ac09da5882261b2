"""Policies: how θ becomes π_θ(·|s).

A policy has ``num_states``, ``num_actions``, ``shape``, ``init()``, ``probabilities(theta)``, ``logits(theta, state)``,
``score(state, action, probabilities, weight)`` (a direction in θ, as sparse as it is), ``merge(directions)`` and
``ascend(theta, direction, step)``.
"""

from a3cjax.learners.policies.linear import LinearSoftmax
from a3cjax.learners.policies.tabular import TabularSoftmax

__all__ = ["LinearSoftmax", "TabularSoftmax"]
