"""The synchronous barrier against asynchronous workers, on the same compute times."""

from a3cjax.studies.compare.rounds import expected_round, idle_shares
from a3cjax.studies.compare.study import CompareRow, CompareStudy, compare

__all__ = ["CompareRow", "CompareStudy", "compare", "expected_round", "idle_shares"]
