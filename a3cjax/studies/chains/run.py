"""Separate chains against one: the bias that is left, in the mean and simulated."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from a3cjax._core import check
from a3cjax.engine import Record, simulate
from a3cjax.engine.host import at_work
from a3cjax.learners import A3C
from a3cjax.problems import FiniteMDP, Prior, exact
from a3cjax.schedules import Schedule
from a3cjax.studies.chains.mean_field import direction_error, mean_field
from a3cjax.studies.chains.result import CHAINS, ChainsStudy
from a3cjax.studies.frame.beginning import begin
from a3cjax.studies.frame.study import StudyInterrupted, about

if TYPE_CHECKING:
    import xarray as xr

METRICS = ("objective", "regularized_objective")
_RECORDS = 40


def chains(
    mdps: FiniteMDP | Sequence[FiniteMDP],
    *,
    discounts: Sequence[float] = (0.3, 0.6, 0.9),
    weights: Sequence[float] = (0.3, 0.0),
    actor_step: float = 0.06,
    critic_step: float = 0.07,
    seeds: int = 8,
    num_updates: int = 20_000,
    confidence: float = 0.95,
    seed: int = 0,
    progress: bool | None = None,
) -> ChainsStudy:
    """How far J falls short if the actor uses the critic's samples (Fig. 2 of arXiv:2012.15511), one worker, no delay.

    Twice: in the mean, with the exact motion of ``mean_field`` up to time α·K, which has no noise; and by simulation of
    eq. (13), whose runs are averaged over the last tenth of their records, as is the mean motion.

    Args:
        mdps: one MDP or several of one size; their own discounts are replaced.
        discounts: γ, each at least 0 and below 1.
        weights: λ of a uniform prior, each at least 0.
        actor_step, critic_step: constant steps α and β.
        seeds: runs for each cell, at least 1.
        num_updates: K.
        confidence: coverage of the intervals, see ``mean_interval``: over MDPs, or over seeds if there is one MDP only.
        seed: of all randomness.
        progress: see ``simulate``.

    Raises:
        ValueError: if an argument is out of range or the MDPs differ in size.
        StudyInterrupted: on Ctrl-C, with what was done.

    >>> import a3cjax, jax
    >>> mdp = a3cjax.families.ring(3, initial=[1.0, 0.0, 0.0])
    >>> study = a3cjax.studies.chains(mdp, discounts=[0.5], weights=[0.3], seeds=2, num_updates=2000)
    >>> [(row.weight, row.discount, row.regularized_bias > 0) for row in study.rows]
    [(0.3, 0.5, True)]
    """
    mdps = (mdps,) if isinstance(mdps, FiniteMDP) else tuple(mdps)
    _check_mdps(mdps)
    discounts, weights = _distinct("discounts", discounts), _distinct("weights", weights)
    check.number("discounts", discounts, least=0, below=1)
    check.number("weights", weights, least=0)
    check.number("actor_step", actor_step, above=0)
    seeds, seed = check.integer("seeds", seeds, 1), check.integer("seed", seed, 0)
    num_updates = check.integer("num_updates", num_updates, 1)
    check.number("confidence", confidence, above=0, below=1)
    record = Record(every=max(1, num_updates // _RECORDS), metrics=METRICS)
    updates = np.arange(record.spacing(num_updates), num_updates + 1, record.spacing(num_updates))

    problems = [[_with_discount(mdp, discount) for mdp in mdps] for discount in discounts]
    states, actions = mdps[0].num_states, mdps[0].num_actions
    schedule = Schedule.sequential(num_updates)
    # Run by run: the weights, and for each its seeds. Both kinds of chains, all γ and all λ use the same keys.
    weight = np.repeat(np.asarray(weights, np.float32), seeds)
    prior = Prior(weight, np.full(states, 1 / states), np.full((states, actions), 1 / actions))
    learners = [
        [
            [A3C(mdp, actor_step, critic_step, prior=prior, shared_chain=chain == "shared") for chain in CHAINS]
            for mdp in row
        ]
        for row in problems
    ]
    begin()
    with at_work("following the mean motion", progress):
        curves = _frame(problems, discounts, weights, seeds, updates, actor_step)
    own = jax.vmap(lambda s: jax.random.fold_in(jax.random.key(seed), s))(jnp.arange(seeds))
    for m in range(len(mdps)):
        keys = jax.vmap(lambda key, m=m: jax.random.fold_in(key, m))(own)
        keys = jnp.concatenate([keys] * len(weights))
        for g, c in itertools.product(range(len(discounts)), range(len(CHAINS))):
            try:
                result = simulate(learners[g][m][c], schedule, keys, record=record, throw=False, progress=progress)
            except KeyboardInterrupt as error:
                done = m * len(discounts) + g
                raise StudyInterrupted(
                    f"Interrupted after {done} of {len(mdps) * len(discounts)} pairs of an MDP and a discount.",
                    ChainsStudy.of(curves, confidence, interrupted=True),
                ) from error
            lost = np.asarray(result.nonfinite_from).reshape(len(weights), seeds, 1)
            for name in METRICS:
                values = np.asarray(result.metrics[name], np.float64).reshape(len(weights), seeds, -1)
                curves[name].values[:, g, m, c] = np.where((lost >= 0) & (updates >= lost), np.nan, values)
    return ChainsStudy.of(curves, confidence)


def _check_mdps(mdps: tuple[FiniteMDP, ...]) -> None:
    if not mdps:
        raise ValueError("mdps is empty; give at least one MDP.")
    for i, mdp in enumerate(mdps):
        if not isinstance(mdp, FiniteMDP):
            raise ValueError(f"mdps[{i}] must be an a3cjax.FiniteMDP, but is a {type(mdp).__name__}.")
        sizes = [(one.num_states, one.num_actions, one.num_features) for one in (mdp, mdps[0])]
        if sizes[0] != sizes[1]:
            raise ValueError(
                f"mdps[{i}] has (S, A, d) = {sizes[0]}, but mdps[0] has {sizes[1]}; give MDPs of one size."
            )


def _distinct(name: str, values: Sequence[float]) -> tuple[float, ...]:
    numbers = tuple(float(value) for value in values)
    if not numbers or len(set(numbers)) < len(numbers):
        raise ValueError(f"{name} is {list(numbers)}; give one or more numbers, each once.")
    return numbers


def _with_discount(mdp: FiniteMDP, discount: float) -> FiniteMDP:
    return FiniteMDP(mdp.transition, mdp.reward, mdp.initial, discount, mdp.features)


def _represents_everything(mdp: FiniteMDP) -> bool:
    """Whether every function of the state is linear in the features, so that φᵀω* = V."""
    return bool(np.linalg.matrix_rank(np.asarray(mdp.features, np.float64)) == mdp.num_states)


def _frame(
    problems: list[list[FiniteMDP]],
    discounts: tuple[float, ...],
    weights: tuple[float, ...],
    seeds: int,
    updates: np.ndarray,
    actor_step: float,
) -> "xr.Dataset":
    """The mean motion, and places for the runs."""
    import xarray as xr  # here, because it brings pandas, which only a study needs

    count = len(problems[0])
    shape = (len(weights), len(discounts), count, len(CHAINS))
    places = list(itertools.product(weights, problems, range(count), CHAINS))
    cells = [row[m] for _, row, m, _ in places]
    mean = mean_field(cells, [w for w, *_ in places], [c == "shared" for *_, c in places], actor_step * updates)
    flat = [mdp for row in problems for mdp in row]
    dims = ("weight", "discount", "mdp", "chain")
    nothing = np.full((*shape, seeds, updates.size), np.nan)
    reward, runs = "reward", (*dims, "seed", "record")
    return xr.Dataset(
        {
            "objective": (runs, nothing, about("J(θ) of a run", reward)),
            "regularized_objective": (runs, nothing.copy(), about("J_λ(θ) of a run", reward)),
            "mean_objective": (
                (*dims, "record"), mean.objective.reshape(*shape, -1), about("J along the mean motion", reward),
            ),
            "mean_regularized_objective": (
                (*dims, "record"), mean.regularized_objective.reshape(*shape, -1),
                about("J_λ along the mean motion", reward),
            ),
            "speed": (dims, mean.speed.reshape(shape), about("length of the mean direction at the end", "reward")),
            "direction_error": (
                ("discount", "mdp"), direction_error(flat).reshape(len(discounts), count),
                about("‖E_μ[Aψ] − ∇J‖ / ‖∇J‖ at the start", "1"),
            ),
            "optimal_objective": (
                ("discount", "mdp"),
                np.array([float(exact.optimal_objective(mdp)) for mdp in flat]).reshape(len(discounts), count),
                about("J*", reward),
            ),
        },
        coords={
            "weight": ("weight", list(weights), about("weight λ of the prior", "reward")),
            "discount": ("discount", list(discounts), about("discount γ", "1")),
            "mdp": ("mdp", np.arange(count), about("MDP", "1")),
            "chain": ("chain", list(CHAINS), {"long_name": "chains of actor and critic"}),
            "seed": ("seed", np.arange(seeds), about("seed", "1")),
            "updates": ("record", updates, about("updates applied", "updates")),
        },
        attrs={
            "title": "Separate and shared chains of actor and critic",
            "actor_step": actor_step,
            "exact_critic": int(all(_represents_everything(mdp) for mdp in flat)),
        },
    )  # fmt: skip
