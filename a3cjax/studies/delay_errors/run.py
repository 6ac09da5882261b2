"""Both error terms of every update of many runs, along the schedules of N workers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from a3cjax._core import check
from a3cjax.engine import Interrupted, Record, Result, simulate
from a3cjax.engine.host import at_work
from a3cjax.learners import A3C
from a3cjax.learners.a3c.messages import A3CState
from a3cjax.schedules.compute_times import ComputeTime, Exponential
from a3cjax.studies.delay_errors.bound import delay_bound
from a3cjax.studies.delay_errors.result import DelayErrorStudy
from a3cjax.studies.frame.beginning import begin
from a3cjax.studies.frame.layout import Team, distinct_workers, seed_keys, worker_schedules
from a3cjax.studies.frame.study import StudyInterrupted, about

if TYPE_CHECKING:
    import xarray as xr

WORKERS = (4, 16)
TERMS = ("critic", "actor")
METRICS = ("delay", *(f"{term}_{what}_sq" for term in TERMS for what in ("delay_error", "direction")))


def delay_errors(
    learner: A3C,
    *,
    workers: Sequence[int] = WORKERS,
    seeds: int = 16,
    num_updates: int = 4000,
    compute_times: ComputeTime | Team | None = None,
    record_every: int = 1,
    confidence: float = 0.95,
    seed: int = 0,
    progress: bool | None = None,
) -> DelayErrorStudy:
    """The two error terms of delayed parameters, g(x, ω_{k−τ}) − g(x, ω_k) and v(x̂, θ_{k−τ}, ω_{k−τ}) − v(x̂, θ_k, ω_k).

    Measured exactly at the updates of N always-busy workers, for every N, and averaged over the updates of a run whose
    delay lies in the same range: 0, 1, 2, 3–4, 5–8, …. Beside them the bound of ``delay_bound``, with the largest
    ‖ω_k‖ that any run had, if every update is measured. All runs are one batch of ``simulate``; the n-th seed's runs
    are the same however many seeds there are.

    Args:
        learner: the actor-critic, with one value for each hyper-parameter.
        workers: the numbers N of workers.
        seeds: runs for each N, at least 1; the intervals need 2.
        num_updates: K, updates of every run.
        compute_times: the law of every worker's compute time, or a function from N to the list of N laws; Exponential
            of mean 1 if not given.
        record_every: measure one update in so many.
        confidence: coverage of the intervals over seeds, see ``mean_interval`` and ``ratio_of_means``.
        seed: of all randomness.
        progress: see ``simulate``.

    Raises:
        ValueError: if an argument is out of range.
        StudyInterrupted: on Ctrl-C, with what was done.

    >>> import a3cjax, jax
    >>> mdp = a3cjax.families.synthetic(jax.random.key(0), num_states=5, num_features=5)
    >>> learner = a3cjax.A3C(mdp, actor_step=0.1, critic_step=0.03, radius=10.0)
    >>> study = a3cjax.studies.delay_errors(learner, workers=[4], seeds=2, num_updates=200)
    >>> [(row.delay_low, row.delay_high) for row in study.rows][:4], study.rows[0].critic_error
    ([(0, 0), (1, 1), (2, 2), (3, 4)], 0.0)
    """
    workers = distinct_workers(workers)
    seeds = check.integer("seeds", seeds, 1)
    seed = check.integer("seed", seed, 0)
    num_updates = check.integer("num_updates", num_updates, 1)
    check.number("confidence", confidence, above=0, below=1)
    record = Record(every=record_every, metrics={name: name for name in METRICS} | {"omega_norm": _omega_norm})
    record.spacing(num_updates)
    _check_one_run(learner)
    team = compute_times if callable(compute_times) else lambda n: [compute_times or Exponential(1.0)] * n

    key = jax.random.key(seed)
    begin()
    with at_work("drawing schedules", progress):
        schedule = worker_schedules(jax.random.fold_in(key, 0), team, workers, seeds, num_updates)
    keys = jnp.concatenate([seed_keys(jax.random.fold_in(key, 1), n, seeds) for n in workers])
    try:
        result, stopped = simulate(learner, schedule, keys, record=record, throw=False, progress=progress), None
    except Interrupted as error:
        result, stopped = error.result, error
    curves = _frame(learner, workers, seeds, num_updates, result)
    visited = float(np.nanmax(curves.largest_omega.values)) if record_every == 1 else None
    bound = delay_bound(learner, num_updates, visited)
    study = DelayErrorStudy.of(curves, bound, confidence, interrupted=stopped is not None)
    if stopped is not None:
        done = int(curves.attrs["updates_done"])
        raise StudyInterrupted(f"Interrupted after {done} of {num_updates} updates.", study) from stopped
    return study


def _check_one_run(learner: A3C) -> None:
    for name in ("actor_step", "critic_step", "radius"):
        value = getattr(learner, name)
        if value is not None and not callable(value) and np.ndim(value) > 0:
            raise ValueError(f"learner.{name} has shape {np.shape(value)}; the study takes one number for all runs.")


def _omega_norm(state: A3CState) -> jax.Array:
    return jnp.linalg.norm(state.omega)


def _frame(learner: A3C, workers: tuple[int, ...], seeds: int, num_updates: int, result: Result) -> "xr.Dataset":
    """The updates of every run, [workers, seed, update], as norms."""
    import xarray as xr  # here, because it brings pandas, which only a study needs

    shape = (len(workers), seeds, len(result.updates))
    lost = np.asarray(result.nonfinite_from)
    # What a run says after it stopped being finite means nothing.
    gone = (lost[:, None] >= 0) & (result.updates >= lost[:, None])
    values = {name: np.asarray(result.metrics[name], np.float64) for name in METRICS}
    dims = ("workers", "seed", "update")
    names = {"critic": ("g", "reward"), "actor": ("v", "reward")}
    variables: dict[str, Any] = {
        "delay": (dims, values["delay"].reshape(shape).astype(int), about("delay τ", "updates"))
    }
    for term in TERMS:
        symbol, units = names[term]
        for what, metric in (("error", "delay_error"), ("direction", "direction")):
            norm = np.where(gone, np.nan, np.sqrt(values[f"{term}_{metric}_sq"])).reshape(shape)
            said = f"‖stale {symbol} − fresh {symbol}‖" if what == "error" else f"‖stale {symbol}‖"
            variables[f"{term}_{what}"] = (dims, norm, about(f"{term}: {said}", units))
    norms = np.where(gone, np.nan, np.asarray(result.metrics["omega_norm"], np.float64)).reshape(shape)
    start = np.full((*shape[:2], 1), np.linalg.norm(np.asarray(learner.omega, np.float64)))
    largest = np.nanmax(np.concatenate([start, norms], axis=-1), axis=-1)
    variables["largest_omega"] = (("workers", "seed"), largest, about("largest recorded ‖ω_k‖", "reward"))
    said = about("first recorded update with a parameter that is not finite, or -1", "updates")
    variables["nonfinite_from"] = (("workers", "seed"), lost.reshape(shape[:2]), said)
    assert result.state is not None
    return xr.Dataset(
        variables,
        coords={
            "workers": ("workers", list(workers), about("number of workers N", "1")),
            "seed": ("seed", np.arange(seeds), about("seed", "1")),
            "update": ("update", np.asarray(result.updates) - 1, about("update k", "updates")),
        },
        attrs={
            "title": "What delay adds to the directions of asynchronous advantage actor-critic",
            "sampling": learner.sampling,
            "minibatch": learner.minibatch,
            "num_updates": num_updates,
            "updates_done": result.state.updates,
        },
    )
