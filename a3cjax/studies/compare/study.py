"""Barrier and asynchronous runs on common random numbers: which meets a target sooner, and why."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from a3cjax._core import check
from a3cjax._core.statistics import mean_interval
from a3cjax.engine import Record
from a3cjax.engine.host import at_work
from a3cjax.schedules import Schedule
from a3cjax.schedules.compute_times import ComputeTime, Exponential
from a3cjax.studies.compare.figure import compare_figure
from a3cjax.studies.compare.rounds import expected_round, expected_samples_time, idle_shares
from a3cjax.studies.compare.verdict import verdict
from a3cjax.studies.frame.beginning import begin, counted, listed
from a3cjax.studies.frame.layout import SEED, WORKERS, Layout, Var
from a3cjax.studies.frame.rows import Column, column, make_rows, table_row, with_ends
from a3cjax.studies.frame.runs import Batch, WorkerLaws, check_repeats, distinct_integers, run_batches, run_keys
from a3cjax.studies.frame.statistics import OF_MEANS, OF_RATIOS, Ratio, about_intervals, ratio_of_means
from a3cjax.studies.frame.study import Study
from a3cjax.studies.frame.tables import DASH, interval
from a3cjax.studies.frame.target import (
    Target,
    find_target,
    levels,
    step_fields,
    target_crossing,
    target_sentence,
    titled,
)
from a3cjax.studies.frame.types import Dataset, Figure

METHODS = ("async", "barrier", "barrier, N × step")
_RUNS = "method law workers seed"


def layout(metric: str) -> Layout:
    """The layout of the curves of a metric."""
    objective = Var(f"{_RUNS} record", "J(θ), the exact objective", "reward", np.nan)
    return Layout(
        "Synchronous and asynchronous advantage actor-critic on the same compute times",
        coordinates={
            "method": Var("method", "method"),
            "law": Var("law", "law of the compute times"),
            "workers": WORKERS,
            "seed": SEED,
            "samples": Var("record", "messages, one sample (of each kind, times the mini-batch) each", "samples"),
        },
        variables={
            metric: objective if metric == "objective" else Var(objective.dims, metric, None, np.nan),
            "time": Var(f"{_RUNS} record", "virtual time", "compute-time unit"),
            "updates": Var("method workers record", "updates applied", "updates"),
            "idle": Var(_RUNS, "share of the workers' time spent waiting", "1"),
            "idle_most": Var(_RUNS, "that share for the worker who waits most", "1"),
            "mean_delay": Var(_RUNS, "mean delay", "updates"),
            "expected_time": Var("method law workers", "expected time of N samples", "compute-time unit"),
            "expected_idle": Var("method law workers", "expected idle share", "1"),
            "nonfinite_from": Var(
                _RUNS, "first recorded sample count with a parameter that is not finite, or -1", "samples", -1
            ),
            "samples_to_target": Var(_RUNS, "samples to the target", "samples"),
            "updates_to_target": Var(_RUNS, "updates to the target", "updates"),
            "time_to_target": Var(_RUNS, "virtual time to the target", "compute-time unit"),
        },
    )


@table_row
class CompareRow:
    """One line of ``compare.csv``; means are over seeds, and NaN if any seed did not meet the target.

    ``time_ratio``: time to the target of async over that of this method; below 1 async is sooner.
    ``samples_time``: virtual time of N samples, beside its expected value: E max_i c_i with a barrier,
    N / Σ_i (1/E c_i) without. ``idle``: share of the workers' time spent waiting, ``idle_most`` of him who waits most;
    expected: 1 − (mean of the E c_i) / E max_i c_i.
    """

    law: str = column("law")
    workers: int = column("N")
    method: str = column("method", cell=lambda row: row.method.replace(" × ", "×"))
    step_factor: int
    samples_to_target: float = column("samples\nto\ntarget", ",.0f")
    samples_low: float
    samples_high: float
    updates_to_target: float
    time_to_target: float = column("time\nto\ntarget", ",.0f")
    time_low: float = column("{percent}", ",.0f", to="time_high")
    time_high: float
    time_ratio: float = column("async\ntime /\nits time")
    ratio_low: float = column("{percent}", cell=lambda row: _ratio_interval(row))
    ratio_high: float
    samples_time: float = column("time\nof N")
    samples_time_low: float
    samples_time_high: float
    expected_samples_time: float = column("ex-\npected")
    idle: float = column("idle", cell=lambda row: f"{row.idle:.0%}")
    idle_low: float
    idle_high: float
    expected_idle: float
    idle_most: float = column("most\nidle", cell=lambda row: f"{row.idle_most:.0%}")
    reached: int


class CompareStudy(Study):
    """The outcome of ``compare``.

    ``curves`` over (method, law, workers, seed, record): ``objective``, or the metric asked for, ``time``, ``updates``,
    ``samples`` and, per run, ``samples_to_target``, ``time_to_target`` (NaN: not met), ``idle``, ....
    ``rows``: a ``CompareRow`` for each law, N and method.
    """

    name = "compare"
    rows: tuple[CompareRow, ...]

    @classmethod
    def of(cls, curves: Dataset, confidence: float = 0.95, *, interrupted: bool = False) -> "CompareStudy":
        """Find where the curves meet the target, and from that the rows.

        Ratios of times are ratios of means over seeds, paired: the methods share compute times and draws seed by seed.
        """
        crossing = target_crossing(curves)
        samples, time = crossing.at(curves.samples.values), crossing.at(curves.time.values)
        updates = crossing.at(np.broadcast_to(curves.updates.values[:, None, :, None], curves.time.shape))
        curves = layout("objective").add(
            curves, samples_to_target=samples, updates_to_target=updates, time_to_target=time
        )
        workers = curves.workers.values
        pace = curves.time.values[..., -1] * workers[:, None] / curves.samples.values[-1]

        def mean(name: str, values: np.ndarray, ends: str | None = None) -> dict[str, Any]:
            found = mean_interval(values, confidence=confidence)
            return with_ends(name, type(found)(*map(_by_row, found)), ends)

        rows = make_rows(
            CompareRow, curves, "law workers method",
            step_factor=np.where(np.arange(len(METHODS)) == 2, workers[:, None], 1),
            **mean("samples_to_target", samples, "samples"), updates_to_target=_by_row(updates.mean(-1)),
            **mean("time_to_target", time, "time"), **with_ends("time_ratio", _ratios(time, confidence), "ratio"),
            **mean("samples_time", pace), expected_samples_time=_by_row(curves.expected_time.values),
            **mean("idle", curves.idle.values), idle_most=_by_row(curves.idle_most.values.mean(-1)),
            reached=_by_row(np.isfinite(time).sum(-1)),
        )  # fmt: skip
        curves = curves.assign_attrs(about_intervals(confidence, OF_MEANS, OF_RATIOS))
        return cls(curves, rows, confidence, interrupted)

    def summary(self) -> str:
        """The target, and a sentence for each law and N: who meets it sooner."""
        return "\n".join([target_sentence(self.curves.attrs), "", *self.verdicts()])

    def verdicts(self) -> list[str]:
        """A sentence for each law and N: who meets the target sooner, and how much."""
        starts = range(0, len(self.rows), len(METHODS))
        return [verdict(self.rows[i : i + len(METHODS)], self.curves.sizes["seed"]) for i in starts]

    def notes(self) -> list[str]:
        """A sentence for each thing that a reader of the rows must know: runs without target, runs that diverged."""
        said = []
        if self.interrupted:
            said.append("The study was interrupted: the curves end there, and what they do not tell yet is a dash.")
        lost = self.curves.nonfinite_from.values
        said += self._by_method(
            (lost >= 0).sum(-1), "stopped being finite, after which they say nothing", "Take smaller steps."
        )
        if not self.interrupted:
            last = int(self.curves.attrs["num_samples"])
            met = np.isfinite(self.curves.samples_to_target.values)
            what = f"did not meet the target in {last:,} samples, so their mean is not known"
            said += self._by_method((~met).sum(-1), what, "More samples, smaller steps or a lower target will tell.")
        return said

    def columns(self) -> list[Column]:
        """The table's columns."""
        seeds = self.curves.sizes["seed"]
        return [*super().columns(), Column("met the\ntarget", lambda row: f"{row.reached} of {seeds}")]

    def figure(self) -> Figure:
        """Time ratio and idle share against workers, objective against virtual time."""
        return compare_figure(self.curves, self.rows, self.percent)

    def facts(self) -> dict[str, float]:
        """The levels of J that the study speaks of."""
        return levels(self.curves.attrs)

    def _by_method(self, runs: np.ndarray, what: str, remedy: str) -> list[str]:
        """For each method a sentence on its runs, counted [method, law, workers], of whom something is to be said."""
        curves, said = self.curves, []
        for m, counts in enumerate(runs):
            where = [
                f"{curves.law.values[i]} N = {curves.workers.values[j]} ({counts[i, j]} of {curves.sizes['seed']})"
                for i, j in np.argwhere(counts > 0)
            ]
            if where:
                said.append(f"{curves.method.values[m]}: runs {what}: {', '.join(where)}. {remedy}")
        return said


