"""Separate chains against one: the bias that is left, in the mean and simulated."""

import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from a3cjax._core import check
from a3cjax._core.statistics import Mean, mean_interval
from a3cjax.engine import Record
from a3cjax.engine.host import at_work
from a3cjax.learners import A3C
from a3cjax.problems import FiniteMDP, Prior, exact
from a3cjax.schedules import Schedule
from a3cjax.studies.chains.mean_field import direction_error, mean_field
from a3cjax.studies.frame import axes
from a3cjax.studies.frame.beginning import begin, counted, listed
from a3cjax.studies.frame.layout import SEED, UPDATES, Layout, Var
from a3cjax.studies.frame.rows import Column, column, make_rows, table_row, with_ends
from a3cjax.studies.frame.runs import Batch, check_repeats, distinct, numbered_keys, run_batches
from a3cjax.studies.frame.statistics import OF_MEANS, about_intervals
from a3cjax.studies.frame.study import Study
from a3cjax.studies.frame.tables import DASH
from a3cjax.studies.frame.types import Axes, Dataset, Figure

CHAINS = ("separate", "shared")
METRICS = ("objective", "regularized_objective")
# Computed for one MDP with the settings of Fig. 2 of arXiv:2012.15511 (λ = .3); the figure itself prints no numbers.
REFERENCE = {(0.3, 0.3): 0.10, (0.3, 0.6): 0.05, (0.3, 0.9): 0.01}
_RECORDS = 40
_TAIL = 10  # the last one in so many records counts

LAYOUT = Layout(
    "Separate and shared chains of actor and critic",
    coordinates={
        "weight": Var("weight", "weight λ of the prior", "reward"),
        "discount": Var("discount", "discount γ", "1"),
        "mdp": Var("mdp", "MDP", "1"),
        "chain": Var("chain", "chains of actor and critic"),
        "seed": SEED,
        "updates": UPDATES,
    },
    variables={
        "objective": Var("weight discount mdp chain seed record", "J(θ) of a run", "reward", np.nan),
        "regularized_objective": Var("weight discount mdp chain seed record", "J_λ(θ) of a run", "reward", np.nan),
        "mean_objective": Var("weight discount mdp chain record", "J along the mean motion", "reward"),
        "mean_regularized_objective": Var("weight discount mdp chain record", "J_λ along the mean motion", "reward"),
        "speed": Var("weight discount mdp chain", "length of the mean direction at the end", "reward"),
        "direction_error": Var("discount mdp", "‖E_μ[Aψ] − ∇J‖ / ‖∇J‖ at the start", "1"),
        "optimal_objective": Var("discount mdp", "J*", "reward"),
        "bias": Var("weight discount mdp", "J separate − J shared, in the mean", "reward"),
        "simulated_bias": Var("weight discount mdp seed", "J separate − J shared, simulated", "reward"),
    },
)


@table_row
class ChainsRow:
    """One line of ``chains.csv``: means over MDPs; ``bias`` is J with separate chains less J with a shared one."""

    weight: float = column("λ", "g")
    discount: float = column("γ", "g")
    separate: float = column("J,\nseparate", ".4f")
    shared: float = column("J,\nshared", ".4f")
    bias: float = column("bias\nof J", ".4f")
    bias_low: float = column("{percent}", ".4f", to="bias_high")
    bias_high: float
    regularized_bias: float = column("bias\nof J_λ", ".4f", at=1)
    simulated_bias: float = column("simulated\nbias", ".4f")
    simulated_low: float = column("{percent}", ".4f", to="simulated_high")
    simulated_high: float
    direction_error: float = column("direction\noff by", ".0%", at=1)


