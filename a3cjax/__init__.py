"""a3cjax: say who updates when and how stale, and see what that does to an actor-critic."""

from a3cjax import studies
from a3cjax.engine import Diverged, Interrupted, Record, Result, SavedState, simulate
from a3cjax.learners import A3C, Learner, QuadraticSGD, policies
from a3cjax.problems import LQR, FiniteMDP, Prior, exact, families
from a3cjax.schedules import Schedule, compute_times, delays

__version__ = "0.1.0"

__all__ = [
    "A3C",
    "LQR",
    "Diverged",
    "FiniteMDP",
    "Interrupted",
    "Learner",
    "Prior",
    "QuadraticSGD",
    "Record",
    "Result",
    "SavedState",
    "Schedule",
    "compute_times",
    "delays",
    "exact",
    "families",
    "policies",
    "simulate",
    "studies",
]
