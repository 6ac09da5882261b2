"""J, J_λ and the distance to the prior against λ: of exact maximisers, and of A3C with N workers."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from a3cjax._core import check
from a3cjax._core.statistics import mean_interval
from a3cjax.engine import Record, Result, simulate
from a3cjax.engine.host import at_work
from a3cjax.learners import A3C
from a3cjax.learners.a3c.learner import Sampling
from a3cjax.problems import FiniteMDP, Prior
from a3cjax.schedules import Schedule
from a3cjax.schedules.compute_times import Exponential
from a3cjax.studies.frame.beginning import begin, counted, listed
from a3cjax.studies.frame.cells import Cells, bytes_of_cell, identity_of
from a3cjax.studies.frame.layout import SEED, Layout, Var, lost_from
from a3cjax.studies.frame.rows import column, make_rows, table_row, with_ends
from a3cjax.studies.frame.runs import check_repeats, distinct, kept_on_interrupt, lost_notes, seed_keys
from a3cjax.studies.frame.statistics import OF_MEANS, about_intervals
from a3cjax.studies.frame.study import Study
from a3cjax.studies.frame.tables import number
from a3cjax.studies.frame.types import Dataset, Figure
from a3cjax.studies.regularisation.figure import regularisation_figure
from a3cjax.studies.regularisation.landscape import Landscape, Point
from a3cjax.studies.regularisation.priors import check_priors, typical_priors
from a3cjax.sweeps import Blocks, asked_for

MEASURED = ("objective", "regularized_objective", "divergence")
RECORDS = 60

_CELLS, _RUNS = "prior weight", "prior weight seed"
_SECOND_HALF = "of A3C, mean over the second half of a run"
LAYOUT = Layout(
    "What the weight of a prior does to asynchronous advantage actor-critic and to exact ascent",
    coordinates={
        "prior": Var("prior", "prior"),
        "weight": Var("weight", "λ, weight of the prior", "reward"),
        "seed": SEED,
    },
    variables={
        "best_objective": Var(_CELLS, "J where J_λ is largest", "reward", np.nan),
        "best_regularized_objective": Var(_CELLS, "largest J_λ", "reward", np.nan),
        "best_divergence": Var(_CELLS, "E KL(π_p ‖ π) where J_λ is largest", "nat", np.nan),
        "best_gradient_norm": Var(_CELLS, "‖∇J_λ‖ where ascent ended", "reward", np.nan),
        "start_regularized_objective": Var(_CELLS, "J_λ at θ = 0", "reward", np.nan),
        "bound": Var(_CELLS, "λ Σ η_p d*/d where J_λ is largest, a bound on J* − J", "reward", np.nan),
        "epsilon": Var(_CELLS, "ε_λ of Theorem 5 (uniform priors only)", "reward"),
        "objective": Var(_RUNS, f"J {_SECOND_HALF}", "reward", np.nan),
        "regularized_objective": Var(_RUNS, f"J_λ {_SECOND_HALF}", "reward", np.nan),
        "divergence": Var(_RUNS, f"E KL(π_p ‖ π) {_SECOND_HALF}", "nat", np.nan),
        "points": Var(_CELLS, "points at which the bounds were looked at", "1", 0),
        "premise_points": Var(_CELLS, "of those, with ‖∇J_λ‖ ≤ λ/(2SA) (uniform priors only)", "1", 0),
        "dominated_points": Var(_CELLS, "of those, where the sharper bound's premise holds", "1", 0),
        "violations": Var(_CELLS, "points where a premise holds and its bound does not", "1", 0),
        "nonfinite_from": lost_from(_RUNS),
    },
)


@table_row
class RegularisationRow:
    """One line of ``regularisation.csv``.

    ``best_...``: where J_λ is largest; ``gap`` is J* − J there, ``bound`` the sharper bound on it, and ``epsilon``
    ε_λ of Theorem 5, NaN for priors that are not uniform. The others are A3C's, means over seeds; NaN where a run was
    lost.
    """

    prior: str = column("prior")
    weight: float = column("λ", "g")
    best_objective: float = column("largest\nJ_λ: J", ".4f")
    best_regularized_objective: float = column("\nJ_λ", ".4f")
    best_divergence: float = column("\nKL", ".3g")
    gap: float = column("J* − J\nat the\nlargest", ".2g", at=1)
    bound: float = column("sharper\nbound", ".2g", at=1)
    epsilon: float = column("ε_λ", cell=lambda row: _epsilon(row), at=1)
    objective: float = column("A3C:\nJ", ".4f")
    objective_low: float = column("\n{percent}", ".4f", to="objective_high")
    objective_high: float
    regularized_objective: float = column("\nJ_λ", ".4f")
    regularized_objective_low: float
    regularized_objective_high: float
    divergence: float = column("\nKL", ".3g")
    divergence_low: float = column("\n{percent}", ".3g", to="divergence_high")
    divergence_high: float


class RegularisationStudy(Study):
    """The outcome of ``regularisation``: curves over (prior, weight, seed), a row for each prior and λ."""

    name = "regularisation"
    rows: tuple[RegularisationRow, ...]

    @classmethod
    def of(cls, curves: Dataset, confidence: float = 0.95, *, interrupted: bool = False) -> "RegularisationStudy":
        """Take means over seeds."""
        measured: dict[str, Any] = {}
        for name in MEASURED:
            measured |= with_ends(name, mean_interval(curves[name].values, confidence=confidence))
        gap = float(curves.attrs["optimal_objective"]) - curves.best_objective.values
        rows = make_rows(RegularisationRow, curves, "prior weight", gap=gap, **measured)
        return cls(curves.assign_attrs(about_intervals(confidence, OF_MEANS)), rows, confidence, interrupted)

    def summary(self) -> str:
        """What each prior asks for and does, and whether the bounds on J* − J held."""
        attrs, curves = self.curves.attrs, self.curves
        lines = [
            f"The optimum is J* = {attrs['optimal_objective']:.4f}. A3C: {attrs['workers']} workers, "
            f"{attrs['sampling']} sampling, {attrs['num_updates']:,} updates, α = {attrs['actor_step']:g}/(1+λ), "
            f"β = {attrs['critic_step']:g}."
        ]
        values = np.atleast_1d(attrs["prior_objectives"])
        for prior, value in zip(curves.prior.values, values, strict=True):
            of_prior = [row for row in self.rows if row.prior == prior]
            gives = " and ".join(
                f"J = {row.best_objective:.4f} at λ = {row.weight:g}, {row.best_divergence:.3g} away from the prior"
                for row in dict.fromkeys((of_prior[0], of_prior[-1]))
            )
            lines.append(f"{prior}: the prior policy has J = {value:.4f}. Maximising J_λ gives {gives}.")
        total, failed = int(curves.points.sum()), int(curves.violations.sum())
        lines.append(
            f"Of {total:,} points, Theorem 5's premise ‖∇J_λ‖ ≤ λ/(2SA) held at {int(curves.premise_points.sum()):,} "
            f"and the sharper bound's at {int(curves.dominated_points.sum()):,}; "
            + (f"J* − J is beyond its bound at {failed}." if failed else "J* − J is within its bound at all of them.")
        )
        shares = [row.gap / row.epsilon for row in self.rows if np.isfinite(row.epsilon)]
        if shares:
            lines.append(
                f"At the maximisers of J_λ with uniform priors J* − J is {min(shares):.2g} to {max(shares):.2g} of ε_λ."
            )
        return "\n".join(lines)

    def notes(self) -> list[str]:
        """A sentence for each thing that a reader of the rows must know."""
        curves = self.curves
        said = ["The study was interrupted: A3C has a dash where its runs are missing."] if self.interrupted else []
        if np.isinf(curves.epsilon.values).any():
            said.append(
                "ε_λ is infinite: the initial law η is zero at a state that an optimal policy visits, so that "
                "Theorem 5 says nothing."
            )
        said += lost_notes(curves, lambda prior, weight: f"{prior}, λ = {weight:g}", "steps")
        rough = curves.best_gradient_norm.values / (1 + curves.weight.values)
        if rough.max() > 1e-6:
            said.append(f"Exact ascent stopped early: ‖∇J_λ‖/(1+λ) is up to {rough.max():.1g} where it ended.")
        starts = curves.start_regularized_objective.values.ravel()
        short = [
            row
            for row, start in zip(self.rows, starts, strict=True)
            if row.best_regularized_objective - row.regularized_objective_high
            > 0.05 * abs(row.best_regularized_objective - start)
        ]
        if short:
            named = ", ".join(f"{row.prior} λ = {row.weight:g}" for row in short)
            said.append(
                f"A3C's J_λ is more than 5 % short of the way from θ = 0 to the largest J_λ for {named}: "
                "its steps are constant, so θ never comes to rest, or it has not arrived yet."
            )
        return said

    def figure(self) -> Figure:
        """J and J_λ, the distance to the prior, and J* − J beside its bounds, all against λ."""
        return regularisation_figure(self.curves, self.rows, self.percent)

    def facts(self) -> dict[str, float]:
        """J*, and how many points broke a bound."""
        return {
            "optimal_objective": float(self.curves.attrs["optimal_objective"]),
            "points": int(self.curves.points.sum()),
            "violations": int(self.curves.violations.sum()),
        }


def regularisation(
    mdp: FiniteMDP, *, priors: Mapping[str, Prior] | None = None,
    weights: Sequence[float] = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0), workers: int = 8, seeds: int = 8,
    num_updates: int = 40_000, actor_step: float = 0.2, critic_step: float = 0.1, radius: float | None = None,
    sampling: Sampling = "markov", confidence: float = 0.95, seed: int = 0, progress: bool | None = None,
) -> RegularisationStudy:  # fmt: skip
    """What the weight λ of a KL prior does to J, J_λ and E_{s~η_p} KL(π_p ‖ π_θ): Theorem 5 of arXiv:2012.15511.

    For each prior and λ, twice: the policy that maximises J_λ, found along the exact gradient in double precision, and
    A3C with N asynchronous workers. A run's values are means over the records of its second half, evaluated exactly.
    The actor's step is ``actor_step`` / (1 + λ), since the curvature of J_λ grows like 1 + λ.

    Beside J* − J stand ε_λ = (2λ/(1−γ)) ‖d_{π*}/η‖_∞, which Theorem 5 states for uniform priors, and a sharper
    bound that holds for every prior; ``a3cjax.studies.regularisation.landscape`` derives it. Both are checked at every
    maximiser and at every record where their premises hold. Runs of all priors and weights share keys and schedules.

    Args:
        mdp: the problem.
        priors: from names to priors, whose own weights are replaced; ``typical_priors(mdp)`` if not given.
        weights: weights λ, positive, each once.
        workers: asynchronous workers N, always busy, with exponential compute times; 1 is the sequential algorithm.
        seeds: runs for each prior and λ, at least 1; the intervals need 2.
        num_updates: updates of every run, K, at least 120.
        actor_step: the actor's step α is this over 1 + λ.
        critic_step: constant step β of the critic.
        radius: of the critic's projection.
        sampling: where samples come from: option 2 (markov) or option 1 (iid).
        confidence: coverage of the intervals over seeds. See ``mean_interval``.
        seed: seed of schedules and runs.
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
    check.number("weights", list(weights), above=0)
    grid = np.sort(np.asarray(distinct("weights", weights), np.float64))
    workers = check.integer("workers", workers, 1)
    check_repeats(seeds, seed, confidence)
    num_updates = check.integer("num_updates", num_updates, 2 * RECORDS)
    check.number("actor_step", actor_step, above=0)
    priors = check_priors(mdp, typical_priors(mdp) if priors is None else priors)
    settings = {"num_updates": num_updates, "workers": workers, "sampling": sampling,
                "actor_step": float(actor_step), "critic_step": float(critic_step)}  # fmt: skip
    learners = _learners(mdp, priors, np.repeat(grid, seeds), settings, radius)
    begin(
        f"Maximising J_λ and simulating {counted(seeds, 'seed')} × {counted(workers, 'worker')} × {num_updates:,} "
        f"updates for {counted(len(priors), 'prior')} ({listed(priors)}) × λ = {listed(grid, 'g')}",
        in_blocks=True,
    )
    land = Landscape(mdp)
    drawn = _draw(seed, seeds, workers, num_updates, len(grid), progress)
    curves = _empty(land, priors, grid, seeds, settings)
    blocks = asked_for()
    if blocks is not None:
        return _in_blocks(blocks, curves, learners, priors, drawn, seed, confidence)
    return _run(curves, learners, land, priors, drawn, confidence, progress)


