"""A schedule's asynchrony beside none: the same workers, samples and keys, computed from fresh parameters."""

import copy
import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from a3cjax._core import check
from a3cjax._core.statistics import mean_interval
from a3cjax.engine import Record
from a3cjax.schedules import Schedule
from a3cjax.studies.frame import runs
from a3cjax.studies.frame.beginning import begin, counted
from a3cjax.studies.frame.layout import SEED, Layout, Var, lost_from
from a3cjax.studies.frame.rows import column, table_row, with_ends
from a3cjax.studies.frame.statistics import OF_MEANS, OF_RATIOS, about_intervals, ratio_of_means
from a3cjax.studies.frame.study import Study
from a3cjax.studies.frame.tables import interval, number
from a3cjax.studies.frame.target import (
    find_target,
    levels,
    metric_of,
    step_fields,
    target_crossing,
    target_sentence,
    titled,
)
from a3cjax.studies.frame.types import Dataset, Figure
from a3cjax.studies.replay.figure import replay_figure
from a3cjax.sweeps import asked_for

RECORDED, FRESH = "recorded", "without delay"


def layout(metric: str) -> Layout:
    """The dataset's, for one metric."""
    return Layout(
        "An advantage actor-critic under a recorded schedule, beside no delay",
        coordinates={
            "delays": Var("delays", "delays of the schedule, or none"),
            "factor": Var("factor", "factor on the steps", "1"),
            "seed": SEED,
            "messages": Var("record", "rows of the schedule replayed", "rows"),
        },
        variables={
            metric: Var("delays factor seed record", metric, "1", np.nan),
            "time": Var("record", "time since the first update landed", "time unit of the schedule"),
            "nonfinite_from": lost_from("delays factor seed"),
        },
    )


@table_row
class ReplayRow:
    """One line of ``replay.csv``: a factor on the steps; means over seeds with intervals, NaN where a run was lost.

    ``end``, ``fresh_end``: the metric after the last record, with the recorded delays and without; ``difference``: the
    first less the second, paired by seed. ``updates_to_target``, ``fresh_updates``: rows of the schedule to the target;
    a run that does not meet it counts as if it had with the last (a restricted mean), so with fewer than all of them
    means are lower bounds. ``ratio``: the first over the second, paired. ``time_to_target``: in the schedule's unit,
    since its first update landed. ``reached``, ``fresh_reached``: runs that met the target.
    """

    factor: float = column("step", "g")
    end: float = column("end", ".4f")
    end_low: float
    end_high: float
    fresh_end: float = column("without\ndelay", ".4f")
    fresh_end_low: float
    fresh_end_high: float
    difference: float = column("difference", ".4f")
    difference_low: float = column("{percent}", ".4f", to="difference_high")
    difference_high: float
    updates_to_target: float = column("updates\nto target", ",.0f")
    fresh_updates: float = column("without\ndelay", ",.0f")
    ratio: float = column("ratio", ".3f")
    ratio_low: float = column("{percent}", ".3f", to="ratio_high")
    ratio_high: float
    time_to_target: float = column("time to\ntarget", ",.3g")
    fresh_time: float
    reached: int = column("met", cell=lambda row: f"{row.reached}, {row.fresh_reached}")
    fresh_reached: int


