"""Delay laws × delays × steps × seeds in one batch, which can be stopped and gone on with."""

import dataclasses
import os
import warnings
from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from a3cjax._core import check
from a3cjax.engine import Interrupted, Record, Result, SavedState, simulate
from a3cjax.engine.host import at_work
from a3cjax.engine.origin import learner_parts
from a3cjax.learners import A3C
from a3cjax.schedules import Schedule
from a3cjax.studies.frame.beginning import begin
from a3cjax.studies.frame.study import StudyInterrupted
from a3cjax.studies.frame.tables import versions
from a3cjax.studies.sweep.frame import METRICS, Grid, empty_curves
from a3cjax.studies.sweep.laws import DelayIs, find_law
from a3cjax.studies.sweep.partial import Partial
from a3cjax.studies.sweep.result import SweepStudy

LAWS = ("constant", "uniform", "geometric")
DELAYS = (0, 1, 3, 7, 15, 31)
FACTORS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)

Scale = Literal["both", "actor", "critic"]

PIECE_WORK = 1 << 27  # run-updates between two saves, ten seconds or so


def sweep(
    learner: A3C,
    *,
    laws: Sequence[str] = LAWS,
    delays: Sequence[int] = DELAYS,
    delay_is: DelayIs = "mean",
    factors: Sequence[float] = FACTORS,
    scale: Scale = "both",
    seeds: int = 4,
    num_updates: int = 10_000,
    record_every: int | None = None,
    diverged_above: float = 10.0,
    confidence: float = 0.95,
    seed: int = 0,
    partial: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> SweepStudy:
    """What J and the critic come to for every delay law, delay and step size, with several seeds each.

    All runs are one batch of ``simulate``: laws × delays × factors × seeds. The n-th seed has one run key and one
    schedule key in every cell, so cells differ by their law, delay and step alone, and it is the same run however many
    seeds there are. Delays are drawn from the law (``Schedule.from_law``), for one worker.

    A run counts as diverged if a parameter stopped being finite, or if over the last tenth of its records (one at
    least) the mean critic gap ‖ω − ω*(θ)‖² is more than ``diverged_above`` times the gap at the start: the critic
    has gone away from its target. With projection nothing becomes infinite, and the gap is what tells.

    A batch of B runs holds 20 bytes of schedule per update and run, and as much again while it is sorted.

    Args:
        learner: the actor-critic; its steps must be numbers.
        laws: names among "constant", "uniform" (from 0), "geometric", "poisson", "sawtooth" (0, 1, … up to the
            maximum, again and again: a worker that reads now and then), "zipf" (exponent 1).
        delays: in updates, each law's mean or maximum.
        delay_is: "mean" or "maximum".
        factors: what the learner's own steps are multiplied by.
        scale: which steps are multiplied: "both", or those of the "actor" or the "critic" alone.
        seeds: runs per cell, at least 1; the intervals of J need 2.
        num_updates: K, updates of every run.
        record_every: updates between records; K // 20 if not given.
        diverged_above: see above; greater than 0.
        confidence: coverage of the intervals over seeds, see ``mean_interval`` and ``proportion_interval``.
        seed: of all randomness.
        partial: a folder to keep an unfinished sweep in, every ten seconds or so, on Ctrl-C and at the end. The same
            call goes on from there, to the same bits; a file in it that cannot be read is warned of, and the sweep
            begins again. ``study.save`` of the finished study removes it, once its files are written.
        progress: see ``simulate``.

    Raises:
        ValueError: if an argument is out of range, or ``partial`` holds a sweep with other options.
        StudyInterrupted: on Ctrl-C, with what was done.

    >>> import a3cjax, jax
    >>> mdp = a3cjax.families.synthetic(jax.random.key(0), num_states=4, num_actions=2, num_features=2)
    >>> learner = a3cjax.A3C(mdp, actor_step=0.1, critic_step=0.1)
    >>> few = dict(laws=["constant"], delays=(0, 5), factors=(1, 2), seeds=2, num_updates=100)
    >>> study = a3cjax.studies.sweep(learner, **few)
    >>> dict(study.curves.sizes)
    {'law': 1, 'delay': 2, 'step': 2, 'seed': 2, 'record': 21}
    """
    grid = _check_grid(learner, laws, delays, delay_is, factors, scale, seeds)
    num_updates = check.integer("num_updates", num_updates, 1)
    seed = check.integer("seed", seed, 0)
    check.number("diverged_above", diverged_above, above=0)
    check.number("confidence", confidence, above=0, below=1)
    every = Record(every=max(1, num_updates // 20) if record_every is None else record_every).spacing(num_updates)
    kept = Partial(partial, _identity(learner, grid, num_updates, every, seed))
    state, values, trouble = kept.load()
    if trouble is not None:
        warnings.warn(trouble, stacklevel=2)

    begin()
    with at_work("drawing schedules", progress):
        schedule = draw_schedules(grid, num_updates, seed)
    curves = empty_curves(learner, grid, schedule, every, diverged_above)
    _put(curves, values)
    batch = jax.tree.map(lambda column: column[grid.schedule_of_run()], schedule)
    keys = jnp.tile(_seed_keys(jax.random.fold_in(jax.random.key(seed), 1), grid.seeds), grid.cells)
    scaled = _scaled(learner, grid)
    # Fixed for all pieces, so that one program serves them all.
    depth = 1 << int(schedule.max_delay.max()).bit_length()
    piece = max(1, PIECE_WORK // (grid.runs * every)) * every
    done = 0 if state is None else state.updates
    while done < num_updates:
        upto = min(num_updates, done + piece)
        try:
            result = simulate(
                scaled, batch[:upto], keys, record=Record(every=every, metrics=METRICS), history="ring", depth=depth,
                throw=False, resume=state, progress=progress,
            )  # fmt: skip
        except KeyboardInterrupt as error:
            if isinstance(error, Interrupted):
                state = _fill(curves, error.result)
                kept.save(state, _values(curves))
            if state is None:
                raise
            said = f"Interrupted after {state.updates} of {num_updates} updates." + (
                "" if partial is None else " The same command goes on from there."
            )
            raise StudyInterrupted(said, SweepStudy.of(curves, confidence, interrupted=True)) from error
        state = _fill(curves, result)
        done = state.updates
        kept.save(state, _values(curves))
    return SweepStudy.of(curves, confidence, kept=kept)


def _check_grid(learner: Any, laws: Any, delays: Any, delay_is: Any, factors: Any, scale: Any, seeds: Any) -> Grid:
    if not isinstance(learner, A3C):
        raise ValueError(f"learner must be an a3cjax.A3C, but is a {type(learner).__name__}.")
    check.choice("scale", scale, ("both", "actor", "critic"))
    for name in ("actor_step", "critic_step"):
        step = getattr(learner, name)
        if callable(step) or np.ndim(step):
            raise ValueError(
                f"The learner's {name} must be one number for a sweep, which multiplies it by the factors."
            )
        if scale in ("both", name.removesuffix("_step")) and float(step) == 0:
            raise ValueError(f"The learner's {name} is 0, and stays so whatever it is multiplied by; give it a step.")
    laws = (laws,) if isinstance(laws, str) else tuple(laws)
    for name in laws:
        find_law(name, delay_is)
    delays = tuple(check.integer(f"delays[{i}]", tau, 0) for i, tau in enumerate(delays))
    check.number("factors", list(factors), above=0)
    factors = tuple(float(factor) for factor in factors)
    for name, given in (("laws", laws), ("delays", delays), ("factors", factors)):
        if not given or len(set(given)) < len(given):
            raise ValueError(f"{name} is {list(given)}; give one or more, each once.")
    return Grid(laws, tuple(sorted(delays)), delay_is, tuple(sorted(factors)), scale, check.integer("seeds", seeds, 1))


def _identity(learner: A3C, grid: Grid, num_updates: int, every: int, seed: int) -> dict[str, Any]:
    """All that the bits of a sweep depend on."""
    told = {**dataclasses.asdict(grid), "num_updates": num_updates, "record_every": every, "seed": seed}
    fields = {name: part.digest for name, part in learner_parts(learner).items()}
    return {**told, **fields, "platform": jax.default_backend(), "versions": versions()}


def _seed_keys(key: jax.Array, seeds: int) -> jax.Array:
    return jax.vmap(lambda s: jax.random.fold_in(key, s))(jnp.arange(seeds))


def draw_schedules(grid: Grid, num_updates: int, seed: int) -> Schedule:
    """One schedule for each (law, delay, seed), [laws × delays × seeds, K]; the steps share them."""
    keys = _seed_keys(jax.random.fold_in(jax.random.key(seed), 0), grid.seeds)
    laws = [find_law(name, grid.delay_is) for name in grid.laws]
    return Schedule.stack(
        [Schedule.from_law(own, law(tau), num_updates) for law in laws for tau in grid.delays for own in keys]
    )


def _scaled(learner: A3C, grid: Grid) -> A3C:
    """The learner with a step for each run."""
    factors = np.asarray(grid.factors)[grid.step_of_run()]
    steps: Any = {name: float(getattr(learner, name)) * factors for name in grid.scaled_steps()}
    return dataclasses.replace(learner, **steps)


def _fill(curves: Any, result: Result) -> SavedState:
    """Put what a piece recorded into its place."""
    assert result.state is not None
    shape = curves["nonfinite_from"].shape
    at = np.searchsorted(curves.updates.values, result.updates)
    for name in METRICS:
        curves[name].values[..., at] = np.asarray(result.metrics[name], np.float64).reshape(*shape, -1)
    # Only what is seen at a record, or at the very end, counts: where a run was cut must not show.
    lost = np.asarray(result.nonfinite_from).reshape(shape)
    seen = np.isin(lost, curves.updates.values) | (lost == curves.attrs["num_updates"])
    known = curves["nonfinite_from"].values
    known[...] = np.where((known < 0) & seen, lost, known)
    for name in METRICS:  # what a run says after it stopped being finite means nothing
        curves[name].values[(known[..., None] >= 0) & (curves.updates.values >= known[..., None])] = np.nan
    curves["updates_done"].values[...] = result.state.updates
    return result.state


_KEPT = (*METRICS, "nonfinite_from", "updates_done")


def _values(curves: Any) -> dict[str, np.ndarray]:
    return {name: curves[name].values for name in _KEPT}


def _put(curves: Any, values: dict[str, np.ndarray]) -> None:
    for name, array in values.items():
        curves[name].values[...] = array