def _run(
    curves: Dataset, learners: Mapping[str, A3C], land: Landscape, priors: Mapping[str, Prior], drawn: Any,
    confidence: float, progress: bool | None,
) -> RegularisationStudy:  # fmt: skip
    """The maximisers of J_λ, and then the runs, of one prior after the other."""
    with at_work("maximising J_λ", progress):
        for i, prior in enumerate(priors.values()):
            _solve(curves, i, land, prior)
    record = Record(every=curves.attrs["num_updates"] // RECORDS, metrics=[_theta])
    for i, (name, learner) in enumerate(learners.items()):
        with kept_on_interrupt(
            lambda: RegularisationStudy.of(curves, confidence, interrupted=True),
            f"Interrupted in the runs with the {name} prior.",
        ):
            result = simulate(learner, *drawn, record=record, throw=False, progress=progress)
        _fill(curves, i, land, priors[name], result)
    return RegularisationStudy.of(curves, confidence)


def _in_blocks(
    blocks: Blocks, curves: Dataset, learners: Mapping[str, A3C], priors: Mapping[str, Prior], drawn: Any,
    seed: int, confidence: float,
) -> RegularisationStudy:  # fmt: skip
    """The same study, prior by prior wherever that is done."""
    count = curves.attrs["num_updates"]
    record = Record(every=count // RECORDS, metrics=[_theta])

    def fill(curves: Dataset, at: tuple[int, ...]) -> None:
        name = str(curves.prior.values[at[0]])
        land = Landscape(learners[name].mdp)
        _solve(curves, at[0], land, priors[name])
        _fill(curves, at[0], land, priors[name], simulate(learners[name], *drawn, record=record, throw=False))

    runs = curves.sizes["weight"] * curves.sizes["seed"]
    entries = int(np.prod(np.shape(next(iter(learners.values())).theta)))
    depth = 8 * curves.attrs["workers"]
    memory = functools.partial(bytes_of_cell, learners, runs, count, count // RECORDS, entries, depth)
    told = identity_of(curves, learners, seed=seed)
    cells = Cells(RegularisationStudy.name, curves, ("prior",), fill, learners, told, memory)
    return dataclasses.replace(RegularisationStudy.of(cells.run(blocks), confidence), kept=blocks)


def _learners(
    mdp: FiniteMDP, priors: Mapping[str, Prior], weights: np.ndarray, settings: Mapping[str, Any], radius: float | None
) -> dict[str, A3C]:
    """A learner for each prior, with a weight and an actor's step for each run."""
    step, critic_step, sampling = settings["actor_step"] / (1 + weights), settings["critic_step"], settings["sampling"]
    return {
        name: A3C(mdp, step, critic_step, radius, prior=Prior(weights, prior.states, prior.policy), sampling=sampling)
        for name, prior in priors.items()
    }


def _draw(seed: int, seeds: int, workers: int, num_updates: int, weights: int, progress: bool | None) -> Any:
    """Schedules and keys of the runs of one prior, each weight with the same."""
    key = jax.random.key(seed)
    draw = jax.vmap(lambda seed_key: Schedule.from_workers(seed_key, [Exponential(1.0)] * workers, num_updates))
    with at_work("drawing schedules", progress):
        schedule = jax.tree.map(lambda x: np.tile(x, (weights, 1)), draw(seed_keys(key, 0, seeds)))
    return schedule, jnp.tile(seed_keys(key, 1, seeds), weights)


def _epsilon(row: RegularisationRow) -> str:
    return "∞" if np.isinf(row.epsilon) else number(row.epsilon, ".2g")


def _theta(state: Any) -> Any:
    return state.theta


def _empty(
    land: Landscape, priors: Mapping[str, Prior], weights: np.ndarray, seeds: int, settings: Mapping[str, Any]
) -> Dataset:
    """The study's curves, with everything but what ascent and runs will say."""
    even = 1 / np.array(land.shape)
    uniform = [np.allclose(prior.states, even[0]) and np.allclose(prior.policy, even[1]) for prior in priors.values()]
    epsilon = [[land.epsilon(weight) if known else np.nan for weight in weights] for known in uniform]
    return LAYOUT.dataset(
        {"prior": list(priors), "weight": weights, "seed": seeds, "epsilon": epsilon},
        optimal_objective=land.optimal_objective,
        prior_objectives=[land.prior_objective(prior) for prior in priors.values()],
        discount=float(land.mdp.discount),
        **settings,
    )


def _solve(curves: Dataset, i: int, land: Landscape, prior: Prior) -> None:
    """Put the maximisers of J_λ in their place."""
    weights = curves.weight.values
    thetas = land.maximise(prior, weights)
    point = land.at(prior, weights, thetas)
    for name in (*MEASURED, "gradient_norm"):
        curves[f"best_{name}"].values[i] = getattr(point, name)
    curves["bound"].values[i] = point.bound
    start = land.at(prior, weights, np.zeros_like(thetas))
    curves["start_regularized_objective"].values[i] = start.regularized_objective
    _look(curves, i, land, point)


def _fill(curves: Dataset, i: int, land: Landscape, prior: Prior, result: Result) -> None:
    """Put the runs of one prior into their place."""
    shape = (curves.sizes["weight"], curves.sizes["seed"])
    thetas = np.asarray(result.metrics["_theta"], np.float64)
    lost = np.asarray(result.nonfinite_from).reshape(shape)
    thetas = np.where(np.isfinite(thetas), thetas, 0.0)  # of lost runs, which are made NaN below
    point = land.at(prior, curves.weight.values[:, None, None], thetas.reshape(*shape, *thetas.shape[1:]))
    half = thetas.shape[1] // 2
    for name in MEASURED:
        values = getattr(point, name)[..., half:].mean(-1)
        curves[name].values[i] = np.where(lost >= 0, np.nan, values)
    curves["nonfinite_from"].values[i] = lost
    _look(curves, i, land, point)


def _look(curves: Dataset, i: int, land: Landscape, point: Point) -> None:
    """Count the points [W, ...] at which the bounds have something to say, and those that they fail at."""
    weights = curves.weight.values
    over = tuple(range(1, point.objective.ndim))
    spread = (slice(None), *(None,) * len(over))
    epsilon = curves["epsilon"].values[i][spread]
    gap = land.optimal_objective - point.objective
    slack = 1e-12  # of double precision
    num_states, num_actions = land.shape
    premise = (point.gradient_norm <= weights[spread] / (2 * num_states * num_actions)) & ~np.isnan(epsilon)
    failed = (premise & ~(gap <= epsilon + slack)) | (point.dominated & ~(gap <= point.bound + slack))
    counts = {"points": np.ones_like(premise), "premise_points": premise, "dominated_points": point.dominated}
    for name, which in (counts | {"violations": failed}).items():
        curves[name].values[i] += which.sum(over).astype(int)
