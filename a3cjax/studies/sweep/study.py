"""Delay laws × delays × steps × seeds in one batch, which can be stopped and gone on with."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from a3cjax._core import check
from a3cjax._core.statistics import mean_interval
from a3cjax.engine import Record, Result, SavedState
from a3cjax.engine.host import at_work
from a3cjax.schedules import Schedule
from a3cjax.studies.frame import runs
from a3cjax.studies.frame.beginning import begin, counted
from a3cjax.studies.frame.rows import Column, column, make_rows, row_columns, rows_text, table_row, with_ends
from a3cjax.studies.frame.statistics import OF_MEANS, OF_SHARES, about_intervals, proportion_interval
from a3cjax.studies.frame.study import Study
from a3cjax.studies.frame.tables import DASH, interval, number
from a3cjax.studies.frame.target import check_metrics, metric_of, step_fields
from a3cjax.studies.frame.types import Dataset, Figure
from a3cjax.studies.sweep.blocks import Runs, identity, put_all
from a3cjax.studies.sweep.figure import sweep_figure
from a3cjax.studies.sweep.grid import FOUND, Grid, Scaled, draw_schedules, empty_curves
from a3cjax.studies.sweep.laws import DelayIs, find_law
from a3cjax.studies.sweep.partial import Partial
from a3cjax.sweeps import Blocks, asked_for

Scale = Literal["both", "actor", "critic"]

PIECE_WORK = 1 << 27  # run-updates between two saves, ten seconds or so


@dataclasses.dataclass(frozen=True)
class SweepRow:
    """One line of ``sweep.csv``, a cell; means are over seeds.

    ``objective``: mean J, or mean of the metric asked for, at the last record, NaN if any seed stopped being finite.
    ``critic_error_sq``: mean gap over the last tenth of the records, likewise. ``diverged``: share of the runs, with
    Wilson's interval. ``mean_delay``: measured, with an interval over seeds.
    """

    law: str
    delay: int
    mean_delay: float
    mean_delay_low: float
    mean_delay_high: float
    factor: float
    actor_step: float
    critic_step: float
    objective: float
    objective_low: float
    objective_high: float
    critic_error_sq: float
    diverged: float
    diverged_low: float
    diverged_high: float
    nonfinite_runs: int


@table_row
class DelayRow:
    """One law and delay: what the steps make of it.

    ``stable_up_to``: the largest factor such that at it, and at all smaller ones, less than half of the runs diverged;
    NaN if there is none. ``diverging_from``: the next one; NaN if there is none.
    """

    law: str = column("law")
    delay: int = column("{delay_is}\ndelay")
    mean_delay: float = column("measured\nmean", ".2f")
    max_delay: int = column("\nlargest")
    best: SweepRow | None = column("best\nfactor", cell=lambda line: _of_best(line, lambda row: f"{row.factor:g}"))
    stable_up_to: float
    diverging_from: float


class SweepStudy(Study):
    """The outcome of ``sweep``.

    ``curves`` over (law, delay, step, seed, record): ``objective``, ``critic_error_sq``, or the metrics asked for, and
    per run ``nonfinite_from`` and ``diverged``, .... ``rows``: a ``SweepRow`` for each (law, delay, step).
    """

    name = "sweep"
    rows: tuple[SweepRow, ...]

    @classmethod
    def of(
        cls,
        curves: Dataset,
        confidence: float = 0.95,
        *,
        interrupted: bool = False,
        kept: Partial | Blocks | None = None,
    ) -> "SweepStudy":
        """Say which runs diverged, and gather each cell's seeds."""
        metric, gap_metric = metric_of(curves.attrs), curves.attrs.get("gap", "critic_error_sq")
        last = int((curves.updates.values <= int(curves.updates_done)).sum()) - 1
        tail = slice(last - max(0, (last - 1) // 10), last + 1)
        gap = curves[gap_metric].values[..., tail].mean(-1)
        lost = curves.nonfinite_from.values >= 0
        diverged = lost | (gap > curves.attrs["diverged_above"] * curves.attrs[f"initial_{gap_metric}"])
        curves = FOUND.add(curves, diverged=diverged.astype(np.int8), final_critic_error_sq=gap)
        objective = mean_interval(curves[metric].values[..., last], confidence=confidence)
        share = proportion_interval(diverged.sum(-1), diverged.shape[-1], confidence=confidence)
        delay = mean_interval(curves.mean_delay.values[:, :, None], confidence=confidence)
        steps = {name: np.nan for name in ("actor_step", "critic_step") if name not in curves.coords}
        rows = make_rows(
            SweepRow, curves, "law delay step", **with_ends("mean_delay", delay), factor=curves.step.values, **steps,
            **with_ends("objective", objective), critic_error_sq=gap.mean(-1), **with_ends("diverged", share),
            nonfinite_runs=lost.sum(-1),
        )  # fmt: skip
        curves = curves.assign_attrs(about_intervals(confidence, OF_MEANS, OF_SHARES))
        return cls(curves, rows, confidence, interrupted, kept=kept)

    @property
    def delays(self) -> tuple[DelayRow, ...]:
        """A line for each law and delay."""
        steps = self.curves.sizes["step"]
        best = min if self.curves.attrs.get("falls") else max
        lines = []
        for i, largest in enumerate(self.curves.max_delay.values.max(-1).ravel()):
            cells = self.rows[i * steps :][:steps]
            known = [row for row in cells if np.isfinite(row.objective)]
            stable = next((n for n, row in enumerate(cells) if row.diverged >= 0.5), steps)
            lines.append(
                DelayRow(
                    law=cells[0].law,
                    delay=cells[0].delay,
                    mean_delay=cells[0].mean_delay,
                    max_delay=int(largest),
                    best=best(known, key=lambda row: row.objective, default=None),
                    stable_up_to=cells[stable - 1].factor if stable else np.nan,
                    diverging_from=cells[stable].factor if stable < steps else np.nan,
                )
            )
        return tuple(lines)

    def summary(self) -> str:
        """What there was to learn, and what counts as divergence."""
        attrs, metric, gap = self.curves.attrs, metric_of(self.curves.attrs), "critic gap"
        done, runs = int(self.curves.updates_done), self.curves.diverged.size
        if "metric" in attrs:
            optimum = attrs[f"optimal_{metric}"]
            said = f"At the start {metric} = {attrs[f'initial_{metric}']:.4g}"
            said += "" if np.isnan(optimum) else f"; the optimum is {optimum:.4g}"
            gap = attrs["gap"]
        else:
            said = f"At the start J(θ_0) = {attrs['initial_objective']:.4f}; "
            said += f"the optimum is J* = {attrs['optimal_objective']:.4f}"
        start = attrs[f"initial_{attrs.get('gap', 'critic_error_sq')}"]
        return (
            f"{said}. After {done:,} updates {int(self.curves.diverged.sum()):,} of {runs:,} runs have diverged: not "
            f"finite, or with a {gap} of more than {attrs['diverged_above']:g} times the start's {start:.4g}."
        )

    def notes(self) -> list[str]:
        """A sentence for each thing that a reader of the rows must know."""
        said = ["The sweep was interrupted: these are the runs as far as they went."] if self.interrupted else []
        if "critic_step" in self.curves.coords:
            said.append(
                "2 sin(π/(2(2τ+1)))/|λ| is where a constant delay τ makes the critic's mean update unstable at the "
                "start's policy, λ being the eigenvalue of −A_θ that sets the limit (for a complex one the sine of "
                "(π/2 − |arg λ|)/(2τ+1)). Single samples have larger eigenvalues than their mean, so runs can diverge "
                "below it."
            )
        lost = [row for row in self.rows if row.nonfinite_runs]
        if lost:
            total = sum(row.nonfinite_runs for row in lost)
            said.append(
                f"{total} runs in {len(lost)} cells stopped being finite; their J is left out of the heat map and the "
                "table, and is nan in the files. A radius for the critic's projection keeps runs finite."
            )
        return said

    def table(self) -> str:
        """A line for each law and delay: the best step, and where runs begin to diverge."""
        return rows_text(self.delays, self.columns())

    def columns(self) -> list[Column]:
        """The table's columns. The critical step is told in the critic's β, or in factors where that was not scaled."""
        curves = self.curves
        critic = "critic_step" in curves.coords and curves.attrs["scale"] != "actor"
        unit = float(curves.critic_step.values[0] / curves.step.values[0]) if critic else 1.0
        limits = dict(zip(curves.delay.values.tolist(), curves.stability_limit.values, strict=True))
        what = "β" if critic else "factor"
        columns = [
            *row_columns(DelayRow, delay_is=curves.attrs["delay_is"]),
            Column("\nJ there", lambda line: _of_best(line, lambda best: number(best.objective, ".4f"))),
            Column(
                f"\n{self.percent}",
                lambda line: _of_best(line, lambda best: interval(best.objective_low, best.objective_high, ".4f")),
            ),
            Column(f"stable\nup to {what}", lambda line: number(unit * line.stable_up_to, ".4g")),
            Column(f"diverging\nfrom {what}", lambda line: number(unit * line.diverging_from, ".4g")),
            Column("2 sin(π/(2(2τ+1)))\n/|λ|", lambda line: number(limits[line.delay], ".4g")),
        ]
        return columns if critic else columns[:-1]

    def figure(self) -> Figure:
        """Heat maps of J and of the share diverged over delay and step, a column for each law."""
        return sweep_figure(self.curves, self.rows)

    def facts(self) -> dict[str, float]:
        """The levels that the study speaks of."""
        metric, gap = metric_of(self.curves.attrs), self.curves.attrs.get("gap", "critic_error_sq")
        names = (f"initial_{metric}", f"optimal_{metric}", f"initial_{gap}", "diverged_above")
        return {name: float(self.curves.attrs[name]) for name in names}


def sweep(
    learner: Any, *, laws: Sequence[str] = ("constant", "uniform", "geometric"),
    delays: Sequence[int] = (0, 1, 3, 7, 15, 31), delay_is: DelayIs = "mean",
    factors: Sequence[float] = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0), scale: Scale = "both", seeds: int = 4,
    num_updates: int = 10_000, record_every: int | None = None, metric: str = "objective", gap: str = "critic_error_sq",
    diverged_above: float = 10.0, confidence: float = 0.95, seed: int = 0,
    partial: str | os.PathLike[str] | None = None, progress: bool | None = None,
) -> SweepStudy:  # fmt: skip
    """What J and the critic come to for every delay law, delay and step size, with several seeds each.

    All runs are one batch of ``simulate``: laws × delays × factors × seeds. The n-th seed has one run key and one
    schedule key in every cell, so cells differ by their law, delay and step alone, and it is the same run however many
    seeds there are. Delays are drawn from the law (``Schedule.from_law``), for one worker.

    A run counts as diverged if a parameter stopped being finite, or if over the last tenth of its records (one at
    least) the mean critic gap ‖ω − ω*(θ)‖² is more than ``diverged_above`` times the gap at the start: the critic
    has gone away from its target. With projection nothing becomes infinite, and the gap is what tells. A batch of B
    runs holds 20 bytes of schedule per update and run, and as much again while it is sorted.

    Args:
        learner: an ``A3C``, or any with the metrics and numbers for steps (``run_scalars`` whose names end in "step").
        laws: laws of the delays: constant, uniform (from 0), geometric, poisson, sawtooth (0, 1, … up to the maximum,
            again and again: a worker that reads now and then), zipf (exponent 1).
        delays: delays in updates, each law's mean or maximum.
        delay_is: whether ``delays`` are means or maxima.
        factors: what the learner's steps are multiplied by.
        scale: whose step is multiplied; both stands for all that the learner has.
        seeds: runs for each law, delay and step, at least 1; the intervals need 2.
        num_updates: updates of every run, K.
        record_every: updates between records; not given: a twentieth of the updates.
        metric: what is looked at in the end.
        gap: what tells divergence, a metric that is near zero where all is well.
        diverged_above: a run has diverged if it ends with a critic gap of this many times the start's.
        confidence: coverage of the intervals over seeds. See ``mean_interval`` and ``proportion_interval``.
        seed: seed of schedules and runs.
        partial: a folder to keep an unfinished sweep in, every ten seconds or so, on Ctrl-C and at the end. The same
            call goes on from there, to the same bits; a file in it that cannot be read is warned of, and the sweep
            begins again. ``study.save`` of the finished study removes it, once its files are written.
        progress: see ``simulate``.

    Raises:
        ValueError: if an argument is out of range, the learner lacks a metric or a step, or ``partial`` holds a sweep
            with other options.
        StudyInterrupted: on Ctrl-C, with what was done.

    >>> import a3cjax, jax
    >>> mdp = a3cjax.families.synthetic(jax.random.key(0), num_states=4, num_actions=2, num_features=2)
    >>> learner = a3cjax.A3C(mdp, actor_step=0.1, critic_step=0.1)
    >>> few = dict(laws=["constant"], delays=(0, 5), factors=(1, 2), seeds=2, num_updates=100)
    >>> study = a3cjax.studies.sweep(learner, **few)
    >>> dict(study.curves.sizes)
    {'law': 1, 'delay': 2, 'step': 2, 'seed': 2, 'record': 21}
    """
    scaled = _check_learner(learner, scale, metric, gap)
    grid = _check_grid(laws, delays, delay_is, factors, scale, seeds)
    runs.check_repeats(seeds, seed, confidence)
    num_updates = check.integer("num_updates", num_updates, 1)
    check.number("diverged_above", diverged_above, above=0)
    every = Record(every=max(1, num_updates // 20) if record_every is None else record_every).spacing(num_updates)
    kept = Partial(partial, identity(scaled, grid, num_updates, every, seed))
    return _sweep(scaled, grid, num_updates, every, diverged_above, confidence, seed, kept, progress)


def _sweep(
    scaled: Scaled, grid: Grid, num_updates: int, every: int, diverged_above: float, confidence: float, seed: int,
    kept: Partial, progress: bool | None,
) -> SweepStudy:  # fmt: skip
    blocks = asked_for()
    if blocks is not None:
        return _in_blocks(
            blocks, Runs(scaled, grid, num_updates, every, seed), kept.options, diverged_above, confidence
        )
    state, values, trouble = kept.load()
    begin(_task(grid, num_updates, state), trouble)
    with at_work("drawing schedules", progress):
        schedule = draw_schedules(grid, num_updates, seed)
    curves = empty_curves(scaled, grid, schedule, num_updates, every, diverged_above)
    for name, array in values.items():
        curves[name].values[...] = array
    with (
        kept.alone(),
        runs.kept_on_interrupt(
            lambda: SweepStudy.of(curves, confidence, interrupted=True),
            lambda: _stopped(curves, kept.goes_on),
            nothing_yet=lambda: not int(curves.updates_done),
        ),
    ):
        _run(scaled, grid, schedule, every, seed, state, lambda x: _keep(kept, curves, x, scaled.metrics), progress)
    return SweepStudy.of(curves, confidence, kept=kept)


def _in_blocks(
    blocks: Blocks, made: Runs, options: Mapping[str, Any], diverged_above: float, confidence: float
) -> SweepStudy:
    """The same study, whose runs are made in blocks."""
    job = made.job(options)
    begin(_task(made.grid, made.num_updates, None), in_blocks=True)
    curves = empty_curves(made.scaled, made.grid, None, made.num_updates, made.every, diverged_above)
    metrics = made.scaled.metrics
    put_all(curves, blocks.run(job), metrics, lambda found: _put(curves, found, metrics))
    return SweepStudy.of(curves, confidence, kept=blocks)


def _check_learner(learner: Any, scale: str, metric: str, gap: str) -> Scaled:
    check.choice("scale", scale, ("both", "actor", "critic"))
    check_metrics(learner, (metric, gap))
    steps = step_fields(learner)
    multiplied = steps if scale == "both" else (f"{scale}_step",)
    for name in multiplied:
        if name not in steps:
            raise ValueError(f"scale is {scale!r}, but {type(learner).__name__} has no {name}; leave scale out.")
        if float(getattr(learner, name)) == 0:
            raise ValueError(f"The learner's {name} is 0, and stays so whatever it is multiplied by; give it a step.")
    return Scaled(learner, steps, multiplied, metric, gap)


def _check_grid(laws: Any, delays: Any, delay_is: Any, factors: Any, scale: Any, seeds: int) -> Grid:
    laws = (laws,) if isinstance(laws, str) else tuple(laws)
    for name in laws:
        find_law(name, delay_is)
    check.number("factors", list(factors), above=0)
    factors = runs.distinct("factors", sorted(float(factor) for factor in factors))
    delays = runs.distinct_integers("delays", delays, 0)
    return Grid(runs.distinct("laws", laws), delays, delay_is, factors, scale, check.integer("seeds", seeds, 1))


def _task(grid: Grid, num_updates: int, state: SavedState | None) -> str:
    laws, delays, steps, seeds = grid.shape
    return (
        f"Simulating {counted(seeds, 'seed')} × {counted(laws, 'law')} × {counted(delays, 'delay')} × "
        f"{counted(steps, 'step size')} × {num_updates:,} updates"
        f"{'' if state is None else f', going on after update {state.updates:,}'}"
    )


def _run(
    scaled: Scaled, grid: Grid, schedule: Schedule, every: int, seed: int, state: SavedState | None,
    keep: Callable[[Result], None], progress: bool | None,
) -> None:  # fmt: skip
    """All runs, a piece of their updates after the other, each handed to ``keep``."""
    batch = jax.tree.map(lambda column: column[grid.schedule_of_run()], schedule)
    keys = jnp.tile(runs.numbered_keys(jax.random.fold_in(jax.random.key(seed), 1), grid.seeds), grid.cells)
    learner, record = scaled.times(np.asarray(grid.factors)[grid.step_of_run()]), Record(every, scaled.metrics)
    # Fixed for all pieces, so that one program serves them all.
    depth = 1 << int(schedule.max_delay.max()).bit_length()
    piece = max(1, PIECE_WORK // (grid.runs * every)) * every
    while state is None or state.updates < schedule.num_updates:
        upto = min(schedule.num_updates, (0 if state is None else state.updates) + piece)
        state = runs.simulate_into(
            keep, learner, batch[:upto], keys, record=record, history="ring", depth=depth, resume=state,
            progress=progress,
        ).state  # fmt: skip


def _keep(kept: Partial, curves: Dataset, result: Result, metrics: Sequence[str]) -> None:
    """Put what a piece recorded into its place, and on disk."""
    assert result.state is not None
    _put(curves, result, metrics)
    names = (*metrics, "nonfinite_from", "updates_done")
    kept.save(result.state, {name: curves[name].values for name in names})


def _put(curves: Dataset, result: Any, metrics: Sequence[str]) -> None:
    known = curves["nonfinite_from"].values
    # Only what is seen at a record, or at the very end, counts: where a run was cut must not show.
    lost = np.asarray(result.nonfinite_from).reshape(known.shape)
    seen = np.isin(lost, curves.updates.values) | (lost == curves.attrs["num_updates"])
    known[...] = np.where((known < 0) & seen, lost, known)
    runs.put_runs(curves, ..., result, metrics, lost=known)


def _stopped(curves: Dataset, goes_on: bool) -> str:
    said = f"Interrupted after {int(curves.updates_done)} of {curves.attrs['num_updates']} updates."
    return f"{said} The same command goes on from there." if goes_on else said


def _of_best(line: DelayRow, say: Callable[[SweepRow], str]) -> str:
    return DASH if line.best is None else say(line.best)
