"""What may be said of one among several that were to meet a target."""

import math

from a3cjax.studies.frame.statistics import Ratio

UNDONE, NEVER, SOONEST, ALIKE = "not done", "never met the target", "soonest", "cannot be told apart"


def verdict(done: bool, reached: int, is_best: bool, to_best: Ratio) -> str:
    """In words, of one whose ``reached`` runs met the target, by its time over that of the best, with an interval.

    >>> verdict(True, 4, False, Ratio(1.2, 0.9, 1.6)), verdict(True, 4, False, Ratio(1.2, 1.1, 1.3))
    ('cannot be told apart', 'later')
    """
    if not done:
        return UNDONE
    if not reached:
        return NEVER
    if is_best:
        return SOONEST
    if not math.isfinite(to_best.low):
        return "no interval"
    return ALIKE if to_best.low <= 1 else "later"
