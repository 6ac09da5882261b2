"""The paper's Fig. 3: how much sooner a target is met by more workers."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from a3cjax._core import check
from a3cjax.engine import Interrupted, Record, Result, simulate
from a3cjax.engine.host import at_work
from a3cjax.learners import A3C
from a3cjax.problems import FiniteMDP
from a3cjax.schedules import Schedule
from a3cjax.schedules.compute_times import ComputeTime, Exponential
from a3cjax.studies.frame.beginning import begin
from a3cjax.studies.frame.layout import Team, distinct_samplings, seed_keys, worker_schedules
from a3cjax.studies.frame.study import StudyInterrupted, about
from a3cjax.studies.gap import objective_gap
from a3cjax.studies.speedup.result import SpeedupStudy

if TYPE_CHECKING:
    import xarray as xr

WORKERS = (1, 2, 4, 8, 16)
SAMPLING = ("iid", "markov")
METRICS = ("objective", "critic_error_sq")


def speedup(
    learner: A3C,
    *,
    workers: Sequence[int] = WORKERS,
    sampling: Sequence[str] = SAMPLING,
    seeds: int = 32,
    num_updates: int = 60_000,
    target: float = 0.8,
    compute_times: ComputeTime | Team | None = None,
    record_every: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    progress: bool | None = None,
) -> SpeedupStudy:
    """Eq. (1) of arXiv:2012.15511 measured: samples to a target with one worker / samples per worker with N.

    All runs of one sampling are one batch of ``simulate``: N workers, always busy, for every N, times ``seeds``. A run
    has met the target at the first recorded update at which the exact objective J(θ), which has no sampling noise, has
    closed the share ``target`` of the gap from J(θ_0) to J*; between two records it is interpolated linearly.

    Runs of different N draw from different keys, so they are independent. The two samplings share their schedules and
    keys. The n-th seed's runs are the same however many seeds there are.

    Args:
        learner: the actor-critic, on a finite MDP or an LQR; its own ``sampling`` is replaced by those asked for.
        workers: the numbers N of workers; 1 must be among them, for eq. (1) compares with it.
        sampling: "iid", "markov" or both.
        seeds: runs for each N, at least 1; the intervals need 2.
        num_updates: K, updates of every run.
        target: the share of J* − J(θ_0) to close, above 0 and at most 1.
        compute_times: the law of every worker's compute time, or a function from N to the list of N laws; Exponential
            of mean 1 if not given. Virtual time is in its unit.
        record_every: updates between records; K // 100 if not given.
        confidence: coverage of the intervals over seeds, see ``ratio_of_means``.
        seed: of all randomness.
        progress: see ``simulate``.

    Raises:
        ValueError: if an argument is out of range.
        StudyInterrupted: on Ctrl-C, with what was done.

    >>> import a3cjax, jax
    >>> mdp = a3cjax.families.synthetic(jax.random.key(0), num_states=5, num_features=5)
    >>> learner = a3cjax.A3C(mdp, actor_step=0.5, critic_step=0.1)
    >>> study = a3cjax.studies.speedup(learner, workers=(1, 2), sampling=["markov"], seeds=3, num_updates=2000)
    >>> [row.workers for row in study.rows], study.rows[0].speedup
    ([1, 2], 1.0)
    """
    workers, sampling, record = check_arguments(
        workers, sampling, seeds, num_updates, target, record_every, confidence, seed
    )
    updates = np.arange(record.spacing(num_updates), num_updates + 1, record.spacing(num_updates))

    # Before anything is drawn, so that a bad option is told at once.
    learners = {name: dataclasses.replace(learner, sampling=name) for name in sampling}
    start, optimum = objective_gap(learner)
    team = compute_times if callable(compute_times) else lambda n: [compute_times or Exponential(1.0)] * n

    key = jax.random.key(seed)
    begin()
    with at_work("drawing schedules", progress):
        schedule = worker_schedules(jax.random.fold_in(key, 0), team, workers, seeds, num_updates)
        keys = jnp.concatenate([seed_keys(jax.random.fold_in(key, 1), n, seeds) for n in workers])
        curves = _frame(learner, workers, sampling, seeds, schedule, updates, start, optimum)
    curves.attrs["target_share"] = target
    curves.attrs["target_objective"] = start + target * (optimum - start)
    for position, name in enumerate(sampling):
        try:
            result = simulate(learners[name], schedule, keys, record=record, throw=False, progress=progress)
        except KeyboardInterrupt as error:
            if isinstance(error, Interrupted):
                _fill(curves, position, error.result)
            elif not position:
                raise
            study = SpeedupStudy.of(curves, confidence, interrupted=True)
            raise StudyInterrupted(
                f"Interrupted in the {name} runs after {int(curves.updates_done[position])} of {num_updates} updates.",
                study,
            ) from error
        _fill(curves, position, result)
    return SpeedupStudy.of(curves, confidence)


def check_arguments(
    workers: Sequence[int],
    sampling: Sequence[str],
    seeds: int,
    num_updates: int,
    target: float,
    record_every: int | None,
    confidence: float,
    seed: int,
) -> tuple[tuple[int, ...], tuple[str, ...], Record]:
    """The numbers of workers in ascending order, the samplings, and what is recorded.

    Raises:
        ValueError: if ``speedup`` would not take one of them, whatever the learner.
    """
    workers, sampling = _check_workers(workers), distinct_samplings(sampling)
    check.integer("seeds", seeds, 1)
    check.integer("seed", seed, 0)
    num_updates = check.integer("num_updates", num_updates, 1)
    check.number("target", target, above=0, most=1)
    check.number("confidence", confidence, above=0, below=1)
    record = Record(every=max(1, num_updates // 100) if record_every is None else record_every, metrics=METRICS)
    record.spacing(num_updates)
    return workers, sampling, record


def _check_workers(workers: Sequence[int]) -> tuple[int, ...]:
    numbers = tuple(check.integer(f"workers[{i}]", n, 1) for i, n in enumerate(workers))
    if 1 not in numbers:
        raise ValueError(f"workers is {list(numbers)}, but eq. (1) compares with one worker; put 1 among them.")
    repeated = [n for n in numbers if numbers.count(n) > 1]
    if repeated:
        raise ValueError(f"workers is {list(numbers)}, which names {repeated[0]} more than once; name each once.")
    return tuple(sorted(numbers))


def _frame(
    learner: A3C,
    workers: tuple[int, ...],
    sampling: tuple[str, ...],
    seeds: int,
    schedule: Schedule,
    updates: np.ndarray,
    start: float,
    optimum: float,
) -> "xr.Dataset":
    """The study's curves with everything but what the runs will say; record 0 is the start."""
    import xarray as xr  # here, because it brings pandas, which only a study needs

    shape = (len(workers), seeds)
    at = np.concatenate([[0], updates])
    time = np.zeros((*shape, at.size))
    time[..., 1:] = schedule.time[:, updates - 1].reshape(*shape, -1)
    error = float(learner.measure(learner.init(jax.random.key(0)), ("critic_error_sq",))["critic_error_sq"])
    curve = np.full((len(sampling), *shape, at.size), np.nan)
    objective, critic = curve.copy(), curve.copy()
    objective[..., 0], critic[..., 0] = start, error
    runs = ("workers", "seed")
    samples = at * learner.minibatch / np.array(workers)[:, None]
    return xr.Dataset(
        {
            "objective": (("sampling", *runs, "record"), objective, about("J(θ), the exact objective", "reward")),
            "critic_error_sq": (("sampling", *runs, "record"), critic, about("critic gap ‖ω − ω*(θ)‖²", "reward²")),
            "time": ((*runs, "record"), time, about("virtual time", "compute-time unit")),
            "samples_per_worker": (("workers", "record"), samples, about("average samples per worker", "samples")),
            "mean_delay": (runs, np.asarray(schedule.mean_delay).reshape(shape), about("mean delay", "updates")),
            "max_delay": (runs, np.asarray(schedule.max_delay).reshape(shape), about("largest delay", "updates")),
            "nonfinite_from": (
                ("sampling", *runs),
                np.full((len(sampling), *shape), -1),
                about("first recorded update with a parameter that is not finite, or -1", "updates"),
            ),
            "updates_done": ("sampling", np.zeros(len(sampling), int), about("updates done by every run", "updates")),
        },
        coords={
            "sampling": ("sampling", list(sampling), {"long_name": "sampling option"}),
            "workers": ("workers", list(workers), about("number of workers N", "1")),
            "seed": ("seed", np.arange(seeds), about("seed", "1")),
            "updates": ("record", at, about("updates applied", "updates")),
        },
        attrs={
            "title": "Speedup of asynchronous advantage actor-critic with the number of workers",
            "initial_objective": start,
            "optimal_objective": optimum,
            "minibatch": learner.minibatch,
            "beside_paper": int(isinstance(learner.mdp, FiniteMDP)),  # whose figures are of a finite MDP
            "num_updates": schedule.num_updates,
        },
    )


def _fill(curves: "xr.Dataset", position: int, result: Result) -> None:
    """Put one sampling's runs, as far as they went, into its place."""
    shape = (curves.sizes["workers"], curves.sizes["seed"])
    records = len(result.updates)
    for name in METRICS:
        values = np.asarray(result.metrics[name], np.float64).reshape(*shape, records)
        curves[name].values[position, ..., 1 : records + 1] = values
    lost = np.asarray(result.nonfinite_from).reshape(shape)
    curves["nonfinite_from"].values[position] = lost
    # What a run says after it stopped being finite means nothing.
    gone = (lost[..., None] >= 0) & (curves.updates.values >= lost[..., None])
    for name in METRICS:
        curves[name].values[position][gone] = np.nan
    assert result.state is not None
    curves["updates_done"].values[position] = result.state.updates
