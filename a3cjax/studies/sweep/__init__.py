"""Delay laws × delays × step sizes × seeds."""

from a3cjax.studies.sweep.study import SweepRow, SweepStudy, sweep

__all__ = ["SweepRow", "SweepStudy", "sweep"]
