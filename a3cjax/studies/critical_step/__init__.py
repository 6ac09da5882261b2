"""The critical step of delayed updates, measured beside its closed form."""

from a3cjax.studies.critical_step.result import CriticalStepRow, CriticalStepStudy
from a3cjax.studies.critical_step.run import critical_step

__all__ = ["CriticalStepRow", "CriticalStepStudy", "critical_step"]
