"""The paper's Figs. 5 to 8: how much sooner networks come to a return with more workers."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from a3cjax._core import check
from a3cjax.environments.adopted import name_of
from a3cjax.schedules.compute_times import ComputeTime
from a3cjax.studies.frame import runs
from a3cjax.studies.frame import target as targets
from a3cjax.studies.frame.rows import column, table_row, with_ends
from a3cjax.studies.frame.statistics import Ratio, ratio_of_means
from a3cjax.studies.frame.study import Study, StudyInterrupted
from a3cjax.studies.frame.tables import DASH, interval
from a3cjax.studies.frame.types import Dataset, Figure
from a3cjax.studies.speedup.returns_figure import returns_figure
from a3cjax.studies.speedup.study import SpeedupStudy, speedup

METRIC = "episode_return"
# Read off Figs. 5 to 8 of arXiv:2012.15511: in samples, and in the running time of its machines.
PAPER = {
    "CartPole": {1: 1.0, 2: 1.97, 4: 3.70, 8: 7.40, 16: 13.6},
    "Breakout-MinAtar": {1: 1.0, 16: 15.8},
}
OTHER_GAME = {"Breakout-MinAtar": "Atari's Breakout"}  # what the paper's figures are of, where that is not the same
PAPER_TIME = {"CartPole": {1: 1.0, 2: 2.06, 4: 3.57, 8: 6.29, 16: 8.53}}


@table_row
class ReturnRow:
    """One line of ``speedup.csv``; means are over seeds, and NaN if any seed did not meet the target."""

    environment: str = column("environment")
    workers: int = column("workers")
    speedup: float = column("speedup")
    speedup_low: float = column("{percent}", cell=lambda row: _interval(row, "speedup"))
    speedup_high: float
    paper: float = column("paper", "g")
    time_speedup: float = column("time\nspeedup")
    time_speedup_low: float = column("{percent}", cell=lambda row: _interval(row, "time_speedup"))
    time_speedup_high: float
    paper_time: float = column("paper", "g")
    updates_to_target: float = column("updates\nto target", ",.0f")
    samples_per_worker: float = column("samples\nper worker", ",.0f")
    time_to_target: float = column("virtual\ntime", ",.4g")
    reached: int = column("runs that\nmet it")


_AS_SPEEDUP = (
    "workers",
    "speedup",
    "speedup_low",
    "speedup_high",
    "updates_to_target",
    "samples_per_worker",
    "time_to_target",
)


class ReturnStudy(Study):
    """The outcome of ``speedup_to_return``: ``curves`` as of ``speedup``; a ``ReturnRow`` for each N."""

    name = "speedup"
    rows: tuple[ReturnRow, ...]

    @classmethod
    def of(cls, curves: Dataset, confidence: float = 0.95, *, interrupted: bool = False) -> "ReturnStudy":
        """As ``SpeedupStudy.of``; the speedup in time is a ratio of mean times, with an interval likewise."""
        found = SpeedupStudy.of(curves, confidence, interrupted=interrupted)
        times, name = found.curves.time_to_target.values[0], str(curves.sampling.values[0])
        one = [row.workers for row in found.rows].index(1)
        rows = []
        for row, time, reached in zip(found.rows, times, found.reached, strict=True):
            n = row.workers
            ratio = Ratio(*[row.speedup] * 3) if n == 1 else ratio_of_means(times[one], time, confidence=confidence)
            paper: dict[str, Any] = {
                "paper": PAPER.get(name, {}).get(n, np.nan),
                "paper_time": PAPER_TIME.get(name, {}).get(n, np.nan),
            }
            same: dict[str, Any] = {field: getattr(row, field) for field in _AS_SPEEDUP}
            rows.append(ReturnRow(name, reached=reached, **same, **with_ends("time_speedup", ratio), **paper))
        return cls(found.curves, tuple(rows), confidence, interrupted)

    def summary(self) -> str:
        """What was to be met, and what the runs came to."""
        told, done = self.curves.attrs, int(self.curves.updates_done[0])
        name = str(self.curves.sampling.values[0])
        said = (
            f"{name}: at the start an episode's return is {told[f'initial_{METRIC}']:.4g}; the target is "
            f"{told[f'target_{METRIC}']:g}."
        )
        if name in OTHER_GAME:
            said += f" The paper's speedup is of {OTHER_GAME[name]}."
        last = np.searchsorted(self.curves.updates.values, done, side="right") - 1
        final = self.curves[METRIC].values[0, ..., last]
        if last == 0 or not np.isfinite(final).any():
            return said
        return (
            f"{said} After {done:,} updates of {told['minibatch']} samples it is {np.nanmean(final):.4g} on average "
            f"over all runs, {np.nanmin(final):.4g} in the worst."
        )

    def notes(self) -> list[str]:
        """Of runs that did not meet the target, or diverged, as ``SpeedupStudy`` says it."""
        said = SpeedupStudy(self.curves, (), self.confidence, self.interrupted).notes()
        if self.curves.attrs[f"target_{METRIC}"] < self.curves.attrs[f"initial_{METRIC}"]:
            said.append("The target is below the return at the start, so runs met it by falling; give a higher one.")
        return said

    def figure(self) -> Figure:
        """Return against samples per worker; both speedups against workers, beside the paper's and the ideal."""
        return returns_figure(self.curves, self.rows, self.percent)

    def facts(self) -> dict[str, float]:
        """The returns that the study speaks of."""
        return targets.levels(self.curves.attrs)


