"""The estimators' moments at two policies, and learning with each of them under delay."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from a3cjax._core import check
from a3cjax.engine import Record, simulate
from a3cjax.engine.host import at_work
from a3cjax.learners import A3C
from a3cjax.learners.policies import TabularSoftmax
from a3cjax.problems import exact
from a3cjax.schedules.compute_times import ComputeTime, Exponential
from a3cjax.studies.estimators.moments import KINDS, moments_at
from a3cjax.studies.estimators.result import EstimatorsStudy
from a3cjax.studies.frame.beginning import begin
from a3cjax.studies.frame.layout import distinct_workers, seed_keys, worker_schedules
from a3cjax.studies.frame.study import StudyInterrupted, about

if TYPE_CHECKING:
    import xarray as xr

POINTS = ("at the start", "near the optimum")
NEAR = 0.9  # probability of the optimal action at the second of them
_RECORDS = 50


def estimators(
    learner: A3C,
    *,
    kinds: Sequence[str] = tuple(KINDS),
    workers: Sequence[int] = (1, 16),
    seeds: int = 16,
    num_updates: int = 20_000,
    compute_times: Callable[[int], Sequence[ComputeTime]] | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    progress: bool | None = None,
) -> EstimatorsStudy:
    """Rank estimators of the policy gradient by variance, and see what that does to learning at equal steps.

    The variance (the trace of the covariance of one sample's direction) and the norm of the bias are exact, at θ_0 and
    at a policy that takes the optimal action with probability 0.9, each with the critic at its TD fixed point and V_π
    for a baseline. Learning is simulated with N workers, always busy; there a baseline stays what it is at the start, V
    of θ_0's policy. All estimators share schedules and keys.

    Args:
        learner: the actor-critic, with a tabular softmax; its estimator and baseline are replaced.
        kinds: "td", "advantage", "q", "reinforce", "q+baseline" and "reinforce+baseline", or some of them.
        workers: the numbers N of workers.
        seeds: runs for each estimator and N, at least 1.
        num_updates: K.
        compute_times: from N to the laws of N workers' compute times; exponential with mean 1 if not given.
        confidence: coverage of the intervals over seeds, see ``mean_interval``.
        seed: of all randomness.
        progress: see ``simulate``.

    Raises:
        ValueError: if an argument is out of range, or the policy is another.
        StudyInterrupted: on Ctrl-C, with what was done.

    >>> import a3cjax
    >>> learner = a3cjax.A3C(a3cjax.families.ring(4), actor_step=0.1, critic_step=0.1)
    >>> study = a3cjax.studies.estimators(learner, kinds=["td"], workers=[2], seeds=2, num_updates=100)
    >>> [(row.kind, row.workers, row.variance_start > 0) for row in study.rows]
    [('td', 2, True)]
    """
    if not isinstance(learner.policy, TabularSoftmax):
        raise ValueError(
            f"learner has a {type(learner.policy).__name__} policy, but the variances are for a tabular softmax; use "
            "a3cjax.policies.TabularSoftmax."
        )
    kinds = tuple(kinds)
    for i, kind in enumerate(kinds):
        check.choice(f"kinds[{i}]", kind, tuple(KINDS))
    if not kinds or len(set(kinds)) < len(kinds):
        raise ValueError(f"kinds is {list(kinds)}; give one or more kinds of estimators, each once.")
    workers = distinct_workers(workers)
    seeds, seed = check.integer("seeds", seeds, 1), check.integer("seed", seed, 0)
    num_updates = check.integer("num_updates", num_updates, 1)
    check.number("confidence", confidence, above=0, below=1)
    record = Record(every=max(1, num_updates // _RECORDS), metrics=("objective",))
    updates = np.arange(record.spacing(num_updates), num_updates + 1, record.spacing(num_updates))

    team = compute_times or (lambda n: [Exponential(1.0)] * n)
    key = jax.random.key(seed)
    begin()
    with at_work("drawing schedules", progress):
        schedule = worker_schedules(jax.random.fold_in(key, 0), team, workers, seeds, num_updates)
    keys = jnp.concatenate([seed_keys(jax.random.fold_in(key, 1), n, seeds) for n in workers])
    curves = _frame(learner, kinds, workers, seeds, updates)
    start_values = exact.state_values(learner.mdp, learner.policy.probabilities(learner.theta))
    for position, (estimator, less) in enumerate(KINDS[kind] for kind in kinds):
        own = dataclasses.replace(learner, estimator=estimator, baseline=start_values if less else None, horizon=None)
        try:
            result = simulate(own, schedule, keys, record=record, throw=False, progress=progress)
        except KeyboardInterrupt as error:
            raise StudyInterrupted(
                f"Interrupted after {position} of {len(kinds)} estimators.",
                EstimatorsStudy.of(curves, confidence, interrupted=True),
            ) from error
        values = np.asarray(result.metrics["objective"], np.float64)
        lost = np.asarray(result.nonfinite_from)[:, None]
        values = np.where((lost >= 0) & (updates >= lost), np.nan, values)
        curves["objective"].values[position, ..., 1:] = values.reshape(len(workers), seeds, -1)
    return EstimatorsStudy.of(curves, confidence)


def _near_optimum(learner: A3C) -> np.ndarray:
    """θ with probability ``NEAR`` for the optimal action and the rest shared equally."""
    optimal = np.asarray(exact.optimal_policy(learner.mdp), np.float64)
    others = optimal.shape[1] - 1
    return optimal * np.log(NEAR * max(others, 1) / (1 - NEAR))


def _frame(
    learner: A3C, kinds: tuple[str, ...], workers: tuple[int, ...], seeds: int, updates: np.ndarray
) -> "xr.Dataset":
    """The exact moments, and places for the runs; record 0 is the start."""
    import xarray as xr  # here, because it brings pandas, which only a study needs

    mdp = learner.mdp
    points = [np.asarray(learner.theta, np.float64), _near_optimum(learner)]
    moments = [moments_at(mdp, theta, kinds) for theta in points]
    start = float(exact.objective(mdp, learner.policy.probabilities(learner.theta)))
    objective = np.full((len(kinds), len(workers), seeds, updates.size + 1), np.nan)
    objective[..., 0] = start

    def table(of):
        return ("kind", "point"), np.array([[of(at[kind]) for at in moments] for kind in kinds])

    gradient = [
        float(jnp.linalg.norm(exact.policy_gradient(mdp, learner.policy, jnp.asarray(theta, learner.theta.dtype))))
        for theta in points
    ]
    return xr.Dataset(
        {
            "objective": (
                ("kind", "workers", "seed", "record"), objective, about("J(θ), the exact objective", "reward"),
            ),
            "variance": (*table(lambda m: m.variance), about("trace of a direction's covariance", "reward²")),
            "bias": (*table(lambda m: m.bias), about("‖E direction − ∇J‖", "reward")),
            "gradient_norm": ("point", gradient, about("‖∇J‖", "reward")),
        },
        coords={
            "kind": ("kind", list(kinds), {"long_name": "estimator"}),
            "point": ("point", list(POINTS), {"long_name": "policy"}),
            "workers": ("workers", list(workers), about("number of workers N", "1")),
            "seed": ("seed", np.arange(seeds), about("seed", "1")),
            "updates": ("record", np.concatenate([[0], updates]), about("updates applied", "updates")),
        },
        attrs={
            "title": "Estimators of the policy gradient: variance, bias and learning",
            "initial_objective": start,
            "optimal_objective": float(exact.optimal_objective(mdp)),
            "num_updates": int(updates[-1]),
        },
    )  # fmt: skip
