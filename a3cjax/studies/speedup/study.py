"""The paper's Fig. 3: how much sooner a target is met by more workers."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from a3cjax._core import check
from a3cjax.engine import Record
from a3cjax.problems import FiniteMDP
from a3cjax.schedules import Schedule
from a3cjax.schedules.compute_times import ComputeTime
from a3cjax.studies.frame import runs
from a3cjax.studies.frame import target as targets
from a3cjax.studies.frame.beginning import begin, counted, listed
from a3cjax.studies.frame.layout import SEED, UPDATES, WORKERS, Layout, Var, lost_from
from a3cjax.studies.frame.rows import Column, column, table_row
from a3cjax.studies.frame.statistics import OF_RATIOS, Ratio, about_intervals, ratio_of_means
from a3cjax.studies.frame.study import Study
from a3cjax.studies.frame.tables import DASH, interval, number
from a3cjax.studies.frame.types import Dataset, Figure
from a3cjax.studies.speedup.figure import PAPER, speedup_figure

_CRITIC = "critic_error_sq"


def layout(metric: str, metrics: Sequence[str]) -> Layout:
    """The layout of the curves of a metric, and of the critic's gap if that is among the ``metrics``."""
    cells = "sampling workers seed"
    curves = {
        "objective": Var(f"{cells} record", "J(θ), the exact objective", "reward", np.nan),
        _CRITIC: Var(f"{cells} record", "critic gap ‖ω − ω*(θ)‖²", "reward²", np.nan),
    } | ({metric: Var(f"{cells} record", metric, None, np.nan)} if metric != "objective" else {})
    return Layout(
        "Speedup of asynchronous advantage actor-critic with the number of workers",
        coordinates={
            "sampling": Var("sampling", "sampling option"),
            "workers": WORKERS,
            "seed": SEED,
            "updates": UPDATES,
        },
        variables={name: curves[name] for name in metrics}
        | {
            "time": Var("workers seed record", "virtual time", "compute-time unit"),
            "samples_per_worker": Var("workers record", "average samples per worker", "samples"),
            "mean_delay": Var("workers seed", "mean delay", "updates"),
            "max_delay": Var("workers seed", "largest delay", "updates"),
            "nonfinite_from": lost_from(cells),
            "updates_done": Var("sampling", "updates done by every run", "updates", 0),
            "updates_to_target": Var(cells, "updates to the target", "updates"),
            "time_to_target": Var(cells, "virtual time to the target", "compute-time unit"),
        },
    )


@table_row
class SpeedupRow:
    """One line of ``speedup.csv``; means are over seeds, and NaN if any seed did not meet the target."""

    sampling: str = column("sampling", at=-1)
    workers: int = column("workers", at=-1)
    updates_to_target: float = column("updates\nto target", ",.0f")
    samples_per_worker: float = column("samples\nper worker", ",.0f")
    speedup: float = column("speedup", at=-1)
    speedup_low: float = column("{percent}", cell=lambda row: _interval(row), at=-1)
    speedup_high: float
    time_to_target: float = column("virtual\ntime", cell=lambda row: _time(row))
    time_speedup: float = column("time\nspeedup")
    efficiency: float = column("efficiency", ".2f", at=-1)


