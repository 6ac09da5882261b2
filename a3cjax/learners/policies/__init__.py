"""Policies: how θ becomes π_θ(·|s).

A policy has ``num_states``, ``num_actions``, ``shape``, ``init()``, ``probabilities(theta)``, ``logits(theta, state)``,
``describe(theta, state)`` (π_θ(·|s) as ``score`` takes it), ``score(state, action, probabilities, weight)`` (a
direction in θ, as sparse as it is), ``merge(directions)`` and ``ascend(theta, direction, step)``. For importance
weights it has ``likelihood(probabilities, action)``, which a sample carries, and ``ratio(probabilities, action,
likelihood)``.

``LinearGaussian``, for continuous states and actions, has ``state_dim``, ``action_dim``, ``mean(theta, state)`` and
``action(mean, normal)`` where these have ``num_states``, ``num_actions``, ``probabilities`` and ``logits``; its
``score`` takes the mean in place of the probabilities.
"""

from a3cjax._core.public import listing
from a3cjax.learners.policies.gaussian import LinearGaussian
from a3cjax.learners.policies.linear import LinearSoftmax
from a3cjax.learners.policies.tabular import TabularSoftmax

__all__ = ["LinearGaussian", "LinearSoftmax", "TabularSoftmax"]
__dir__ = listing(__all__)