class ReplayStudy(Study):
    """The outcome of ``replay``: a ``ReplayRow`` for each factor on the learner's steps.

    ``curves`` over (delays, factor, seed, record): the metric; over (record): the time.
    """

    name = "replay"
    rows: tuple[ReplayRow, ...]

    @classmethod
    def of(cls, curves: Dataset, confidence: float = 0.95, *, interrupted: bool = False) -> "ReplayStudy":
        """Compare both kinds of runs, seed by seed."""
        told = about_intervals(confidence, OF_MEANS, OF_RATIOS)
        rows = tuple(_row(curves, i, confidence) for i in range(curves.sizes["factor"]))
        return cls(curves.assign_attrs(told), rows, confidence, interrupted)

    def summary(self) -> str:
        """What the delays are, and what they cost at each factor."""
        told = self.curves.attrs
        said = [f"{told['rows']:,} rows by {told['workers']} workers; delay {told['mean_delay']:.2f} on average, "
                f"99 % at most {told['delay_99']}, all at most {told['max_delay']}."]  # fmt: skip
        return "\n".join((*said, *(self._sentence(row) for row in self.rows)))

    def _sentence(self, row: ReplayRow) -> str:
        where = f"At {row.factor:g} times the step" if row.factor != 1 else "At the learner's own step"
        if not math.isfinite(row.difference):
            return f"{where}: nothing can be said, for a run was lost."
        size = f"{number(row.difference, '+.4f')} ({interval(row.difference_low, row.difference_high, '+.4f')})"
        told = math.isfinite(row.difference_low)
        if told and row.difference_low <= 0 <= row.difference_high:
            size += ", which cannot be told from nothing"
        what = "J" if "metric" not in self.curves.attrs else metric_of(self.curves.attrs)
        said = f"{where} the delays change {what} at the end by {size}"
        if min(row.reached, row.fresh_reached) == 0:
            return f"{said}."
        ratio = f"{number(row.ratio, '.3f')} ({interval(row.ratio_low, row.ratio_high, '.3f')})"
        return f"{said}; to the target they take {ratio} times the updates."

    def table(self) -> str:
        """The rows as text, one under the other."""
        return "\n".join(line for line in super().table().splitlines() if line)

    def notes(self) -> list[str]:
        """The target, and a sentence for each thing that a reader of the rows must know."""
        curves = self.curves
        said = ["The study was interrupted: what is not known yet is a dash."] if self.interrupted else []
        said.append(target_sentence(curves.attrs))
        missed = sum(min(row.reached, row.fresh_reached) < curves.sizes["seed"] for row in self.rows)
        if missed and not self.interrupted:
            said.append(
                f"In {counted(missed, 'row')} some run did not meet the target, and counts as if it had at the end: "
                "there means are lower bounds. A lower target, another step or a longer log will tell."
            )
        said += runs.lost_notes(curves, lambda delays, factor: f"{delays}, {factor:g} times the step", "steps")
        return [*said, *curves.attrs["report"]]

    def figure(self) -> Figure:
        """The metric over the updates, the paired difference, and the ratio of updates to the target."""
        return replay_figure(self.curves, self.rows, self.percent)

    def facts(self) -> dict[str, Any]:
        """What the schedule is like, and the target."""
        names = ("rows", "workers", "mean_delay", "delay_99", "max_delay")
        return {name: self.curves.attrs[name] for name in names} | levels(self.curves.attrs)


