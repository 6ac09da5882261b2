"""Remedies against staleness, each at its own best step: which meets a target sooner, and which nobody can tell."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from a3cjax._core import check
from a3cjax.engine import Record
from a3cjax.engine.host import at_work
from a3cjax.schedules import Schedule
from a3cjax.studies.frame import runs
from a3cjax.studies.frame.beginning import begin, counted
from a3cjax.studies.frame.crossing import first_crossing
from a3cjax.studies.frame.kept import Kept
from a3cjax.studies.frame.layout import SEED, Layout, Var
from a3cjax.studies.frame.statistics import OF_MEANS, OF_RATIOS, about_intervals
from a3cjax.studies.frame.study import Study
from a3cjax.studies.frame.tables import versions
from a3cjax.studies.frame.target import Target, find_target
from a3cjax.studies.frame.types import Dataset, Figure
from a3cjax.studies.remedies.cases import NONE, REMEDIES, Chain, Delays, Draw, Problem, Remedy
from a3cjax.studies.remedies.figure import remedies_figure
from a3cjax.studies.remedies.ranking import RemedyRow, ranked, sentence

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


class RemediesStudy(Study):
    """The outcome of ``remedies``: a ``RemedyRow`` for each problem, source of delays and remedy, in order of rank.

    ``curves`` over (problem, delays, remedy, step, trial) and (…, seed): samples and virtual time to the target.
    """

    name = "remedies"
    rows: tuple[RemedyRow, ...]

    @classmethod
    def of(cls, curves: Dataset, confidence: float = 0.95, *, interrupted: bool = False) -> "RemediesStudy":
        """Rank the remedies of each problem and source of delays."""
        rows = []
        for i, problem in enumerate(curves.problem.values.tolist()):
            for j, delays in enumerate(curves.delays.values.tolist()):
                cell = curves.isel(problem=i, delays=j)
                rows += ranked(cell, problem, delays, confidence)
        told = about_intervals(confidence, OF_MEANS, OF_RATIOS)
        return cls(curves.assign_attrs(told), tuple(rows), confidence, interrupted)

    def summary(self) -> str:
        """For each problem and source of delays: what is best, and what cannot be told from it."""
        return "\n".join(sentence(cell) for cell in self.cells())

    def cells(self) -> list[list[RemedyRow]]:
        """The rows of each problem and source of delays."""
        size = self.curves.sizes["remedy"]
        return [list(self.rows[i : i + size]) for i in range(0, len(self.rows), size)]

    def notes(self) -> list[str]:
        """A sentence for each thing that a reader of the rows must know."""
        curves = self.curves
        said = ["The study was interrupted: what is not known yet is a dash."] if self.interrupted else []
        said.append(
            f"Each remedy has its own best of {curves.sizes['step']} steps, found with {curves.sizes['trial']} other "
            "seeds each. The best remedy is chosen by the same runs that it is judged by, so a narrow lead over many "
            "may be luck."
        )
        edges = sorted({f"{row.remedy} on {row.problem}, {row.delays}" for row in self.rows if row.at_edge})
        if edges:
            said.append(f"* The best step is the least or the greatest tried ({len(edges)} rows): give more factors.")
        missed = [row for row in self.rows if row.reached < curves.sizes["seed"]]
        if missed and not self.interrupted:
            said.append(
                f"In {len(missed)} rows some seed did not meet the target, and counts as if it had at the end: there "
                "the mean is a lower bound. More updates or a lower target will tell."
            )
        return said

    def figure(self) -> Figure:
        """For each problem and source of delays the speedup by each remedy, with intervals, beside none."""
        return remedies_figure(self.cells(), self.percent, self.curves.sizes["seed"])

    def facts(self) -> dict[str, Any]:
        """The targets."""
        return {name: value for name, value in self.curves.attrs.items() if name.startswith("target of ")}


def remedies(
    problems: Mapping[str, Problem], delays: Mapping[str, Draw], *, remedies: Sequence[str] | None = None,
    factors: Sequence[float] = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0), seeds: int = 24, trials: int = 4,
    confidence: float = 0.95, seed: int = 0, more: Mapping[str, Remedy] | None = None,
    partial: str | os.PathLike[str] | None = None, progress: bool | None = None,
) -> RemediesStudy:  # fmt: skip
    """Remedies × sources of delays × problems, each at its own best step: who meets the target soonest.

    First ``trials`` seeds run each remedy with every step. Then ``seeds`` others run it with the step with which the
    trials took the fewest samples to the target on average. A run that does not meet it counts as if it had with its
    last update. Every remedy has the same budget, schedules and keys, so that times are compared in pairs. The
    remedies' own numbers follow from the delays: "threshold" 1 + τ̄, "drop-above" 2 τ̄, "drop-far" step · √(1 + τ̄) / 4,
    "clip-by-norm" 1, all others their paper's.

    Args:
        problems: from names to what is learned, see ``Problem``.
        delays: from names to functions of a key and the number of updates that give a schedule.
        remedies: names of remedies; "none" is among them, for the others are compared with it. Not given: all.
        factors: what the problems' steps are multiplied by.
        seeds: runs for each remedy with its best step, at least 1; the intervals need 2.
        trials: runs for each step, at least 1. With trials · factors = seeds one program serves both.
        confidence: coverage of the intervals over seeds. See ``mean_interval`` and ``ratio_of_means``.
        seed: seed of schedules and runs.
        more: remedies of your own, by name.
        partial: a folder to keep an unfinished study in, remedy by remedy. The same call goes on from there, to the
            same bits; ``study.save`` of the finished study removes it, once its files are written.
        progress: see ``simulate``.

    Raises:
        ValueError: if an argument is out of range, a schedule does not fit, or ``partial`` holds another study.
        StudyInterrupted: on Ctrl-C, with what was done.

    >>> import a3cjax
    >>> from a3cjax.studies import Problem
    >>> def quadratic(chain):
    ...     return a3cjax.QuadraticSGD([1.0], optimizer=chain(0.1))
    >>> problem = Problem(quadratic, num_updates=200, metric="objective", target_value=1e-3)
    >>> def constant(key, num_updates):
    ...     return a3cjax.Schedule.from_law(key, a3cjax.delays.Constant(8), num_updates)
    >>> study = a3cjax.studies.remedies({"quadratic": problem}, {"constant": constant}, remedies=["none", "inverse"],
    ...                                 factors=(0.5, 1, 2), seeds=2, trials=1)
    >>> [(row.remedy, row.factor, row.reached) for row in study.rows]
    [('none', 1.0, 2), ('inverse', 2.0, 2)]
    """
    table = {**REMEDIES, **(more or {})}
    names = _check_names(tuple(table) if remedies is None else tuple(remedies), table)
    runs.check_repeats(seeds, seed, confidence)
    check.integer("trials", trials, 1)
    check.number("factors", list(factors), above=0)
    multiples = runs.distinct("factors", sorted(float(factor) for factor in factors))
    if not problems or not delays:
        raise ValueError(f"{'delays' if problems else 'problems'} is empty; give at least one.")
    plan = _Plan(dict(problems), dict(delays), {name: table[name] for name in names}, multiples, trials, seeds, seed)
    goals = {name: plan.goal(name) for name in problems}
    kept = Kept(partial, plan.identity(), "study of remedies")
    known, trouble = kept.load()
    begin(plan.task(), trouble)
    curves = plan.empty(goals)
    for name, array in known.items():
        curves[name].values[...] = array
    with (
        kept.alone(),
        runs.kept_on_interrupt(
            lambda: RemediesStudy.of(curves, confidence, interrupted=True),
            lambda: "Interrupted." + (" The same command goes on from there." if kept.goes_on else ""),
            nothing_yet=lambda: not curves.done.values.any(),
        ),
    ):
        plan.run(curves, goals, kept, progress)
    study = RemediesStudy.of(curves, confidence)
    return dataclasses.replace(study, kept=kept)


@dataclasses.dataclass(frozen=True)
class _Plan:
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
        """As options that are compared."""
        told = {name: [p.num_updates, p.metric, p.target, p.target_value] for name, p in self.problems.items()}
        return {
            "problems": told, "delays": list(self.delays), "remedies": list(self.remedies),
            "learners": {name: p.digest() for name, p in self.problems.items()},
            "factors": self.factors, "trials": self.trials, "seeds": self.seeds, "seed": self.seed,
            "platform": jax.default_backend(), "versions": versions(),
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
        """Trials and runs of every problem and remedy, each kept when it is done."""
        for i, (name, problem) in enumerate(self.problems.items()):
            if (curves.done.values[i] == 2).all():
                continue
            with at_work("drawing schedules", progress):
                first, then = (
                    self._draw(problem, stage, count) for stage, count in enumerate((self.trials, self.seeds))
                )
            curves.last_time.values[i] = np.asarray(then.time)[:, -1].reshape(len(self.delays), -1)
            curves.mean_delay.values[i] = then.mean_delay.reshape(len(self.delays), -1).mean(-1)
            greatest = int(max(first.max_delay.max(), then.max_delay.max()))
            for j, remedy in enumerate(self.remedies.values()):
                case = _Case(problem, remedy, goals[name], curves.mean_delay.values[i], greatest, progress)
                done = curves.done.values[i]
                if done[j] < 1:
                    factors = np.broadcast_to(
                        np.array(self.factors)[:, None], (len(self.delays), len(self.factors), self.trials)
                    )
                    samples, _ = case.meet(first, self._keys(0, self.trials), factors)
                    curves.last_sample.values[i] = case.samples_of(problem.num_updates)
                    curves.trial_samples.values[i, :, j] = samples
                    known = np.where(np.isfinite(samples), samples, curves.last_sample.values[i])
                    curves.best.values[i, :, j] = known.mean(-1).argmin(-1)
                    done[j] = 1
                    self._keep(kept, curves)
                if done[j] < 2:
                    best = curves.best.values[i, :, j]
                    factors = np.broadcast_to(np.array(self.factors)[best][:, None, None], (len(best), 1, self.seeds))
                    samples, time = case.meet(then, self._keys(1, self.seeds), factors)
                    curves.samples.values[i, :, j], curves.time.values[i, :, j] = samples[:, 0], time[:, 0]
                    done[j] = 2
                    self._keep(kept, curves)

    def _keep(self, kept: Kept, curves: Dataset) -> None:
        kept.save({name: curves[name].values for name in LAYOUT.variables})

    def _keys(self, stage: int, count: int) -> jax.Array:
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


@dataclasses.dataclass(frozen=True)
class _Case:
    """One problem with one remedy."""

    problem: Problem
    remedy: Remedy
    goal: Target
    mean_delay: np.ndarray
    greatest: int
    progress: bool | None

    def meet(self, schedule: Schedule, keys: jax.Array, factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Samples and virtual time to the target of all runs, both like ``factors`` [delays, steps, seeds]."""
        sources, steps, seeds = factors.shape
        each = np.broadcast_to(np.arange(sources * seeds).reshape(sources, 1, seeds), factors.shape).ravel()
        batch = jax.tree.map(lambda column: np.asarray(column)[each], schedule)
        delays = Delays(np.repeat(self.mean_delay, steps * seeds), self.greatest)
        learner = self.problem.build(Chain(self.remedy, delays, factors.ravel()))
        every = max(1, self.problem.num_updates // self.problem.records)
        record = Record(every=every, metrics=(self.problem.metric,))
        found: list[Any] = []
        runs.simulate_into(
            found.append, learner, batch, jnp.tile(keys, sources * steps), record=record, history="ring",
            depth=1 << self.greatest.bit_length(), progress=self.progress,
        )  # fmt: skip
        values = np.asarray(found[0].metrics[self.problem.metric], np.float64)
        updates = np.append(0, np.asarray(found[0].updates))
        lost = np.asarray(found[0].nonfinite_from)[:, None]
        values[(lost >= 0) & (updates[1:] >= lost)] = np.nan
        side = -1.0 if self.goal.value < self.goal.start else 1.0
        curve = np.concatenate([np.full((len(values), 1), self.goal.start), values], axis=1)
        crossing = first_crossing(side * curve, side * self.goal.value)
        times = np.concatenate([np.zeros((len(values), 1)), np.asarray(batch.time, np.float64)], axis=1)[:, updates]
        return self.samples_of(crossing.at(updates)).reshape(factors.shape), crossing.at(times).reshape(factors.shape)

    def samples_of(self, updates: Any) -> Any:
        """Samples that so many updates take."""
        learner = self.problem.plain()
        return updates * getattr(learner, "minibatch", getattr(learner, "rollout", 1))


def _check_names(names: tuple[str, ...], table: Mapping[str, Remedy]) -> tuple[str, ...]:
    for i, name in enumerate(names):
        check.choice(f"remedies[{i}]", name, tuple(table))
    if NONE not in names:
        raise ValueError(
            f"remedies is {list(names)}, but {NONE!r} must be among them, for it is what others are beside."
        )
    return runs.distinct("remedies", names)
