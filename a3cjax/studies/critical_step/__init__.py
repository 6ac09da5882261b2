"""The critical step of delayed updates, measured beside its closed form."""

from a3cjax.studies.critical_step.study import CriticalStepRow, CriticalStepStudy, critical_step

__all__ = ["CriticalStepRow", "CriticalStepStudy", "critical_step"]
