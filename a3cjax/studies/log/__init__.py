"""What a real run's log says of its delays."""

from a3cjax.studies.log.study import LogRow, LogStudy, describe_log

__all__ = ["LogRow", "LogStudy", "describe_log"]
