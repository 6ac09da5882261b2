"""The estimators' moments at two policies, and learning with each of them under delay."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np

from a3cjax._core import check
from a3cjax._core.statistics import mean_interval
from a3cjax.engine import Record
from a3cjax.learners import A3C
from a3cjax.learners.policies import TabularSoftmax
from a3cjax.problems import exact
from a3cjax.schedules.compute_times import ComputeTime
from a3cjax.studies.estimators.moments import KINDS, moments_at
from a3cjax.studies.frame import axes, runs
from a3cjax.studies.frame.beginning import begin, counted, listed
from a3cjax.studies.frame.layout import SEED, UPDATES, WORKERS, Layout, Var
from a3cjax.studies.frame.rows import column, make_rows, table_row, with_ends
from a3cjax.studies.frame.statistics import OF_MEANS, about_intervals
from a3cjax.studies.frame.study import Study
from a3cjax.studies.frame.types import Axes, Dataset, Figure

Kind = Literal["advantage", "td", "q+baseline", "q", "reinforce+baseline", "reinforce"]

POINTS = ("at the start", "near the optimum")
NEAR = 0.9  # probability of the optimal action at the second of them
_RECORDS = 50
_TAIL = 10  # the last one in so many records counts

LAYOUT = Layout(
    "Estimators of the policy gradient: variance, bias and learning",
    coordinates={
        "kind": Var("kind", "estimator"),
        "point": Var("point", "policy"),
        "workers": WORKERS,
        "seed": SEED,
        "updates": UPDATES,
    },
    variables={
        "objective": Var("kind workers seed record", "J(θ), the exact objective", "reward", np.nan),
        "variance": Var("kind point", "trace of a direction's covariance", "reward²"),
        "bias": Var("kind point", "‖E direction − ∇J‖", "reward"),
        "gradient_norm": Var("point", "‖∇J‖", "reward"),
    },
)


@table_row
class EstimatorsRow:
    """One line of ``estimators.csv``; the moments are exact, ``objective`` is a mean over seeds at the end."""

    kind: str = column("estimator", at=1)
    workers: int = column("N")
    variance_start: float = column("variance\nat start", ".3g", at=1)
    variance_near: float = column("near\noptimum", ".3g", at=1)
    bias_start: float = column("bias\nat start", ".1e", at=1)
    bias_near: float = column("near\noptimum", ".1e", at=1)
    objective: float = column("J at\nthe end", ".4f", at=1)
    objective_low: float = column("{percent}", ".4f", to="objective_high", at=1)
    objective_high: float


class EstimatorsStudy(Study):
    """The outcome of ``estimators``.

    ``curves``: ``objective`` over (kind, workers, seed, record), and ``variance`` and ``bias`` over (kind, point).
    ``rows``: an ``EstimatorsRow`` for each kind and N.
    """

    name = "estimators"
    rows: tuple[EstimatorsRow, ...]

    @classmethod
    def of(cls, curves: Dataset, confidence: float = 0.95, *, interrupted: bool = False) -> "EstimatorsStudy":
        """Average every run over the last tenth of its records, then over seeds."""
        tail = max(1, (curves.sizes["record"] - 1) // _TAIL)
        last = curves.objective.values[..., -tail:].mean(-1)
        variance, bias = curves.variance.values, curves.bias.values
        rows = make_rows(
            EstimatorsRow, curves, "workers kind", variance_start=variance[:, 0], variance_near=variance[:, 1],
            bias_start=bias[:, 0], bias_near=bias[:, 1],
            **with_ends("objective", mean_interval(last.swapaxes(0, 1), confidence=confidence)),
        )  # fmt: skip
        return cls(curves.assign_attrs(about_intervals(confidence, OF_MEANS)), rows, confidence, interrupted)

    def summary(self) -> str:
        """The rankings by variance and by what was learned."""
        attrs, curves = self.curves.attrs, self.curves
        lines = [
            f"J(θ_0) = {attrs['initial_objective']:.4f}, J* = {attrs['optimal_objective']:.4f}; "
            f"{attrs['num_updates']:,} updates, {curves.sizes['seed']} seeds."
        ]
        for p, point in enumerate(curves.point.values):
            order = np.argsort(curves.variance.values[:, p], kind="stable")
            ranked = ", ".join(f"{curves.kind.values[i]} {curves.variance.values[i, p]:.3g}" for i in order)
            lines.append(f"Variance {point}, least first: {ranked}.")
        for n in curves.workers.values:
            known = [row for row in self.rows if row.workers == n and np.isfinite(row.objective)]
            ranked = ", ".join(f"{r.kind} {r.objective:.3f}" for r in sorted(known, key=lambda r: -r.objective))
            lines.append(f"J at the end with N = {n}, best first: {ranked}.")
        return "\n".join(lines)

    def notes(self) -> list[str]:
        """What the columns are, and runs that were lost."""
        said = ["The study was interrupted; what is missing is NaN."] if self.interrupted else []
        gradient = self.curves.gradient_norm.values
        said.append(
            "Variance (trace of the covariance of one sample's direction) and bias (norm) are exact, with the critic "
            "at its TD fixed point, at θ_0 and where the optimal action has probability 0.9; ‖∇J‖ is "
            f"{gradient[0]:.3g} and {gradient[1]:.3g} there. Where the features cannot represent V, the critic's error "
            "adds to the variance of all but the returns."
        )
        if any(kind.endswith("+baseline") for kind in self.curves.kind.values):
            said.append(
                "The baseline is V of the policy itself for the variances, and V of θ_0's policy throughout the runs. "
                "td and advantage have the critic's V̂ in them already."
            )
        said.append(
            f"J is the mean over the last tenth of the records; the {self.confidence:.0%} intervals are Student's t "
            "over seeds, corrected for skewness."
        )
        lost = int(np.isnan(self.curves.objective.values).any(-1).sum())
        if lost and not self.interrupted:
            said.append(f"{lost} runs stopped being finite; take smaller steps.")
        return said

    def facts(self) -> dict[str, Any]:
        """J(θ_0) and J*."""
        return {name: self.curves.attrs[name] for name in ("initial_objective", "optimal_objective")}

    def figure(self) -> Figure:
        """Exact variances at two policies; J over updates for each N, means over seeds and their middle 80 %."""
        count = self.curves.sizes["workers"]
        with axes.drawing(3.9 * (1 + count), 3.9) as figure:
            panels = figure.subplots(1, 1 + count, squeeze=False)[0]
            _variance_panel(panels[0], self.curves)
            for j, ax in enumerate(panels[1:]):
                _curve_panel(ax, self.curves, j)
                ax.sharey(panels[1])
            handles, labels = panels[1].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower center", ncols=max(1, len(labels)))
        return figure


def estimators(
    learner: A3C, *,
    kinds: Sequence[Kind] | Sequence[str] = ("advantage", "td", "q+baseline", "q", "reinforce+baseline", "reinforce"),
    workers: Sequence[int] = (1, 16), seeds: int = 16, num_updates: int = 20_000,
    compute_times: ComputeTime | runs.WorkerLaws | None = None, confidence: float = 0.95, seed: int = 0,
    progress: bool | None = None,
) -> EstimatorsStudy:  # fmt: skip
    """Rank estimators of the policy gradient by variance, and see what that does to learning at equal steps.

    The variance (the trace of the covariance of one sample's direction) and the norm of the bias are exact, at θ_0 and
    at a policy that takes the optimal action with probability 0.9, each with the critic at its TD fixed point and V_π
    for a baseline. Learning is simulated with N workers, always busy; there a baseline stays what it is at the start, V
    of θ_0's policy. All estimators share schedules and keys.

    Args:
        learner: the actor-critic, with a tabular softmax; its estimator and baseline are replaced.
        kinds: estimators, some or all of these.
        workers: numbers of workers N.
        seeds: runs for each estimator and N, at least 1; the intervals need 2.
        num_updates: updates of every run, K.
        compute_times: the law of every worker's compute time, or a function from N to the list of N laws; Exponential
            of mean 1 if not given.
        confidence: coverage of the intervals over seeds. See ``mean_interval``.
        seed: seed of schedules and runs.
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
    kinds, workers = _check(learner, kinds, workers)
    runs.check_repeats(seeds, seed, confidence)
    num_updates = check.integer("num_updates", num_updates, 1)
    record = Record(every=max(1, num_updates // _RECORDS), metrics=("objective",))
    begin(
        f"Simulating {counted(len(kinds), 'estimator')} × {counted(seeds, 'seed')} × N = {listed(workers)} workers × "
        f"{num_updates:,} updates",
        in_blocks=True,
    )
    learners, asked = _learners(learner, kinds), (seed, compute_times, workers, seeds, num_updates, progress)
    with runs.drawn_runs(learners, record, *asked) as (schedule, keys, ready):
        curves = _empty(learner, kinds, workers, seeds, np.arange(0, num_updates + 1, record.spacing(num_updates)))
        batches = [
            runs.Batch(i, changed, schedule, keys, f"Interrupted after {i} of {len(kinds)} estimators.")
            for i, changed in enumerate(learners)
        ]
        return runs.run_batches(EstimatorsStudy.of, curves, batches, record, confidence, progress, ready=ready)


def _check(learner: A3C, kinds: Sequence[str], workers: Sequence[int]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    if not isinstance(learner.policy, TabularSoftmax):
        raise ValueError(
            f"learner has a {type(learner.policy).__name__} policy, but the variances are for a tabular softmax; use "
            "a3cjax.policies.TabularSoftmax."
        )
    for i, kind in enumerate(kinds):
        check.choice(f"kinds[{i}]", kind, tuple(KINDS))
    kinds = runs.distinct("kinds", kinds, " kinds of estimators")
    return kinds, runs.distinct_integers("workers", workers, 1, " numbers of workers")


def _learners(learner: A3C, kinds: Sequence[str]) -> list[A3C]:
    """The learner with each estimator; a baseline is V of θ_0's policy throughout."""
    values = exact.state_values(learner.mdp, learner.policy.probabilities(learner.theta))
    return [
        dataclasses.replace(learner, estimator=name, baseline=values if less else None, horizon=None)
        for name, less in (KINDS[kind] for kind in kinds)
    ]


def _near_optimum(learner: A3C) -> np.ndarray:
    """θ with probability ``NEAR`` for the optimal action and the rest shared equally."""
    optimal = np.asarray(exact.optimal_policy(learner.mdp), np.float64)
    others = optimal.shape[1] - 1
    return optimal * np.log(NEAR * max(others, 1) / (1 - NEAR))


def _empty(learner: A3C, kinds: tuple[str, ...], workers: tuple[int, ...], seeds: int, updates: np.ndarray) -> Dataset:
    """The exact moments, and places for the runs; record 0 is the start."""
    mdp = learner.mdp
    points = [np.asarray(learner.theta, np.float64), _near_optimum(learner)]
    moments = [moments_at(mdp, theta, kinds) for theta in points]
    start = float(exact.objective(mdp, learner.policy.probabilities(learner.theta)))
    gradients = [
        exact.policy_gradient(mdp, learner.policy, jnp.asarray(theta, learner.theta.dtype)) for theta in points
    ]
    values = {
        "kind": kinds, "point": POINTS, "workers": workers, "seed": seeds, "updates": updates,
        "variance": [[at[kind].variance for at in moments] for kind in kinds],
        "bias": [[at[kind].bias for at in moments] for kind in kinds],
        "gradient_norm": [float(jnp.linalg.norm(gradient)) for gradient in gradients],
    }  # fmt: skip
    curves = LAYOUT.dataset(
        values,
        initial_objective=start,
        optimal_objective=float(exact.optimal_objective(mdp)),
        num_updates=int(updates[-1]),
    )
    curves["objective"].values[..., 0] = start
    return curves


def _variance_panel(ax: Axes, curves: Dataset) -> None:
    kinds, variance = curves.kind.values, curves.variance.values
    at = np.arange(len(kinds))
    colours = axes.PALETTE[: len(kinds)]
    ax.hlines(at, variance.min(1), variance.max(1), color=colours, lw=1)
    # Hollow at the first policy, filled at the second.
    for p, (point, faces) in enumerate(zip(curves.point.values, ("white", colours), strict=True)):
        ax.scatter(variance[:, p], at, s=42, c=faces, edgecolors=colours, linewidths=1.4, zorder=3)
        ax.plot([], [], "o", ms=6, mec=axes.INK, mfc=("white", axes.INK)[p], ls="none", label=str(point))
    ax.set(yticks=at, yticklabels=kinds, title="Variance of one direction, exact")
    if (variance > 0).any():  # a logarithmic axis needs a number
        ax.set_xscale("log")
    ax.set_xlabel("trace of the covariance (reward²)")
    ax.margins(y=0.12)
    ax.invert_yaxis()
    ax.legend(loc="upper right")


def _curve_panel(ax: Axes, curves: Dataset, j: int) -> None:
    for i, (kind, colour) in enumerate(zip(curves.kind.values, axes.PALETTE, strict=False)):
        runs = curves.objective.values[i, j]
        axes.middle_band(ax, curves.updates.values, runs, 0.12, color=colour, label=str(kind))
    axes.level(ax, "J*", curves.attrs["optimal_objective"])
    n = int(curves.workers.values[j])
    ax.margins(y=0.1)
    ax.set(title=f"J, {n} worker{'s' * (n > 1)}", xlabel="updates k", ylabel="J(θ_k)")
