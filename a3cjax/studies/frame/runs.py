"""A study's runs: the numbers that name them, their keys and schedules, what they leave, and what Ctrl-C keeps."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from a3cjax._core import check
from a3cjax._xla.threefry import derived_keys
from a3cjax.engine import Interrupted, Record, Result, simulate
from a3cjax.engine.host import at_work
from a3cjax.schedules import Schedule
from a3cjax.schedules._taken import repeated
from a3cjax.schedules.compute_times import ComputeTime, Exponential
from a3cjax.studies.frame.ahead import Ready, compiled_ahead
from a3cjax.studies.frame.parts import Batches, Whole, found_in
from a3cjax.studies.frame.study import Study, StudyInterrupted
from a3cjax.studies.frame.types import Dataset
from a3cjax.sweeps import Blocks, asked_for

Outcome = TypeVar("Outcome", bound=Study)

SAMPLING = ("iid", "markov")

# How long workers compute: one law for all, or from N to the laws of N workers.
WorkerLaws = Callable[[int], Sequence[ComputeTime]]


def distinct(name: str, values: Iterable[Any], what: str = "", *, of: Any = None) -> tuple[Any, ...]:
    """One value or more, each once, or a ValueError; ``of`` makes or checks each of them, given its name and value.

    >>> distinct("delays", [3, 3])
    Traceback (most recent call last):
    ValueError: delays is [3, 3]; give one or more, each once.
    """
    entries = tuple(values) if of is None else tuple(of(f"{name}[{i}]", value) for i, value in enumerate(values))
    if not entries or len(set(entries)) < len(entries):
        raise ValueError(f"{name} is {list(entries)}; give one or more{what}, each once.")
    return entries


def distinct_integers(name: str, values: Iterable[int], least: int, what: str = "") -> tuple[int, ...]:
    """Whole numbers in ascending order; none at all, or one twice, is refused.

    >>> distinct_integers("workers", [4, 1], 1)
    (1, 4)
    """
    return tuple(sorted(distinct(name, values, what, of=lambda entry, value: check.integer(entry, value, least))))


def distinct_samplings(sampling: str | Sequence[str]) -> tuple[str, ...]:
    """Names of sampling options, or "both"; none at all, or one twice, is refused.

    >>> distinct_samplings("both"), distinct_samplings("iid")
    (('iid', 'markov'), ('iid',))
    """
    if isinstance(sampling, str):
        sampling = SAMPLING if sampling == "both" else (sampling,)
    names = distinct("sampling", sampling, f" of {list(SAMPLING)}")
    for i, name in enumerate(names):
        check.choice(f"sampling[{i}]", name, SAMPLING)
    return names


def check_repeats(seeds: int, seed: int, confidence: float, least: int = 1) -> None:
    """What every study with seeds asks of them and of its intervals."""
    check.integer("seeds", seeds, least)
    check.integer("seed", seed, 0)
    check.number("confidence", confidence, above=0, below=1)


def laws_of(compute_times: ComputeTime | WorkerLaws | None) -> WorkerLaws:
    """From N to the laws of N workers' compute times: exponential of mean 1 if none is given."""
    return compute_times if callable(compute_times) else lambda n: [compute_times or Exponential(1.0)] * n


def numbered_keys(key: jax.Array, count: int) -> jax.Array:
    """``count`` keys; the n-th is the same however many there are."""
    return derived_keys(key, np.arange(count))


def seed_keys(key: jax.Array, group: int, seeds: int) -> jax.Array:
    """A key for each seed of a group of runs, [seeds]; the n-th is the same however many seeds there are."""
    return numbered_keys(jax.random.fold_in(key, group), seeds)


def run_keys(key: jax.Array, groups: Sequence[int], seeds: int) -> jax.Array:
    """The seeds' keys of every group, one batch [groups × seeds]."""
    return jnp.concatenate([seed_keys(key, group, seeds) for group in groups])


def worker_schedules(
    key: jax.Array, laws: WorkerLaws, workers: Sequence[int], seeds: int, num_updates: int
) -> Schedule:
    """Every seed's schedule of ``from_workers`` for every N, one batch [N × seeds, K]."""
    batches = []
    for n in workers:
        team = list(laws(n))
        if len(team) != n:
            raise ValueError(f"compute_times({n}) gave {len(team)} laws, but must give one for each of {n} workers.")
        draw = jax.vmap(lambda seed_key, team=team: Schedule.from_workers(seed_key, team, num_updates))
        batch = draw(seed_keys(key, n, seeds))
        batches.append([np.asarray(column) for column in (batch.worker, batch.delay, batch.time)])
    columns = [np.concatenate(column) for column in zip(*batches, strict=True)]
    return Schedule(*columns, num_workers=max(workers))


