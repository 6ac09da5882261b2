"""Questions asked of many runs, and what they share: statistics, tables, figures, files."""

from a3cjax.studies.chains import ChainsRow, ChainsStudy, chains
from a3cjax.studies.compare import CompareRow, CompareStudy, compare
from a3cjax.studies.delay_errors import DelayBound, DelayErrorRow, DelayErrorStudy, delay_bound, delay_errors
from a3cjax.studies.speedup import SAMPLING, SpeedupRow, SpeedupStudy, speedup
from a3cjax.studies.statistics import first_crossing, mean_interval, ratio_of_means
from a3cjax.studies.study import Study, StudyInterrupted

__all__ = [
    "SAMPLING",
    "ChainsRow",
    "ChainsStudy",
    "CompareRow",
    "CompareStudy",
    "DelayBound",
    "DelayErrorRow",
    "DelayErrorStudy",
    "SpeedupRow",
    "SpeedupStudy",
    "Study",
    "StudyInterrupted",
    "chains",
    "compare",
    "delay_bound",
    "delay_errors",
    "first_crossing",
    "mean_interval",
    "ratio_of_means",
    "speedup",
]
