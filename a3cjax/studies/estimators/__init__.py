"""Four estimators of one gradient: their variance and bias, and what comes of them under delay."""

from a3cjax.studies.estimators.moments import Moments, direction_moments
from a3cjax.studies.estimators.study import EstimatorsRow, EstimatorsStudy, estimators

__all__ = ["EstimatorsRow", "EstimatorsStudy", "Moments", "direction_moments", "estimators"]
