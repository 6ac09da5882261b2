"""a3cjax: say who updates when and how stale, and see what that does to an actor-critic."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from a3cjax import environments, networks, optax, remedies, studies, sweeps, testing
    from a3cjax._core.tree import static
    from a3cjax._xla.compilation_cache import compilation_cache
    from a3cjax.engine import Diverged, Interrupted, Record, Result, SavedState, grid, interval, simulate
    from a3cjax.learners import A3C, AbstractLearner, ActorCritic, Learner, QuadraticSGD, WrappedLearner, policies
    from a3cjax.problems import LQR, FiniteMDP, Prior, exact, families
    from a3cjax.schedules import Schedule, Team, calibrate, compute_times, delays, waits

__version__ = "0.1.0"

__all__ = [
    "A3C",
    "LQR",
    "AbstractLearner",
    "ActorCritic",
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
    "Team",
    "WrappedLearner",
    "calibrate",
    "compilation_cache",
    "compute_times",
    "delays",
    "environments",
    "exact",
    "families",
    "grid",
    "interval",
    "networks",
    "optax",
    "policies",
    "remedies",
    "simulate",
    "static",
    "studies",
    "sweeps",
    "testing",
    "waits",
]

# Each folder is imported when a name of it is first asked for, so that the command can listen for Ctrl-C before JAX is
# there, which takes a second or two.
_FOLDERS = {
    "engine": ("Diverged", "Interrupted", "Record", "Result", "SavedState", "grid", "interval", "simulate"),
    "environments": (),
    "learners": ("A3C", "AbstractLearner", "ActorCritic", "Learner", "QuadraticSGD", "WrappedLearner", "policies"),
    "networks": (),
    "optax": (),
    "remedies": (),
    "problems": ("LQR", "FiniteMDP", "Prior", "exact", "families"),
    "schedules": ("Schedule", "Team", "calibrate", "compute_times", "delays", "waits"),
    "studies": (),
    "sweeps": (),
    "testing": (),
    "_core.tree": ("static",),
    "_xla.compilation_cache": ("compilation_cache",),
}


def __getattr__(name: str) -> Any:
    for folder, names in _FOLDERS.items():
        if name == folder or name in names:
            home = importlib.import_module(f"a3cjax.{folder}")
            value = globals()[name] = home if name == folder else getattr(home, name)
            return value
    raise AttributeError(f"module 'a3cjax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
