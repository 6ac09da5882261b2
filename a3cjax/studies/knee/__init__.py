"""The number of workers at which linear speedup breaks."""

from a3cjax.studies.knee.study import KneeRow, KneeStudy, knee

__all__ = ["KneeRow", "KneeStudy", "knee"]
