"""Whether a law keeps its contract: shapes, ranges, the mean it names, and independence of what is compiled."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from a3cjax.schedules import Schedule


def check_delay_law(law: Any, *, num_updates: int = 4000, key: Any = None) -> None:
    """Draw from a law of delays, alone and through ``Schedule.from_law``, and look at what comes.

    Delays are whole numbers of shape [num_updates], not negative; the same key gives the same, inside ``jit`` too;
    their average lies within five standard errors of ``law.mean``, where that is finite; and a schedule drawn from the
    law has min(delay, k).

    Args:
        law: a delay law, for one run.
        num_updates: how many to draw, at least 100.
        key: of all randomness; ``jax.random.key(0)`` if not given.

    Raises:
        ValueError: at the first promise that is not kept.

    >>> import a3cjax
    >>> a3cjax.testing.check_delay_law(a3cjax.delays.Poisson(3.0))
    """
    key = jax.random.key(0) if key is None else key
    kind = type(law).__name__
    schedule = Schedule.from_law(key, law, num_updates, num_workers=2)  # refuses shapes and dtypes in a sentence
    drawn = np.asarray(law.sample(key, num_updates))
    if (drawn < 0).any():
        raise ValueError(f"{kind}.sample drew {drawn.min()}, but a delay must not be negative.")
    again = np.asarray(jax.jit(lambda k: law.sample(k, num_updates))(key))
    if not np.array_equal(drawn, again):
        raise ValueError(f"{kind}.sample gives other delays inside jit with the same key; let the key alone decide.")
    _check_mean(kind, drawn, law.mean)
    most = np.arange(num_updates)
    if (np.asarray(schedule.delay) > most).any():
        raise ValueError(f"a schedule of {kind} reads versions from before the start.")


def check_compute_time(law: Any, *, draws: int = 4000, key: Any = None) -> None:
    """Draw from a law of compute times, alone and in a team of workers, and look at what comes.

    A draw is one positive number; the same key gives the same, inside ``vmap`` too; their average lies within five
    standard errors of ``law.mean``, unless few draws decide it; ``scaled(2)``, if there is one, doubles them; and what
    workers write, they write in the order of time.

    Args:
        law: a law of compute times, for one run.
        draws: how many, at least 100.
        key: of all randomness; ``jax.random.key(0)`` if not given.

    Raises:
        ValueError: at the first promise that is not kept.

    >>> import a3cjax
    >>> a3cjax.testing.check_compute_time(a3cjax.compute_times.Gamma(2.0, 0.5))
    """
    keys = jax.random.split(jax.random.key(0) if key is None else key, draws)
    kind = type(law).__name__
    schedule = Schedule.from_workers(keys[0], [law] * 2, 50)  # refuses shapes and values in a sentence
    drawn = np.asarray(jax.vmap(law.sample)(keys))
    if drawn.shape != (draws,) or not (drawn > 0).all():
        raise ValueError(f"{kind}.sample drew {drawn.min()} of shape {drawn.shape[1:]}; give one positive number.")
    alone = np.asarray(jnp.stack([law.sample(k) for k in keys[:8]]))
    if not np.allclose(alone, drawn[:8], 1e-6, 0):
        raise ValueError(f"{kind}.sample gives other times inside vmap with the same key; let the key alone decide.")
    _check_mean(kind, drawn, law.mean)
    if hasattr(law, "scaled"):
        slow = np.asarray(jax.vmap(law.scaled(2.0).sample)(keys))
        if not np.allclose(slow, 2 * drawn, 1e-5, 0):
            raise ValueError(f"{kind}.scaled(2.0) does not double the times that the same key draws.")
    if not (np.diff(schedule.time) >= 0).all():
        raise ValueError(f"workers of {kind} write in an order that time does not follow.")


def _check_mean(kind: str, drawn: np.ndarray, mean: Any) -> None:
    mean = float(np.asarray(mean))
    error = drawn.std() / len(drawn) ** 0.5
    heavy = np.sort(drawn)[-len(drawn) // 100 :].sum() > 0.3 * drawn.sum()  # a mean that few draws decide
    if np.isfinite(mean) and not heavy and abs(drawn.mean() - mean) > 5 * error + 1e-5 * abs(mean):
        raise ValueError(f"{kind}.mean is {mean:g}, but {len(drawn)} draws average {drawn.mean():.5g} ± {error:.2g}.")
