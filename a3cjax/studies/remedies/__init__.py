"""What helps against staleness."""

from a3cjax.studies.remedies.cases import REMEDIES, Chain, Delays, Problem, Remedy
from a3cjax.studies.remedies.ranking import RemedyRow
from a3cjax.studies.remedies.study import RemediesStudy, remedies

__all__ = ["REMEDIES", "Chain", "Delays", "Problem", "RemediesStudy", "Remedy", "RemedyRow", "remedies"]
