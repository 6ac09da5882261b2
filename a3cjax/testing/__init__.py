"""Checks of conformance that users can call on what they have written."""

from a3cjax._core.public import listing
from a3cjax.testing.environment import check_environment
from a3cjax.testing.laws import check_compute_time, check_delay_law
from a3cjax.testing.learner import check_learner

__all__ = ["check_compute_time", "check_delay_law", "check_environment", "check_learner"]
__dir__ = listing(__all__)
