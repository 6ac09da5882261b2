"""Speedup against workers on several MDPs and with several steps, and where its efficiency falls below a half."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from a3cjax._core import check
from a3cjax._core.statistics import moments
from a3cjax.learners import A3C
from a3cjax.studies.frame import axes
from a3cjax.studies.frame.beginning import begin, counted, listed
from a3cjax.studies.frame.cells import Cells, bytes_of_cell, identity_of
from a3cjax.studies.frame.layout import SEED, WORKERS, Layout, Var
from a3cjax.studies.frame.rows import column, make_rows, table_row, with_ends
from a3cjax.studies.frame.runs import distinct, kept_on_interrupt
from a3cjax.studies.frame.statistics import OF_KNEES, about_intervals
from a3cjax.studies.frame.study import Study
from a3cjax.studies.frame.tables import DASH, number
from a3cjax.studies.frame.target import find_target
from a3cjax.studies.frame.types import Axes, Dataset, Figure
from a3cjax.studies.knee.interval import knee_interval
from a3cjax.studies.speedup.study import check_arguments, speedup
from a3cjax.sweeps import asked_for

_MARKERS = "osD^vP"

LAYOUT = Layout(
    "Where linear speedup breaks",
    coordinates={
        "problem": Var("problem", "MDP"),
        "step": Var("step", "factor on the actor's step", "1"),
        "workers": WORKERS,
        "seed": SEED,
    },
    variables={
        "updates_to_target": Var(
            "problem step workers seed", "updates to the target; nan: never met", "updates", np.nan
        ),
        "done": Var("problem step", "1 if it was run, else 0", "1", np.int8(0)),
        "actor_step": Var("problem step", "step α of the actor", "1"),
        "critic_step": Var("problem", "step β of the critic", "1"),
        "relaxation_time": Var("problem", "1/(1 − Re λ_2) of the chain under the start's policy", "steps"),
        "efficiency": Var("problem step workers", "speedup(N)/N, at most where missed", "1"),
    },
)


@table_row
class KneeRow:
    """One line of ``knee.csv``.

    ``knee``: N*, infinite where the efficiency is at least the threshold at the ``largest`` N tried, NaN where one
    worker did not meet the target with every seed. ``missed``: runs that did not meet it; with any, N* is at most
    this. ``at_largest``: the efficiency at the largest N, at most this with missed runs.
    """

    problem: str = column("MDP")
    relaxation_time: float = column("relaxation\ntime [steps]", ".1f")
    actor_step: float = column("actor\nstep α", ".4g")
    critic_step: float = column("critic\nstep β", ".4g")
    updates_of_one: float = column("updates of\none worker", ",.0f")
    knee: float = column("\nN*", cell=lambda row: _knee(row))
    knee_low: float = column("\n{percent}", cell=lambda row: _interval(row))
    knee_high: float
    largest: int
    at_largest: float = column("efficiency\nat N = {row.largest}", cell=lambda row: _at_largest(row))
    missed: int = column("runs that\nmissed")


class KneeStudy(Study):
    """The outcome of ``knee``: curves over (problem, step, workers, seed), a row for each problem and step."""

    name = "knee"
    rows: tuple[KneeRow, ...]

    @classmethod
    def of(cls, curves: Dataset, confidence: float = 0.95, *, interrupted: bool = False) -> "KneeStudy":
        """Efficiencies ū(1)/ū(N), and where they cross the threshold."""
        updates, workers = curves.updates_to_target.values, curves.workers.values
        ran = curves.done.values.astype(bool)
        missed = np.isnan(updates) & ran[..., None, None]
        # Of one worker a run that missed says nothing, of more that the efficiency is at most so much.
        later = np.arange(workers.size)[:, None] > 0
        known = np.where(missed & later, curves.attrs["num_updates"], updates)
        mean = moments(known).mean
        efficiency = mean[..., :1] / mean
        found = knee_interval(known, workers, curves.attrs["threshold"], confidence)
        rows = make_rows(
            KneeRow, curves, "problem step", updates_of_one=np.ascontiguousarray(updates[:, :, 0]).mean(-1),
            **with_ends("knee", found), largest=workers[-1], at_largest=efficiency[..., -1],
            missed=missed.sum((-1, -2)),
        )  # fmt: skip
        curves = LAYOUT.add(curves, efficiency=efficiency).assign_attrs(about_intervals(confidence, OF_KNEES))
        return cls(curves, rows, confidence, interrupted)

    def summary(self) -> str:
        """What the knee is, and the range found."""
        attrs = self.curves.attrs
        said = (
            f"N* is the largest number of workers at which speedup(N)/N is still at least {attrs['threshold']:g}, for "
            f"{attrs['target_share']:.0%} of the gap from J(θ_0) to J*, {attrs['sampling']} sampling."
        )
        for problem in map(str, self.curves.problem.values):
            known = [row for row in self.rows if row.problem == problem and not np.isnan(row.knee)]
            if known:
                told = ", ".join(f"{_knee(row)} with α = {row.actor_step:g}" for row in known)
                said += f"\n{problem}: N* is {told}."
        return said

    def notes(self) -> list[str]:
        """A sentence for each thing that a reader of the rows must know."""
        said = ["The study was interrupted; what was not done is a dash."] if self.interrupted else []
        num_updates = self.curves.attrs["num_updates"]
        for row, ran in zip(self.rows, self.curves.done.values.reshape(-1), strict=True):
            where = f"{row.problem}, α = {row.actor_step:g}"
            if ran and np.isnan(row.knee):
                said.append(
                    f"{where}: one worker did not meet the target with every seed, so there is no knee; more updates "
                    "or a smaller step will tell."
                )
            elif row.missed:
                said.append(
                    f"{where}: {row.missed} runs did not meet the target in {num_updates:,} updates; they count as "
                    "meeting it then, so N* and the efficiencies are at most what is shown."
                )
        above = self.curves.efficiency.values.max(-1, initial=0).reshape(-1)
        for row, most in zip(self.rows, above, strict=True):
            if most > 1.5:
                said.append(
                    f"{row.problem}, α = {row.actor_step:g}: an efficiency of {most:.1f} says that one worker alone "
                    "was slow, held up by few seeds or by samples that depend on each other; N* compares with it."
                )
        return said

    def figure(self) -> Figure:
        """A panel of efficiencies for each factor on the actor's step, and one of knees; arrows: beyond the last N."""
        factors = self.curves.step.values
        with axes.drawing(1.2 + 2.9 * (len(factors) + 1), 3.7) as figure:
            places = figure.add_gridspec(1, len(factors) + 1)
            panels = [figure.add_subplot(places[0, 0])]
            panels += [figure.add_subplot(places[0, j], sharey=panels[0]) for j in range(1, len(factors))]
            handles, *_ = [_efficiency_panel(ax, self.curves, j) for j, ax in enumerate(panels)]
            axes.logarithmic(panels[0].yaxis, axes.plain)
            panels[0].set_ylabel("speedup(N)/N")
            threshold = self.curves.attrs["threshold"]
            panels[0].annotate(f"{threshold:g}", (0.01, threshold), xycoords=("axes fraction", "data"), va="bottom")
            _knee_panel(figure.add_subplot(places[0, -1]), self)
            told = zip(self.curves.problem.values, self.curves.relaxation_time.values, strict=True)
            labels = [f"{name} (relaxes in {time:.1f} steps)" for name, time in told]
            figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
        return figure


