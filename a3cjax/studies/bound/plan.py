"""What a study of bounds computes: pipelines with one correction, trials of steps and then runs at the best."""

import dataclasses
import functools
import itertools
import threading
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from a3cjax._core import check
from a3cjax.engine import Record
from a3cjax.engine.host import at_work
from a3cjax.schedules import Schedule
from a3cjax.schedules.compute_times import ComputeTime
from a3cjax.studies.bound.clocks import clocks, pipeline_numbers
from a3cjax.studies.bound.ranking import CELL, NO_BOUND
from a3cjax.studies.frame import runs
from a3cjax.studies.frame.beside import beside
from a3cjax.studies.frame.cells import Cells, bytes_of_cell
from a3cjax.studies.frame.kept import Kept
from a3cjax.studies.frame.layout import SEED, Layout, Var
from a3cjax.studies.frame.target import Target, step_fields
from a3cjax.studies.frame.types import Dataset

_CELL = " ".join(CELL)
_TIME = "time unit of the laws"

LAYOUT = Layout(
    "Pipelines with bounded staleness",
    coordinates={
        "batch": Var("batch", "samples of an update", "1"),
        "queue": Var("queue", "finished samples that the queue holds"),
        "bound": Var("bound", "maximum staleness in updates"),
        "correction": Var("correction", "importance weights"),
        "step": Var("step", "factor on the steps", "1"),
        "trial": Var("trial", "seed of a trial", "1"),
        "seed": SEED,
    },
    variables={
        "throughput": Var(f"{_CELL} seed", "samples trained on in a unit of time", "1 / time unit", np.nan),
        "updates_per_time": Var(f"{_CELL} seed", "updates in a unit of time", "1 / time unit", np.nan),
        "staleness": Var(f"{_CELL} seed", "mean staleness of samples trained on", "updates", np.nan),
        "staleness_99": Var(f"{_CELL} seed", "99 % quantile of their staleness", "updates", np.nan),
        "dropped": Var(f"{_CELL} seed", "share of samples taken that were dropped", "1", np.nan),
        "quick": Var(f"{_CELL} seed", "generation time of samples trained on over that of all taken", "1", np.nan),
        "last_sample": Var(f"{_CELL} seed", "samples that a whole run trains on", "samples", np.nan),
        "last_time": Var(f"{_CELL} seed", "virtual time of a run's last update", _TIME, np.nan),
        "trial_time": Var(f"{_CELL} correction step trial", "virtual time to the target in trials", _TIME, np.nan),
        "best": Var(f"{_CELL} correction", "which step was best in trials, or -1", "1", -1),
        "samples": Var(f"{_CELL} correction seed", "samples trained on to the target", "samples", np.nan),
        "time": Var(f"{_CELL} correction seed", "virtual time to the target", _TIME, np.nan),
        "done": Var("correction", "1 if its trials are done, 2 if its runs are", "1", 0),
    },
)