def compare(
    learner: Any, *, workers: Sequence[int] = (2, 4, 8), laws: Mapping[str, ComputeTime | WorkerLaws] | None = None,
    seeds: int = 10, num_samples: int = 60_000, target: float = 0.7, metric: str = "objective",
    target_value: float | None = None, record_every: int | None = None, confidence: float = 0.95, seed: int = 0,
    progress: bool | None = None,
) -> CompareStudy:  # fmt: skip
    """The synchronous barrier against asynchronous workers on the same compute times: which meets a target sooner.

    Three methods, for every law and N, each with the same number of samples:

    - ``async``: always-busy workers (``Schedule.from_workers``), each gradient applied alone with the learner's steps;
    - ``barrier``: ``Schedule.barrier``, the mean of N gradients applied with the same steps (equal step per update);
    - ``barrier, N × step``: the same with all steps times N, so that equal samples move the parameters equally far.

    For one law, N and seed all three have the same compute times c(i, t) and draws for worker i's t-th gradient. A run
    has met the target where the metric first reaches it, interpolated linearly between records.

    Args:
        learner: an ``A3C``, or any with the metric and numbers for steps (``run_scalars`` whose names end in "step").
        workers: numbers of workers N, each at least 2.
        laws: from a name to the law of every worker's compute time, or to a function from N to the list of N laws; not
            given: exponential of mean 1, and the same with one worker ten times slower.
        seeds: runs for each law, N and method, at least 1; the intervals need 2.
        num_samples: messages of every run, K, each of one sample (of a mini-batch); at least the most workers.
        target: share of the gap from the start's J(θ_0) to the optimum J* that a run has to close, at most 1.
        metric: what has to meet the target.
        target_value: a value of the metric to be met, in place of a share.
        record_every: messages between records; not given: about a hundredth, in whole rounds.
        confidence: coverage of the intervals over seeds. See ``mean_interval`` and ``ratio_of_means``.
        seed: seed of schedules and runs.
        progress: see ``simulate``.

    Raises:
        ValueError: if an argument is out of range, or the learner has no such metric or no steps.
        StudyInterrupted: on Ctrl-C, with what was done.

    >>> import a3cjax, jax
    >>> mdp = a3cjax.families.synthetic(jax.random.key(0), num_states=5, num_features=5)
    >>> learner = a3cjax.A3C(mdp, actor_step=0.5, critic_step=0.1)
    >>> laws = {"equal": a3cjax.compute_times.Deterministic(1.0)}
    >>> study = a3cjax.studies.compare(learner, workers=(2,), laws=laws, seeds=2, num_samples=1000)
    >>> [(row.method, row.idle) for row in study.rows]  # equal workers never wait for one another
    [('async', 0.0), ('barrier', 0.0), ('barrier, N × step', 0.0)]
    """
    workers = distinct_integers("workers", workers, 2, " numbers of workers")
    check_repeats(seeds, seed, confidence)
    num_samples = check.integer("num_samples", num_samples, max(workers))
    steps, teams = step_fields(learner), _teams(laws, workers)
    every = Record(every=_spacing(num_samples, workers) if record_every is None else record_every).spacing(num_samples)
    goal = find_target(learner, metric, target, target_value)
    begin(
        f"Simulating {counted(seeds, 'seed')} × N = {listed(workers)} workers × {num_samples:,} samples, "
        f"{counted(len(teams), 'law')} of compute times{_sampling(learner)}",
        in_blocks=True,
    )
    with at_work("drawing schedules", progress):
        pair = _draw(seed, teams, workers, seeds, num_samples)
    curves = _empty(learner, goal, *pair, teams, workers, seeds, np.arange(0, num_samples + 1, every))
    batches, record = _batches(learner, steps, *pair, seed, workers, seeds), Record(every=every, metrics=(metric,))
    return run_batches(
        CompareStudy.of, curves, batches, record, confidence, progress, clock="samples", nothing_before=True
    )


