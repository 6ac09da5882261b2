"""What a delay adds to the critic's and the actor's direction, against the delay, beside a bound."""

from a3cjax.studies.delay_errors.bound import DelayBound, delay_bound
from a3cjax.studies.delay_errors.result import DelayErrorRow, DelayErrorStudy
from a3cjax.studies.delay_errors.run import delay_errors

__all__ = ["DelayBound", "DelayErrorRow", "DelayErrorStudy", "delay_bound", "delay_errors"]
