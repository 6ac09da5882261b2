"""What the benchmarks share: the paper's MDP, its learner, schedules, and timing in rounds with compilation apart.

The workload is the paper's dense MDP (|S| = 100, |A| = 5, 10 features) with the Markov option, float32, no prior,
projection on.
"""

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import jax
import numpy as np
from jaxtyping import Float

import a3cjax
from benchmarks.c_loop import CLoop

History = Literal["mailbox", "ring"]

ACTOR_STEP = CRITIC_STEP = 0.05
RADIUS = 100.0
_COMPILED = 0.01  # a call that spent more than this part of its time on compilation is not a round,
_MOST_APART = 2  # unless every call compiles: then that is what it costs


def paper_mdp() -> a3cjax.FiniteMDP:
    """The MDP of every benchmark."""
    return a3cjax.families.synthetic(jax.random.key(0))


def paper_learner(mdp: a3cjax.FiniteMDP, **options: Any) -> a3cjax.A3C:
    """A3C on it, with the steps and the radius that the comparators use too."""
    return a3cjax.A3C(mdp, actor_step=ACTOR_STEP, critic_step=CRITIC_STEP, radius=RADIUS, **options)


def policy_features() -> Float[jax.Array, "S A m"]:
    """Features of a linear softmax policy with 50 parameters."""
    return jax.random.uniform(jax.random.key(2), (100, 5, 50)) / 5


def arrays_of(mdp: a3cjax.FiniteMDP) -> list[Any]:
    """What the comparators take: transition, reward, initial, discount, features."""
    arrays: list[Any] = [np.asarray(a) for a in (mdp.transition, mdp.reward, mdp.initial)]
    return [*arrays, float(mdp.discount), np.asarray(mdp.features)]


def use_one_core() -> set[int]:
    """One JAX device, and this process on one core; returns the cores that it had."""
    jax.config.update("jax_num_cpu_devices", 1)
    if not hasattr(os, "sched_setaffinity"):
        return set()
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    return cores


def use_cores(cores: set[int]) -> None:
    """This process, and those that it starts, on ``cores``."""
    if cores:
        os.sched_setaffinity(0, cores)


def own_schedules(history: History, runs: int, updates: int, size: int) -> a3cjax.Schedule:
    """A schedule of its own for each run: ``size`` random writers, or delays uniform below ``size``."""
    rng = np.random.default_rng(0)
    shape = (runs, updates)
    time_of = np.broadcast_to(np.arange(1.0, updates + 1), shape)
    if history == "ring":
        delay = np.minimum(rng.integers(0, size, shape), np.arange(updates))
        return looked_at(a3cjax.Schedule(np.zeros(shape, np.int32), delay, time_of, num_workers=1))
    worker = rng.integers(0, size, shape)
    order = np.argsort(worker, axis=-1, kind="stable")
    grouped = np.take_along_axis(worker, order, -1)
    previous = np.where(np.diff(grouped, axis=-1, prepend=-1) != 0, -1, np.roll(order, 1, axis=-1))
    delay = np.empty_like(worker)
    np.put_along_axis(delay, order, order - 1 - previous, -1)
    return looked_at(a3cjax.Schedule(worker, delay, time_of, num_workers=size))


def looked_at(schedule: a3cjax.Schedule) -> a3cjax.Schedule:
    """The schedule, sorted by worker: it keeps that for its next replay, so that no round pays for it."""
    schedule.ranks()
    return schedule


def shared_schedule(updates: int, num_workers: int = 16) -> a3cjax.Schedule:
    """One schedule for all runs: workers with exponential compute times, drawn on the host's processor."""
    workers = [a3cjax.compute_times.Exponential(1.0)] * num_workers
    with jax.default_device(jax.devices("cpu")[0]):
        return looked_at(a3cjax.Schedule.from_workers(jax.random.key(1), workers, updates))


def c_seconds(loop: Any, history: History, schedule: a3cjax.Schedule, runs: int, size: int) -> float:
    """Seconds that the C loop takes for the first ``runs`` runs of the schedule."""
    shared: dict[str, Any] = dict(runs=runs, seed=0, actor_step=ACTOR_STEP, critic_step=CRITIC_STEP, radius=RADIUS)
    worker, delay = (np.asarray(c)[..., :runs, :] if c.ndim == 2 else c for c in (schedule.worker, schedule.delay))
    if history == "mailbox":
        implied = {"delay": None} if isinstance(loop, CLoop) else {}  # workers imply them
        return loop.mailbox(np.asarray(worker), num_workers=size, **implied, **shared).seconds
    return loop.ring(np.asarray(worker), np.asarray(delay), depth=size, num_workers=1, **shared).seconds


@dataclass
class Rounds:
    """Seconds of each round of a call, those of what was timed beside it, and the seconds of the call that compiled."""

    seconds: list[float] = field(default_factory=list)
    beside: list[tuple[float, ...]] = field(default_factory=list)
    first: float = 0.0

    def per(self, work: float) -> tuple[float, float, float]:
        """Median, fastest and slowest round, divided by ``work``."""
        return statistics.median(self.seconds) / work, min(self.seconds) / work, max(self.seconds) / work

    def add(self, more: "Rounds") -> None:
        """Further rounds of the same call."""
        self.seconds += more.seconds
        self.beside += more.beside
        self.first += more.first


def time_rounds(
    call: Callable[[], Any],
    rounds: int,
    *,
    beside: Callable[[], tuple[float, ...]] | None = None,
) -> Rounds:
    """Time ``call`` in rounds; a call that had to compile is kept apart, as the first.

    Args:
        call: waits for its own result.
        rounds: how many, at least 1.
        beside: comparators to run in turn with the call; gives the seconds of each.
    """
    done = Rounds()
    kept_apart = 0
    while len(done.seconds) < rounds:
        compiled = _compile_seconds()
        began = time.perf_counter()
        call()
        seconds = time.perf_counter() - began
        if kept_apart < _MOST_APART and _compile_seconds() - compiled > _COMPILED * seconds:
            kept_apart += 1
            done.first += seconds
            continue
        done.seconds.append(seconds)
        if beside is not None:
            done.beside.append(beside())
    return done


_spent: list[float] = []


def _compile_seconds() -> float:
    """Seconds that JAX has spent on compiling so far, as it reports them itself."""
    return sum(_spent)


def _listen(event: str, duration_secs: float, **_: Any) -> None:
    if event.endswith("backend_compile_duration"):
        _spent.append(duration_secs)


jax.monitoring.register_event_duration_secs_listener(_listen)
