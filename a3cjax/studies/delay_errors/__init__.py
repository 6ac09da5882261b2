"""What a delay adds to the critic's and the actor's direction, against the delay, beside a bound."""

from a3cjax.studies.delay_errors.bound import DelayBound, delay_bound
from a3cjax.studies.delay_errors.study import DelayErrorRow, DelayErrorStudy, delay_errors

__all__ = ["DelayBound", "DelayErrorRow", "DelayErrorStudy", "delay_bound", "delay_errors"]