class SpeedupStudy(Study):
    """The outcome of ``speedup``.

    ``curves`` over (sampling, workers, seed, record): ``objective``, or the metric asked for, ``critic_error_sq``,
    ``time``, ``samples_per_worker``, and per run ``updates_to_target`` and ``time_to_target`` (NaN: not met), ....
    ``rows``: a ``SpeedupRow`` for each sampling and N.
    """

    name = "speedup"
    rows: tuple[SpeedupRow, ...]

    @classmethod
    def of(cls, curves: Dataset, confidence: float = 0.95, *, interrupted: bool = False) -> "SpeedupStudy":
        """Find where the curves meet the target, and from that the speedups, eq. (1).

        speedup(N) = mean samples with one worker / mean samples per worker with N = N ū(1) / ū(N), with ū the mean
        over seeds of the updates to the target; its interval is ``ratio_of_means``. At N = 1 it is 1 by definition,
        without an interval to speak of. A mean over seeds some of which never met the target is not known and is NaN,
        as is all that follows from it; ``notes`` then gives bounds.
        """
        crossing = targets.target_crossing(curves)
        updates = crossing.at(curves.updates.values)
        time = crossing.at(np.broadcast_to(curves.time.values, (*updates.shape, curves.sizes["record"])))
        found = layout("objective", ()).add(curves, updates_to_target=updates, time_to_target=time)
        workers = [int(n) for n in curves.workers.values]
        one, minibatch = workers.index(1), int(curves.attrs["minibatch"])
        rows = tuple(
            _row(str(name), n, updates[i, [one, j]], time[i, [one, j]], minibatch, confidence)
            for i, name in enumerate(curves.sampling.values)
            for j, n in enumerate(workers)
        )
        return cls(found.assign_attrs(about_intervals(confidence, OF_RATIOS)), rows, confidence, interrupted)

    @property
    def share_closed(self) -> Float[np.ndarray, "sampling workers seed"]:
        """(J(θ) − J(θ_0)) / (J* − J(θ_0)) at the last record of every run."""
        metric = targets.metric_of(self.curves.attrs)
        last = np.searchsorted(self.curves.updates.values, self.curves.updates_done.values, side="right") - 1
        final = np.stack([self.curves[metric].values[i, ..., r] for i, r in enumerate(last)])
        start = self.curves.attrs[f"initial_{metric}"]
        return (final - start) / (self.curves.attrs[f"optimal_{metric}"] - start)

    @property
    def reached(self) -> tuple[int, ...]:
        """How many seeds met the target, for each row."""
        met = np.isfinite(self.curves.updates_to_target.values).sum(-1)
        return tuple(int(count) for count in met.reshape(-1))

    def summary(self) -> str:
        """What there was to learn, and how much of it was learned."""
        lines = [targets.target_sentence(self.curves.attrs)]
        for name, share, done in zip(
            self.curves.sampling.values, self.share_closed, self.curves.updates_done.values, strict=True
        ):
            finite = share[np.isfinite(share)]
            if finite.size:
                lines.append(
                    f"{name}: after {done:,} updates the runs have closed {finite.mean():.1%} of it on average, "
                    f"the worst {finite.min():.1%}."
                )
        return "\n".join(lines)

    def notes(self) -> list[str]:
        """A sentence for each thing that a reader of the rows must know: runs without target, runs that diverged."""
        lost = runs.lost_notes(self.curves, lambda sampling, workers: f"{sampling}, {_workers(workers)}", "steps")
        if self.interrupted:
            return [
                "The study was interrupted: the curves end there, and what they do not tell yet is a dash.", *lost
            ]  # fmt: skip
        names = enumerate(map(str, self.curves.sampling.values))
        return lost + [said for i, name in names for said in _unreached(self.curves, i, name)]

    def columns(self) -> list[Column]:
        """The rows' own, how many runs met the target, and the paper's figures beside problems of their kind."""
        met, columns = dict(zip(self.rows, self.reached, strict=True)), super().columns()
        paper = [Column("paper", _in_paper)] if self.curves.attrs.get("beside_paper", 1) else []
        reached = Column("runs that\nmet it", lambda row: f"{met[row]} of {self.curves.sizes['seed']}")
        return [*columns[:4], *paper, *columns[4:], reached]

    def figure(self) -> Figure:
        """Critic gap against virtual time, objective against samples per worker, speedup against workers."""
        return speedup_figure(self.curves, self.rows, self.percent)

    def facts(self) -> dict[str, float]:
        """The targets.levels of J that the study speaks of."""
        return targets.levels(self.curves.attrs)


