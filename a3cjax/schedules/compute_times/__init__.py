"""Laws of compute times: positive reals in any unit, one law per worker.

``law.scaled(factor)`` makes a straggler: ``[law] * 7 + [law.scaled(10)]`` is seven workers and one ten times slower.
"""

from a3cjax._core.public import listing
from a3cjax.schedules.compute_times.bounded import Deterministic, Empirical, Uniform
from a3cjax.schedules.compute_times.heavy_tailed import Lognormal, Pareto
from a3cjax.schedules.compute_times.law import ComputeTime
from a3cjax.schedules.compute_times.light_tailed import Exponential, Gamma
from a3cjax.schedules.compute_times.stretches import Stretches

__all__ = [
    "ComputeTime",
    "Deterministic",
    "Empirical",
    "Exponential",
    "Gamma",
    "Lognormal",
    "Pareto",
    "Stretches",
    "Uniform",
]
__dir__ = listing(__all__)
