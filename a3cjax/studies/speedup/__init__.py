"""The speedup with the number of workers, eq. (1)."""

from a3cjax.studies.frame.runs import SAMPLING
from a3cjax.studies.speedup.study import SpeedupRow, SpeedupStudy, speedup

__all__ = ["SAMPLING", "SpeedupRow", "SpeedupStudy", "speedup"]