def knee(
    learners: Mapping[str, A3C], *, factors: Sequence[float] = (0.25, 0.5, 1.0),
    workers: Sequence[int] = (1, 16, 64, 256, 1024), sampling: Literal["markov", "iid"] = "markov", seeds: int = 8,
    num_updates: int = 40_000, target: float = 0.8, threshold: float = 0.5, confidence: float = 0.95, seed: int = 0,
    progress: bool | None = None,
) -> KneeStudy:  # fmt: skip
    """N*, the largest number of workers at which the efficiency speedup(N)/N is still at least ``threshold``.

    Each learner, with its actor's step multiplied by each factor, goes through ``speedup``. The efficiency is
    ū(1)/ū(N), with ū the mean over seeds of the updates to the target; N* lies where it last crosses the threshold,
    interpolated linearly in log N. Its interval reaches over the N whose efficiency Student's t cannot tell from the
    threshold, by the delta method for log ū. A run that never met the target is taken to meet it at the last update, so
    that the efficiency is at most what is shown, and N* too.

    Learners of equal shapes share one compiled program, whatever their numbers.

    Args:
        learners: a name and an ``A3C`` for each problem; the actor's step must be a number.
        factors: what the actor's step is multiplied by.
        workers: numbers of workers N; 1 must be among them, and one more at least.
        sampling: where samples come from: option 2 (markov) or option 1 (iid).
        seeds: runs for each MDP, step and N, at least 2.
        num_updates: updates of every run, K; more than 1/threshold times what one worker needs, or the knee cannot be
            seen.
        target: share of the gap from the start's J(θ_0) to the optimum J* that a run has to close.
        threshold: the efficiency at the knee, between 0 and 1.
        confidence: coverage of the intervals over seeds.
        seed: seed of MDPs, schedules and runs.
        progress: see ``simulate``.

    Raises:
        ValueError: if an argument is out of range.
        StudyInterrupted: on Ctrl-C, with the MDPs and steps that were done.

    >>> import a3cjax, jax
    >>> mdp = a3cjax.families.synthetic(jax.random.key(0), num_states=5, num_features=5)
    >>> learner = a3cjax.A3C(mdp, actor_step=0.5, critic_step=0.1)
    >>> few = dict(factors=(1,), workers=(1, 2), seeds=3, num_updates=2000)
    >>> study = a3cjax.studies.knee({"dense": learner}, **few)
    >>> study.rows[0].knee, study.rows[0].largest  # still efficient with 2
    (inf, 2)
    """
    options: Any = dict(sampling=[sampling], seeds=seeds, num_updates=num_updates, target=target, seed=seed)
    check.choice("sampling", sampling, ("markov", "iid"))
    factors, numbers = _check(learners, factors, workers, threshold, confidence, options)
    begin(
        f"Simulating {counted(seeds, 'seed')} × N = {listed(numbers)} workers × {num_updates:,} updates on "
        f"{counted(len(learners), 'MDP')} with {counted(len(factors), 'step size')}, {sampling} sampling",
        in_blocks=True,
    )
    curves = _empty(learners, factors, numbers, threshold, options)
    return _run(learners, curves, confidence, options | {"workers": numbers, "progress": progress})