class ChainsStudy(Study):
    """The outcome of ``chains``.

    ``curves`` over (weight, discount, mdp, chain, seed, record): ``objective`` and ``regularized_objective`` of the
    runs, ``mean_objective`` and ``mean_regularized_objective`` of the mean motion, ``bias`` and ``simulated_bias`` of
    each MDP. ``rows``: a ``ChainsRow`` for each λ and γ.
    """

    name = "chains"
    rows: tuple[ChainsRow, ...]

    @classmethod
    def of(cls, curves: Dataset, confidence: float = 0.95, *, interrupted: bool = False) -> "ChainsStudy":
        """Average each curve over the last tenth of its records, and take differences between the two kinds."""
        tail = slice(-max(1, curves.sizes["record"] // _TAIL), None)

        def end(name):
            return curves[name].values[..., tail].mean(-1)

        mean, regularized = end("mean_objective"), end("mean_regularized_objective")
        bias = mean[..., 0] - mean[..., 1]
        runs = end("objective")
        simulated = runs[:, :, :, 0] - runs[:, :, :, 1]  # weight, discount, mdp, seed
        curves = LAYOUT.add(curves, bias=bias, simulated_bias=simulated)
        several = curves.sizes["mdp"] > 1
        unknown = np.full(bias.shape[:2], np.nan)
        spread = mean_interval(bias, confidence=confidence) if several else Mean(bias[..., 0], unknown, unknown)
        sample = simulated.mean(-1) if several else simulated[:, :, 0]
        rows = make_rows(
            ChainsRow, curves, "weight discount", separate=_over_mdps(mean[..., 0]), shared=_over_mdps(mean[..., 1]),
            **with_ends("bias", spread), regularized_bias=_over_mdps(regularized[..., 0] - regularized[..., 1]),
            **with_ends("simulated_bias", mean_interval(sample, confidence=confidence), "simulated"),
            direction_error=_over_mdps(curves.direction_error.values),
        )  # fmt: skip
        over = "MDPs" if several else "seeds"
        curves = curves.assign_attrs(about_intervals(confidence, OF_MEANS, over=over))
        return cls(curves, rows, confidence, interrupted)

    def summary(self) -> str:
        """What was compared, and the answer for each λ."""
        count, seeds = self.curves.sizes["mdp"], self.curves.sizes["seed"]
        lines = [
            f"J with an actor's chain of its own, less J with the critic's; N = 1, {count} MDP{'s' * (count > 1)}, "
            f"{seeds} seed{'s' * (seeds > 1)} each."
        ]
        for weight in self.curves.weight.values:
            told = ", ".join(
                f"{row.bias:.3f} at γ = {row.discount:g}" for row in self.rows if row.weight == weight
            )  # fmt: skip
            lines.append(f"λ = {weight:g}: in the mean {told}.")
        return "\n".join(lines)

    def notes(self) -> list[str]:
        """What the intervals are over, where the mean motion has not arrived, and what λ = 0 shows."""
        said = ["The study was interrupted; what is missing is NaN."] if self.interrupted else []
        over = "MDPs" if self.curves.sizes["mdp"] > 1 else "seeds"
        said.append(f"Intervals ({self.confidence:.0%}) are Student's t over {over}, corrected for skewness.")
        if (0.3 in self.curves.weight.values) and set(self.curves.discount.values) & {g for _, g in REFERENCE}:
            said.append(
                "The reference is a computation for one random MDP with these settings; the paper's Fig. 2 prints no "
                "numbers. The bias differs much from MDP to MDP, and in J, unlike J_λ, it may be negative."
            )
        speed = self.curves.speed.values
        for w, weight in enumerate(self.curves.weight.values):
            if weight > 0 and speed[w].max() > 1e-5:
                said.append(
                    f"λ = {weight:g}: the mean motion has not arrived, ‖dθ/dt‖ is up to {speed[w].max():.2g}; more "
                    "updates will tell."
                )
            if weight == 0 and self.curves.attrs["exact_critic"]:
                gap = self.curves.optimal_objective.values[..., None] - self.curves.mean_objective.values[w, ..., -1]
                off = self.curves.direction_error.values
                said.append(
                    "λ = 0 is the control. Even with an exact critic the mean direction under μ is not the gradient "
                    f"(off by {off.min():.0%} to {off.max():.0%} of its length at the start), but where every state is "
                    "reached it vanishes only where the gradient does. So both kinds approach J* (they end within "
                    f"{gap.max():.2g} of it); what is left between them is a difference in speed."
                )
        lost = np.isnan(self.curves.simulated_bias.values).sum()
        if lost and not self.interrupted:
            said.append(f"{lost} pairs of runs stopped being finite; take smaller steps.")
        return said

    def columns(self) -> list[Column]:
        """The rows' own, and the reference beside the bias."""
        columns = super().columns()
        return [*columns[:6], Column("reference", _reference), *columns[6:]]

    def facts(self) -> dict[str, float]:
        """The largest length of the mean direction at the end."""
        return {"largest_speed": float(self.curves.speed.values.max())}

    def figure(self) -> Figure:
        """Three panels: the bias over γ, J over updates for one γ, and simulated against exact bias, MDP by MDP."""
        with axes.drawing(11.4, 3.7) as figure:
            over, path, pairs = figure.subplots(1, 3)
            _bias_panel(over, self)
            _path_panel(path, self.curves)
            _pairs_panel(pairs, self.curves)
        return figure


def chains(
    mdps: FiniteMDP | Sequence[FiniteMDP], *, discounts: Sequence[float] = (0.3, 0.6, 0.9),
    weights: Sequence[float] = (0.3, 0.0), actor_step: float = 0.06, critic_step: float = 0.07, seeds: int = 8,
    num_updates: int = 20_000, confidence: float = 0.95, seed: int = 0, progress: bool | None = None,
) -> ChainsStudy:  # fmt: skip
    """How far J falls short if the actor uses the critic's samples (Fig. 2 of arXiv:2012.15511), one worker, no delay.

    Twice: in the mean, with the exact motion of ``mean_field`` up to time α·K, which has no noise; and by simulation of
    eq. (13), whose runs are averaged over the last tenth of their records, as is the mean motion.

    Args:
        mdps: one MDP or several of one size; their own discounts are replaced.
        discounts: discounts γ, each at least 0 and below 1.
        weights: weights λ of the uniform prior, each at least 0; 0 is the control.
        actor_step: constant step α of the actor; a tenth of the paper's, which is noisier.
        critic_step: constant step β of the critic; likewise.
        seeds: runs for each MDP, γ and λ, at least 1.
        num_updates: updates of every run, K.
        confidence: coverage of the intervals over MDPs, or over seeds if there is one MDP only. See ``mean_interval``.
        seed: seed of the runs.
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
    discounts = distinct("discounts", map(float, discounts), " numbers")
    weights = distinct("weights", map(float, weights), " numbers")
    check.number("discounts", discounts, least=0, below=1)
    check.number("weights", weights, least=0)
    check.number("actor_step", actor_step, above=0)
    check_repeats(seeds, seed, confidence)
    num_updates = check.integer("num_updates", num_updates, 1)
    problems = [[_with_discount(mdp, discount) for mdp in mdps] for discount in discounts]
    learners = _learners(problems, weights, seeds, actor_step, critic_step)
    begin(
        f"Simulating separate and shared chains on {counted(len(mdps), 'MDP')} × {counted(seeds, 'seed')} × "
        f"γ = {listed(discounts, 'g')} × λ = {listed(weights, 'g')}, {num_updates:,} updates",
        in_blocks=True,
    )
    every = max(1, num_updates // _RECORDS)
    with at_work("following the mean motion", progress):
        curves = _empty(problems, discounts, weights, seeds, np.arange(every, num_updates + 1, every), actor_step)
    batches = _batches(learners, num_updates, jax.random.key(seed), len(weights), seeds)
    record = Record(every=every, metrics=METRICS)
    return run_batches(ChainsStudy.of, curves, batches, record, confidence, progress)


def _learners(
    problems: list[list[FiniteMDP]], weights: tuple[float, ...], seeds: int, actor_step: float, critic_step: float
) -> dict[tuple[int, int, int], A3C]:
    """A learner for each MDP, discount and kind of chains; run by run the weights, and for each its seeds."""
    states, actions = problems[0][0].num_states, problems[0][0].num_actions
    weight = np.repeat(np.asarray(weights, np.float32), seeds)
    prior = Prior(weight, np.full(states, 1 / states), np.full((states, actions), 1 / actions))
    return {
        (m, g, c): A3C(row[m], actor_step, critic_step, prior=prior, shared_chain=chain == "shared")
        for m in range(len(problems[0]))
        for g, row in enumerate(problems)
        for c, chain in enumerate(CHAINS)
    }


def _batches(
    learners: dict[tuple[int, int, int], A3C], num_updates: int, key: jax.Array, weights: int, seeds: int
) -> list[Batch]:
    """One for each learner. Both kinds of chains, all γ and all λ use the same keys."""
    schedule, of_seeds, found = Schedule.sequential(num_updates), numbered_keys(key, seeds), []
    for (m, g, c), learner in learners.items():
        keys = jnp.tile(jax.vmap(lambda key, m=m: jax.random.fold_in(key, m))(of_seeds), weights)
        pairs = len(learners) // len(CHAINS)
        said = f"Interrupted after {len(found) // len(CHAINS)} of {pairs} pairs of an MDP and a discount."
        found.append(Batch(np.s_[:, g, m, c], learner, schedule, keys, said))
    return found


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


def _with_discount(mdp: FiniteMDP, discount: float) -> FiniteMDP:
    return FiniteMDP(mdp.transition, mdp.reward, mdp.initial, discount, mdp.features)


def _represents_everything(mdp: FiniteMDP) -> bool:
    """Whether every function of the state is linear in the features, so that φᵀω* = V."""
    return bool(np.linalg.matrix_rank(np.asarray(mdp.features, np.float64)) == mdp.num_states)


def _over_mdps(values: np.ndarray) -> np.ndarray:
    """Means over the last axis, each summed as a vector of its own, so that its bits are."""
    return np.ascontiguousarray(values).mean(-1)


def _reference(row: ChainsRow) -> str:
    known = REFERENCE.get((row.weight, row.discount))
    return DASH if known is None else f"{known:.2f}"


def _empty(
    problems: list[list[FiniteMDP]], discounts: tuple[float, ...], weights: tuple[float, ...], seeds: int,
    updates: np.ndarray, actor_step: float,
) -> Dataset:  # fmt: skip
    """The mean motion, and places for the runs."""
    count = len(problems[0])
    shape, flat = (len(weights), len(discounts), count, len(CHAINS)), [mdp for row in problems for mdp in row]
    places = list(itertools.product(weights, problems, range(count), CHAINS))
    cells = [row[m] for _, row, m, _ in places]
    mean = mean_field(cells, [w for w, *_ in places], [c == "shared" for *_, c in places], actor_step * updates)
    best = np.array([float(exact.optimal_objective(mdp)) for mdp in flat])
    values = {
        "weight": weights, "discount": discounts, "mdp": count, "chain": CHAINS, "seed": seeds, "updates": updates,
        "mean_objective": mean.objective.reshape(*shape, -1),
        "mean_regularized_objective": mean.regularized_objective.reshape(*shape, -1),
        "speed": mean.speed.reshape(shape), "direction_error": direction_error(flat).reshape(len(discounts), count),
        "optimal_objective": best.reshape(len(discounts), count),
    }  # fmt: skip
    return LAYOUT.dataset(
        values,
        actor_step=actor_step,
        exact_critic=int(all(_represents_everything(mdp) for mdp in flat)),
    )


def _bias_panel(ax: Axes, study: ChainsStudy) -> None:
    curves, discounts = study.curves, study.curves.discount.values
    weights = [float(weight) for weight in curves.weight.values]
    for w, (weight, colour) in enumerate(zip(weights, axes.PALETTE, strict=False)):
        rows = [row for row in study.rows if row.weight == weight]
        if curves.sizes["mdp"] > 1:
            thin = ax.plot(discounts, curves.bias.values[w], color=colour, lw=0.6, alpha=0.35, zorder=1)
            thin[0].set_label(f"λ = {weight:g}, each MDP")
        bias, value, low, high = axes.fields(rows, "bias", "simulated_bias", "simulated_low", "simulated_high")
        ax.plot(discounts, bias, color=colour, lw=1.8, label=f"λ = {weight:g}, mean motion")
        label = f"λ = {weight:g}, simulated, {study.percent}"
        spread = axes.ends(value, low, high)
        ax.errorbar(discounts + 0.006, value, spread, color=colour, fmt="o", ms=4, capsize=3, label=label, zorder=3)
    known = {g: bias for (weight, g), bias in REFERENCE.items() if weight in weights and g in discounts}
    if known:
        label = "reference, one MDP, λ = 0.3"
        ax.plot(list(known), list(known.values()), "D", color=axes.INK, mfc="white", ms=5, label=label)
    ax.axhline(0, color=axes.INK, lw=0.8)
    ax.set(title="Bias of one shared chain", xlabel="discount γ", ylabel="J separate − J shared", xticks=discounts)
    ax.legend(fontsize=7)


def _path_panel(ax: Axes, curves: Dataset) -> None:
    """The first λ and γ, mean over MDPs; bands hold the middle 80 % of the seeds."""
    updates = curves.updates.values
    for c, (chain, colour) in enumerate(zip(curves.chain.values, axes.PALETTE[2:4], strict=True)):
        runs = curves.objective.values[0, 0, :, c].mean(0)
        axes.middle_band(ax, updates, runs, 0.25, color=colour, label=f"{chain}, simulated")
        mean = curves.mean_objective.values[0, 0, :, c].mean(0)
        ax.plot(updates, mean, color=axes.INK, lw=1, ls="--", label="mean motion" if c else None)
    title = f"J, λ = {curves.weight.values[0]:g}, γ = {curves.discount.values[0]:g}"
    ax.set(title=title, xlabel="updates k", ylabel="J(θ_k)")
    ax.legend(loc="lower right")


def _pairs_panel(ax: Axes, curves: Dataset) -> None:
    exact_bias, simulated = curves.bias.values, curves.simulated_bias.values.mean(-1)
    for w, (weight, colour) in enumerate(zip(curves.weight.values, axes.PALETTE, strict=False)):
        for g, marker in zip(range(curves.sizes["discount"]), "osD^vP", strict=False):
            label = f"λ = {weight:g}, γ = {curves.discount.values[g]:g}"
            ax.plot(exact_bias[w, g], simulated[w, g], marker, color=colour, ms=4, alpha=0.8, label=label)
    ends = np.array([exact_bias.min(), exact_bias.max()])
    ax.plot(ends, ends, color=axes.INK, lw=0.9, ls="--", zorder=1, label="equal")
    ax.set(title="Each MDP", xlabel="bias of the mean motion", ylabel="simulated bias, mean over seeds")
    ax.legend(fontsize=7)
