"""For how long a worker keeps its core: the time slice with which the model's delays spread as those of the log."""

import math

import jax
import numpy as np

from a3cjax.schedules.calibration.team import Team

_LEAST, _GREATEST = 1 / 8, 64.0  # times the mean computing time
_HALVINGS = 6
_UPDATES = 4000


def fit_slice(team: Team, variance: float, updates: int, seed: int) -> tuple[float, float]:
    """The slice with which the delays of the team have this variance, which mostly grows with it, and what it gives.

    From an eighth to 64 times the mean computing time in steps of 2, then between two of these by halving their ratio
    six times; all with the same draws. Where no slice of these gives as much, the one that gives the most is taken.
    """
    mean = float(np.mean([law.mean for law in team.compute_times]))

    def of(time_slice: float) -> float:
        schedule = team.with_cores(team.cores, time_slice).schedule(jax.random.key(seed), min(updates, _UPDATES))
        return float(np.var(np.asarray(schedule.delay, np.float64)))

    tried = {_LEAST * mean: of(_LEAST * mean)}
    while list(tried.values())[-1] < variance and list(tried)[-1] < _GREATEST * mean:
        tried[2 * list(tried)[-1]] = of(2 * list(tried)[-1])
    if len(tried) == 1 or list(tried.values())[-1] < variance:
        best = max(tried, key=lambda time_slice: tried[time_slice])
        return best, tried[best]
    low, high = list(tried)[-2:]
    for _ in range(_HALVINGS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if of(middle) < variance else (low, middle)
    found = math.sqrt(low * high)
    return found, of(found)
