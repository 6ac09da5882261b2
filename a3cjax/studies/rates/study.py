"""Runs of K updates with the theorems' steps, for K over several decades, and the averages over each run."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from a3cjax._core import check
from a3cjax._core.statistics import mean_interval
from a3cjax.engine import Result, simulate
from a3cjax.engine.host import at_work
from a3cjax.studies.frame.beginning import begin, counted, listed
from a3cjax.studies.frame.cells import Cells, bytes_of_cell, identity_of
from a3cjax.studies.frame.layout import SEED, Layout, Var, lost_from
from a3cjax.studies.frame.rows import column, table_row
from a3cjax.studies.frame.runs import check_repeats, kept_on_interrupt, lost_notes, seed_keys
from a3cjax.studies.frame.statistics import OF_MEANS, OF_SLOPES, about_intervals, power_law
from a3cjax.studies.frame.study import Study
from a3cjax.studies.frame.target import by_sampling, titled
from a3cjax.studies.frame.types import Dataset, Figure
from a3cjax.studies.rates.averages import LAWS, average_weights, curves_of, is_exact, recorded
from a3cjax.studies.rates.delays import DELAYS, MaximalDelay, draw_schedules, maximal_delays
from a3cjax.studies.rates.figure import rates_figure
from a3cjax.studies.rates.words import limit_notes, precision_notes, verdict
from a3cjax.studies.stability import critic_eigenvalues, stability_limit
from a3cjax.sweeps import asked_for

METRICS = ("critic_error_sq", "gradient_norm_sq")
_NAMES = {"critic_error_sq": "critic", "gradient_norm_sq": "actor"}

# A field of the learner to the constant c and the exponent p of its step c K^(−p).
Steps = Mapping[str, tuple[float, float]]

_CELLS, _RUNS = "sampling delay num_updates", "sampling delay num_updates seed"


def layout(metrics: Sequence[str]) -> Layout:
    """The layout of the averages of these metrics."""
    known = {
        "critic_error_sq": Var(_RUNS, "(1/K) Σ ‖ω_k − ω*(θ_k)‖²", "reward²", np.nan),
        "gradient_norm_sq": Var(_RUNS, "(1/K) Σ ‖∇J_λ(θ_k)‖²", "reward²", np.nan),
    }
    averages = {name: known.get(name, Var(_RUNS, f"(1/K) Σ {name}", None, np.nan)) for name in metrics}
    found = {}
    for name, average in averages.items():
        found |= {f"{name}_{end}": average._replace(dims=_CELLS, fill=None) for end in ("low", "high")}
        slope = Var(_CELLS, f"slope of {name} from the K before, mean over seeds", "1")
        found |= {f"{name}_local_slope{end}": slope for end in ("", "_low", "_high")}
    skipped = "relative change of the average if every second record is left out; 0: it is exact"
    return Layout(
        "Averages over a run of asynchronous advantage actor-critic against its number of updates",
        coordinates={
            "sampling": Var("sampling", "sampling option"),
            "delay": Var("delay", "maximal delay K_0 as given"),
            "num_updates": Var("num_updates", "updates of a run, K", "updates"),
            "seed": SEED,
            "quantity": Var("quantity", "which average"),
            "law": Var("law", "law of the states: μ, d"),
        },
        variables=averages
        | {
            "quadrature_error": Var(f"{_RUNS} quantity", skipped, "1", np.nan),
            "approximation_error": Var(f"{_RUNS} law", "largest ε_app at the run's records", "reward", np.nan),
            "nonfinite_from": lost_from(_RUNS),
            "bound": Var("sampling delay", "exponent of K in the theorem's bound", "1", np.nan),
            "max_delay": Var("delay num_updates", "maximal delay K_0", "updates"),
            "critic_limit": Var(
                "delay num_updates",
                "largest stable β under the constant delay K_0 in the mean, at the start", "1", np.nan,
            ),
            "spacing": Var("num_updates", "updates between records", "updates"),
            "actor_step": Var("num_updates", "α = c_α K^(−3/5)", "1"),
            "critic_step": Var("num_updates", "β = c_β K^(−2/5)", "1"),
        }
        | found,
    )  # fmt: skip


@table_row
class RatesRow:
    """One line of ``rates.csv``: the averages of one quantity, sampling and delay; NaN where a run was lost.

    ``bound``: the exponent that the theorem promises, but for logarithms. ``slope``: over all K; ``tail_slope``: over
    the last decade. ``last``: the mean average at the greatest K.
    """

    quantity: str = column("average")
    sampling: str = column("sampling")
    delay: str = column("K_0")
    max_delay: int = column("K_0 at\nlast K", ",")
    bound: float = column("bound", ".2f")
    slope: float = column("slope", ".2f")
    slope_low: float = column("{percent}", ".2f", to="slope_high")
    slope_high: float
    tail_slope: float = column("last\ndecade", ".2f")
    tail_slope_low: float = column("{percent}", ".2f", to="tail_slope_high")
    tail_slope_high: float
    last: float = column("at\nlast K", ".3g")
    last_low: float
    last_high: float


class RatesStudy(Study):
    """The outcome of ``rates``.

    ``curves`` over (sampling, delay, num_updates, seed): the averages ``critic_error_sq`` and ``gradient_norm_sq``, or
    those asked for, with their intervals over seeds, local slopes between neighbouring K, and how exact they are.
    ``rows``: a ``RatesRow`` for each quantity, sampling and delay.
    """

    name = "rates"
    rows: tuple[RatesRow, ...]

    @classmethod
    def of(cls, curves: Dataset, confidence: float = 0.95, *, interrupted: bool = False) -> "RatesStudy":
        """Fit the slopes; the last decade is every K from a tenth of the greatest on, and at least the last two."""
        counts, metrics = curves.num_updates.values, _metrics_of(curves)
        tail = slice(min(int(np.searchsorted(counts, counts[-1] / 10)), len(counts) - 2), None)
        pairs = [slice(i, i + 2) for i in range(len(counts) - 1)]
        rows, declared = [], layout(metrics)

        def slope(samples: np.ndarray, which: slice) -> tuple[float, ...]:
            return power_law(counts[which], list(samples[which]), confidence=confidence)[:3]

        for variable in metrics:
            samples = curves[variable].values
            mean = mean_interval(samples, confidence=confidence)
            local = np.full((*samples.shape[:3], 3), np.nan)
            for i, j in np.ndindex(*samples.shape[:2]):
                local[i, j, 1:] = [slope(samples[i, j], pair) for pair in pairs]
                where = str(curves.sampling.values[i]), str(curves.delay.values[j])
                known = int(curves.max_delay.values[j, -1]), float(curves.bound.values[i, j])
                found = (*slope(samples[i, j], slice(None)), *slope(samples[i, j], tail))
                last = (float(end[i, j, -1]) for end in mean)
                rows.append(RatesRow(_NAMES.get(variable, variable), *where, *known, *found, *last))
            slopes = {f"{variable}_local_slope{end}": local[..., e] for e, end in enumerate(("", "_low", "_high"))}
            ends = {f"{variable}_low": mean.low, f"{variable}_high": mean.high}
            curves = declared.add(curves, **ends, **slopes)
        curves = curves.assign_attrs(about_intervals(confidence, OF_MEANS, OF_SLOPES))
        return cls(curves, tuple(rows), confidence, interrupted)

    def summary(self) -> str:
        """What was averaged, and whether its slopes agree with the bounds."""
        counts, attrs = self.curves.num_updates.values, self.curves.attrs
        delays = "constant K_0" if attrs["delay_law"] == "constant" else "uniform on 0, ..., K_0"
        if "steps" in attrs:
            steps = attrs["steps"]
        else:
            steps = f"α = {attrs['actor_constant']:g} K^(-3/5), β = {attrs['critic_constant']:g} K^(-2/5), "
            steps += f"λ = {attrs['weight']:g}"
        lines = [
            f"Averages over runs of K = {counts[0]:,} to {counts[-1]:,} updates with {steps}; delays {delays}.",
            "The theorems bound them from above: a slope at or below the bound's exponent agrees with them.",
        ]
        if "steps" in attrs:  # of which no theorem speaks
            return "\n".join([lines[0], *(_slopes_of(row) for row in self.rows)])
        lines += [said for name in METRICS for said in verdict(self.rows, _NAMES[name])]
        empty = [row for row in self.rows if row.bound >= 0]
        if empty:
            named = ", ".join(dict.fromkeys(row.delay for row in empty))
            slopes = [row.tail_slope for row in empty if row.quantity == "critic" and np.isfinite(row.tail_slope)]
            there = f"; the critic's slopes there are {min(slopes):.2f} to {max(slopes):.2f}" if slopes else ""
            lines.append(f"For K_0 = {named} some bound does not fall with K, and promises nothing{there}.")
        return "\n".join(lines)

    def notes(self) -> list[str]:
        """A sentence for each thing that a reader of the rows must know: how exact the averages are, runs lost."""
        cut = ["The study was interrupted: what would need the other runs is a dash."] if self.interrupted else []
        lost = lost_notes(
            self.curves,
            lambda sampling, delay, num_updates: f"{sampling}, K_0 = {delay}, K = {num_updates:,}",
            "constants",
        )
        return cut + lost + limit_notes(self.curves) + precision_notes(self.curves)

    def figure(self) -> Figure:
        """Averages against K beside K^(−2/5), and their local slopes beside −2/5."""
        return rates_figure(self.curves, _metrics_of(self.curves), self.percent)

    def facts(self) -> dict[str, float]:
        """The constants, and how well the features fit."""
        missing = self.curves.approximation_error.values
        attrs = self.curves.attrs
        known = {"approximation_error": float(np.nanmax(missing))} if np.isfinite(missing).any() else {}
        names = [name for name in ("actor_constant", "critic_constant", "weight") if name in attrs]
        return {name: float(attrs[name]) for name in names} | known


def rates(
    learner: Any, *, num_updates: Sequence[int] = (100, 560, 3_200, 18_000, 100_000),
    delays: Sequence[str | int] = DELAYS, law: Literal["constant", "uniform"] = "constant",
    sampling: Literal["both", "iid", "markov"] | Sequence[str] = "both", actor_constant: float = 5.0,
    critic_constant: float = 3.0, metrics: Sequence[str] = METRICS, steps: Steps | None = None, seeds: int = 16,
    record_every: int | None = None, confidence: float = 0.95, seed: int = 0, progress: bool | None = None,
) -> RatesStudy:  # fmt: skip
    """(1/K) Σ ‖ω_k − ω*(θ_k)‖² and (1/K) Σ ‖∇J_λ(θ_k)‖² against K: Theorems 1 to 4 of arXiv:2012.15511 measured.

    A run of K updates has the constant steps α = c_α K^(−3/5) and β = c_β K^(−2/5). Both sums are over k = 1, …, K,
    of exact values, which have no sampling noise. A run is recorded every n updates; with n = 1 the sum is exact, and
    with n > 1 what lies between two records is interpolated linearly. The error of that is estimated by leaving out
    every second record, and told. Slopes are those of log mean over seeds against log K, fitted by least squares, over
    all K and over the last decade; their intervals are ``power_law``'s. Of other learners no theorem speaks.

    All runs of one K and one sampling are one batch of ``simulate``. Runs of different K draw from different keys, so
    they are independent; those of different delays and samplings share theirs. The n-th seed's runs are the same
    however many seeds there are.

    Args:
        learner: an ``A3C`` (without a prior λ = 0 and J_λ = J), or any that has the metrics; its steps are replaced.
        num_updates: numbers of updates K, two or more, over several decades.
        delays: maximal delays K_0: whole numbers, or powers of K rounded up, such as K^1/5.
        law: law of the delays: all K_0, or uniform on 0, …, K_0; in both the k-th update has at most delay k.
        sampling: where samples come from: option 1 (iid), option 2 (markov), or both.
        actor_constant: constant c_α of the actor's step α = c_α K^(-3/5).
        critic_constant: constant c_β of the critic's step β = c_β K^(-2/5).
        metrics: what is averaged.
        steps: from a field of the learner to (c, p): its step is c K^(−p). An ``A3C`` has the theorems'.
        seeds: runs for each K, delay and sampling, at least 1; the intervals need 2.
        record_every: updates between records; not given: K^(2/5) / 5, a small part of the critic's memory, which is of
            order 1/β. All parameters of all records of the runs of one K are kept until they are averaged.
        confidence: coverage of the intervals over seeds. See ``mean_interval`` and ``power_law``.
        seed: seed of schedules and runs.
        progress: see ``simulate``.

    Raises:
        ValueError: if an argument is out of range, or the learner lacks a metric or a step.
        StudyInterrupted: on Ctrl-C, with what was done.

    >>> import a3cjax, jax
    >>> mdp = a3cjax.families.garnet(jax.random.key(0), num_states=3, num_actions=2, branching=3, discount=0.5)
    >>> learner = a3cjax.A3C(mdp, actor_step=0.1, critic_step=0.1, prior=a3cjax.Prior.uniform(0.1, 3, 2))
    >>> study = a3cjax.studies.rates(learner, num_updates=(50, 800), delays=[0], sampling=["markov"], seeds=3)
    >>> [(row.quantity, row.bound, row.slope < 0) for row in study.rows]
    [('critic', -0.4, True), ('actor', -0.4, True)]
    """
    _check_learner(learner, metrics, steps)
    counts, longest = _check_updates(num_updates, record_every), maximal_delays(delays)
    check.choice("law", law, ("constant", "uniform"))
    check_repeats(seeds, seed, confidence)
    check.number("actor_constant", actor_constant, above=0)
    check.number("critic_constant", critic_constant, above=0)
    if law == "uniform" and not any(delay.at(counts[-1]) for delay in longest):
        raise ValueError("law is 'uniform', but every delay is 0, so it has no effect; leave it out.")
    constants = (float(actor_constant), float(critic_constant)) if steps is None else steps
    learners = by_sampling(learner, sampling)
    begin(_task(counts, longest, tuple(learners), seeds), in_blocks=True)
    curves = _empty(learner, counts, longest, law, tuple(learners), seeds, record_every, constants, metrics)
    return _run(curves, list(learners.values()), longest, _steps_of(constants), seed, confidence, progress)


def _task(counts: Sequence[int], longest: Sequence[MaximalDelay], samplings: Sequence[str], seeds: int) -> str:
    return (
        f"Simulating {counted(seeds, 'seed')} × K_0 = {listed([delay.label for delay in longest])} × "
        f"K = {listed(counts, ',')} updates, {' and '.join(samplings)} sampling"
    )


def _run(
    curves: Dataset, learners: Sequence[Any], longest: Sequence[MaximalDelay], steps: Steps, seed: int,
    confidence: float, progress: bool | None,
) -> RatesStudy:  # fmt: skip
    """The runs of one sampling and one K after the other."""
    key, seeds, metrics = jax.random.key(seed), curves.sizes["seed"], _metrics_of(curves)

    def fill(curves: Dataset, at: tuple[int, ...], progress: bool | None = False) -> None:
        i, k = at
        count = int(curves.num_updates.values[k])
        taken: dict[str, Any] = {field: c * count**-p for field, (c, p) in steps.items()}
        learner = dataclasses.replace(learners[i], **taken)
        keys = jnp.tile(seed_keys(jax.random.fold_in(key, 1), count, seeds), len(longest))
        record = recorded(learner, metrics, int(curves.spacing.values[k]))
        with at_work("drawing schedules", progress):
            most, law = [delay.at(count) for delay in longest], curves.attrs["delay_law"]
            schedule = draw_schedules(jax.random.fold_in(key, 0), law, most, seeds, count)
        result = simulate(learner, schedule, keys, record=record, throw=False, progress=progress)
        with at_work("evaluating the records", progress):
            _fill(curves, (i, k), learners[0], result)

    blocks = asked_for()
    if blocks is not None:
        count = int(curves.num_updates.values[-1])
        named = dict(zip(map(str, curves.sampling.values), learners, strict=True))
        memory = functools.partial(
            bytes_of_cell, named, len(longest) * seeds, count, int(curves.spacing.values.min()), len(metrics),
            depth=1 + max(delay.at(count) for delay in longest),
        )  # fmt: skip
        told = identity_of(curves, named, seed=seed)
        cells = Cells(RatesStudy.name, curves, ("sampling", "num_updates"), fill, named, told, memory)
        return dataclasses.replace(RatesStudy.of(cells.run(blocks), confidence), kept=blocks)
    for i, k in np.ndindex(len(learners), curves.sizes["num_updates"]):
        said = f"Interrupted in the {curves.sampling.values[i]} runs of {curves.num_updates.values[k]} updates."
        with kept_on_interrupt(lambda: RatesStudy.of(curves, confidence, interrupted=True), said):
            fill(curves, (i, k), progress)
    return RatesStudy.of(curves, confidence)


def _check_learner(learner: Any, metrics: Sequence[str], steps: Steps | None) -> None:
    kind = type(learner).__name__
    missing = [name for name in metrics if name not in getattr(learner, "metric_names", ())]
    if missing or (steps is None and not is_exact(learner)):
        lacks = f"has no metric {missing[0]!r}" if missing else "needs steps, from its fields to constant and exponent"
        raise ValueError(
            "learner must be an a3cjax.A3C on an a3cjax.FiniteMDP, whose ω* and ∇J_λ are exact here, or be given "
            f"metrics that it has, and steps: {kind} {lacks}."
        )
    for field, pair in (steps or {}).items():
        if not hasattr(learner, field) or len(pair) != 2:
            raise ValueError(f"steps[{field!r}] is {pair!r}; name a field of {kind}, and give it (constant, exponent).")
    prior = getattr(learner, "prior", None)
    if prior is not None and np.ndim(prior.weight):
        raise ValueError("learner has one prior.weight per run, but this study has runs of its own; give one number.")


def _check_updates(num_updates: Sequence[int], record_every: int | None) -> tuple[int, ...]:
    counts = tuple(check.integer(f"num_updates[{i}]", n, 2) for i, n in enumerate(num_updates))
    if len(set(counts)) < 2:
        raise ValueError(f"num_updates is {list(counts)}, but a slope needs two different numbers of updates.")
    if len(set(counts)) < len(counts):
        raise ValueError(f"num_updates is {list(counts)}; name each number once.")
    if record_every is not None and check.integer("record_every", record_every, 1) > min(counts):
        raise ValueError(f"record_every is {record_every}, but must be at most the least K, {min(counts)}.")
    return tuple(sorted(counts))


def _steps_of(constants: tuple[float, float] | Steps) -> Steps:
    """The theorems' steps for c_α and c_β; others as they are given."""
    if isinstance(constants, Mapping):
        return constants
    return {"actor_step": (constants[0], 0.6), "critic_step": (constants[1], 0.4)}