def draw_runs(
    seed: int, compute_times: ComputeTime | WorkerLaws | None, workers: Sequence[int], seeds: int, num_updates: int,
    progress: bool | None,
) -> tuple[Schedule, jax.Array]:  # fmt: skip
    """The schedules of always-busy workers for every N and seed, and the runs' keys; both are the seed's alone."""
    with drawn_runs([], Record(), seed, compute_times, workers, seeds, num_updates, progress) as (schedule, keys, _):
        return schedule, keys


@contextlib.contextmanager
def drawn_runs(
    learners: Sequence[Any], record: Record, seed: int, compute_times: ComputeTime | WorkerLaws | None,
    workers: Sequence[int], seeds: int, num_updates: int, progress: bool | None,
) -> Iterator[tuple[Schedule, jax.Array, Ready]]:  # fmt: skip
    """The same, while the learners' programs are compiled on other cores; see ``compiled_ahead``.

    What is yielded last waits for the i-th learner's.
    """
    key, laws = jax.random.key(seed), laws_of(compute_times)
    keys = run_keys(jax.random.fold_in(key, 1), workers, seeds)
    calls = []
    if learners and not asked_for():
        like = _like_drawn(max(workers), len(keys), num_updates)
        calls = [(learner, like, keys) for learner in learners]
    with compiled_ahead(calls, record, first_too=True) as ready:
        with at_work("drawing schedules", progress):
            schedule = worker_schedules(jax.random.fold_in(key, 0), laws, workers, seeds, num_updates)
        yield schedule, keys, ready


def _like_drawn(num_workers: int, runs: int, num_updates: int) -> Schedule:
    """What has the programs of drawn schedules: these know the size, and that workers read right after own writes."""
    one = Schedule.sequential(num_updates)
    return repeated(Schedule(one.worker, one.delay, one.time, num_workers=num_workers), runs)


def simulate_into(
    fill: Callable[[Result], None], learner: Any, schedule: Schedule, keys: Any, **options: Any
) -> Result:
    """Simulate, and hand the result to ``fill``; of runs that Ctrl-C ends, what they came to, before it is raised."""
    try:
        result = simulate(learner, schedule, keys, throw=False, **options)
    except Interrupted as error:
        fill(error.result)
        raise
    fill(result)
    return result


class Batch(NamedTuple):
    """Runs of one call of ``simulate``: their place in the curves, and what is said if Ctrl-C ends them."""

    where: Any
    learner: Any
    schedule: Schedule
    keys: jax.Array
    interrupted: str | Callable[[], str]


def run_batches(
    outcome: Callable[..., Outcome], curves: Dataset, batches: Iterable[Batch], record: Record, confidence: float,
    progress: bool | None = None, *, clock: str = "updates", nothing_before: bool = False, ready: Ready | None = None,
) -> Outcome:  # fmt: skip
    """Simulate batch after batch, put what they recorded into the curves, and make the study of them.

    While the first is compiled and simulated, programs of the others are compiled on another core; or they all are
    already, and ``ready`` waits for the i-th batch's.

    On Ctrl-C that is made of what there is, and raised; see ``kept_on_interrupt``.

    Args:
        outcome: the study's ``of``.
        curves: with a variable for each metric, see ``put_runs``.
        batches: what is simulated.
        record: what is recorded of them.
        confidence: coverage of the study's intervals.
        progress: see ``simulate``.
        clock: see ``put_runs``.
        nothing_before: whether the curves say nothing before the first batch has begun.
        ready: from ``drawn_runs``.
    """
    names: Any = record.metrics
    batches = tuple(batches)
    blocks = asked_for()
    if blocks is not None:
        return _in_blocks(blocks, outcome, curves, batches, record, confidence, clock)
    calls = [(batch.learner, batch.schedule, batch.keys) for batch in batches]
    with compiled_ahead(calls, record) if ready is None else contextlib.nullcontext(ready) as ready:
        for number, batch in enumerate(batches):
            with kept_on_interrupt(
                lambda: outcome(curves, confidence, interrupted=True),
                batch.interrupted,
                nothing_yet=lambda first=not number: nothing_before and first,
            ):
                with at_work("compiling", progress):
                    ready(number)
                simulate_into(
                    lambda result, where=batch.where: put_runs(curves, where, result, names, clock=clock),
                    batch.learner, batch.schedule, batch.keys, record=record, progress=progress,
                )  # fmt: skip
    return outcome(curves, confidence)


