"""Some of a batch's schedules, any of them more than once."""

from typing import Any

import jax
import numpy as np

from a3cjax.schedules.schedule import Schedule


def taken(batch: Schedule, rows: Any) -> Schedule:
    """Those in the places ``rows``; what was found out by sorting is found out once for each schedule, not each row."""
    again = jax.tree.map(lambda column: column[rows], batch)
    own_reads, ranks = batch._own_reads_and_ranks
    again.__dict__["_own_reads_and_ranks"] = own_reads[rows], ranks[rows]
    return again


def repeated(one: Schedule, count: int) -> Schedule:
    """One schedule so many times, in the memory of one."""
    batch = jax.tree.map(lambda column: np.broadcast_to(column, (count, *column.shape)), one)
    batch.__dict__["_own_reads_and_ranks"] = tuple(
        np.broadcast_to(known, (count, *np.shape(known))) for known in one._own_reads_and_ranks
    )
    return batch
