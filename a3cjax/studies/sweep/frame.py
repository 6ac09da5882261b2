"""The grid of a sweep, and its curves before the runs have said anything."""

import dataclasses
from typing import TYPE_CHECKING

import jax
import numpy as np
from jaxtyping import Int

from a3cjax.learners import A3C
from a3cjax.problems import exact
from a3cjax.schedules import Schedule
from a3cjax.studies.frame.study import about
from a3cjax.studies.stability import critic_eigenvalues, stability_limit
from a3cjax.studies.sweep.laws import DelayIs

if TYPE_CHECKING:
    import xarray as xr

METRICS = ("objective", "critic_error_sq")


@dataclasses.dataclass(frozen=True)
class Grid:
    """Cells (law, delay, step) in this order, the seeds of a cell side by side."""

    laws: tuple[str, ...]
    delays: tuple[int, ...]
    delay_is: DelayIs
    factors: tuple[float, ...]
    scale: str
    seeds: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Laws, delays, steps, seeds."""
        return len(self.laws), len(self.delays), len(self.factors), self.seeds

    @property
    def cells(self) -> int:
        """Laws × delays × steps."""
        return self.runs // self.seeds

    @property
    def runs(self) -> int:
        """Laws × delays × steps × seeds."""
        return int(np.prod(self.shape))

    def schedule_of_run(self) -> Int[np.ndarray, " runs"]:
        """Which of the laws × delays × seeds schedules each run has: steps share theirs."""
        laws, delays, _, seeds = self.shape
        numbers = np.arange(laws * delays * seeds).reshape(laws, delays, 1, seeds)
        return np.broadcast_to(numbers, self.shape).reshape(-1)

    def step_of_run(self) -> Int[np.ndarray, " runs"]:
        """Which of the factors each run has."""
        return np.broadcast_to(np.arange(len(self.factors))[:, None], self.shape).reshape(-1)

    def scaled_steps(self) -> tuple[str, ...]:
        """The learner's fields that the factors multiply."""
        return ("actor_step", "critic_step") if self.scale == "both" else (f"{self.scale}_step",)


def empty_curves(learner: A3C, grid: Grid, schedule: Schedule, every: int, diverged_above: float) -> "xr.Dataset":
    """The study's curves with everything but what the runs will say; record 0 is the start."""
    import xarray as xr  # here, because it brings pandas, which only a study needs

    at = np.arange(0, schedule.num_updates + 1, every)
    pi = learner.policy.probabilities(learner.theta)
    start = float(exact.objective(learner.mdp, pi))
    error = float(learner.measure(learner.init(jax.random.key(0)), ("critic_error_sq",))["critic_error_sq"])
    curve = np.full((*grid.shape, at.size), np.nan)
    objective, critic = curve.copy(), curve.copy()
    objective[..., 0], critic[..., 0] = start, error
    runs = ("law", "delay", "step", "seed")
    of_schedule = (len(grid.laws), len(grid.delays), grid.seeds)
    factors = np.array(grid.factors)
    own = {name: float(getattr(learner, name)) for name in ("actor_step", "critic_step")}
    steps = {
        name: value * (factors if name in grid.scaled_steps() else np.ones_like(factors)) for name, value in own.items()
    }
    limit = stability_limit(critic_eigenvalues(learner.mdp, pi), np.array(grid.delays))
    measured = {name: np.asarray(getattr(schedule, name)).reshape(of_schedule) for name in ("mean_delay", "max_delay")}
    return xr.Dataset(
        {
            "objective": ((*runs, "record"), objective, about("J(θ), the exact objective", "reward")),
            "critic_error_sq": ((*runs, "record"), critic, about("critic gap ‖ω − ω*(θ)‖²", "reward²")),
            "nonfinite_from": (
                runs,
                np.full(grid.shape, -1),
                about("first recorded update with a parameter that is not finite, or -1", "updates"),
            ),
            "mean_delay": (("law", "delay", "seed"), measured["mean_delay"], about("measured mean delay", "updates")),
            "max_delay": (("law", "delay", "seed"), measured["max_delay"], about("largest delay", "updates")),
            "stability_limit": (
                "delay",
                limit,
                about("critical critic step of a constant delay, in the mean, at the start's policy", "1"),
            ),
            "updates_done": ((), np.array(0), about("updates done by every run", "updates")),
        },
        coords={
            "law": ("law", list(grid.laws), {"long_name": "law of the delays"}),
            "delay": ("delay", list(grid.delays), about(f"{grid.delay_is} delay of the law", "updates")),
            "step": ("step", factors, about(f"factor on {' and '.join(grid.scaled_steps())}", "1")),
            "seed": ("seed", np.arange(grid.seeds), about("seed", "1")),
            "actor_step": ("step", steps["actor_step"], about("step α of the actor", "1")),
            "critic_step": ("step", steps["critic_step"], about("step β of the critic", "1")),
            "updates": ("record", at, about("updates applied", "updates")),
        },
        attrs={
            "title": "Asynchronous advantage actor-critic over delay laws, delays and step sizes",
            "delay_is": grid.delay_is,
            "scale": grid.scale,
            "num_updates": schedule.num_updates,
            "diverged_above": diverged_above,
            "initial_objective": start,
            "optimal_objective": float(exact.optimal_objective(learner.mdp)),
            "initial_critic_error_sq": error,
        },
    )
