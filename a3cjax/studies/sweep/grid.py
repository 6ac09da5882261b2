"""The cells of a sweep: their runs, their schedules, and its curves before the runs have said anything."""

import dataclasses
from typing import Any

import jax
import numpy as np
from jaxtyping import Int

from a3cjax.learners import A3C
from a3cjax.learners.wrapped import adopted
from a3cjax.problems import FiniteMDP
from a3cjax.schedules import Schedule
from a3cjax.studies.frame.layout import SEED, UPDATES, Layout, Var, lost_from
from a3cjax.studies.frame.target import initial_value, titled
from a3cjax.studies.frame.types import Dataset
from a3cjax.studies.stability import critic_eigenvalues, stability_limit
from a3cjax.studies.sweep.laws import DelayIs, find_law

_RUNS = "law delay step seed"

FOUND = Layout(
    "What a sweep finds",
    coordinates={},
    variables={
        "diverged": Var("law delay step seed", "1 if the run diverged, else 0", "1"),
        "final_critic_error_sq": Var(
            "law delay step seed", "mean critic gap over the last tenth of the records", "reward²"
        ),
    },
)


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


@dataclasses.dataclass(frozen=True)
class Scaled:
    """What a sweep asks of its learner: the step sizes, those that the factors multiply, and what is measured."""

    learner: Any
    steps: tuple[str, ...]
    multiplied: tuple[str, ...]
    metric: str
    gap: str

    @property
    def metrics(self) -> tuple[str, ...]:
        """What is recorded."""
        return tuple(dict.fromkeys((self.metric, self.gap)))

    def times(self, factors: np.ndarray) -> Any:
        """The learner with a step for each run."""
        steps: Any = {name: float(getattr(self.learner, name)) * factors for name in self.multiplied}
        return dataclasses.replace(self.learner, **steps)


def draw_schedules(grid: Grid, num_updates: int, seed: int) -> Schedule:
    """One schedule for each (law, delay, seed), [laws × delays × seeds, K]; the steps share them."""
    laws, delays, _, seeds = grid.shape
    return Schedule.stack([draw_schedule(grid, number, num_updates, seed) for number in range(laws * delays * seeds)])


def draw_schedule(grid: Grid, number: int, num_updates: int, seed: int) -> Schedule:
    """The schedule of that number, as ``Grid.schedule_of_run`` counts them."""
    law, delay, n = np.unravel_index(number, (len(grid.laws), len(grid.delays), grid.seeds))
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), 0), int(n))
    return Schedule.from_law(key, find_law(grid.laws[law], grid.delay_is)(grid.delays[delay]), num_updates)


def layout(scaled: Scaled, delay_is: str) -> Layout:
    """The layout of a sweep's curves."""
    known = {
        "objective": Var(f"{_RUNS} record", "J(θ), the exact objective", "reward", np.nan),
        "critic_error_sq": Var(f"{_RUNS} record", "critic gap ‖ω − ω*(θ)‖²", "reward²", np.nan),
    }
    steps = {"actor_step": "step α of the actor", "critic_step": "step β of the critic"}
    return Layout(
        "Asynchronous advantage actor-critic over delay laws, delays and step sizes",
        coordinates={
            "law": Var("law", "law of the delays"),
            "delay": Var("delay", f"{delay_is} delay of the law", "updates"),
            "step": Var("step", f"factor on {' and '.join(scaled.multiplied)}", "1"),
            "seed": SEED,
            **{name: Var("step", said, "1") for name, said in steps.items()},
            "updates": UPDATES,
        },
        variables={name: known.get(name, Var(f"{_RUNS} record", name, None, np.nan)) for name in scaled.metrics}
        | {
            "nonfinite_from": lost_from(_RUNS),
            "mean_delay": Var("law delay seed", "measured mean delay", "updates"),
            "max_delay": Var("law delay seed", "largest delay", "updates"),
            "stability_limit": Var(
                "delay", "critical critic step of a constant delay, in the mean, at the start's policy", "1", np.nan
            ),
            "updates_done": Var("", "updates done by every run", "updates", 0),
        },
    )


def empty_curves(
    scaled: Scaled, grid: Grid, schedule: Schedule | None, num_updates: int, every: int, diverged_above: float
) -> Dataset:
    """The study's curves with everything but what the runs will say; record 0 is the start.

    ``schedule`` is that of all runs, if it is drawn already; else what is said of it comes later, too.
    """
    learner, metric, gap = scaled.learner, scaled.metric, scaled.gap
    factors = np.array(grid.factors)
    starts = {name: initial_value(learner, name) for name in scaled.metrics}
    optimum = adopted(learner).optimum(metric)
    of_schedule = (len(grid.laws), len(grid.delays), grid.seeds)
    delays: dict[str, Any] = {"mean_delay": np.zeros(of_schedule), "max_delay": np.zeros(of_schedule, np.int32)}
    if schedule is not None:
        delays = {name: np.asarray(getattr(schedule, name)).reshape(of_schedule) for name in delays}
    values: dict[str, Any] = {
        "law": grid.laws, "delay": grid.delays, "step": factors, "seed": grid.seeds,
        "updates": np.arange(0, num_updates + 1, every), **delays,
    }  # fmt: skip
    for name in {"actor_step", "critic_step"} & set(scaled.steps):
        values[name] = float(getattr(learner, name)) * (factors if name in scaled.multiplied else np.ones_like(factors))
    if isinstance(learner, A3C) and isinstance(learner.mdp, FiniteMDP):
        pi = learner.policy.probabilities(learner.theta)
        values["stability_limit"] = stability_limit(critic_eigenvalues(learner.mdp, pi), np.array(grid.delays))
    curves = layout(scaled, grid.delay_is).dataset(
        values,
        delay_is=grid.delay_is,
        scale=grid.scale,
        num_updates=num_updates,
        diverged_above=diverged_above,
        **{f"initial_{name}": start for name, start in starts.items()},
        **{f"optimal_{metric}": optimum},
    )
    for name, start in starts.items():
        curves[name].values[..., 0] = start
    if not isinstance(learner, A3C) or (metric, gap) != ("objective", "critic_error_sq"):
        # The smaller the better, where what is to be seen is the gap itself or lies below its start at the optimum.
        curves.attrs |= {"metric": metric, "gap": gap, "falls": int(metric == gap or optimum < starts[metric])}
    return titled(curves, learner)
