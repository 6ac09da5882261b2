"""What a study of remedies computes: the runs of one problem with one remedy, under all sources of delays."""

import dataclasses
import functools
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from a3cjax._core import check
from a3cjax.engine import Record
from a3cjax.engine.host import at_work
from a3cjax.schedules import Schedule
from a3cjax.studies.frame import runs
from a3cjax.studies.frame.beginning import counted
from a3cjax.studies.frame.beside import beside
from a3cjax.studies.frame.cells import Cells, bytes_of_cell
from a3cjax.studies.frame.kept import Kept
from a3cjax.studies.frame.layout import SEED, Layout, Var
from a3cjax.studies.frame.target import Target, find_target
from a3cjax.studies.frame.types import Dataset
from a3cjax.studies.remedies.cases import Chain, Delays, Draw, Problem, Remedy

_CELLS = "problem delays remedy"

LAYOUT = Layout(
    "Remedies against staleness, each at its own best step",
    coordinates={
        "problem": Var("problem", "problem"),
        "delays": Var("delays", "where the delays come from"),
        "remedy": Var("remedy", "remedy"),
        "step": Var("step", "factor on the steps", "1"),
        "trial": Var("trial", "seed of a trial", "1"),
        "seed": SEED,
    },
    variables={
        "trial_samples": Var(f"{_CELLS} step trial", "samples to the target in trials", "samples", np.nan),
        "samples": Var(f"{_CELLS} seed", "samples to the target", "samples", np.nan),
        "time": Var(f"{_CELLS} seed", "virtual time to the target", "time unit of the schedule", np.nan),
        "best": Var(_CELLS, "which step was best in trials, or -1", "1", -1),
        "last_time": Var("problem delays seed", "virtual time of the last update", "time unit of the schedule", np.nan),
        "mean_delay": Var("problem delays", "mean delay", "updates", np.nan),
        "last_sample": Var("problem", "samples of a run", "samples", np.nan),
        "done": Var("problem remedy", "1 if its trials are done, 2 if its runs are", "1", 0),
    },
)