def speedup_to_return(
    learner: Any, *, workers: Sequence[int] = (1, 2, 4, 8, 16), seeds: int = 24, num_updates: int = 1000,
    target_value: float = 195.0, compute_times: ComputeTime | runs.WorkerLaws | None = None,
    record_every: int | None = None, confidence: float = 0.95, seed: int = 0, progress: bool | None = None,
) -> ReturnStudy:  # fmt: skip
    """``speedup`` of actor and critic networks, by the return of an episode: Figs. 5 to 8 of arXiv:2012.15511.

    Speedup(N) is eq. (1), samples to the target with one worker / samples per worker with N; beside it is the same in
    virtual time. A run has met the target at the first record at which the mean return of the learner's
    ``evaluation_episodes`` has, interpolated linearly from the record before. The paper's figures stand beside
    environments of its experiments.

    Args:
        learner: an ``ActorCritic``, or any learner with the metric "episode_return".
        workers: numbers of workers N; 1 must be among them, for eq. (1) compares with it.
        seeds: runs for each N, at least 1; the intervals need 2.
        num_updates: updates of every run, K.
        target_value: the return to be met.
        compute_times: as of ``speedup``.
        record_every: updates between records; not given: a hundredth of the updates.
        confidence: coverage of the intervals over seeds. See ``ratio_of_means``.
        seed: seed of schedules and runs.
        progress: see ``simulate``.

    Raises:
        ValueError: if an argument is out of range, or the learner has no such metric.
        StudyInterrupted: on Ctrl-C, with what was done.

    >>> import a3cjax
    >>> a3cjax.studies.speedup_to_return(a3cjax.QuadraticSGD([1.0], step=0.1))
    Traceback (most recent call last):
    ValueError: learner is a QuadraticSGD, which has no metric 'episode_return', but objective, ...
    """
    targets.check_metrics(learner, (METRIC,))
    check.number("target_value", target_value)
    environment = getattr(learner, "environment", learner)
    name = str(getattr(environment, "name", name_of(environment)))
    try:
        found = speedup(
            learner, workers=workers, seeds=seeds, num_updates=num_updates, metric=METRIC, target_value=target_value,
            compute_times=compute_times, record_every=record_every, confidence=confidence, seed=seed,
            progress=progress,
        )  # fmt: skip
    except StudyInterrupted as error:
        raise StudyInterrupted(str(error), _of_speedup(error.study, name)) from error
    return _of_speedup(found, name)


def _of_speedup(study: Study, environment: str) -> ReturnStudy:
    """The same study, under the environment's name."""
    curves = study.curves.assign_coords(sampling=("sampling", [environment], {"long_name": "environment"}))
    curves[METRIC].attrs |= {"long_name": "return of an episode", "units": "reward"}
    found = ReturnStudy.of(curves, study.confidence, interrupted=study.interrupted)
    return dataclasses.replace(found, kept=study.kept)


def _interval(row: ReturnRow, name: str) -> str:
    return interval(getattr(row, f"{name}_low"), getattr(row, f"{name}_high")) if row.workers > 1 else DASH