def _in_blocks(
    blocks: Blocks, outcome: Callable[..., Outcome], curves: Dataset, batches: Sequence[Batch], record: Record,
    confidence: float, clock: str,
) -> Outcome:  # fmt: skip
    """``run_batches`` of which any runs may be made anywhere."""
    names: Any = record.metrics
    of: Any = outcome  # a method of the study's class
    study = of.__self__.name
    parts = [(batch.learner, batch.schedule, batch.keys) for batch in batches]
    for batch, found in zip(batches, found_in_blocks(blocks, study, curves, parts, record), strict=True):
        put_runs(curves, batch.where, found, names, clock=clock)
    return dataclasses.replace(outcome(curves, confidence), kept=blocks)


def found_in_blocks(
    blocks: Blocks, study: str, curves: Dataset, batches: Sequence[tuple[Any, Schedule, jax.Array]], record: Record
) -> list[Any]:
    """What each batch of learner, schedule and keys recorded, its runs made anywhere: in place of a ``Result``.

    The curves, before any run, are part of what the blocks are told by.
    """
    parts = Batches(tuple(Whole.of(*batch) for batch in batches), record)
    arrays = blocks.run(parts.job(study, curves))
    return [
        found_in(arrays, slice(start, stop), whole.schedule.num_messages)
        for whole, (start, stop) in zip(parts.batches, parts.places, strict=True)
    ]


@contextlib.contextmanager
def kept_on_interrupt(
    outcome: Callable[[], Study], said: str | Callable[[], str], *, nothing_yet: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """Within, Ctrl-C raises ``StudyInterrupted`` with what is ``said`` and the ``outcome`` then.

    ``nothing_yet``: whether there is nothing to keep but what the interrupted runs bring; if they bring nothing, since
    they have not begun, Ctrl-C stays what it is.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        if not isinstance(error, Interrupted) and nothing_yet():
            raise
        raise StudyInterrupted(said() if callable(said) else said, outcome()) from error


def put_runs(
    curves: Dataset, where: Any, result: Result, names: Sequence[str], *, clock: str = "updates", lost: Any = None
) -> None:
    """Put what a batch recorded into its place, NaN from the record on at which a run was lost.

    What a run says after it stopped being finite means nothing.

    Args:
        curves: with variables ``names``, whose last axis is that of the records, and perhaps ``nonfinite_from`` and
            ``updates_done``.
        where: the batch's place on the axes before, integers and slices; its runs lie there in order.
        result: of the batch.
        names: its metrics.
        clock: the coordinate that counts what a record is taken after.
        lost: in place of ``result.nonfinite_from``, if that is not all that is known.
    """
    ticks = curves[clock].values
    places = np.searchsorted(ticks, result.updates)
    for name in names:
        curve = curves[name].values[where]
        curve[..., places] = np.asarray(result.metrics[name], np.float64).reshape(*curve.shape[:-1], len(places))
        gone = np.asarray(result.nonfinite_from if lost is None else lost).reshape(curve.shape[:-1])
        curve[(gone[..., None] >= 0) & (ticks >= gone[..., None])] = np.nan
    if lost is None and "nonfinite_from" in curves:
        place = curves["nonfinite_from"].values[where]
        place[...] = np.asarray(result.nonfinite_from).reshape(place.shape)
    if "updates_done" in curves:
        assert result.state is not None
        curves["updates_done"].values[where] = result.state.updates


def lost_notes(curves: Dataset, where: Callable[..., str], remedy: str) -> list[str]:
    """A sentence on each cell of which runs were lost, by the variable ``nonfinite_from`` [*cells, seed].

    ``where`` names a cell, given its coordinates by name; ``remedy`` is what should be smaller.
    """
    lost, said = curves["nonfinite_from"], []
    for place in np.argwhere((lost.values >= 0).any(-1)):
        runs = lost.values[tuple(place)]
        named = {str(dim): curves[dim].values[i] for dim, i in zip(lost.dims, place, strict=False)}
        said.append(
            f"{where(**named)}: {(runs >= 0).sum()} of {runs.size} runs stopped being finite, the first by update "
            f"{runs[runs >= 0].min()}; take smaller {remedy}."
        )
    return said