def _check(
    learners: Mapping[str, A3C], factors: Sequence[float], workers: Sequence[int], threshold: float, confidence: float,
    options: dict[str, Any],
) -> tuple[tuple[float, ...], tuple[int, ...]]:  # fmt: skip
    """The factors and the numbers of workers in ascending order."""
    for name, learner in learners.items():
        if not isinstance(learner, A3C):
            raise ValueError(f"learners[{name!r}] must be an a3cjax.A3C, but is a {type(learner).__name__}.")
        if learner.actor_step is None or callable(learner.actor_step) or np.ndim(learner.actor_step):
            raise ValueError(
                f"The actor_step of learners[{name!r}] must be one number, to be multiplied by the factors."
            )
    distinct("learners", learners)
    factors = distinct("factors", sorted(float(factor) for factor in factors))
    check.number("factors", factors, above=0)
    check.number("threshold", threshold, above=0, below=1)
    check.integer("seeds", options["seeds"], 2)
    numbers = tuple(sorted(check.integer(f"workers[{i}]", n, 1) for i, n in enumerate(workers)))
    if len(set(numbers)) < 2 or numbers[0] != 1:
        raise ValueError(f"workers is {list(numbers)}, but must hold 1 and at least one greater number.")
    check_arguments(workers=numbers, record_every=None, confidence=confidence, **options)
    for learner in learners.values():
        find_target(learner, "objective", options["target"])
    return factors, numbers


def _empty(
    learners: Mapping[str, A3C], factors: tuple[float, ...], workers: tuple[int, ...], threshold: float,
    options: dict[str, Any],
) -> Dataset:  # fmt: skip
    """The study's curves with everything but what the runs will say."""
    steps = np.array([float(learner.actor_step) for learner in learners.values()])[:, None] * factors
    critic = [np.nan if callable(x.critic_step) else float(x.critic_step) for x in learners.values()]
    values = {
        "problem": list(learners), "step": factors, "workers": workers, "seed": options["seeds"], "actor_step": steps,
        "critic_step": critic, "relaxation_time": [_relaxation(learner) for learner in learners.values()],
    }  # fmt: skip
    (sampling,), count = options["sampling"], options["num_updates"]
    told = {"sampling": sampling, "num_updates": count, "threshold": threshold, "target_share": options["target"]}
    return LAYOUT.dataset(values, **told)


