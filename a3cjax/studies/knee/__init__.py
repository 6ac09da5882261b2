"""The number of workers at which linear speedup breaks."""

from a3cjax.studies.knee.result import KneeRow, KneeStudy
from a3cjax.studies.knee.run import knee

__all__ = ["KneeRow", "KneeStudy", "knee"]
