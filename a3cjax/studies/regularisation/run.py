"""J, J_λ and the distance to the prior against λ: of exact maximisers, and of A3C with N workers."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from a3cjax._core import check
from a3cjax.engine import Record, Result, simulate
from a3cjax.engine.host import at_work
from a3cjax.learners import A3C
from a3cjax.learners.a3c.learner import Sampling
from a3cjax.problems import FiniteMDP, Prior, exact
from a3cjax.schedules import Schedule
from a3cjax.schedules.compute_times import Exponential
from a3cjax.studies.frame.beginning import begin
from a3cjax.studies.frame.layout import seed_keys
from a3cjax.studies.frame.study import StudyInterrupted, about
from a3cjax.studies.regularisation.landscape import Landscape
from a3cjax.studies.regularisation.result import RegularisationStudy

if TYPE_CHECKING:
    import xarray as xr

WEIGHTS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
RECORDS = 60


def regularisation(
    mdp: FiniteMDP,
    *,
    priors: Mapping[str, Prior] | None = None,
    weights: Sequence[float] = WEIGHTS,
    workers: int = 8,
    seeds: int = 8,
    num_updates: int = 40_000,
    actor_step: float = 0.2,
    critic_step: float = 0.1,
    radius: float | None = None,
    sampling: Sampling = "markov",
    confidence: float = 0.95,
    seed: int = 0,
    progress: bool | None = None,
) -> RegularisationStudy:
    """What the weight λ of a KL prior does to J, J_λ and E_{s~η_p} KL(π_p ‖ π_θ): Theorem 5 of arXiv:2012.15511.

    For each prior and λ, twice: the policy that maximises J_λ, found along the exact gradient in double precision, and
    A3C with N asynchronous workers. A run's values are means over the records of its second half, evaluated exactly.
    The actor's step is ``actor_step`` / (1 + λ), since the curvature of J_λ grows like 1 + λ.

    Beside J* − J stand ε_λ = (2λ/(1−γ)) ‖d_{π*}/η‖_∞, which Theorem 5 states for uniform priors, and a sharper
    bound that holds for every prior; ``a3cjax.studies.regularisation.landscape`` derives it. Both are checked at every
    maximiser and at every record of every run where their premises hold.

    All runs of one prior are one batch; runs of different priors and weights share keys and schedules.

    Args:
        mdp: the problem.
        priors: from names to priors, whose own weights are replaced; ``typical_priors(mdp)`` if not given.
        weights: the λ, positive, each once.
        workers: N, always busy, with exponential compute times; 1 is the sequential algorithm.
        seeds: runs for each prior and λ, at least 1; the intervals need 2.
        num_updates: K, updates of every run, at least 120.
        actor_step: α(1 + λ).
        critic_step: β.
        radius: of the critic's projection.
        sampling: "markov" or "iid".
        confidence: coverage of the intervals over seeds, see ``mean_interval``.
        seed: of all randomness.
        progress: see ``simulate``.

    Raises:
        ValueError: if an argument is out of range.
        StudyInterrupted: on Ctrl-C, with what was done.

    >>> import a3cjax
    >>> mdp = a3cjax.families.ring(3, discount=0.5)
    >>> priors = {"uniform": a3cjax.Prior.uniform(1.0, 3, 2)}
    >>> study = a3cjax.studies.regularisation(mdp, priors=priors, weights=[0.01, 1], seeds=2, num_updates=500)
    >>> [row.gap <= row.bound <= row.epsilon for row in study.rows]
    [True, True]
    """
    if not isinstance(mdp, FiniteMDP):
        raise ValueError(f"mdp must be an a3cjax.FiniteMDP, but is a {type(mdp).__name__}.")
    grid = _check_weights(weights)
    workers = check.integer("workers", workers, 1)
    seeds = check.integer("seeds", seeds, 1)
    seed = check.integer("seed", seed, 0)
    num_updates = check.integer("num_updates", num_updates, 2 * RECORDS)
    check.number("confidence", confidence, above=0, below=1)
    check.number("actor_step", actor_step, above=0)
    priors = _check_priors(mdp, typical_priors(mdp) if priors is None else priors)

    lam = np.repeat(grid, seeds)
    learners = {
        name: A3C(
            mdp,
            actor_step=actor_step / (1 + lam),
            critic_step=critic_step,
            radius=radius,
            prior=Prior(lam, prior.states, prior.policy),
            sampling=sampling,
        )
        for name, prior in priors.items()
    }
    begin()
    key = jax.random.key(seed)
    draw = jax.vmap(lambda own: Schedule.from_workers(own, [Exponential(1.0)] * workers, num_updates))
    with at_work("drawing schedules", progress):
        schedule = jax.tree.map(lambda x: np.tile(x, (len(grid), 1)), draw(seed_keys(key, 0, seeds)))
    keys = jnp.tile(seed_keys(key, 1, seeds), len(grid))

    land = Landscape(mdp)
    curves = _frame(land, priors, grid, seeds, num_updates, workers, sampling, (actor_step, critic_step))
    with at_work("maximising J_λ", progress):
        for position, prior in enumerate(priors.values()):
            _solve(curves, position, land, prior)
    record = Record(every=num_updates // RECORDS, metrics=[_theta])
    for position, (name, learner) in enumerate(learners.items()):
        try:
            result = simulate(learner, schedule, keys, record=record, throw=False, progress=progress)
        except KeyboardInterrupt as error:
            raise StudyInterrupted(
                f"Interrupted in the runs with the {name} prior.",
                RegularisationStudy.of(curves, confidence, interrupted=True),
            ) from error
        _fill(curves, position, land, priors[name], result)
    return RegularisationStudy.of(curves, confidence)


def typical_priors(mdp: FiniteMDP) -> dict[str, Prior]:
    """Three priors of weight 1: one that knows nothing, one that helps, and one that misleads at a single state.

    "uniform" is that of eq. (23). "informed" has uniform η_p and π_p half an optimal policy, half uniform. "misled"
    has η_p all at the state that an optimal policy visits most, and π_p uniform except that it takes the action that is
    worst there with probability 0.9.

    >>> import a3cjax
    >>> priors = a3cjax.studies.typical_priors(a3cjax.families.ring(4, slip=0.0))
    >>> priors["misled"].states.tolist(), [round(float(p), 2) for p in priors["informed"].policy[1]]
    ([1.0, 0.0, 0.0, 0.0], [0.75, 0.25])
    """
    num_states, num_actions = mdp.num_states, mdp.num_actions
    best = exact.optimal_policy(mdp)
    even = np.full((num_states, num_actions), 1 / num_actions)
    priors = {
        "uniform": Prior.uniform(1.0, num_states, num_actions),
        "informed": Prior(1.0, np.full(num_states, 1 / num_states), (even + np.asarray(best)) / 2),
    }
    if num_actions > 1:
        at = exact.evaluate(mdp, best)
        state = int(np.argmax(at.visitation))
        wrong = even.copy()
        wrong[state] = 0.1 / (num_actions - 1)
        wrong[state, int(np.argmin(at.action_values[state]))] = 0.9
        priors["misled"] = Prior(1.0, np.eye(num_states)[state], wrong)
    return priors


def _theta(state: Any) -> Any:
    return state.theta


def _check_priors(mdp: FiniteMDP, priors: Mapping[str, Prior]) -> dict[str, Prior]:
    if not priors:
        raise ValueError("priors is empty; give at least one.")
    for name, prior in priors.items():
        if not isinstance(prior, Prior):
            raise ValueError(f"priors[{name!r}] must be an a3cjax.Prior, but is {prior!r}.")
        if prior.policy.shape != (mdp.num_states, mdp.num_actions):
            raise ValueError(
                f"priors[{name!r}] has a policy of shape {prior.policy.shape}, but the MDP has {mdp.num_states} states "
                f"and {mdp.num_actions} actions."
            )
    return dict(priors)


def _check_weights(weights: Sequence[float]) -> np.ndarray:
    check.number("weights", list(weights), above=0)
    found = np.unique(np.asarray(weights, np.float64))
    if not found.size or found.size < len(weights):
        raise ValueError(f"weights is {list(weights)}; give one or more, each once.")
    return found


def _frame(
    land: Landscape,
    priors: Mapping[str, Prior],
    weights: np.ndarray,
    seeds: int,
    num_updates: int,
    workers: int,
    sampling: str,
    steps: tuple[float, float],
) -> "xr.Dataset":
    """The study's curves, with everything but what ascent and runs will say."""
    import xarray as xr  # here, because it brings pandas, which only a study needs

    shape = (len(priors), len(weights))
    cells, runs = ("prior", "weight"), ("prior", "weight", "seed")

    def empty(dims, long_name, units, fill: Any = np.nan):
        return dims, np.full(shape + (seeds,) * (len(dims) - 2), fill), about(long_name, units)

    even = 1 / np.array(land.shape)
    uniform = [
        bool(np.allclose(prior.states, even[0]) and np.allclose(prior.policy, even[1])) for prior in priors.values()
    ]
    epsilon = np.array([[land.epsilon(weight) if known else np.nan for weight in weights] for known in uniform])
    return xr.Dataset(
        {
            "best_objective": empty(cells, "J where J_λ is largest", "reward"),
            "best_regularized_objective": empty(cells, "largest J_λ", "reward"),
            "best_divergence": empty(cells, "E KL(π_p ‖ π) where J_λ is largest", "nat"),
            "best_gradient_norm": empty(cells, "‖∇J_λ‖ where ascent ended", "reward"),
            "start_regularized_objective": empty(cells, "J_λ at θ = 0", "reward"),
            "bound": empty(cells, "λ Σ η_p d*/d where J_λ is largest, a bound on J* − J", "reward"),
            "epsilon": (cells, epsilon, about("ε_λ of Theorem 5 (uniform priors only)", "reward")),
            "objective": empty(runs, "J of A3C, mean over the second half of a run", "reward"),
            "regularized_objective": empty(runs, "J_λ of A3C, mean over the second half of a run", "reward"),
            "divergence": empty(runs, "E KL(π_p ‖ π) of A3C, mean over the second half of a run", "nat"),
            "points": empty(cells, "points at which the bounds were looked at", "1", 0),
            "premise_points": empty(cells, "of those, with ‖∇J_λ‖ ≤ λ/(2SA) (uniform priors only)", "1", 0),
            "dominated_points": empty(cells, "of those, where the sharper bound's premise holds", "1", 0),
            "violations": empty(cells, "points where a premise holds and its bound does not", "1", 0),
            "nonfinite_from": empty(
                runs, "first recorded update with a parameter that is not finite, or -1", "updates", -1
            ),
        },
        coords={
            "prior": ("prior", list(priors), {"long_name": "prior"}),
            "weight": ("weight", weights, about("λ, weight of the prior", "reward")),
            "seed": ("seed", np.arange(seeds), about("seed", "1")),
        },
        attrs={
            "title": "What the weight of a prior does to asynchronous advantage actor-critic and to exact ascent",
            "optimal_objective": land.optimal_objective,
            "prior_objectives": [land.prior_objective(prior) for prior in priors.values()],
            "discount": float(land.mdp.discount),
            "num_updates": num_updates,
            "workers": workers,
            "sampling": sampling,
            "actor_step": float(steps[0]),
            "critic_step": float(steps[1]),
        },
    )


