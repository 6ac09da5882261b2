"""What a barrier costs in time: how long a round lasts, and how long workers wait in it."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float

from a3cjax.schedules import Schedule, compute_times
from a3cjax.schedules.compute_times import ComputeTime


def idle_shares(barrier: Schedule) -> Float[np.ndarray, " workers"]:
    """The share of its time that each worker waits: 1 − (sum of its compute times) / (time of all rounds).

    Exact from the schedule: in a round that begins at T a worker that arrives at t has computed for t − T. Always-busy
    workers never wait.

    Args:
        barrier: one schedule of ``Schedule.barrier``; a last round that was cut does not count.

    Raises:
        ValueError: if the schedule is not a barrier's.

    >>> import a3cjax, jax
    >>> laws = [a3cjax.compute_times.Deterministic(1.0), a3cjax.compute_times.Deterministic(4.0)]
    >>> idle_shares(a3cjax.Schedule.barrier(jax.random.key(0), laws, 10)).tolist()
    [0.75, 0.0]
    """
    workers = barrier.num_workers
    rounds = len(barrier) // workers
    who = np.asarray(barrier.worker)[: rounds * workers].reshape(rounds, workers)
    last = np.arange(rounds * workers) % workers == workers - 1
    if workers > 1:
        commit = None if barrier.commit is None else np.asarray(barrier.commit)[: rounds * workers]
        if commit is None or not rounds or (commit != last).any() or (np.sort(who) != np.arange(workers)).any():
            raise ValueError("barrier is another schedule; give one that Schedule.barrier made.")
    landed = np.asarray(barrier.time, np.float64)[: rounds * workers].reshape(rounds, workers)
    start = np.concatenate([[0.0], landed[:-1, -1]])
    computed = np.bincount(who.ravel(), weights=(landed - start[:, None]).ravel(), minlength=workers)
    return 1 - computed / landed[-1, -1]


def expected_round(team: Sequence[ComputeTime]) -> float:
    """E max_i c_i, the mean time of a round, ∫ 1 − Π_i P(c_i ≤ t) dt by quadrature; NaN for a law unknown here.

    N exponentials of mean one: H_N = 1 + 1/2 + … + 1/N.

    >>> from a3cjax.schedules.compute_times import Deterministic, Exponential
    >>> round(expected_round([Exponential(1.0)] * 4), 6), expected_round([Deterministic(1.0), Deterministic(2.5)])
    (2.083333, 2.5)
    """
    import scipy.integrate  # here, because it takes long to import

    fixed = [float(law.mean) for law in team if isinstance(law, compute_times.Deterministic)]
    least = max(fixed, default=0.0)
    shares = [_share_within(law) for law in team if not isinstance(law, compute_times.Deterministic)]
    if not shares:
        return least
    known = [share for share in shares if share is not None]
    if len(known) < len(shares):
        return float("nan")

    def left(t: float) -> float:
        return 1.0 - float(np.prod([share(t) for share in known]))

    scale = max(least, *(float(law.mean) for law in team))
    edges = least + scale * np.array([0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 64.0])
    total = sum(scipy.integrate.quad(left, low, high, limit=200)[0] for low, high in pairwise(edges))
    return float(least + total + scipy.integrate.quad(left, edges[-1], np.inf, limit=200)[0])


def expected_samples_time(team: Sequence[ComputeTime]) -> float:
    """The time of N samples of N always-busy workers: N over their total rate Σ_i 1/E c_i."""
    return len(team) / sum(1 / float(law.mean) for law in team)


def _share_within(law: Any) -> Callable[[float], float] | None:
    """The distribution function of a law."""
    import scipy.stats

    if isinstance(law, compute_times.Exponential):
        return scipy.stats.expon(scale=float(law.mean)).cdf
    if isinstance(law, compute_times.Lognormal):
        spread = np.log1p(float(law.cv) ** 2)
        return scipy.stats.lognorm(s=np.sqrt(spread), scale=float(law.mean) * np.exp(-spread / 2)).cdf
    if isinstance(law, compute_times.Gamma):
        return scipy.stats.gamma(a=float(law.cv) ** -2, scale=float(law.mean) * float(law.cv) ** 2).cdf
    if isinstance(law, compute_times.Pareto):
        tail = float(law.shape)
        return scipy.stats.pareto(b=tail, scale=float(law.mean) * (tail - 1) / tail).cdf
    if isinstance(law, compute_times.Uniform):
        return scipy.stats.uniform(loc=float(law.low), scale=float(law.high) - float(law.low)).cdf
    return None
