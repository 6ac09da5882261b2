"""Who meets the target sooner, in words."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from a3cjax.studies.frame.tables import interval, short


def verdict(rows: Sequence[Any], seeds: int) -> str:
    """A sentence on one law and N, given the ``CompareRow`` of async and those of both barriers: the better counts."""
    free, *barriers = rows
    where = f"{free.law}, N = {free.workers}"
    met = [row for row in barriers if np.isfinite(row.time_to_target)]
    if not np.isfinite(free.time_to_target):
        if not met:
            return f"{where}: neither async nor a barrier met the target with every seed."
        best = min(met, key=lambda row: row.time_to_target)
        return f"{where}: {_named(best)} wins; async met the target with {free.reached} of {seeds} seeds only."
    if not met:
        return f"{where}: async wins; with no barrier did every seed meet the target."
    best = min(met, key=lambda row: row.time_to_target)
    ends = f" ({interval(best.ratio_low, best.ratio_high)})" if np.isfinite(best.ratio_low) else ""
    amount = f"async takes {short(best.time_ratio)}{ends} of the time of {_named(best)}"
    if not np.isfinite(best.ratio_low):
        return f"{where}: {amount}; one seed has no interval."
    if best.ratio_low <= 1 <= best.ratio_high:
        return f"{where}: {amount}: no difference that {seeds} seeds can tell."
    return f"{where}: {amount}: {'async' if best.time_ratio < 1 else 'the barrier'} wins."


def _named(row: Any) -> str:
    return "the barrier with N × the step" if row.step_factor > 1 else "the barrier with the same step"