def _batches(
    learner: Any, steps: tuple[str, ...], free: list[Schedule], barrier: list[Schedule], seed: int,
    workers: tuple[int, ...], seeds: int,
) -> tuple[Batch, Batch]:  # fmt: skip
    """The asynchronous runs; and those of both barriers, the second with all steps times N."""
    laws = len(free) // (len(workers) * seeds)
    keys = jnp.tile(run_keys(jax.random.fold_in(jax.random.key(seed), 1), workers, seeds), laws)
    factor = np.tile(np.repeat(np.array(workers, float), seeds), laws)
    factors = np.concatenate([np.ones_like(factor), factor])
    many: dict[str, Any] = {name: getattr(learner, name) * factors for name in steps}
    scaled, both = dataclasses.replace(learner, **many), Schedule.stack(barrier + barrier)
    said = [f"Interrupted in the {method} runs." for method in METHODS]
    return (
        Batch(slice(0, 1), learner, Schedule.stack(free), keys, said[0]),
        Batch(slice(1, 3), scaled, both, jnp.tile(keys, 2), said[1]),
    )


def _sampling(learner: Any) -> str:
    return f", {learner.sampling} sampling" if hasattr(learner, "sampling") else ""


def _teams(
    laws: Mapping[str, ComputeTime | WorkerLaws] | None, workers: tuple[int, ...]
) -> dict[str, list[list[ComputeTime]]]:
    """The laws of each N workers, by name."""
    if laws is None:
        one = Exponential(1.0)
        laws = {"exponential": one, "one straggler": lambda n: [one] * (n - 1) + [one.scaled(10.0)]}
    if not laws:
        raise ValueError("laws is empty; give at least one law of compute times.")
    teams: dict[str, list[list[ComputeTime]]] = {}
    for name, law in laws.items():
        teams[name] = [[law] * n if isinstance(law, ComputeTime) else list(law(n)) for n in workers]
        for n, team in zip(workers, teams[name], strict=True):
            if len(team) != n:
                raise ValueError(
                    f"laws[{name!r}]({n}) gave {len(team)} laws, but must give one for each of {n} workers."
                )
    return teams