def speedup(
    learner: Any, *, workers: Sequence[int] = (1, 2, 4, 8, 16),
    sampling: Literal["both", "iid", "markov"] | Sequence[str] = "both", seeds: int = 32, num_updates: int = 60_000,
    target: float = 0.8, metric: str = "objective", target_value: float | None = None,
    compute_times: ComputeTime | runs.WorkerLaws | None = None, record_every: int | None = None,
    confidence: float = 0.95, seed: int = 0, progress: bool | None = None,
) -> SpeedupStudy:  # fmt: skip
    """Eq. (1) of arXiv:2012.15511 measured: samples to a target with one worker / samples per worker with N.

    All runs of one sampling are one batch of ``simulate``: N workers, always busy, for every N, times ``seeds``. A run
    has met the target at the first recorded update at which the exact objective J(θ), which has no sampling noise, has
    closed the share ``target`` of the gap from J(θ_0) to J*; between two records it is interpolated linearly. Any other
    learner will do, too, by any ``metric`` that it has.

    Runs of different N draw from different keys, so they are independent. The two samplings share their schedules and
    keys. The n-th seed's runs are the same however many seeds there are.

    Args:
        learner: an ``A3C``, on a finite MDP or an LQR, or any learner that has the metric.
        workers: numbers of workers N; 1 must be among them, for eq. (1) compares with it.
        sampling: where samples come from: option 1 (iid), option 2 (markov), or both. Learners without a field
            ``sampling`` are run as they are.
        seeds: runs for each N and sampling, at least 1; the intervals need 2.
        num_updates: updates of every run, K.
        target: share of the gap from the start's J(θ_0) to the optimum J* that a run has to close, at most 1.
        metric: what has to meet the target.
        target_value: a value of the metric to be met, in place of a share.
        compute_times: the law of every worker's compute time, or a function from N to the list of N laws; Exponential
            of mean 1 if not given. Virtual time is in its unit.
        record_every: updates between records; not given: a hundredth of the updates.
        confidence: coverage of the intervals over seeds. See ``ratio_of_means``.
        seed: seed of schedules and runs.
        progress: see ``simulate``.

    Raises:
        ValueError: if an argument is out of range, or the learner has no such metric.
        StudyInterrupted: on Ctrl-C, with what was done.

    >>> import a3cjax, jax
    >>> mdp = a3cjax.families.synthetic(jax.random.key(0), num_states=5, num_features=5)
    >>> learner = a3cjax.A3C(mdp, actor_step=0.5, critic_step=0.1)
    >>> study = a3cjax.studies.speedup(learner, workers=(1, 2), sampling=["markov"], seeds=3, num_updates=2000)
    >>> [row.workers for row in study.rows], study.rows[0].speedup
    ([1, 2], 1.0)
    """
    workers, every = check_arguments(workers, sampling, seeds, num_updates, target, record_every, confidence, seed)
    learners = targets.by_sampling(learner, sampling)
    goal = targets.find_target(learner, metric, target, target_value)
    metrics = (metric, *(name for name in (_CRITIC,) if name in learner.metric_names and name != metric))
    begin(
        f"Simulating {counted(seeds, 'seed')} × N = {listed(workers)} workers × {num_updates:,} updates"
        + ("" if targets.AS_GIVEN in learners else f", {' and '.join(learners)} sampling"),
        in_blocks=True,
    )
    record, asked = Record(every=every, metrics=metrics), (seed, compute_times, workers, seeds, num_updates, progress)
    with runs.drawn_runs(list(learners.values()), record, *asked) as (schedule, keys, ready):
        curves = _empty(learner, goal, metrics, workers, tuple(learners), seeds, schedule, every)
        each = enumerate(learners.values())
        batches = [runs.Batch(i, one, schedule, keys, _stopped(curves, i)) for i, one in each]
        return runs.run_batches(
            SpeedupStudy.of, curves, batches, record, confidence, progress, nothing_before=True, ready=ready
        )


def check_arguments(
    workers: Sequence[int], sampling: str | Sequence[str], seeds: int, num_updates: int, target: float,
    record_every: int | None, confidence: float, seed: int,
) -> tuple[tuple[int, ...], int]:  # fmt: skip
    """The numbers of workers in ascending order, and the updates between records.

    Raises:
        ValueError: if ``speedup`` would not take one of them, whatever the learner.
    """
    workers = _check_workers(workers)
    runs.distinct_samplings(sampling)
    runs.check_repeats(seeds, seed, confidence)
    num_updates = check.integer("num_updates", num_updates, 1)
    return workers, Record(record_every).spacing(num_updates)


def _check_workers(workers: Sequence[int]) -> tuple[int, ...]:
    numbers = tuple(check.integer(f"workers[{i}]", n, 1) for i, n in enumerate(workers))
    if 1 not in numbers:
        raise ValueError(f"workers is {list(numbers)}, but eq. (1) compares with one worker; put 1 among them.")
    repeated = [n for n in numbers if numbers.count(n) > 1]
    if repeated:
        raise ValueError(f"workers is {list(numbers)}, which names {repeated[0]} more than once; name each once.")
    return tuple(sorted(numbers))


