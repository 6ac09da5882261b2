"""What a team is asked: as it is, with one worker slower, and with gradients that are too stale thrown away."""

import math
from typing import Literal

import jax
import numpy as np

from a3cjax.schedules import Schedule, Team

TEAM, SLOWER, BOUNDED = "as it is", "one slower", "bounded"
CASES = (TEAM, SLOWER, BOUNDED)


def draw(
    team: Team, key: jax.Array, num_updates: int, *, slower: float, bound: float, draws: Literal["laws", "stretches"]
) -> dict[str, Schedule]:
    """A schedule of ``num_updates`` gradients for each case; the bound is ``bound`` · N updates.

    Of one worker only the first case, for there is nobody else to be slower or stale.
    """
    drawn = {TEAM: team.schedule(key, num_updates, draws=draws)}
    if team.num_workers > 1:
        drawn[SLOWER] = team.slowed(0, slower).schedule(key, num_updates, draws=draws)
        drawn[BOUNDED] = discard(drawn[TEAM], math.ceil(bound * team.num_workers))
    return drawn


def discard(schedule: Schedule, threshold: int) -> Schedule:
    """The schedule whose gradients are thrown away where their delay reaches a threshold, as in Ringmaster ASGD.

    Landings and reads stay when they are. What is thrown away is a row of weight 0 and makes no version, so that the
    delays of others shrink: with W_k the number of gradients before k that were applied, and r_k = k − delay_k those of
    all kinds that had landed at k's read, the delay of k becomes W_k − W_{r_k}.

    >>> schedule = discard(Schedule(worker=[0, 0, 1, 0], delay=[0, 0, 2, 1], time=[1, 2, 2.5, 3]), threshold=2)
    >>> schedule.weight.tolist(), schedule.delay.tolist()
    ([1, 1, 0, 1], [0, 0, 2, 0])
    """
    reads = np.asarray(schedule.reads).tolist()
    applied, delay, weight = [0], [], []
    for k, read in enumerate(reads):
        late = applied[k] - applied[read]
        delay.append(late)
        weight.append(int(late < threshold))
        applied.append(applied[k] + weight[k])
    return Schedule(schedule.worker, delay, schedule.time, num_workers=schedule.num_workers, weight=weight)


def numbers(schedule: Schedule) -> dict[str, float]:
    """What a schedule says by itself: of updates, so that what was thrown away does not count."""
    kept = np.ones(len(schedule), bool) if schedule.weight is None else np.asarray(schedule.weight) == 1
    delay = np.asarray(schedule.delay)[kept]
    median, p99 = (float(np.quantile(delay, level, method="inverted_cdf")) for level in (0.5, 0.99))
    return {
        "rate": float(kept.sum() / schedule.time[-1]), "mean_delay": float(delay.mean()), "median_delay": median,
        "p99_delay": p99, "discarded": float(1 - kept.mean()), "last_time": float(schedule.time[-1]),
    }  # fmt: skip
