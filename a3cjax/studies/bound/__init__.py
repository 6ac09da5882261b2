"""Which staleness to allow: throughput against sample efficiency."""

from a3cjax.studies.bound.ranking import BoundRow
from a3cjax.studies.bound.study import BoundStudy, bound
from a3cjax.studies.bound.tokens import generated_tokens

__all__ = ["BoundRow", "BoundStudy", "bound", "generated_tokens"]
