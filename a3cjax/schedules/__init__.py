"""Who updates when, and how stale: schedules, laws of delays, event-driven workers."""

from a3cjax.schedules import compute_times, delays, waits
from a3cjax.schedules.calibration import Team, calibrate
from a3cjax.schedules.report import PipelineReport
from a3cjax.schedules.schedule import Schedule

__all__ = ["PipelineReport", "Schedule", "Team", "calibrate", "compute_times", "delays", "waits"]
