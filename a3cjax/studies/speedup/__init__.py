"""The speedup with the number of workers, eq. (1)."""

from a3cjax.studies.speedup.result import SpeedupRow, SpeedupStudy
from a3cjax.studies.speedup.run import SAMPLING, speedup

__all__ = ["SAMPLING", "SpeedupRow", "SpeedupStudy", "speedup"]