@dataclasses.dataclass(frozen=True)
class Plan:
    """All that a study's numbers depend on."""

    problems: dict[str, Problem]
    delays: dict[str, Draw]
    remedies: dict[str, Remedy]
    factors: tuple[float, ...]
    trials: int
    seeds: int
    seed: int

    def goal(self, name: str) -> Target:
        """What a problem's runs have to meet."""
        problem = self.problems[name]
        return find_target(problem.plain(), problem.metric, problem.target, problem.target_value)

    def identity(self) -> dict[str, Any]:
        """As options that are compared, but platform and versions."""
        told = {name: [p.num_updates, p.metric, p.target, p.target_value] for name, p in self.problems.items()}
        return {
            "problems": told, "delays": list(self.delays), "remedies": list(self.remedies),
            "learners": {name: p.digest() for name, p in self.problems.items()},
            "factors": self.factors, "trials": self.trials, "seeds": self.seeds, "seed": self.seed,
        }  # fmt: skip

    def task(self) -> str:
        """What will be done."""
        return (
            f"Simulating {counted(len(self.problems), 'problem')} × {counted(len(self.delays), 'source')} of delays × "
            f"{counted(len(self.remedies), 'remedy').replace('remedys', 'remedies')}: {self.trials} trials of "
            f"{counted(len(self.factors), 'step')}, then {counted(self.seeds, 'seed')} at the best"
        )

    def empty(self, goals: Mapping[str, Target]) -> Dataset:
        """The study's curves before any run."""
        values: dict[str, Any] = {
            "problem": list(self.problems), "delays": list(self.delays), "remedy": list(self.remedies),
            "step": np.array(self.factors), "trial": self.trials, "seed": self.seeds,
        }  # fmt: skip
        return LAYOUT.dataset(values, **{f"target of {name}": goal.value for name, goal in goals.items()})

    def run(self, curves: Dataset, goals: Mapping[str, Target], kept: Kept, progress: bool | None) -> None:
        """Trials and runs of every problem and remedy, each kept when it is done.

        A problem's remedies go side by side: each has a program of its own, and most of the time goes into compiling.
        """
        keeping = threading.Lock()

        def part(i, name, drawn, j, remedy, progress):
            case, done = self.case(name, remedy, goals[name], drawn, progress), curves.done.values[i]
            if done[j] < 1:
                tried = case.tried()
                with keeping:
                    curves.trial_samples.values[i, :, j], curves.best.values[i, :, j] = tried
                    done[j] = 1
                    self._keep(kept, curves)
            judged = case.judged(curves.best.values[i, :, j])
            with keeping:
                curves.samples.values[i, :, j], curves.time.values[i, :, j] = judged
                done[j] = 2
                self._keep(kept, curves)

        for i, name in enumerate(self.problems):
            left = [(j, remedy) for j, remedy in enumerate(self.remedies) if curves.done.values[i, j] < 2]
            if not left:
                continue
            drawn = self.draw(name, progress)
            self._tell(curves, i, drawn)
            parts = [functools.partial(part, i, name, drawn, *one) for one in left]
            room = check.memory_of_machine() / sum(self.bytes_of_case(name, drawn.greatest).values())
            beside(parts, f"{name}, by remedy", progress, room)

    def cells(self, goals: Mapping[str, Target]) -> Cells:
        """Trials and runs as cells, each a problem with a remedy."""
        names, remedies, drawn = list(self.problems), list(self.remedies), dict[str, Drawn]()

        def fill(curves: Dataset, at: tuple[int, ...]) -> None:
            i, j = at
            name = names[i]
            if name not in drawn:  # the last one's, whose other remedies come next
                drawn.clear()
                drawn[name] = self.draw(name, False)
            case = self.case(name, remedies[j], goals[name], drawn[name], False)
            curves.trial_samples.values[i, :, j], best = case.tried()
            curves.samples.values[i, :, j], curves.time.values[i, :, j] = case.judged(best)
            curves.best.values[i, :, j] = best
            self._tell(curves, i, drawn[name])

        def memory() -> dict[str, float]:
            found = dict[str, float]()
            for name, problem in self.problems.items():
                tried = [draw(self.keys(1, 1)[0], problem.num_updates) for draw in self.delays.values()]
                greatest = max(int(schedule.max_delay) for schedule in tried)
                for part, size in self.bytes_of_case(name, greatest).items():
                    found[part] = max(found.get(part, 0.0), size)
            return found

        filled = tuple(name for name in LAYOUT.variables if name != "done")
        learners = {name: problem.plain() for name, problem in self.problems.items()}
        return Cells(
            "remedies", self.empty(goals), ("problem", "remedy"), fill, learners, self.identity(), memory, filled,
            unit="case",
        )  # fmt: skip

    def _tell(self, curves: Dataset, i: int, drawn: "Drawn") -> None:
        """What the schedules of the i-th problem are."""
        curves.last_time.values[i], curves.mean_delay.values[i] = drawn.last_time, drawn.mean_delay
        curves.last_sample.values[i] = drawn.samples_of(list(self.problems.values())[i].num_updates)

    def draw(self, name: str, progress: bool | None) -> "Drawn":
        """The schedules of a problem, of trials and of runs."""
        with at_work("drawing schedules", progress):
            problem = self.problems[name]
            first, then = (self._draw(problem, stage, count) for stage, count in enumerate((self.trials, self.seeds)))
        sources = len(self.delays)
        learner = problem.plain()
        return Drawn(
            first,
            then,
            np.asarray(then.time)[:, -1].reshape(sources, -1),
            then.mean_delay.reshape(sources, -1).mean(-1),
            getattr(learner, "minibatch", getattr(learner, "rollout", 1)),
        )

    def case(self, name: str, remedy: str, goal: Target, drawn: "Drawn", progress: bool | None) -> "Case":
        """One problem with one remedy."""
        return Case(self, self.problems[name], self.remedies[remedy], goal, drawn, progress)

    def bytes_of_case(self, name: str, greatest: int) -> dict[str, float]:
        """What a case of this problem takes at most, by part, with delays up to ``greatest``."""
        problem = self.problems[name]
        runs_of_case = len(self.delays) * max(len(self.factors) * self.trials, self.seeds)
        spacing, depth = max(1, problem.num_updates // problem.records), 1 << greatest.bit_length()
        return bytes_of_cell({name: problem.plain()}, runs_of_case, problem.num_updates, spacing, depth=depth)

    def _keep(self, kept: Kept, curves: Dataset) -> None:
        kept.save({name: curves[name].values for name in LAYOUT.variables})

    def keys(self, stage: int, count: int) -> jax.Array:
        """The seeds' keys, the same in every cell."""
        return runs.seed_keys(jax.random.fold_in(jax.random.key(self.seed), 1), stage, count)

    def _draw(self, problem: Problem, stage: int, count: int) -> Schedule:
        """Every source's schedule of every seed, [delays · seeds, K]."""
        keys = runs.seed_keys(jax.random.fold_in(jax.random.key(self.seed), 0), stage, count)
        drawn = []
        for name, draw in self.delays.items():
            drawn += [draw(key, problem.num_updates) for key in keys]
            if drawn[-1].num_updates != problem.num_updates or drawn[-1].commit is not None:
                raise ValueError(
                    f"delays[{name!r}] gives {drawn[-1]!r}, but must give {problem.num_updates} updates, without "
                    "averaging; draw as many as it is asked for."
                )
        return Schedule.stack(drawn)


class Drawn(NamedTuple):
    """A problem's schedules of trials and of runs, [delays · seeds, K], and what is said of these.

    ``last_time`` [delays, seeds]; ``mean_delay`` [delays]; ``samples``: those of an update.
    """

    first: Schedule
    then: Schedule
    last_time: np.ndarray
    mean_delay: np.ndarray
    samples: int

    @property
    def greatest(self) -> int:
        """The greatest delay of all."""
        return int(max(self.first.max_delay.max(), self.then.max_delay.max()))

    def samples_of(self, updates: Any) -> Any:
        """Samples that so many updates take."""
        return updates * self.samples


@dataclasses.dataclass(frozen=True)
class Case:
    """One problem with one remedy."""

    plan: Plan
    problem: Problem
    remedy: Remedy
    goal: Target
    drawn: Drawn
    progress: bool | None

    def tried(self) -> tuple[np.ndarray, np.ndarray]:
        """Samples to the target in trials, [delays, steps, trials], and which step was best, [delays]."""
        plan = self.plan
        steps = np.array(plan.factors)[:, None]
        factors = np.broadcast_to(steps, (len(plan.delays), len(plan.factors), plan.trials))
        samples, _ = self.meet(self.drawn.first, plan.keys(0, plan.trials), factors)
        known = np.where(np.isfinite(samples), samples, self.last_sample)
        return samples, known.mean(-1).argmin(-1)

    def judged(self, best: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Samples and virtual time to the target with the best steps, [delays, seeds]."""
        plan = self.plan
        steps = np.array(plan.factors)[best][:, None, None]
        factors = np.broadcast_to(steps, (len(best), 1, plan.seeds))
        samples, time = self.meet(self.drawn.then, plan.keys(1, plan.seeds), factors)
        return samples[:, 0], time[:, 0]

    @property
    def last_sample(self) -> Any:
        """Samples of a whole run."""
        return self.drawn.samples_of(self.problem.num_updates)

    def meet(self, schedule: Schedule, keys: jax.Array, factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Samples and virtual time to the target of all runs, both like ``factors`` [delays, steps, seeds]."""
        sources, steps, seeds = factors.shape
        each = np.broadcast_to(np.arange(sources * seeds).reshape(sources, 1, seeds), factors.shape).ravel()
        batch = jax.tree.map(lambda column: np.asarray(column)[each], schedule)
        delays = Delays(np.repeat(self.drawn.mean_delay, steps * seeds), self.drawn.greatest)
        learner = self.problem.build(Chain(self.remedy, delays, factors.ravel()))
        every = max(1, self.problem.num_updates // self.problem.records)
        record = Record(every=every, metrics=(self.problem.metric,))
        found: list[Any] = []
        runs.simulate_into(
            found.append, learner, batch, jnp.tile(keys, sources * steps), record=record, history="ring",
            depth=1 << self.drawn.greatest.bit_length(), progress=self.progress,
        )  # fmt: skip
        updates, crossing = self.goal.met_by(found[0])
        times = np.concatenate([np.zeros((factors.size, 1)), np.asarray(batch.time, np.float64)], axis=1)[:, updates]
        samples = self.drawn.samples_of(crossing.at(updates))
        return samples.reshape(factors.shape), crossing.at(times).reshape(factors.shape)
