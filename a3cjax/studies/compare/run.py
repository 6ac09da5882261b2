"""Barrier and asynchronous runs on common random numbers."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from a3cjax._core import check
from a3cjax.engine import Interrupted, Record, Result, simulate
from a3cjax.engine.host import at_work
from a3cjax.learners import A3C
from a3cjax.schedules import Schedule
from a3cjax.schedules.compute_times import ComputeTime, Exponential
from a3cjax.studies.compare.result import METHODS, CompareStudy
from a3cjax.studies.compare.rounds import expected_round, expected_samples_time, idle_shares
from a3cjax.studies.frame.beginning import begin
from a3cjax.studies.frame.layout import distinct_workers
from a3cjax.studies.frame.study import StudyInterrupted, about
from a3cjax.studies.gap import objective_gap

if TYPE_CHECKING:
    import xarray as xr

WORKERS = (2, 4, 8)
_METHODS = ("method", "law", "workers", "seed")

Team = Callable[[int], Sequence[ComputeTime]]


def compare(
    learner: A3C,
    *,
    workers: Sequence[int] = WORKERS,
    laws: Mapping[str, ComputeTime | Team] | None = None,
    seeds: int = 16,
    num_samples: int = 60_000,
    target: float = 0.8,
    record_every: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    progress: bool | None = None,
) -> CompareStudy:
    """The synchronous barrier against asynchronous workers on the same compute times: which meets a target sooner.

    Three methods, for every law and N, each with the same number of samples:

    - ``async``: always-busy workers (``Schedule.from_workers``), each gradient applied alone with the learner's steps;
    - ``barrier``: ``Schedule.barrier``, the mean of N gradients applied with the same steps (equal step per update);
    - ``barrier, N × step``: the same with both steps times N, so that equal samples move the parameters equally far.

    Common random numbers: for one law, N and seed all three have the same compute times c(i, t) and the same draws for
    worker i's t-th gradient. A run has met the target at the first record at which J(θ) has closed the share ``target``
    of the gap from J(θ_0) to J*, interpolated linearly from the record before. Records fall on ends of rounds where
    they can.

    Args:
        learner: the actor-critic; its steps are numbers.
        workers: the numbers N of workers, each at least 2.
        laws: from a name to the law of every worker's compute time, or to a function from N to the list of N laws;
            exponential workers of mean 1, and the same with one worker ten times slower, if not given.
        seeds: runs for each law, N and method, at least 1; the intervals need 2.
        num_samples: K, messages of every run, each of one sample (of a mini-batch); at least the most workers.
        target: the share of J* − J(θ_0) to close, above 0 and at most 1.
        record_every: messages between records; about K / 100 if not given.
        confidence: coverage of the intervals over seeds, see ``mean_interval`` and ``ratio_of_means``.
        seed: of all randomness.
        progress: see ``simulate``.

    Raises:
        ValueError: if an argument is out of range.
        StudyInterrupted: on Ctrl-C, with what was done.

    >>> import a3cjax, jax
    >>> mdp = a3cjax.families.synthetic(jax.random.key(0), num_states=5, num_features=5)
    >>> learner = a3cjax.A3C(mdp, actor_step=0.5, critic_step=0.1)
    >>> laws = {"equal": a3cjax.compute_times.Deterministic(1.0)}
    >>> study = a3cjax.studies.compare(learner, workers=(2,), laws=laws, seeds=2, num_samples=1000)
    >>> [(row.method, row.idle) for row in study.rows]  # equal workers never wait for one another
    [('async', 0.0), ('barrier', 0.0), ('barrier, N × step', 0.0)]
    """
    workers = distinct_workers(workers, least=2)
    seeds, seed = check.integer("seeds", seeds, 1), check.integer("seed", seed, 0)
    num_samples = check.integer("num_samples", num_samples, max(workers))
    check.number("target", target, above=0, most=1)
    check.number("confidence", confidence, above=0, below=1)
    for name, step in (("actor_step", learner.actor_step), ("critic_step", learner.critic_step)):
        if callable(step) or np.ndim(step):
            raise ValueError(f"the learner's {name} must be one number here, for the study multiplies it by N.")
    teams = _teams(laws, workers)
    if record_every is None:
        record_every = _spacing(num_samples, workers)
    spacing = Record(every=record_every).spacing(num_samples)
    record = Record(every=spacing, metrics=("objective",))
    start, optimum = objective_gap(learner)

    key = jax.random.key(seed)
    begin()
    with at_work("drawing schedules", progress):
        free, barrier = _draw(jax.random.fold_in(key, 0), teams, workers, seeds, num_samples)
    at = np.arange(0, num_samples + 1, spacing)
    curves = _frame(free, barrier, teams, workers, seeds, at)
    curves.attrs.update(initial_objective=start, optimal_objective=optimum, target_share=target,
                        target_objective=start + target * (optimum - start), num_samples=num_samples,
                        minibatch=learner.minibatch)  # fmt: skip
    own = [
        [jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(key, 1), n), s) for s in range(seeds)]
        for n in workers
    ]
    keys = jnp.tile(jnp.stack([k for row in own for k in row]), len(teams))
    factor = np.tile(np.repeat(np.array(workers, float), seeds), len(teams))
    factors = np.concatenate([np.ones_like(factor), factor])
    scaled = dataclasses.replace(
        learner, actor_step=learner.actor_step * factors, critic_step=learner.critic_step * factors
    )
    parts = (
        (slice(0, 1), learner, Schedule.stack(free), keys),
        (slice(1, 3), scaled, Schedule.stack(barrier + barrier), jnp.tile(keys, 2)),
    )
    for methods, own_learner, schedule, own_keys in parts:
        try:
            result = simulate(own_learner, schedule, own_keys, record=record, throw=False, progress=progress)
        except KeyboardInterrupt as error:
            if isinstance(error, Interrupted):
                _fill(curves, methods, error.result)
            elif not methods.start:
                raise
            study = CompareStudy.of(curves, confidence, interrupted=True)
            raise StudyInterrupted(f"Interrupted in the {METHODS[methods.start]} runs.", study) from error
        _fill(curves, methods, result)
    return CompareStudy.of(curves, confidence)


def _teams(
    laws: Mapping[str, ComputeTime | Team] | None, workers: tuple[int, ...]
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
    key: jax.Array, teams: dict[str, list[list[ComputeTime]]], workers: tuple[int, ...], seeds: int, num_samples: int
) -> tuple[list[Schedule], list[Schedule]]:
    """Both schedules of every law, N and seed, each pair from one key."""
    free, barrier = [], []
    for team in (team for name in teams for team in teams[name]):
        for s in range(seeds):
            own = jax.random.fold_in(jax.random.fold_in(key, len(team)), s)
            free.append(Schedule.from_workers(own, team, num_samples))
            rounds = -(-num_samples // len(team))
            barrier.append(Schedule.barrier(own, team, rounds)[:num_samples])
    return free, barrier


def _frame(
    free: list[Schedule],
    barrier: list[Schedule],
    teams: dict[str, list[list[ComputeTime]]],
    workers: tuple[int, ...],
    seeds: int,
    at: np.ndarray,
) -> "xr.Dataset":
    """The study's curves with everything but what the runs will say; record 0 is the start."""
    import xarray as xr  # here, because it brings pandas, which only a study needs

    shape = (len(teams), len(workers), seeds)

    def times(schedules):
        return np.array([np.append(0.0, s.time)[at] for s in schedules]).reshape(*shape, -1)

    idle = [idle_shares(s) for s in barrier]
    waits = {"idle": np.mean, "idle_most": np.max}
    zeros = np.zeros(shape)
    runs = {
        name: np.stack([zeros, *[np.array([how(own) for own in idle]).reshape(shape)] * 2])
        for name, how in waits.items()
    }
    updates = np.stack([np.broadcast_to(at, (len(workers), at.size)), *[at // np.array(workers)[:, None]] * 2])
    slow, fast = times(barrier), times(free)
    pairs = [[f(team) for team in row] for f in (expected_samples_time, expected_round) for row in teams.values()]
    expected = np.array(pairs).reshape(2, len(teams), len(workers))
    own = np.array([[np.mean([float(law.mean) for law in team]) for team in row] for row in teams.values()])
    idle_expected = np.stack([np.zeros_like(own), *[1 - own / expected[1]] * 2])
    delay = np.array([s.mean_delay for s in free]).reshape(shape)
    return xr.Dataset(
        {
            "objective": (
                (*_METHODS, "record"),
                np.full((3, *shape, at.size), np.nan),
                about("J(θ), the exact objective", "reward"),
            ),
            "time": ((*_METHODS, "record"), np.stack([fast, slow, slow]), about("virtual time", "compute-time unit")),
            "updates": (("method", "workers", "record"), updates, about("updates applied", "updates")),
            "idle": (_METHODS, runs["idle"], about("share of the workers' time spent waiting", "1")),
            "idle_most": (_METHODS, runs["idle_most"], about("that share for the worker who waits most", "1")),
            "mean_delay": (_METHODS, np.stack([delay, zeros, zeros]), about("mean delay", "updates")),
            "expected_time": (
                ("method", "law", "workers"),
                expected[[0, 1, 1]],
                about("expected time of N samples", "compute-time unit"),
            ),
            "expected_idle": (("method", "law", "workers"), idle_expected, about("expected idle share", "1")),
            "nonfinite_from": (
                _METHODS,
                np.full((3, *shape), -1),
                about("first recorded sample count with a parameter that is not finite, or -1", "samples"),
            ),
        },
        coords={
            "method": ("method", list(METHODS), {"long_name": "method"}),
            "law": ("law", list(teams), {"long_name": "law of the compute times"}),
            "workers": ("workers", list(workers), about("number of workers N", "1")),
            "seed": ("seed", np.arange(seeds), about("seed", "1")),
            "samples": (
                "record",
                at,
                about("messages, one sample (of each kind, times the mini-batch) each", "samples"),
            ),
        },
        attrs={"title": "Synchronous and asynchronous advantage actor-critic on the same compute times"},
    )


def _fill(curves: "xr.Dataset", methods: slice, result: Result) -> None:
    """Put the runs of some methods, as far as they went, into their places."""
    place = curves["objective"].values[methods]
    place[..., 0] = curves.attrs["initial_objective"]
    records = len(result.updates)
    place[..., 1 : records + 1] = np.asarray(result.metrics["objective"], np.float64).reshape(
        *place.shape[:-1], records
    )
    lost = np.asarray(result.nonfinite_from).reshape(place.shape[:-1])
    curves["nonfinite_from"].values[methods] = lost
    # What a run says after it stopped being finite means nothing.
    place[(lost[..., None] >= 0) & (curves.samples.values >= lost[..., None])] = np.nan
