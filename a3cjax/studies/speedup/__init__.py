"""The speedup with the number of workers, eq. (1)."""

from a3cjax.studies.frame.runs import SAMPLING
from a3cjax.studies.speedup.returns import ReturnRow, ReturnStudy, speedup_to_return
from a3cjax.studies.speedup.study import SpeedupRow, SpeedupStudy, speedup

__all__ = [
    "SAMPLING",
    "ReturnRow",
    "ReturnStudy",
    "SpeedupRow",
    "SpeedupStudy",
    "speedup",
    "speedup_to_return",
]