def _spacing(num_samples: int, workers: tuple[int, ...]) -> int:
    """About a hundredth of the samples, in whole rounds for every N if these are short enough."""
    spacing, rounds = max(1, num_samples // 100), math.lcm(*workers)
    return spacing if rounds > max(1, num_samples // 20) else -(-spacing // rounds) * rounds


def _draw(
    seed: int, teams: dict[str, list[list[ComputeTime]]], workers: tuple[int, ...], seeds: int, num_samples: int
) -> tuple[list[Schedule], list[Schedule]]:
    """Both schedules of every law, N and seed, each pair from one key."""
    key = jax.random.fold_in(jax.random.key(seed), 0)
    free, barrier = [], []
    for team in (team for name in teams for team in teams[name]):
        for s in range(seeds):
            pair_key = jax.random.fold_in(jax.random.fold_in(key, len(team)), s)
            free.append(Schedule.from_workers(pair_key, team, num_samples))
            rounds = -(-num_samples // len(team))
            barrier.append(Schedule.barrier(pair_key, team, rounds)[:num_samples])
    return free, barrier


def _empty(
    learner: Any, goal: Target, free: list[Schedule], barrier: list[Schedule],
    teams: dict[str, list[list[ComputeTime]]], workers: tuple[int, ...], seeds: int, at: np.ndarray,
) -> Dataset:  # fmt: skip
    """The study's curves with everything but what the runs will say; record 0 is the start."""
    shape = (len(teams), len(workers), seeds)

    def over_methods(free: Any, barrier: Any) -> np.ndarray:
        return np.stack(np.broadcast_arrays(free, barrier, barrier))

    def times(schedules: list[Schedule]) -> np.ndarray:
        return np.array([np.append(0.0, s.time)[at] for s in schedules]).reshape(*shape, -1)

    idle = np.array([[waits.mean(), waits.max()] for waits in map(idle_shares, barrier)])
    pairs = [[f(team) for team in row] for f in (expected_samples_time, expected_round) for row in teams.values()]
    expected = np.array(pairs).reshape(2, *shape[:2])
    computing = np.array([[np.mean([float(law.mean) for law in team]) for team in row] for row in teams.values()])
    values = {
        "method": METHODS, "law": list(teams), "workers": workers, "seed": seeds, "samples": at,
        "time": over_methods(times(free), times(barrier)),
        "updates": over_methods(np.tile(at, (len(workers), 1)), at // np.array(workers)[:, None]),
        "idle": over_methods(np.zeros(shape), idle[:, 0].reshape(shape)),
        "idle_most": over_methods(np.zeros(shape), idle[:, 1].reshape(shape)),
        "mean_delay": over_methods(np.array([s.mean_delay for s in free]).reshape(shape), np.zeros(shape)),
        "expected_time": over_methods(*expected),
        "expected_idle": over_methods(np.zeros(shape[:2]), 1 - computing / expected[1]),
    }  # fmt: skip
    curves = layout(goal.metric).dataset(values, **goal.attributes(learner), num_samples=int(at[-1]))
    curves.attrs["minibatch"] = getattr(learner, "minibatch", 1)
    curves[goal.metric].values[..., 0] = goal.start
    return titled(curves, learner)


def _by_row(values: np.ndarray) -> np.ndarray:
    """From [method, law, workers] to [law, workers, method], the rows' order."""
    return np.moveaxis(values, 0, -1)


def _ratios(time: np.ndarray, confidence: float) -> Ratio:
    """Of async's time to each method's, [law, workers, method], seed by seed; of its own it is 1 by definition."""
    found = np.full((*time.shape[1:3], len(METHODS), 3), np.nan)
    found[np.isfinite(time[0]).all(-1), 0] = 1
    for i, j, m in np.ndindex(*found.shape[:3]):
        if m:
            found[i, j, m] = ratio_of_means(time[0, i, j], time[m, i, j], confidence=confidence, paired=True)
    return Ratio(*np.moveaxis(found, -1, 0))  # pyright: ignore[reportArgumentType] (arrays of the three)


def _ratio_interval(row: CompareRow) -> str:
    return DASH if row.method == METHODS[0] else interval(row.ratio_low, row.ratio_high)
