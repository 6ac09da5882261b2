"""Which maximum staleness, queue and batch of a pipeline meet a target soonest, with and without corrections."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from a3cjax._core import check
from a3cjax.learners.corrections import CORRECTIONS
from a3cjax.schedules.compute_times import ComputeTime
from a3cjax.studies.bound.figure import bound_figure
from a3cjax.studies.bound.plan import LAYOUT, Plan
from a3cjax.studies.bound.ranking import CELL, NO_BOUND, BoundRow, ranked, sentences
from a3cjax.studies.frame import runs
from a3cjax.studies.frame.beginning import begin, counted
from a3cjax.studies.frame.kept import Kept
from a3cjax.studies.frame.statistics import OF_MEANS, OF_RATIOS, about_intervals
from a3cjax.studies.frame.study import Study
from a3cjax.studies.frame.target import find_target, target_sentence
from a3cjax.studies.frame.types import Dataset, Figure
from a3cjax.sweeps import asked_for


class BoundStudy(Study):
    """The outcome of ``bound``: a ``BoundRow`` for each batch, queue, correction and maximum staleness.

    ``curves`` over (batch, queue, bound, …, seed): what the pipeline did, and samples and time to the target.
    """

    name = "bound"
    rows: tuple[BoundRow, ...]

    @classmethod
    def of(cls, curves: Dataset, confidence: float = 0.95, *, interrupted: bool = False) -> "BoundStudy":
        """Rank the choices."""
        told = about_intervals(confidence, OF_MEANS, OF_RATIOS)
        return cls(curves.assign_attrs(told), ranked(curves, confidence), confidence, interrupted)

    def summary(self) -> str:
        """The best choice, what cannot be told apart from it, and what no bound and bound 0 cost."""
        return sentences(self.rows, self.percent, self.curves.sizes["seed"])

    def notes(self) -> list[str]:
        """A sentence for each thing that a reader of the rows must know."""
        sizes = self.curves.sizes
        said = ["The study was interrupted: what is not known yet is a dash."] if self.interrupted else []
        said.append(target_sentence(self.curves.attrs))
        said.append(
            f"Each row has its own best of {sizes['step']} steps, found with {sizes['trial']} other seeds each. The "
            "best choice is chosen by the same runs that it is judged by, so a narrow lead over many may be luck. "
            "quick: generation time of what was trained on over that of all taken."
        )
        edges = sum(row.at_edge for row in self.rows)
        if edges:
            said.append(f"* The best step is the least or the greatest tried ({counted(edges, 'row')}).")
        missed = sum(row.reached < sizes["seed"] for row in self.rows)
        if missed and not self.interrupted:
            said.append(
                f"In {counted(missed, 'row')} some seed did not meet the target, and counts as if it had at its end: "
                "there the mean is a lower bound. More samples or a lower target will tell."
            )
        return said

    def figure(self) -> Figure:
        """Throughput, samples and time to the target against the bound, with intervals."""
        return bound_figure(self.rows, self.percent, self.curves.sizes["seed"])

    def facts(self) -> dict[str, Any]:
        """The target."""
        return {name: value for name, value in self.curves.attrs.items() if name not in ("title", "intervals")}


def bound(
    learner: Any, generation: ComputeTime, learning: ComputeTime, *, generators: int = 64,
    bounds: Sequence[int | None] = (0, 1, 2, 4, 8, None), batches: Sequence[int] = (4, 16),
    queues: Sequence[int | None] = (16,), on_stale: Literal["drop", "wait"] = "drop",
    corrections: Sequence[str] = ("none", "truncated"), factors: Sequence[float] = (0.5, 1.0, 2.0, 4.0, 8.0),
    num_samples: int = 4000, metric: str = "objective", target: float = 0.7, target_value: float | None = None,
    records: int = 200, seeds: int = 20, trials: int = 4, confidence: float = 0.95, seed: int = 0,
    partial: str | os.PathLike[str] | None = None, progress: bool | None = None,
) -> BoundStudy:  # fmt: skip
    """Batches × queues × maximum staleness × corrections, each at its own best step: what meets the target soonest.

    Generators make samples, a queue holds them, a learner takes a batch for each update (``Schedule.from_pipeline``). A
    tight bound trains on fresh samples and wastes or awaits many; a loose one trains on all and they are stale. First
    ``trials`` seeds run every choice with every step; then ``seeds`` others run it with the step with which the trials
    took the least time to the target. A run ends when ``num_samples`` were taken off the queue, dropped ones too, and
    one that has not met the target by then counts as if it had at its end. All choices share compute times and keys, so
    that times are compared in pairs.

    Args:
        learner: with a metric and step sizes. For corrections it takes its gradients fresh, as
            ``A3C(gradient="fresh")``.
        generation: law of the time in which a generator makes a sample.
        learning: law of the time that an update takes.
        generators: how many there are.
        bounds: maximum staleness of a sample in updates; None for no bound.
        batches: samples of an update.
        queues: finished samples that the queue holds; None for any number.
        on_stale: drop what is too stale, or have generators wait before they make it.
        corrections: names of importance weights, or "none". See ``A3C``. The learner's own is taken as it is, with
            its thresholds; others have the usual ones.
        factors: what the learner's steps are multiplied by.
        num_samples: samples taken off the queue in every run.
        metric: what has to meet the target.
        target: share of the gap from the start to the optimum that a run has to close.
        target_value: the metric's value to be met, in place of a share.
        records: how often the metric is looked at in a run.
        seeds: runs of each choice with its best step, at least 1; the intervals need 2.
        trials: runs for each step, at least 1. With trials · factors = seeds one program serves both.
        confidence: coverage of the intervals over seeds. See ``mean_interval`` and ``ratio_of_means``.
        seed: seed of schedules and runs.
        partial: a folder to keep an unfinished study in. The same call goes on from there, to the same bits;
            ``study.save`` of the finished study removes it.
        progress: see ``simulate``.

    Raises:
        ValueError: if an argument is out of range, or ``partial`` holds another study.
        StudyInterrupted: on Ctrl-C, with what was done.

    >>> import a3cjax
    >>> learner = a3cjax.QuadraticSGD([1.0], step=0.1)
    >>> law = a3cjax.compute_times.Deterministic
    >>> study = a3cjax.studies.bound(
    ...     learner, law(8.0), law(1.0), generators=4, bounds=(0, None), batches=(1,), queues=(4,),
    ...     corrections=("none",), factors=(1, 2), num_samples=200, records=100, target_value=0.01, seeds=2, trials=2)
    >>> [(row.bound, round(row.throughput, 2), round(row.staleness, 1), row.reached) for row in study.rows]
    [('0', 0.06, 0.0, 2), ('none', 0.5, 5.4, 2)]
    """
    runs.check_repeats(seeds, seed, confidence)
    for name, value in (("generators", generators), ("num_samples", num_samples), ("records", records)):
        check.integer(name, value, 1)
    check.integer("trials", trials, 1)
    check.choice("on_stale", on_stale, ("drop", "wait"))
    check.number("factors", list(factors), above=0)
    multiples = runs.distinct("factors", sorted(float(factor) for factor in factors))
    axes = {
        "batch": runs.distinct_integers("batches", batches, 1),
        "queue": _or_none("queues", queues),
        "bound": _or_none("bounds", bounds),
        "correction": runs.distinct("corrections", corrections),
    }
    learners = _learners(learner, axes["correction"])
    if num_samples < max(axes["batch"]) or records > num_samples:
        raise ValueError(
            f"num_samples is {num_samples}, but must be at least the greatest of batches ({max(axes['batch'])}) and "
            f"records ({records}), so that there is something to record; use more."
        )
    goal = find_target(learner, metric, target, target_value)
    plan = Plan(learners, generation, learning, generators, on_stale, axes, multiples, num_samples, goal, records,
                 trials, seeds, seed)  # fmt: skip
    pipelines = int(np.prod([len(axes[name]) for name in CELL]))
    task = (
        f"Simulating {counted(pipelines, 'pipeline')} × {counted(len(learners), 'correction')}: {trials} trials of "
        f"{counted(len(multiples), 'step')}, then {counted(seeds, 'seed')} at the best"
    )
    blocks = asked_for()
    if blocks is not None:
        begin(task, in_blocks=True)
        curves = plan.cells(LAYOUT.dataset(plan.coordinates(), **goal.attributes(learner)), learner).run(blocks)
        curves.done.values[...] = 2
        return dataclasses.replace(BoundStudy.of(curves, confidence), kept=blocks)
    kept = Kept(partial, plan.identity(learner), "study of bounds")
    known, trouble = kept.load()
    begin(task, trouble)
    curves = LAYOUT.dataset(plan.coordinates(), **goal.attributes(learner))
    for name, array in known.items():
        curves[name].values[...] = array
    with (
        kept.alone(),
        runs.kept_on_interrupt(
            lambda: BoundStudy.of(curves, confidence, interrupted=True),
            kept.interrupted,
            nothing_yet=lambda: not curves.done.values.any(),
        ),
    ):
        plan.run(curves, kept, progress)
    return dataclasses.replace(BoundStudy.of(curves, confidence), kept=kept)


def _or_none(name: str, values: Sequence[int | None]) -> tuple[int | None, ...]:
    """Whole numbers in ascending order, None last."""
    given = runs.distinct(name, values)
    numbers = sorted(check.integer(f"{name}[{i}]", v, 0) for i, v in enumerate(given) if v is not None)
    return (*numbers, *([None] if None in given else []))


def _learners(learner: Any, corrections: Sequence[str]) -> dict[str, Any]:
    """The learner with each correction; where that is its own, with its own thresholds."""
    for i, name in enumerate(corrections):
        check.choice(f"corrections[{i}]", name, (NO_BOUND, *CORRECTIONS))
    if not hasattr(learner, "correction"):
        if tuple(corrections) != (NO_BOUND,):
            raise ValueError(
                f"corrections is {list(corrections)}, but {type(learner).__name__} has none; give ['none'] only."
            )
        return {NO_BOUND: learner}
    own = next((name for name, kind in CORRECTIONS.items() if isinstance(learner.correction, kind)), NO_BOUND)
    return {
        name: learner if name == own else dataclasses.replace(learner, correction=None if name == NO_BOUND else name)
        for name in corrections
    }