def _run(learners: Mapping[str, A3C], curves: Dataset, confidence: float, options: dict[str, Any]) -> KneeStudy:
    """Go through ``speedup`` with every learner and step."""

    def fill(curves: Dataset, at: tuple[int, ...]) -> None:
        name, step = str(curves.problem.values[at[0]]), float(curves.actor_step.values[at])
        found = speedup(dataclasses.replace(learners[name], actor_step=step), **options)
        curves["updates_to_target"].values[at] = found.curves.updates_to_target.values[0]
        curves["done"].values[at] = 1

    blocks = asked_for()
    if blocks is not None:
        options = options | {"progress": False}
        count, numbers = options["num_updates"], options["workers"]
        memory = functools.partial(
            bytes_of_cell, learners, len(numbers) * options["seeds"], count, max(1, count // 100), metrics=2,
            depth=8 * max(numbers),
        )  # fmt: skip
        told = identity_of(curves, learners, seed=options["seed"])
        cells = Cells(KneeStudy.name, curves, ("problem", "step"), fill, learners, told, memory)
        return dataclasses.replace(KneeStudy.of(cells.run(blocks), confidence), kept=blocks)
    for at, step in np.ndenumerate(curves.actor_step.values):
        with kept_on_interrupt(
            lambda: KneeStudy.of(curves, confidence, interrupted=True),
            f"Interrupted in {curves.problem.values[at[0]]} with α = {step:g}.",
        ):
            fill(curves, at)
    return KneeStudy.of(curves, confidence)


def _relaxation(learner: A3C) -> float:
    pi = np.asarray(learner.policy.probabilities(learner.theta), np.float64)
    kernel = (pi[:, :, None] * np.asarray(learner.mdp.transition, np.float64)).sum(1)
    second = np.sort(np.linalg.eigvals(kernel).real)[-2] if len(kernel) > 1 else 0.0
    return float(np.inf if second > 1 - 1e-9 else 1 / (1 - second))


def _knee(row: KneeRow) -> str:
    if np.isnan(row.knee):
        return DASH
    return ("≤ " if row.missed and np.isfinite(row.knee) else "") + _end(row, row.knee)


def _interval(row: KneeRow) -> str:
    if np.isnan(row.knee_low):
        return DASH
    ends = [_end(row, row.knee_low), _end(row, row.knee_high)]
    return " to ".join(ends[:1] if ends[0] == ends[1] and np.isinf(row.knee_low) else ends)


def _end(row: KneeRow, value: float) -> str:
    return f"{value:.0f}" if np.isfinite(value) else f"> {row.largest}"


def _at_largest(row: KneeRow) -> str:
    return ("≤ " if row.missed and np.isfinite(row.at_largest) else "") + number(row.at_largest, ".2f")


def _look(i: int) -> dict[str, Any]:
    return {"color": axes.PALETTE[i % len(axes.PALETTE)], "marker": _MARKERS[i % 6], "ms": 4.5}


def _efficiency_panel(ax: Axes, curves: Dataset, j: int) -> list[Any]:
    workers, handles = curves.workers.values, []
    ax.axhline(1, color=axes.INK, lw=0.9, ls="--")
    ax.axhline(curves.attrs["threshold"], color=axes.INK, lw=0.9)
    for i in range(curves.sizes["problem"]):
        handles += ax.plot(workers, curves.efficiency.values[i, j], lw=1.3, **_look(i))
    steps = sorted(set(curves.actor_step.values[:, j].round(12)))
    told = f"α = {steps[0]:.3g}" if len(steps) == 1 else f"α × {curves.step.values[j]:g}"
    ax.set(title=f"Efficiency, {told}", xscale="log", xlabel="workers N", yscale="log")
    axes.fixed_ticks(ax.xaxis, workers)
    return handles


def _knee_panel(ax: Axes, study: KneeStudy) -> None:
    curves, workers = study.curves, study.curves.workers.values
    largest, problems = workers[-1], curves.problem.values
    for i, name in enumerate(problems):
        rows = [row for row in study.rows if row.problem == name and not np.isnan(row.knee)]
        at, *found = axes.fields(rows, "actor_step", "knee", "knee_low", "knee_high")
        at = at * 1.05 ** (i - (len(problems) - 1) / 2)
        knees, low, high = np.minimum(found, largest)
        ax.errorbar(at, knees, np.clip([knees - low, high - knees], 0, None), lw=1.2, capsize=3, **_look(i))
        beyond = [x for x, row in zip(at, rows, strict=True) if np.isinf(row.knee)]
        ax.plot(beyond, [1.15 * largest] * len(beyond), ls="none", **_look(i) | {"marker": "$↑$", "ms": 9})
    ax.axhline(largest, color=axes.INK, lw=0.9, ls=":")
    ax.set(title=f"Knee N*, {study.percent} interval", xscale="log", yscale="log")
    ax.set(xlabel="actor step α", ylabel="N*")
    for axis, ticks in ((ax.yaxis, workers), (ax.xaxis, np.unique(curves.actor_step.values.round(12)))):
        axes.fixed_ticks(axis, ticks.tolist(), lambda value, _: f"{value:.4g}")
