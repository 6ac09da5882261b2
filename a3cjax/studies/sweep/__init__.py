"""Delay laws × delays × step sizes × seeds."""

from a3cjax.studies.sweep.result import SweepRow, SweepStudy
from a3cjax.studies.sweep.run import sweep

__all__ = ["SweepRow", "SweepStudy", "sweep"]