def replay(
    schedule: Schedule, learner: Any, *, factors: Sequence[float] = (1.0, 2.0, 4.0), metric: str = "objective",
    target: float = 0.4, target_value: float | None = None, records: int = 100, seeds: int = 32,
    confidence: float = 0.95, seed: int = 0, progress: bool | None = None,
) -> ReplayStudy:  # fmt: skip
    """What the asynchrony of a schedule, such as a real run's, does to a learner.

    Every seed is run twice with the same key: under the schedule, and under the same schedule with every delay 0. The
    workers take turns alike and go on with their own chains and draws, and what the schedule averages or discards stays
    so, so that the runs differ by what was stale alone. They are compared in pairs.

    Args:
        schedule: of ``Schedule.from_log``, or any other.
        learner: with the metric, and with step sizes if a factor is not 1.
        factors: what the learner's steps are multiplied by.
        metric: what is compared, and has to meet the target.
        target: share of the gap from the start to the optimum that a run has to close.
        target_value: the metric's value to be met, in place of a share.
        records: how often the metric is looked at in a run.
        seeds: runs of each kind, at least 1; the intervals need 2.
        confidence: coverage of the intervals over seeds. See ``mean_interval`` and ``ratio_of_means``.
        seed: seed of the runs.
        progress: see ``simulate``.

    Raises:
        ValueError: if an argument is out of range, or the schedule is a batch or has no delay.
        StudyInterrupted: on Ctrl-C, with what was done.

    >>> import a3cjax
    >>> learner = a3cjax.QuadraticSGD([1.0], step=0.1)
    >>> schedule = a3cjax.Schedule.from_law(jax.random.key(0), a3cjax.delays.Constant(4), 200)
    >>> study = a3cjax.studies.replay(schedule, learner, factors=(1, 2), target_value=0.01, records=200, seeds=2)
    >>> [(row.factor, round(row.updates_to_target, 1), round(row.fresh_updates, 1)) for row in study.rows]
    [(1.0, 10.2, 18.6), (2.0, 4.5, 8.8)]
    """
    runs.check_repeats(seeds, seed, confidence)
    check.number("factors", list(factors), above=0)
    multiples = runs.distinct("factors", sorted(float(factor) for factor in factors))
    if not isinstance(schedule, Schedule) or schedule.batch_shape or not check.is_concrete(schedule):
        raise ValueError("schedule must be one Schedule whose values are known; choose one of a batch with batch[b].")
    if not schedule.max_delay:
        raise ValueError("the schedule has delay 0 everywhere, so there is nothing to compare; give one with delays.")
    rows = schedule.num_messages
    check.integer("records", records, 1, rows)
    goal = find_target(learner, metric, target, target_value)
    steps = step_fields(learner) if multiples != (1.0,) else ()
    begin(f"Replaying {counted(rows, 'row')} with their delays and without: {counted(seeds, 'seed')} of "
          f"{counted(len(multiples), 'step')}", in_blocks=True)  # fmt: skip
    every = max(1, rows // records)
    counts = np.arange(every, rows + 1, every)
    landed = np.asarray(schedule.time, np.float64)
    curves = titled(
        layout(metric).dataset(
            {
                "delays": [RECORDED, FRESH], "factor": np.array(multiples), "seed": seeds, "messages": counts,
                "time": landed[counts - 1] - landed[0],
            },
            **goal.attributes(learner), **_facts(schedule),
        ),
        learner,
    )  # fmt: skip
    each = jnp.repeat(jnp.array(multiples), seeds)
    scaled = copy.copy(learner)  # a constructor may take other arguments than the fields that it makes of them
    for name in steps:
        object.__setattr__(scaled, name, getattr(learner, name) * each)
    keys = jnp.tile(runs.seed_keys(jax.random.key(seed), 0, seeds), len(multiples))
    none = np.zeros_like(np.asarray(schedule.delay))
    fresh = Schedule(schedule.worker, none, schedule.time, num_workers=schedule.num_workers,
                     commit=schedule.commit, weight=schedule.weight)  # fmt: skip
    blocks = asked_for()
    if blocks is not None:
        parts = [(scaled, one, keys) for one in (schedule, fresh)]
        made = runs.found_in_blocks(blocks, ReplayStudy.name, curves, parts, Record(every, (metric,)))
        for i, found in enumerate(made):
            runs.put_runs(curves, i, found, (metric,), clock="messages")
        return dataclasses.replace(ReplayStudy.of(curves, confidence), kept=blocks)
    for i, one in enumerate((schedule, fresh)):
        with runs.kept_on_interrupt(
            lambda: ReplayStudy.of(curves, confidence, interrupted=True),
            f"Interrupted in the runs {RECORDED if i == 0 else FRESH}.",
            nothing_yet=lambda first=i == 0: first,
        ):
            # One depth for both, and with it one compiled program.
            runs.simulate_into(
                lambda result, i=i: runs.put_runs(curves, i, result, (metric,), clock="messages"), scaled, one, keys,
                record=Record(every, (metric,)), history="ring", depth=1 << schedule.max_delay.bit_length(),
                progress=progress,
            )  # fmt: skip
    return ReplayStudy.of(curves, confidence)


def _facts(schedule: Schedule) -> dict[str, Any]:
    counts = np.ones(len(schedule), bool) if schedule.weight is None else np.asarray(schedule.weight) == 1
    delay = np.asarray(schedule.delay)[counts]
    said = getattr(schedule.report, "sentences", list)()
    return {
        "rows": schedule.num_messages, "workers": schedule.num_workers, "mean_delay": float(delay.mean()),
        "delay_99": int(np.quantile(delay, 0.99, method="inverted_cdf")), "max_delay": int(delay.max()), "report": said,
    }  # fmt: skip


def _row(curves: Dataset, factor: int, confidence: float) -> ReplayRow:
    metric, cell = metric_of(curves.attrs), curves.isel(factor=factor)
    ends = np.where(np.isfinite(cell[metric].values[..., -1]), cell[metric].values[..., -1], np.nan)
    of_end, of_fresh, of_difference = (mean_interval(x, confidence=confidence) for x in (*ends, ends[0] - ends[1]))
    start = curves.attrs[f"initial_{metric}"]
    whole = _from_start(cell, start)
    crossing = target_crossing(whole)
    known = np.isfinite(cell[metric].values).any(-1)
    found = {}
    for name, clock in (("updates", whole.messages.values), ("time", whole.time.values)):
        met = crossing.at(clock)
        found[name] = np.where(known, np.where(np.isfinite(met), met, clock[-1]), np.nan)
    ratio = ratio_of_means(*found["updates"], paired=True, confidence=confidence)
    reached = np.isfinite(crossing.before).sum(-1)
    fields: dict[str, Any] = with_ends("end", of_end) | with_ends("fresh_end", of_fresh)
    fields |= with_ends("difference", of_difference) | with_ends("ratio", ratio)
    fields |= {"factor": cell.factor.values, "updates_to_target": found["updates"][0].mean()}
    fields |= {"fresh_updates": found["updates"][1].mean()}
    fields |= {"time_to_target": found["time"][0].mean(), "fresh_time": found["time"][1].mean()}
    return ReplayRow(
        **{name: float(value) for name, value in fields.items()}, reached=int(reached[0]), fresh_reached=int(reached[1])
    )


def _from_start(cell: Dataset, start: float) -> Dataset:
    """The curves with what there is before the first update, at time 0."""
    import xarray as xr

    metric = metric_of(cell.attrs)
    first = cell.isel(record=[0]).copy(deep=True)
    first[metric].values[...] = start
    first = first.assign_coords(messages=("record", [0])).assign(time=("record", [0.0]))
    return xr.concat([first, cell], "record", data_vars="minimal", coords="minimal", combine_attrs="override")