def _empty(
    learner: Any, goal: targets.Target, metrics: Sequence[str], workers: tuple[int, ...], samplings: tuple[str, ...],
    seeds: int, schedule: Schedule, every: int,
) -> Dataset:  # fmt: skip
    """The study's curves with everything but what the runs will say; record 0 is the start."""
    shape, at = (len(workers), seeds), np.arange(0, schedule.num_updates + 1, every)
    minibatch = getattr(learner, "minibatch", getattr(learner, "rollout", 1))  # samples of an update
    time = np.zeros((*shape, at.size))
    time[..., 1:] = schedule.time[:, at[1:] - 1].reshape(*shape, -1)
    values = {
        "sampling": samplings, "workers": workers, "seed": seeds, "updates": at, "time": time,
        "samples_per_worker": at * minibatch / np.array(workers)[:, None],
        "mean_delay": np.asarray(schedule.mean_delay).reshape(shape),
        "max_delay": np.asarray(schedule.max_delay).reshape(shape),
    }  # fmt: skip
    # The paper's figures are of a finite MDP.
    told = {"minibatch": minibatch, "beside_paper": int(isinstance(getattr(learner, "mdp", None), FiniteMDP))}
    told |= {"num_updates": schedule.num_updates, **goal.attributes(learner)}
    curves = targets.titled(layout(goal.metric, metrics).dataset(values, **told), learner)
    for name in metrics:
        curves[name].values[..., 0] = goal.start if name == goal.metric else targets.initial_value(learner, name)
    return curves


def _stopped(curves: Dataset, i: int) -> Callable[[], str]:
    name, wanted = curves.sampling.values[i], curves.attrs["num_updates"]
    which = "runs" if name == targets.AS_GIVEN else f"{name} runs"
    return lambda: f"Interrupted in the {which} after {int(curves.updates_done[i])} of {wanted} updates."


def _row(
    sampling: str, n: int, updates: np.ndarray, times: np.ndarray, minibatch: int, confidence: float
) -> SpeedupRow:
    """Of N workers; updates and times to the target of one worker's runs and of theirs, [2, seeds]."""
    one, many = updates
    ratio = Ratio(1.0, 1.0, 1.0) if n == 1 else ratio_of_means(one, many, confidence=confidence)
    if n == 1 and not np.isfinite(one).all():
        ratio = Ratio(np.nan, np.nan, np.nan)
    value, low, high = (n * part for part in ratio)
    return SpeedupRow(
        sampling=sampling, workers=n, updates_to_target=float(many.mean()),
        samples_per_worker=float(many.mean()) * minibatch / n, speedup=value, speedup_low=low, speedup_high=high,
        time_to_target=float(times[1].mean()), time_speedup=float(times[0].mean() / times[1].mean()),
        efficiency=value / n,
    )  # fmt: skip


def _unreached(curves: Dataset, i: int, name: str) -> list[str]:
    """For each N of one sampling with seeds that never met the target: how many, and what is known all the same."""
    updates, done = curves.updates_to_target.values[i], int(curves.updates_done.values[i])
    said = []
    missed = np.isnan(updates).sum(-1)
    if missed.sum() == updates.size:
        return [f"{name}: no run met the target in {done:,} updates. More updates or a lower target will tell."]
    least = np.where(np.isnan(updates), done, updates).mean(-1)
    workers = [int(n) for n in curves.workers.values]
    one = workers.index(1)
    for j, n in enumerate(workers):
        if not missed[j]:
            continue
        said.append(
            f"{name}, {_workers(n)}: {missed[j]} of {updates.shape[-1]} runs did not meet the target in {done:,} "
            f"updates, so their mean is not known; it is at least {least[j]:,.0f} updates"
            + (f", and the speedup at most {n * least[one] / least[j]:.3g}." if n > 1 and not missed[one] else ".")
        )
    if missed[one] and len(workers) > 1:
        said.append(f"{name}: without the mean for one worker there is no speedup, eq. (1).")
    if said:
        said[-1] += " More updates or a lower target will tell."
    return said


def _workers(n: int) -> str:
    return f"{n} worker{'' if n == 1 else 's'}"


def _interval(row: SpeedupRow) -> str:
    return interval(row.speedup_low, row.speedup_high) if row.workers > 1 else DASH


def _in_paper(row: SpeedupRow) -> str:
    known = PAPER.get(row.sampling, {}).get(row.workers)
    return DASH if known is None else f"{known:g}"


def _time(row: SpeedupRow) -> str:
    return number(row.time_to_target, ",.4g" if row.time_to_target < 100 else ",.0f")