def _metrics_of(curves: Dataset) -> tuple[str, ...]:
    """The metrics that were averaged."""
    named = {short: name for name, short in _NAMES.items()}
    return tuple(named.get(str(name), str(name)) for name in curves.quantity.values)


def _slopes_of(row: RatesRow) -> str:
    return f"{row.quantity}, {row.sampling}, K_0 = {row.delay}: slope {row.slope:.2f}, {row.tail_slope:.2f} in the end."


def _empty(
    learner: Any, counts: tuple[int, ...], delays: tuple[MaximalDelay, ...], law: str, samplings: tuple[str, ...],
    seeds: int, record_every: int | None, constants: tuple[float, float] | Steps, metrics: Sequence[str] = METRICS,
) -> Dataset:  # fmt: skip
    """The study's curves, with everything but what the runs will say."""
    at, steps = np.array(counts), _steps_of(constants)
    longest = np.array([[delay.at(count) for count in counts] for delay in delays])
    values: dict[str, Any] = {
        "sampling": samplings, "delay": [delay.label for delay in delays], "num_updates": at, "seed": seeds,
        "quantity": [_NAMES.get(name, name) for name in metrics], "law": ["stationary", "discounted"],
        "max_delay": longest,
        "spacing": [max(1, int(count**0.4 / 5)) if record_every is None else record_every for count in counts],
    }  # fmt: skip
    values |= {name: c * at**-p for name, (c, p) in steps.items() if name in ("actor_step", "critic_step")}
    if is_exact(learner):
        start = np.asarray(learner.policy.probabilities(learner.theta))
        values["critic_limit"] = stability_limit(critic_eigenvalues(learner.mdp, start), longest)
    if isinstance(constants, Mapping):
        told: dict[str, Any] = {"steps": ", ".join(f"{name} = {c:g} K^(-{p:g})" for name, (c, p) in steps.items())}
    else:
        values["bound"] = [[float(delay.bound(name)) for delay in delays] for name in samplings]
        weight = 0.0 if learner.prior is None else float(learner.prior.weight)
        told = {"actor_constant": constants[0], "critic_constant": constants[1], "weight": weight}
    return titled(layout(metrics).dataset(values, delay_law=law, **told), learner)