@dataclasses.dataclass(frozen=True)
class Plan:
    """All that a study's numbers depend on."""

    learners: dict[str, Any]
    generation: ComputeTime
    learning: ComputeTime
    generators: int
    on_stale: Literal["drop", "wait"]
    axes: dict[str, tuple[Any, ...]]
    factors: tuple[float, ...]
    num_samples: int
    goal: Target
    records: int
    trials: int
    seeds: int
    seed: int

    def identity(self, learner: Any) -> dict[str, Any]:
        """As options that are compared, but platform and versions."""
        names = ("generators", "on_stale", "factors", "num_samples", "records", "trials", "seeds", "seed")
        return {
            **{name: getattr(self, name) for name in names}, **{f"{name}s": self.axes[name] for name in self.axes},
            "target": list(self.goal), "generation": told(self.generation), "learning": told(self.learning),
            "learner": told(learner),
        }  # fmt: skip

    def coordinates(self) -> dict[str, Any]:
        """Of the study's curves."""
        words = {name: [NO_BOUND if v is None else str(v) for v in self.axes[name]] for name in ("queue", "bound")}
        return {
            "batch": np.array(self.axes["batch"]), **words, "correction": list(self.axes["correction"]),
            "step": np.array(self.factors), "trial": self.trials, "seed": self.seeds,
        }  # fmt: skip

    def run(self, curves: Dataset, kept: Kept, progress: bool | None) -> None:
        """Trials and runs of every correction, each kept when it is done: every pipeline in one batch.

        Corrections go side by side, for each has a program of its own.
        """
        if (curves.done.values == 2).all():
            return
        cells = list(itertools.product(*(range(curves.sizes[name]) for name in CELL)))
        with at_work("drawing schedules", progress):
            drawn = self.draw(cells)
        shape = tuple(curves.sizes[name] for name in CELL)
        for name, numbers in drawn.numbers.items():
            curves[name].values[...] = numbers.reshape(*shape, -1)
        keeping = threading.Lock()

        def part(i, correction, progress):
            case, done = Case(self, correction, drawn, shape, progress), curves.done.values
            if done[i] < 1:
                tried = case.tried()
                with keeping:
                    curves.trial_time.values[:, :, :, i], curves.best.values[..., i] = tried
                    done[i] = 1
                    self._keep(kept, curves)
            judged = case.judged(curves.best.values[..., i].astype(int))
            with keeping:
                curves.samples.values[:, :, :, i], curves.time.values[:, :, :, i] = judged
                done[i] = 2
                self._keep(kept, curves)

        left = [(i, name) for i, name in enumerate(self.learners) if curves.done.values[i] < 2]
        room = check.memory_of_machine() / (len(cells) * sum(self.bytes_of_cell(drawn.greatest).values()))
        beside([functools.partial(part, *one) for one in left], "pipelines, by correction", progress, room)

    def cells(self, curves: Dataset, learner: Any) -> Cells:
        """Trials and runs as cells, each a pipeline with a correction in a batch of its own."""
        corrections, drawn = list(self.learners), dict[tuple[int, ...], Drawn]()

        def fill(curves: Dataset, at: tuple[int, ...]) -> None:
            cell, i = at[:-1], at[-1]
            if cell not in drawn:  # the last one's, whose other corrections come next
                drawn.clear()
                drawn[cell] = self.draw([cell])
            case = Case(self, corrections[i], drawn[cell], (), False)
            curves.trial_time.values[at], best = case.tried()
            curves.samples.values[at], curves.time.values[at] = case.judged(best)
            curves.best.values[at] = best
            for name, numbers in drawn[cell].numbers.items():
                curves[name].values[cell] = numbers[0]

        def memory() -> dict[str, float]:
            last = tuple(len(self.axes[name]) - 1 for name in CELL)  # the loosest bound has the longest delays
            return self.bytes_of_cell(dataclasses.replace(self, trials=1, seeds=1).draw([last]).greatest)

        filled = tuple(name for name in LAYOUT.variables if name != "done")
        told = self.identity(learner)
        return Cells("bound", curves, (*CELL, "correction"), fill, self.learners, told, memory, filled, unit="case")

    def bytes_of_cell(self, greatest: int) -> dict[str, float]:
        """What the runs of a pipeline with one correction take at most, by part, with delays up to ``greatest``."""
        name, learner = next(iter(self.learners.items()))
        each, spacing = max(len(self.factors) * self.trials, self.seeds), max(1, self.num_samples // self.records)
        return bytes_of_cell({name: learner}, each, self.num_samples, spacing, depth=1 << greatest.bit_length())

    def _keep(self, kept: Kept, curves: Dataset) -> None:
        kept.save({name: curves[name].values for name in LAYOUT.variables})

    def draw(self, cells: Sequence[tuple[int, ...]]) -> "Drawn":
        """The schedules of these pipelines.

        One batch, so that all share which columns they have, and with these a compiled program.
        """
        drawn: tuple[list[Schedule], list[Schedule]] = [], []
        numbers: list[dict[str, float]] = []
        key = jax.random.fold_in(jax.random.key(self.seed), 0)
        for cell in cells:
            updates = 1
            for stage, count in enumerate((self.trials, self.seeds)):
                for seed_key in runs.seed_keys(key, stage, count):
                    schedule, updates = self._drawn(seed_key, cell, updates)
                    drawn[stage].append(schedule[: self.num_samples])
                    if stage:
                        numbers.append(pipeline_numbers(schedule, self.num_samples))
        first, then = (Schedule.stack(each) for each in drawn)
        told = {name: np.array([one[name] for one in numbers]).reshape(len(cells), -1) for name in numbers[0]}
        return Drawn(first, then, told)

    def _drawn(self, key: jax.Array, cell: tuple[int, ...], updates: int) -> tuple[Schedule, int]:
        """A schedule of as many samples as are asked for or more, and how many updates these were."""
        batch, queue, bound = (self.axes[name][i] for name, i in zip(CELL, cell, strict=True))
        while True:
            schedule = Schedule.from_pipeline(
                key, [self.generation] * self.generators, self.learning, updates, batch=batch, queue=queue,
                max_staleness=bound, on_stale="drop" if bound is None else self.on_stale,
            )  # fmt: skip
            rows = schedule.num_messages
            if rows >= self.num_samples:
                return schedule, updates
            # Events do not depend on how many follow, so that a longer schedule only goes on.
            updates = min(8 * updates, int(1.05 * updates * self.num_samples / rows) + 1)


class Drawn(NamedTuple):
    """Schedules of pipelines for trials and for runs, [pipelines · seeds, K], K samples taken.

    ``numbers``: what the pipelines did in the runs, by name [pipelines, seeds].
    """

    first: Schedule
    then: Schedule
    numbers: dict[str, np.ndarray]

    @property
    def greatest(self) -> int:
        """The greatest delay of all."""
        return max(int(np.max(batch.max_delay)) for batch in (self.first, self.then))


@dataclasses.dataclass(frozen=True)
class Case:
    """Pipelines, as many as ``shape`` has, with one correction."""

    plan: Plan
    correction: str
    drawn: Drawn
    shape: tuple[int, ...]
    progress: bool | None

    def tried(self) -> tuple[np.ndarray, np.ndarray]:
        """Virtual time to the target in trials, [*shape, steps, trials], and which step was best, [*shape]."""
        plan = self.plan
        steps = np.array(plan.factors)[:, None]
        factors = np.broadcast_to(steps, (*self.shape, len(plan.factors), plan.trials))
        _, time, end = self._meet(self.drawn.first, 0, factors)
        return time, np.where(np.isfinite(time), time, end).mean(-1).argmin(-1)

    def judged(self, best: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Samples and virtual time to the target with the best steps, [*shape, seeds]."""
        steps = np.array(self.plan.factors)[best][..., None, None]
        factors = np.broadcast_to(steps, (*self.shape, 1, self.plan.seeds))
        samples, time, _ = self._meet(self.drawn.then, 1, factors)
        return samples[..., 0, :], time[..., 0, :]

    def _meet(self, schedule: Schedule, stage: int, factors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Samples and virtual time to the target, and the time at the end, of all runs [*cells, steps, seeds]."""
        plan, learner = self.plan, self.plan.learners[self.correction]
        *shape, steps, seeds = factors.shape
        cells = int(np.prod(shape))
        each = np.broadcast_to(np.arange(cells * seeds).reshape(cells, 1, seeds), (cells, steps, seeds)).ravel()
        batch = jax.tree.map(lambda column: np.asarray(column)[each], schedule)
        scaled = {name: getattr(learner, name) * jnp.asarray(factors.ravel()) for name in step_fields(learner)}
        if self.correction != NO_BOUND:
            scaled["correction"] = self.correction  # by name, for that is how a learner takes it
        keys = runs.seed_keys(jax.random.fold_in(jax.random.key(plan.seed), 1), stage, seeds)
        record = Record(every=max(1, plan.num_samples // plan.records), metrics=(plan.goal.metric,))
        found: list[Any] = []
        runs.simulate_into(
            found.append, dataclasses.replace(learner, **scaled), batch, jnp.tile(keys, cells * steps), record=record,
            history="ring", depth=1 << self.drawn.greatest.bit_length(), progress=self.progress,
        )  # fmt: skip
        samples, times = clocks(batch)
        records, crossing = plan.goal.met_by(found[0])
        to_target, time = (crossing.at(clock[:, records]).reshape(factors.shape) for clock in (samples, times))
        return to_target, time, times[:, -1].reshape(factors.shape)


def told(part: Any) -> str:
    """A law or a learner as text, by which an unfinished study knows its own."""
    leaves, structure = jax.tree.flatten(part)
    return f"{structure} {[np.asarray(leaf).tolist() for leaf in leaves]}"
