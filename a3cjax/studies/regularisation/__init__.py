"""Theorem 5's regulariser measured: what the weight λ of a prior does to J, J_λ and the distance to the prior."""

from a3cjax.studies.regularisation.landscape import Landscape, Point
from a3cjax.studies.regularisation.priors import typical_priors
from a3cjax.studies.regularisation.study import RegularisationRow, RegularisationStudy, regularisation

__all__ = ["Landscape", "Point", "RegularisationRow", "RegularisationStudy", "regularisation", "typical_priors"]
