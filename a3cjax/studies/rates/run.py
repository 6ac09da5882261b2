"""Runs of K updates with the theorems' steps, for K over several decades, and the averages over each run."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from a3cjax._core import check
from a3cjax.engine import Record, Result, simulate
from a3cjax.engine.host import at_work
from a3cjax.learners import A3C
from a3cjax.problems import FiniteMDP, exact
from a3cjax.schedules import Schedule
from a3cjax.schedules import delays as laws
from a3cjax.studies.frame.beginning import begin
from a3cjax.studies.frame.layout import distinct_samplings, seed_keys
from a3cjax.studies.frame.study import StudyInterrupted, about
from a3cjax.studies.rates.delays import DELAYS, MaximalDelay
from a3cjax.studies.rates.result import RatesStudy
from a3cjax.studies.stability import critic_eigenvalues, stability_limit

if TYPE_CHECKING:
    import xarray as xr

UPDATES = (100, 560, 3_200, 18_000, 100_000)
SAMPLING = ("iid", "markov")
METRICS = ("critic_error_sq", "gradient_norm_sq")
LAWS = ("constant", "uniform")

_POINTS = 4096  # evaluated at once


def rates(
    learner: A3C,
    *,
    num_updates: Sequence[int] = UPDATES,
    delays: Sequence[str | int] = DELAYS,
    law: Literal["constant", "uniform"] = "constant",
    sampling: Sequence[str] = SAMPLING,
    actor_constant: float = 5.0,
    critic_constant: float = 3.0,
    seeds: int = 16,
    record_every: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    progress: bool | None = None,
) -> RatesStudy:
    """(1/K) Σ ‖ω_k − ω*(θ_k)‖² and (1/K) Σ ‖∇J_λ(θ_k)‖² against K: Theorems 1 to 4 of arXiv:2012.15511 measured.

    A run of K updates has the constant steps α = c_α K^(−3/5) and β = c_β K^(−2/5). Both sums are over k = 1, …, K,
    of exact values, which have no sampling noise. A run is recorded every n updates; with n = 1 the sum is exact, and
    with n > 1 what lies between two records is interpolated linearly. The error of that is estimated by leaving out
    every second record, and told. Slopes are those of log mean over seeds against log K, fitted by least squares, over
    all K and over the last decade; their intervals are ``power_law``'s.

    All runs of one K and one sampling are one batch of ``simulate``. Runs of different K draw from different keys, so
    they are independent; those of different delays and samplings share theirs. The n-th seed's runs are the same
    however many seeds there are.

    Args:
        learner: the actor-critic; its steps and ``sampling`` are replaced. Without a prior λ = 0 and J_λ = J.
        num_updates: K, two or more numbers.
        delays: K_0, as whole numbers or powers of K such as "K^1/5", which is ⌈K^(1/5)⌉.
        law: "constant", every delay is K_0, or "uniform" on 0, …, K_0; in both the k-th update has at most delay k.
        sampling: "iid", "markov" or both.
        actor_constant: c_α.
        critic_constant: c_β.
        seeds: runs for each K, delay and sampling, at least 1; the intervals need 2.
        record_every: n; if not given ⌊K^(2/5) / 5⌋ or 1, a small part of the critic's memory, which is of order 1/β.
            All parameters of all records of the runs of one K are kept until they are averaged.
        confidence: coverage of the intervals over seeds, see ``mean_interval`` and ``power_law``.
        seed: of all randomness.
        progress: see ``simulate``.

    Raises:
        ValueError: if an argument is out of range.
        StudyInterrupted: on Ctrl-C, with what was done.

    >>> import a3cjax, jax
    >>> mdp = a3cjax.families.garnet(jax.random.key(0), num_states=3, num_actions=2, branching=3, discount=0.5)
    >>> learner = a3cjax.A3C(mdp, actor_step=0.1, critic_step=0.1, prior=a3cjax.Prior.uniform(0.1, 3, 2))
    >>> study = a3cjax.studies.rates(learner, num_updates=(50, 800), delays=[0], sampling=["markov"], seeds=3)
    >>> [(row.quantity, row.bound, row.slope < 0) for row in study.rows]
    [('critic', -0.4, True), ('actor', -0.4, True)]
    """
    if not isinstance(learner, A3C) or not isinstance(learner.mdp, FiniteMDP):
        raise ValueError(
            "learner must be an a3cjax.A3C on an a3cjax.FiniteMDP, whose ω* and ∇J_λ are exact here; give it one."
        )
    counts = _check_updates(num_updates)
    found = _check_delays(delays)
    names = distinct_samplings(sampling)
    check.choice("law", law, LAWS)
    seeds = check.integer("seeds", seeds, 1)
    seed = check.integer("seed", seed, 0)
    if record_every is not None:
        record_every = check.integer("record_every", record_every, 1)
        if record_every > counts[0]:
            raise ValueError(f"record_every is {record_every}, but must be at most the least K, {counts[0]}.")
    check.number("actor_constant", actor_constant, above=0)
    check.number("critic_constant", critic_constant, above=0)
    check.number("confidence", confidence, above=0, below=1)
    if law == "uniform" and not any(delay.at(counts[-1]) for delay in found):
        raise ValueError("law is 'uniform', but every delay is 0, so it has no effect; leave it out.")

    if learner.prior is not None and np.ndim(learner.prior.weight):
        raise ValueError("learner has one prior.weight per run, but this study has runs of its own; give one number.")

    constants = float(actor_constant), float(critic_constant)
    begin()
    curves = _frame(learner, counts, found, law, names, seeds, record_every, constants)
    key = jax.random.key(seed)
    for position, name in enumerate(names):
        for at, count in enumerate(counts):
            own = dataclasses.replace(
                learner,
                sampling=name,
                actor_step=constants[0] * count**-0.6,
                critic_step=constants[1] * count**-0.4,
            )
            keys = jnp.tile(seed_keys(jax.random.fold_in(key, 1), count, seeds), len(found))
            record = Record(every=int(curves.spacing.values[at]), metrics=[_theta, _omega])
            try:
                with at_work("drawing schedules", progress):
                    longest = [delay.at(count) for delay in found]
                    schedule = _draw(jax.random.fold_in(key, 0), law, longest, seeds, count)
                result = simulate(own, schedule, keys, record=record, throw=False, progress=progress)
                with at_work("evaluating the records", progress):
                    _fill(curves, (position, at), learner, result)
            except KeyboardInterrupt as error:
                raise StudyInterrupted(
                    f"Interrupted in the {name} runs of {count} updates.",
                    RatesStudy.of(curves, confidence, interrupted=True),
                ) from error
    return RatesStudy.of(curves, confidence)


def average_weights(num_updates: int, spacing: int) -> Float[np.ndarray, " R"]:
    """Weights of the values at 0, n, 2n, …, Rn whose sum is (1/K) Σ_{k=1}^{K}, linear between records.

    After the last record, less than n updates before the end, the value stays.

    >>> average_weights(num_updates=4, spacing=1).tolist()
    [0.0, 0.25, 0.25, 0.25, 0.25]
    >>> average_weights(num_updates=4, spacing=2).tolist()  # f(1) is (f(0) + f(2)) / 2
    [0.125, 0.5, 0.375]
    """
    records = num_updates // spacing
    weights = np.full(records + 1, float(spacing))
    # Σ_{k=1}^{n} of a line from f(0) to f(n) is n (f(0) + f(n)) / 2 + (f(n) − f(0)) / 2.
    weights[0] = (spacing - 1) / 2
    weights[-1] = (spacing + 1) / 2 + num_updates - records * spacing
    return weights / num_updates


def _theta(state: Any) -> Any:
    return state.theta


def _omega(state: Any) -> Any:
    return state.omega


def _check_updates(num_updates: Sequence[int]) -> tuple[int, ...]:
    counts = tuple(check.integer(f"num_updates[{i}]", n, 2) for i, n in enumerate(num_updates))
    if len(set(counts)) < 2:
        raise ValueError(f"num_updates is {list(counts)}, but a slope needs two different numbers of updates.")
    if len(set(counts)) < len(counts):
        raise ValueError(f"num_updates is {list(counts)}; name each number once.")
    return tuple(sorted(counts))


def _check_delays(delays: Sequence[str | int]) -> tuple[MaximalDelay, ...]:
    found = tuple(MaximalDelay.parse(f"delays[{i}]", text) for i, text in enumerate(delays))
    if not found or len({delay.label for delay in found}) < len(found):
        raise ValueError(f"delays is {list(delays)}; give one or more, each once.")
    return found


def _draw(key: jax.Array, law: str, longest: Sequence[int], seeds: int, num_updates: int) -> Schedule:
    """One schedule for each delay and seed, a batch [delays × seeds, K]."""
    keys = jnp.tile(seed_keys(key, num_updates, seeds), len(longest))
    high = jnp.repeat(jnp.asarray(longest), seeds)

    def one(own, high):
        return Schedule.from_law(own, laws.Constant(high) if law == "constant" else laws.Uniform(0, high), num_updates)

    return jax.tree.map(np.asarray, jax.vmap(one)(keys, high))


@jax.jit
def _measure(learner: A3C, theta: Any, omega: Any) -> dict[str, Any]:
    """Both metrics at many parameters, and ε_app there under μ and under d."""

    def one(theta, omega):
        state = learner.init(jax.random.key(0))._replace(theta=theta, omega=omega)
        error = exact.approximation_error(learner.mdp, learner.policy.probabilities(theta))
        return learner.measure(state, METRICS) | {"error_mu": error[0], "error_d": error[1]}

    return jax.vmap(one)(theta, omega)


def _evaluate(learner: A3C, theta: np.ndarray, omega: np.ndarray) -> dict[str, np.ndarray]:
    """``_measure`` of parameters [runs, R, ...], a fixed number at a time so that it is compiled once."""
    runs = theta.shape[:2]
    flat = [table.reshape(-1, *table.shape[2:]) for table in (theta, omega)]
    parts = []
    for first in range(0, flat[0].shape[0], _POINTS):
        block = [table[first : first + _POINTS] for table in flat]
        some = block[0].shape[0]
        full = [np.concatenate([table, np.repeat(table[-1:], _POINTS - some, axis=0)]) for table in block]
        parts.append({name: np.asarray(x, np.float64)[:some] for name, x in _measure(learner, *full).items()})
    return {name: np.concatenate([part[name] for part in parts]).reshape(runs) for name in parts[0]}


def _frame(
    learner: A3C,
    counts: tuple[int, ...],
    delays: tuple[MaximalDelay, ...],
    law: str,
    sampling: tuple[str, ...],
    seeds: int,
    record_every: int | None,
    constants: tuple[float, float],
) -> "xr.Dataset":
    """The study's curves, with everything but what the runs will say."""
    import xarray as xr  # here, because it brings pandas, which only a study needs

    dims = ("sampling", "delay", "num_updates", "seed")
    empty = np.full((len(sampling), len(delays), len(counts), seeds), np.nan)
    bounds = [[float(delay.bound(name)) for delay in delays] for name in sampling]
    at = np.array(counts)
    longest = np.array([[delay.at(count) for count in counts] for delay in delays])
    start = np.asarray(learner.policy.probabilities(learner.theta))
    spacing = [max(1, int(count**0.4 / 5)) if record_every is None else record_every for count in counts]
    return xr.Dataset(
        {
            "critic_error_sq": (dims, empty.copy(), about("(1/K) Σ ‖ω_k − ω*(θ_k)‖²", "reward²")),
            "gradient_norm_sq": (dims, empty.copy(), about("(1/K) Σ ‖∇J_λ(θ_k)‖²", "reward²")),
            "quadrature_error": (
                (*dims, "quantity"),
                np.full((*empty.shape, 2), np.nan),
                about("relative change of the average if every second record is left out; 0: it is exact", "1"),
            ),
            "approximation_error": (
                (*dims, "law"),
                np.full((*empty.shape, 2), np.nan),
                about("largest ε_app at the run's records", "reward"),
            ),
            "nonfinite_from": (
                dims,
                np.full(empty.shape, -1),
                about("first recorded update with a parameter that is not finite, or -1", "updates"),
            ),
            "bound": (("sampling", "delay"), np.array(bounds), about("exponent of K in the theorem's bound", "1")),
            "max_delay": (
                ("delay", "num_updates"),
                longest,
                about("maximal delay K_0", "updates"),
            ),
            "critic_limit": (
                ("delay", "num_updates"),
                stability_limit(critic_eigenvalues(learner.mdp, start), longest),
                about("largest stable β under the constant delay K_0 in the mean, at the start", "1"),
            ),
            "spacing": ("num_updates", spacing, about("updates between records", "updates")),
            "actor_step": ("num_updates", constants[0] * at**-0.6, about("α = c_α K^(−3/5)", "1")),
            "critic_step": ("num_updates", constants[1] * at**-0.4, about("β = c_β K^(−2/5)", "1")),
        },
        coords={
            "sampling": ("sampling", list(sampling), {"long_name": "sampling option"}),
            "delay": ("delay", [delay.label for delay in delays], {"long_name": "maximal delay K_0 as given"}),
            "num_updates": ("num_updates", at, about("updates of a run, K", "updates")),
            "seed": ("seed", np.arange(seeds), about("seed", "1")),
            "quantity": ("quantity", ["critic", "actor"], {"long_name": "which average"}),
            "law": ("law", ["stationary", "discounted"], {"long_name": "law of the states: μ, d"}),
        },
        attrs={
            "title": "Averages over a run of asynchronous advantage actor-critic against its number of updates",
            "actor_constant": constants[0],
            "critic_constant": constants[1],
            "delay_law": law,
            "weight": 0.0 if learner.prior is None else float(learner.prior.weight),
        },
    )