def _fill(curves: Dataset, where: tuple[int, int], learner: Any, result: Result) -> None:
    """Put the averages of the runs of one sampling and one K into their place."""
    i, k = where
    shape, metrics = (curves.sizes["delay"], curves.sizes["seed"]), _metrics_of(curves)
    lost = np.asarray(result.nonfinite_from).reshape(shape)
    curves["nonfinite_from"].values[i, :, k] = lost
    count, spacing = int(curves.num_updates.values[k]), int(curves.spacing.values[k])
    weights, coarse = average_weights(count, spacing), average_weights(count, 2 * spacing)
    values = curves_of(learner, metrics, result)
    for q, name in enumerate(metrics):
        # Sums rather than matrix products, whose last bits depend on how many runs there are.
        average = np.where(lost >= 0, np.nan, (values[name] * weights).sum(-1).reshape(shape))
        curves[name].values[i, :, k] = average
        halved = (values[name][:, ::2] * coarse).sum(-1).reshape(shape)
        error = np.abs(halved / average - 1) if spacing > 1 else np.zeros(shape)
        curves["quadrature_error"].values[i, :, k, :, q] = error
    for q, name in enumerate(LAWS):
        if name in values:
            curves["approximation_error"].values[i, :, k, :, q] = values[name].max(1).reshape(shape)
