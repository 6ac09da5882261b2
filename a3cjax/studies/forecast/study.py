"""What a team that was calibrated from a real run would do with more workers: how fast, how stale, how soon."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from a3cjax._core import check
from a3cjax.engine import Record
from a3cjax.engine.host import at_work
from a3cjax.schedules import Schedule, Team
from a3cjax.studies.forecast.cases import CASES, draw, numbers
from a3cjax.studies.forecast.figure import forecast_figure
from a3cjax.studies.forecast.ranking import OF_RUNS, ForecastRow, ranked, sentences
from a3cjax.studies.frame import runs
from a3cjax.studies.frame.beginning import begin, counted
from a3cjax.studies.frame.layout import SEED, WORKERS, Layout, Var
from a3cjax.studies.frame.statistics import OF_RATIOS, about_intervals
from a3cjax.studies.frame.study import Study
from a3cjax.studies.frame.target import Target, find_target, target_sentence
from a3cjax.studies.frame.types import Dataset, Figure
from a3cjax.studies.remedies.cases import NONE, REMEDIES, Chain, Delays
from a3cjax.sweeps import asked_for

_CELL = "workers case seed"
_TIME = "time unit of the log"

LAYOUT = Layout(
    "Forecast of an asynchronous run with other numbers of workers",
    coordinates={"workers": WORKERS, "case": Var("case", "what is changed"), "seed": SEED},
    variables={
        "rate": Var(_CELL, "updates in a unit of time", "1 / time unit", np.nan),
        "mean_delay": Var(_CELL, "mean delay", "updates", np.nan),
        "median_delay": Var(_CELL, "median delay", "updates", np.nan),
        "p99_delay": Var(_CELL, "99 % quantile of the delays", "updates", np.nan),
        "discarded": Var(_CELL, "share of gradients thrown away", "1", np.nan),
        "last_time": Var(_CELL, "virtual time of the last gradient", _TIME, np.nan),
        "last_update": Var(_CELL, "updates of a whole run", "updates", np.nan),
        "updates": Var(_CELL, "updates to the target", "updates", np.nan),
        "time": Var(_CELL, "virtual time to the target", _TIME, np.nan),
    },
)


class ForecastStudy(Study):
    """The outcome of ``forecast``: a ``ForecastRow`` for each number of workers and case.

    ``curves`` over (workers, case, seed): rates, delays, and updates and time to the target.
    """

    name = "forecast"
    rows: tuple[ForecastRow, ...]

    @classmethod
    def of(cls, curves: Dataset, confidence: float = 0.95, *, interrupted: bool = False) -> "ForecastStudy":
        """Put the numbers in order."""
        told = about_intervals(confidence, OF_RUNS, OF_RATIOS)
        return cls(curves.assign_attrs(told), ranked(curves, confidence), confidence, interrupted)

    def summary(self) -> str:
        """Until when another worker is worth it, what one straggler costs, and what a bound of staleness saves."""
        known = self.curves.attrs
        return "\n".join(sentences(self.rows, known["worth"], known["slower"], known["bound"]))

    def notes(self) -> list[str]:
        """Where the team comes from, what its model misses, and what else a reader of the rows must know."""
        known = self.curves.attrs
        said = ["The study was interrupted: what is not known yet is a dash."] if self.interrupted else []
        said += list(known["told"])
        said.append(target_sentence(known))
        said.append(
            "Each seed has a calibration resampled from the log, schedules and draws of its own; intervals are of a "
            "run, and hold all three. Steps are the same for every N."
            if known["calibrated"]
            else "The team was not calibrated from a log, so that intervals hold the seeds' uncertainty alone."
        )
        missed = sum(row.reached < self.curves.sizes["seed"] for row in self.rows)
        if missed and not self.interrupted:
            said.append(
                f"In {counted(missed, 'row')} some seed did not meet the target, and counts as if it had at its end: "
                "there the time is a lower bound. More updates or a lower target will tell."
            )
        return said

    def figure(self) -> Figure:
        """Rate, delay and time to the target against N, beside the log itself."""
        known = self.curves.attrs
        seen = {"rate": known["log_rate"], "mean_delay": known["log_mean_delay"]} if known["calibrated"] else None
        return forecast_figure(
            self.rows, self.percent, self.curves.sizes["seed"], known["slower"], known["bound"],
            None if seen is None else (known["log_workers"], seen),
        )  # fmt: skip

    def facts(self) -> dict[str, Any]:
        """The target, and what the log says itself."""
        return {name: value for name, value in self.curves.attrs.items() if name not in ("title", "intervals", "told")}


def forecast(
    team: Team, learner: Any | Callable[[Chain], Any], *, workers: Sequence[int] = (1, 2, 4, 8, 16, 32),
    remedy: str = NONE, slower: float = 5.0, bound: float = 2.0, worth: float = 0.5,
    draws: Literal["laws", "stretches"] = "laws", num_updates: int = 4000, metric: str = "objective",
    target: float = 0.7, target_value: float | None = None, records: int = 200, seeds: int = 20,
    confidence: float = 0.95, seed: int = 0, progress: bool | None = None,
) -> ForecastStudy:  # fmt: skip
    """What a calibrated team would do with other numbers of workers: how fast, how stale, and how soon at a target.

    For each N the team as it is, with one worker slower, and with gradients thrown away whose delay reaches a bound
    (as in Ringmaster ASGD). Each seed has a calibration of its own, resampled from the log (``Team.resampled``), so
    that intervals hold its uncertainty too; seeds are the same for all N and cases, which are compared in pairs.

    Args:
        team: from ``a3cjax.calibrate``, or thought up.
        learner: with that metric; or a function from a ``Chain``, which makes its optimisers, to it, as a remedy needs.
        workers: numbers of workers N.
        remedy: a name in ``REMEDIES``, or "none". Others than that need a learner that is given as a function.
        slower: how many times slower the one worker is.
        bound: the delay from which a gradient is thrown away, in multiples of N.
        worth: the gain, of which linear speedup has 1, from which another worker is worth it.
        draws: each turn from a law, or whole stretches of the log's turns. See ``Team.schedule``.
        num_updates: gradients in every run, at least ``records``.
        metric: what has to meet the target.
        target: share of the gap from the start to the optimum that a run has to close.
        target_value: the metric's value to be met, in place of a share.
        records: how often the metric is looked at in a run.
        seeds: runs of each case, at least 2.
        confidence: coverage of the intervals.
        seed: seed of resampled calibrations, schedules and runs.
        progress: see ``simulate``.

    Raises:
        ValueError: if an argument is out of range, or the team cannot be drawn from so.
        StudyInterrupted: on Ctrl-C, with what was done.

    >>> import a3cjax
    >>> team = a3cjax.Team([a3cjax.compute_times.Deterministic(2.0)] * 2)
    >>> study = a3cjax.studies.forecast(team, a3cjax.QuadraticSGD([1.0], step=0.1), workers=(1, 4), num_updates=200,
    ...                                 target_value=0.01, seeds=2)
    >>> [(row.workers, row.case, row.rate, round(row.mean_delay, 1)) for row in study.rows if row.case == "as it is"]
    [(1, 'as it is', 0.5, 0.0), (4, 'as it is', 2.0, 3.0)]
    """
    runs.check_repeats(seeds, seed, confidence, least=2)
    counts = runs.distinct_integers("workers", workers, 1)
    for name, value, least in (("slower", slower, 1.0), ("bound", bound, 0.0), ("worth", worth, 0.0)):
        check.number(name, value, above=least)
    check.choice("draws", draws, ("laws", "stretches"))
    check.choice("remedy", remedy, tuple(REMEDIES))
    check.integer("records", records, 1)
    check.integer("num_updates", num_updates, records)
    if not isinstance(team, Team):
        raise ValueError(f"team is a {type(team).__name__}, but must be a Team, such as a3cjax.calibrate(log) gives.")
    if remedy != NONE and hasattr(learner, "propose"):
        raise ValueError(
            f"remedy is {remedy!r}, which is a part of the learner's optimiser; give learner as a function from a "
            "Chain to a learner, as in lambda chain: A3C(mdp, actor_optimizer=chain(0.1), critic_optimizer=chain(0.1))."
        )
    plain = (
        learner if hasattr(learner, "propose") else learner(Chain(REMEDIES[NONE], Delays(np.zeros(1), 0), np.ones(1)))
    )
    goal = find_target(plain, metric, target, target_value)
    begin(
        f"Forecasting {team!r} with N = {', '.join(map(str, counts))} workers, {counted(num_updates, 'update')} × "
        f"{counted(seeds, 'seed')} in {len(CASES)} cases",
        in_blocks=True,
    )
    curves = LAYOUT.dataset(
        {"workers": list(counts), "case": list(CASES), "seed": seeds}, **goal.attributes(plain), **_facts(team),
        slower=slower, bound=bound, worth=worth, remedy=remedy, draws=draws, done=0,
    )  # fmt: skip
    options = {"slower": slower, "bound": bound, "draws": draws}
    with at_work("drawing schedules", progress):
        batch, places = _draw(team, curves, num_updates, seed, options)
    with runs.kept_on_interrupt(
        lambda: ForecastStudy.of(curves, confidence, interrupted=True),
        "Interrupted before the runs were done; rates and delays are known.",
    ):
        _learn(learner, remedy, batch, places, curves, goal, Record(every=num_updates // records, metrics=(metric,)),
               jax.random.fold_in(jax.random.key(seed), 1), progress)  # fmt: skip
    curves.attrs["done"] = 1
    return dataclasses.replace(ForecastStudy.of(curves, confidence), kept=asked_for())


def _facts(team: Team) -> dict[str, Any]:
    log = team.calibration
    if log is None:
        return {"calibrated": 0, "told": [f"{team!r}."]}
    return {
        "calibrated": 1, "log_workers": len(log.names), "log_rate": log.seen.rate,
        "log_mean_delay": log.seen.mean_delay, "log_p99_delay": log.seen.p99_delay,
        "told": [line.strip() for line in str(team).splitlines() if line and not line.endswith(":")],
    }  # fmt: skip


def _draw(
    team: Team, curves: Dataset, num_updates: int, seed: int, options: dict[str, Any]
) -> tuple[Schedule, list[tuple[int, int, int]]]:
    """Every schedule, one batch [cells · seeds, K], and the place of each in the curves."""
    key = jax.random.fold_in(jax.random.key(seed), 0)
    drawn, places = [], []
    for s in range(curves.sizes["seed"]):
        own, turns = jax.random.split(jax.random.fold_in(key, s))
        resampled = team if team.calibration is None else team.resampled(own)
        for i, n in enumerate(curves.workers.values.tolist()):
            for case, schedule in draw(resampled.with_workers(n), turns, num_updates, **options).items():
                j = CASES.index(case)
                for name, value in numbers(schedule).items():
                    curves[name].values[i, j, s] = value
                curves.last_update.values[i, j, s] = schedule.num_updates
                drawn.append(schedule)
                places.append((i, j, s))
    return Schedule.stack(drawn), places


def _learn(
    learner: Any, remedy: str, batch: Schedule, places: list[tuple[int, int, int]], curves: Dataset, goal: Target,
    record: Record, key: jax.Array, progress: bool | None,
) -> None:  # fmt: skip
    """Updates and time to the target of every run, into the curves."""
    keys = jnp.stack([jax.random.fold_in(key, s) for _, _, s in places])
    greatest = int(np.max(batch.max_delay))
    if not hasattr(learner, "propose"):
        delays = Delays(np.asarray(batch.mean_delay, np.float64), greatest)
        learner = learner(Chain(REMEDIES[remedy], delays, np.ones(len(places))))
    blocks, found = asked_for(), []
    if blocks is not None:
        found = runs.found_in_blocks(blocks, ForecastStudy.name, curves, [(learner, batch, keys)], record)
    else:
        runs.simulate_into(
            found.append, learner, batch, keys, record=record, history="ring", depth=1 << greatest.bit_length(),
            progress=progress,
        )  # fmt: skip
    rows, crossing = goal.met_by(found[0])
    begun = np.zeros((len(places), 1))
    times = np.concatenate([begun, np.asarray(batch.time, np.float64)], axis=1)[:, rows]
    weight = np.ones(batch.delay.shape) if batch.weight is None else np.asarray(batch.weight)
    applied = np.concatenate([begun, weight.cumsum(-1)], axis=1)[:, rows]
    where = tuple(np.array(places).T)
    curves.time.values[where] = crossing.at(times)
    curves.updates.values[where] = crossing.at(applied)