def _solve(curves: "xr.Dataset", position: int, land: Landscape, prior: Prior) -> None:
    """Put the maximisers of J_λ in their place."""
    weights = curves.weight.values
    thetas = land.maximise(prior, weights)
    point = land.at(prior, weights, thetas)
    for name in ("objective", "regularized_objective", "divergence", "gradient_norm"):
        curves[f"best_{name}"].values[position] = getattr(point, name)
    curves["bound"].values[position] = point.bound
    start = land.at(prior, weights, np.zeros_like(thetas))
    curves["start_regularized_objective"].values[position] = start.regularized_objective
    _look(curves, position, land, point)


def _fill(curves: "xr.Dataset", position: int, land: Landscape, prior: Prior, result: Result) -> None:
    """Put the runs of one prior into their place."""
    shape = (curves.sizes["weight"], curves.sizes["seed"])
    thetas = np.asarray(result.metrics["_theta"], np.float64)
    lost = np.asarray(result.nonfinite_from)
    thetas = np.where(np.isfinite(thetas), thetas, 0.0)  # of lost runs, which are made NaN below
    thetas = thetas.reshape(*shape, *thetas.shape[1:])
    point = land.at(prior, curves.weight.values[:, None, None], thetas)
    half = thetas.shape[2] // 2
    gone = lost.reshape(shape) >= 0
    for name in ("objective", "regularized_objective", "divergence"):
        values = getattr(point, name)[..., half:].mean(-1)
        curves[name].values[position] = np.where(gone, np.nan, values)
    curves["nonfinite_from"].values[position] = lost.reshape(shape)
    _look(curves, position, land, point)


def _look(curves: "xr.Dataset", position: int, land: Landscape, point: Any) -> None:
    """Count the points [W, ...] at which the bounds have something to say, and those that they fail at."""
    weights = curves.weight.values
    axes = tuple(range(1, point.objective.ndim))
    spread = (slice(None), *(None,) * len(axes))
    epsilon = curves["epsilon"].values[position][spread]
    gap = land.optimal_objective - point.objective
    slack = 1e-12  # of double precision
    num_states, num_actions = land.shape
    premise = (point.gradient_norm <= weights[spread] / (2 * num_states * num_actions)) & ~np.isnan(epsilon)
    failed = (premise & ~(gap <= epsilon + slack)) | (point.dominated & ~(gap <= point.bound + slack))
    counts = {"points": np.ones_like(premise), "premise_points": premise, "dominated_points": point.dominated}
    for name, which in (counts | {"violations": failed}).items():
        curves[name].values[position] += which.sum(axes).astype(int)
