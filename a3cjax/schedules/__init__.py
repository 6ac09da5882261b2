"""Who updates when, and how stale: schedules, laws of delays, event-driven workers."""

import importlib
from typing import TYPE_CHECKING, Any

from a3cjax.schedules import compute_times, delays, waits
from a3cjax.schedules.report import PipelineReport
from a3cjax.schedules.schedule import Schedule

if TYPE_CHECKING:
    from a3cjax.schedules.calibration import Team, calibrate

__all__ = ["PipelineReport", "Schedule", "Team", "calibrate", "compute_times", "delays", "waits"]


def __getattr__(name: str) -> Any:
    if name in ("Team", "calibrate"):  # when they are asked for, because fifteen files take time to import
        return getattr(importlib.import_module("a3cjax.schedules.calibration"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
