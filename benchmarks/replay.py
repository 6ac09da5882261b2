"""The simulator's half of `real_workers`: traces of real workers, replayed and timed."""

import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

import a3cjax
from benchmarks.real_workers import Trace, num_cores


class Replay:
    """The paper's MDP, as arrays for the workers and as a learner for the simulator.

    Args:
        actor_step: α.
        critic_step: β.
        radius: of the ball that ω is projected onto.
    """

    def __init__(self, actor_step: float, critic_step: float, radius: float) -> None:
        jax.config.update("jax_num_cpu_devices", num_cores())
        self._mdp = a3cjax.families.synthetic(jax.random.key(0))
        self._learner = a3cjax.A3C(self._mdp, actor_step, critic_step, radius)
        self._schedules: list[a3cjax.Schedule] = []

    @property
    def problem(self) -> list[Any]:
        """Transition, reward, initial, discount and features, without JAX."""
        mdp = self._mdp
        arrays: list[Any] = [np.asarray(array) for array in (mdp.transition, mdp.reward, mdp.initial)]
        return [*arrays, float(mdp.discount), np.asarray(mdp.features)]

    def load(self, traces: Sequence[Trace], num_workers: int) -> None:
        """Make schedules of traces; a ``ValueError`` tells of a delay or an order that the definition excludes."""
        self._schedules = [
            a3cjax.Schedule(trace.worker, trace.delay, trace.time, num_workers=num_workers) for trace in traces
        ]

    def measure(self, runs: int) -> tuple[float, list[float], list[list[float]]]:
        """Replay every schedule ``runs`` times at once.

        Returns:
            The seconds of a first call, with compilation; updates per second over all runs, for each schedule; and
            J(θ) of every run at the end, for each schedule.
        """
        depth = 1 + max(schedule.max_delay for schedule in self._schedules)
        record = a3cjax.Record(every=self._schedules[0].num_updates, metrics=[])
        keys = jax.random.split(jax.random.key(1), runs)

        def simulate(schedule: a3cjax.Schedule) -> tuple[float, Float[np.ndarray, "B S A"]]:
            began = time.perf_counter()
            # The workers read a little after they write, hence the ring. One depth for all: one program.
            result = a3cjax.simulate(self._learner, schedule, keys, history="ring", record=record, depth=depth)
            theta = np.asarray(result.params.theta)
            return time.perf_counter() - began, theta

        first, _ = simulate(self._schedules[0])
        timed = [simulate(schedule) for schedule in self._schedules]
        rates = [runs * len(schedule) / taken for schedule, (taken, _) in zip(self._schedules, timed, strict=True)]
        return first, rates, [[self.objective(theta) for theta in thetas] for _, thetas in timed]

    def objective(self, theta: Float[np.ndarray, "S A"]) -> float:
        """J(θ), exactly."""
        return float(_objective(self._mdp, jax.nn.softmax(theta)))


_objective = jax.jit(a3cjax.exact.objective)
