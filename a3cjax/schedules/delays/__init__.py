"""Laws of delays: the abstract model, in which staleness is drawn rather than made by workers."""

from a3cjax._core.public import listing
from a3cjax.schedules.delays.discrete import Empirical, Uniform, Zipf
from a3cjax.schedules.delays.fixed import Constant, Cyclic
from a3cjax.schedules.delays.geometric import Geometric
from a3cjax.schedules.delays.law import DelayLaw
from a3cjax.schedules.delays.poisson import Poisson

__all__ = ["Constant", "Cyclic", "DelayLaw", "Empirical", "Geometric", "Poisson", "Uniform", "Zipf"]
__dir__ = listing(__all__)