def _fill(curves: "xr.Dataset", where: tuple[int, int], learner: A3C, result: Result) -> None:
    """Put the averages of the runs of one sampling and one K into their place."""
    position, at = where
    shape = (curves.sizes["delay"], curves.sizes["seed"])
    tables = [np.asarray(result.metrics[name]) for name in ("_theta", "_omega")]
    starts = [np.asarray(table) for table in (learner.theta, learner.omega)]
    theta, omega = (
        np.concatenate([np.broadcast_to(start, (table.shape[0], 1, *start.shape)), table], axis=1)
        for start, table in zip(starts, tables, strict=True)
    )
    lost = np.asarray(result.nonfinite_from).reshape(shape)
    curves["nonfinite_from"].values[position, :, at] = lost
    count, spacing = int(curves.num_updates.values[at]), int(curves.spacing.values[at])
    weights, coarse = average_weights(count, spacing), average_weights(count, 2 * spacing)
    values = _evaluate(learner, theta, omega)
    for q, name in enumerate(METRICS):
        # Sums rather than matrix products, whose last bits depend on how many runs there are.
        average = np.where(lost >= 0, np.nan, (values[name] * weights).sum(-1).reshape(shape))
        curves[name].values[position, :, at] = average
        halved = (values[name][:, ::2] * coarse).sum(-1).reshape(shape)
        error = np.abs(halved / average - 1) if spacing > 1 else np.zeros(shape)
        curves["quadrature_error"].values[position, :, at, :, q] = error
    for q, name in enumerate(("error_mu", "error_d")):
        curves["approximation_error"].values[position, :, at, :, q] = values[name].max(1).reshape(shape)
