"""Logs of real runs: readers by format, the order of their updates, and a report of what was found and mended."""

from a3cjax.schedules.logs.report import LogError, LogReport

__all__ = ["LogError", "LogReport"]
