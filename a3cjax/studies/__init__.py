"""Questions asked of many runs, and what they share: statistics, tables, figures, files."""

from a3cjax.studies.speedup import SAMPLING, SpeedupRow, SpeedupStudy, speedup
from a3cjax.studies.statistics import first_crossing, mean_interval, ratio_of_means
from a3cjax.studies.study import Study, StudyInterrupted

__all__ = [
    "SAMPLING",
    "SpeedupRow",
    "SpeedupStudy",
    "Study",
    "StudyInterrupted",
    "first_crossing",
    "mean_interval",
    "ratio_of_means",
    "speedup",
]
