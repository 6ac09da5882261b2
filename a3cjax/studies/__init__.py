"""Questions asked of many runs: the speedup with the number of workers, its statistics, tables and figures."""

from a3cjax.studies.speedup import SAMPLING, SpeedupInterrupted, speedup
from a3cjax.studies.speedup_study import SpeedupRow, SpeedupStudy
from a3cjax.studies.statistics import first_crossing, ratio_of_means

__all__ = [
    "SAMPLING",
    "SpeedupInterrupted",
    "SpeedupRow",
    "SpeedupStudy",
    "first_crossing",
    "ratio_of_means",
    "speedup",
]
