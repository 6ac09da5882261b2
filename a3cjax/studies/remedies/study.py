"""Remedies against staleness, each at its own best step: which meets a target sooner, and which nobody can tell."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

from a3cjax._core import check
from a3cjax.studies.frame import runs
from a3cjax.studies.frame.beginning import begin
from a3cjax.studies.frame.kept import Kept
from a3cjax.studies.frame.statistics import OF_MEANS, OF_RATIOS, about_intervals
from a3cjax.studies.frame.study import Study
from a3cjax.studies.frame.types import Dataset, Figure
from a3cjax.studies.remedies.cases import NONE, REMEDIES, Draw, Problem, Remedy
from a3cjax.studies.remedies.figure import remedies_figure
from a3cjax.studies.remedies.plan import Plan
from a3cjax.studies.remedies.ranking import RemedyRow, ranked, sentence
from a3cjax.sweeps import asked_for


class RemediesStudy(Study):
    """The outcome of ``remedies``: a ``RemedyRow`` for each problem, source of delays and remedy, in order of rank.

    ``curves`` over (problem, delays, remedy, step, trial) and (…, seed): samples and virtual time to the target.
    """

    name = "remedies"
    rows: tuple[RemedyRow, ...]

    @classmethod
    def of(cls, curves: Dataset, confidence: float = 0.95, *, interrupted: bool = False) -> "RemediesStudy":
        """Rank the remedies of each problem and source of delays."""
        rows = []
        for i, problem in enumerate(curves.problem.values.tolist()):
            for j, delays in enumerate(curves.delays.values.tolist()):
                cell = curves.isel(problem=i, delays=j)
                rows += ranked(cell, problem, delays, confidence)
        told = about_intervals(confidence, OF_MEANS, OF_RATIOS)
        return cls(curves.assign_attrs(told), tuple(rows), confidence, interrupted)

    def summary(self) -> str:
        """For each problem and source of delays: what is best, and what cannot be told from it."""
        return "\n".join(sentence(cell) for cell in self.cells())

    def cells(self) -> list[list[RemedyRow]]:
        """The rows of each problem and source of delays."""
        size = self.curves.sizes["remedy"]
        return [list(self.rows[i : i + size]) for i in range(0, len(self.rows), size)]

    def notes(self) -> list[str]:
        """A sentence for each thing that a reader of the rows must know."""
        curves = self.curves
        said = ["The study was interrupted: what is not known yet is a dash."] if self.interrupted else []
        said.append(
            f"Each remedy has its own best of {curves.sizes['step']} steps, found with {curves.sizes['trial']} other "
            "seeds each. The best remedy is chosen by the same runs that it is judged by, so a narrow lead over many "
            "may be luck."
        )
        edges = sorted({f"{row.remedy} on {row.problem}, {row.delays}" for row in self.rows if row.at_edge})
        if edges:
            said.append(f"* The best step is the least or the greatest tried ({len(edges)} rows): give more factors.")
        missed = [row for row in self.rows if row.reached < curves.sizes["seed"]]
        if missed and not self.interrupted:
            said.append(
                f"In {len(missed)} rows some seed did not meet the target, and counts as if it had at the end: there "
                "the mean is a lower bound. More updates or a lower target will tell."
            )
        return said

    def figure(self) -> Figure:
        """For each problem and source of delays the speedup by each remedy, with intervals, beside none."""
        return remedies_figure(self.cells(), self.percent, self.curves.sizes["seed"])

    def facts(self) -> dict[str, Any]:
        """The targets."""
        return {name: value for name, value in self.curves.attrs.items() if name.startswith("target of ")}


def remedies(
    problems: Mapping[str, Problem], delays: Mapping[str, Draw], *, remedies: Sequence[str] | None = None,
    factors: Sequence[float] = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0), seeds: int = 24, trials: int = 4,
    confidence: float = 0.95, seed: int = 0, more: Mapping[str, Remedy] | None = None,
    partial: str | os.PathLike[str] | None = None, progress: bool | None = None,
) -> RemediesStudy:  # fmt: skip
    """Remedies × sources of delays × problems, each at its own best step: who meets the target soonest.

    First ``trials`` seeds run each remedy with every step. Then ``seeds`` others run it with the step with which the
    trials took the fewest samples to the target on average. A run that does not meet it counts as if it had with its
    last update. Every remedy has the same budget, schedules and keys, so that times are compared in pairs. The
    remedies' own numbers follow from the delays: "threshold" 1 + τ̄, "drop-above" 2 τ̄, "drop-far" step · √(1 + τ̄) / 4,
    "clip-by-norm" 1, all others their paper's.

    Args:
        problems: from names to what is learned, see ``Problem``.
        delays: from names to functions of a key and the number of updates that give a schedule.
        remedies: names of remedies; "none" is among them, for the others are compared with it. Not given: all.
        factors: what the problems' steps are multiplied by.
        seeds: runs for each remedy with its best step, at least 1; the intervals need 2.
        trials: runs for each step, at least 1. With trials · factors = seeds one program serves both.
        confidence: coverage of the intervals over seeds. See ``mean_interval`` and ``ratio_of_means``.
        seed: seed of schedules and runs.
        more: remedies of your own, by name.
        partial: a folder to keep an unfinished study in, remedy by remedy. The same call goes on from there, to the
            same bits; ``study.save`` of the finished study removes it, once its files are written.
        progress: see ``simulate``.

    Raises:
        ValueError: if an argument is out of range, a schedule does not fit, or ``partial`` holds another study.
        StudyInterrupted: on Ctrl-C, with what was done.

    >>> import a3cjax
    >>> from a3cjax.studies import Problem
    >>> def quadratic(chain):
    ...     return a3cjax.QuadraticSGD([1.0], optimizer=chain(0.1))
    >>> problem = Problem(quadratic, num_updates=200, metric="objective", target_value=1e-3)
    >>> def constant(key, num_updates):
    ...     return a3cjax.Schedule.from_law(key, a3cjax.delays.Constant(8), num_updates)
    >>> study = a3cjax.studies.remedies({"quadratic": problem}, {"constant": constant}, remedies=["none", "inverse"],
    ...                                 factors=(0.5, 1, 2), seeds=2, trials=1)
    >>> [(row.remedy, row.factor, row.reached) for row in study.rows]
    [('none', 1.0, 2), ('inverse', 2.0, 2)]
    """
    table = {**REMEDIES, **(more or {})}
    names = _check_names(tuple(table) if remedies is None else tuple(remedies), table)
    runs.check_repeats(seeds, seed, confidence)
    check.integer("trials", trials, 1)
    check.number("factors", list(factors), above=0)
    multiples = runs.distinct("factors", sorted(float(factor) for factor in factors))
    if not problems or not delays:
        raise ValueError(f"{'delays' if problems else 'problems'} is empty; give at least one.")
    plan = Plan(dict(problems), dict(delays), {name: table[name] for name in names}, multiples, trials, seeds, seed)
    goals = {name: plan.goal(name) for name in problems}
    blocks = asked_for()
    if blocks is not None:
        begin(plan.task(), in_blocks=True)
        curves = plan.cells(goals).run(blocks)
        curves.done.values[...] = 2
        return dataclasses.replace(RemediesStudy.of(curves, confidence), kept=blocks)
    kept = Kept(partial, plan.identity(), "study of remedies")
    known, trouble = kept.load()
    begin(plan.task(), trouble)
    curves = plan.empty(goals)
    for name, array in known.items():
        curves[name].values[...] = array
    with (
        kept.alone(),
        runs.kept_on_interrupt(
            lambda: RemediesStudy.of(curves, confidence, interrupted=True),
            kept.interrupted,
            nothing_yet=lambda: not curves.done.values.any(),
        ),
    ):
        plan.run(curves, goals, kept, progress)
    study = RemediesStudy.of(curves, confidence)
    return dataclasses.replace(study, kept=kept)


def _check_names(names: tuple[str, ...], table: Mapping[str, Remedy]) -> tuple[str, ...]:
    for i, name in enumerate(names):
        check.choice(f"remedies[{i}]", name, tuple(table))
    if NONE not in names:
        raise ValueError(
            f"remedies is {list(names)}, but {NONE!r} must be among them, for it is what others are beside."
        )
    return runs.distinct("remedies", names)
