"""``simulate``: check the input, replay the schedule, hand over the result."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from a3cjax._core import check
from a3cjax._core.broadcasting import broadcasting
from a3cjax._xla.backend import compiling_for
from a3cjax._xla.marks import opaque
from a3cjax.engine.asked import asked, remember
from a3cjax.engine.choice import choose
from a3cjax.engine.door import check_pytree, check_record, check_scalars, check_steps
from a3cjax.engine.driver import compile_programs, drive, on_its_way
from a3cjax.engine.history.gathering import check_gathers, check_update
from a3cjax.engine.history.protocol import Carry, Kind, shapes_of
from a3cjax.engine.layout import Layout
from a3cjax.engine.loop import advance, runs_of, start
from a3cjax.engine.measure import FINITE
from a3cjax.engine.memory import check_memory
from a3cjax.engine.outside import taken_in, takes_from_outside, without_derivatives
from a3cjax.engine.plan import HISTORIES, Plan, backend_for
from a3cjax.engine.record import Record
from a3cjax.engine.restore import known_versions
from a3cjax.engine.result import Diverged, Result
from a3cjax.engine.runs import Runs
from a3cjax.engine.saved import SavedState
from a3cjax.engine.typed_keys import WithoutKeys, words
from a3cjax.learners.protocol import samples_of
from a3cjax.learners.wrapped import adopted, name_of
from a3cjax.schedules import Schedule


@broadcasting
def simulate(
    learner: Any,
    schedule: Schedule,
    key: jax.Array,
    *,
    record: Record | None = None,
    history: Literal["auto", "mailbox", "ring", "versions"] = "auto",
    transitions: bool = False,
    throw: bool = True,
    depth: int | None = None,
    resume: SavedState | None = None,
    devices: Sequence[Any] | None = None,
    progress: bool | None = None,
) -> Result:
    """Replay ``schedule`` through ``learner``: update k is computed from the parameters of version k − τ_k.

    One run, or a batch of B: any of ``key``, ``schedule`` and the learner's scalars may carry a leading run axis, and
    what does not is shared. A run's bits do not depend on the batch it is in.
    Works inside the caller's ``jit`` and ``vmap`` too, to the same bits but for the metrics' last digit: the caller's
    program is compiled with options of its own. Runs are not differentiable, and a derivative that reaches one is
    refused: take differences on common random numbers (the same key), or the exact gradients of ``a3cjax.exact``.

    With a ``commit`` column the schedule's rows are messages: they are summed, and their mean is one update at the next
    commit. With a ``weight`` column those of weight 0 are computed, and logged, and not applied. Then ``record`` and
    the result count messages, the step functions of a learner count updates.

    Args:
        learner: an ``A3C``, a learner of your own (``AbstractLearner``), or a class with its five methods.
        schedule: who updates when and how stale, [K] or [B, K].
        key: a JAX key, or B of them. The draws of worker i's t-th proposal depend on (run key, i, t) alone.
        record: what to record and how often; by default the learner's own metrics, about 100 times.
        history: "mailbox" (workers that read right after their own write; cost flat in delay), "ring" (any delay, the
            past parameters are kept), "versions" (any delay, those of them that are still to be read are kept), or
            "auto": the mailbox wherever it is exact, else the ring, and for networks versions where they take less.
        transitions: also return every sample that each update used.
        throw: raise ``Diverged`` when a parameter stops being finite; the result so far is in the exception. Inside
            the caller's ``jit`` nothing can be raised, and ``nonfinite_from`` tells.
        depth: versions that the ring keeps, more than the largest delay. Default: the next power of two, so that one
            program serves similar schedules; inside ``jit``, where delays are unknown, enough for all K. A traced
            delay that the history cannot honour turns the run's parameters to NaN.
        resume: the ``state`` of an earlier result of the same learner, key and schedule prefix: go on from there.
            Another one of them is refused.
        devices: shard batches over these; all local devices by default.
        progress: show a progress bar on standard error; by default if that is a terminal.

    Raises:
        ValueError: if the arguments do not fit each other, the learner's methods do not, or the run is being
            differentiated; the sentence says how to mend it.
        Diverged: see ``throw``.
        Interrupted: on Ctrl-C, with the result of the updates that were done; a second Ctrl-C stops at once. SIGINT
            that the program ignores stays ignored; a handler of its own is called, and what it raises counts: a
            KeyboardInterrupt is a Ctrl-C, another exception passes through, and if it returns the run goes on.

    >>> import a3cjax, jax
    >>> mdp = a3cjax.families.synthetic(jax.random.key(0), num_states=10)
    >>> learner = a3cjax.A3C(mdp, actor_step=0.1, critic_step=0.1)
    >>> workers = [a3cjax.compute_times.Exponential(1.0)] * 4
    >>> schedule = a3cjax.Schedule.from_workers(jax.random.key(1), workers, num_updates=1000)
    >>> result = a3cjax.simulate(learner, schedule, jax.random.split(jax.random.key(2), 3))
    >>> result.metrics["objective"].shape  # three runs, a hundred records
    (3, 100)
    """
    run = _Asked.of(learner, schedule, key, record, history, transitions, depth, resume, devices, progress)
    plan, interrupted = run.plan, None
    if run.traced:
        state, saved, values, log = _trace(plan, run.runs, run.spacing, run.outside)
    else:
        state, saved, values, log, interrupted = drive(plan, run.runs, run.spacing, run.resume, devices, progress)
    before = 0 if resume is None else resume.updates
    result = _result(run.runs, run.metrics, run.spacing, state, saved, values, log, before)
    result = dataclasses.replace(result, backend=plan.backend.name)
    if not run.traced:
        options = {"every": run.spacing, "history": plan.history, "depth": run.depth, "transitions": transitions}
        options["precision"] = jnp.result_type(float).name
        remember(result, functools.partial(asked, run.learner, schedule, key, run.metrics, **options))
    if interrupted is not None:
        raise interrupted(result)
    if throw and not run.traced:
        _raise_if_diverged(result)
    return result


def compile_ahead(learner: Any, schedule: Schedule, key: jax.Array, record: Record | None = None) -> None:
    """Compile what ``simulate`` with these arguments would, and simulate nothing: beside another simulation."""
    run = _Asked.of(learner, schedule, key, record)
    if not run.traced:
        compile_programs(run.plan, run.runs)


class _Asked(NamedTuple):
    """What a call of ``simulate`` comes to."""

    learner: Any
    runs: Runs
    metrics: tuple[tuple[str, Any], ...]
    plan: Plan
    spacing: int
    depth: int | None
    resume: SavedState | None
    traced: bool
    outside: bool  # whether the learner's methods use traced values that are no leaves of it

    @classmethod
    def of(
        cls, learner: Any, schedule: Schedule, key: jax.Array, record: Record | None,
        history: str = "auto", transitions: bool = False, depth: int | None = None, resume: SavedState | None = None,
        devices: Sequence[Any] | None = None, progress: bool | None = None,
    ) -> "_Asked":  # fmt: skip
        """Look at all arguments, and choose how."""
        check.choice("history", history, ("auto", *HISTORIES))
        check_pytree(learner)
        learner = adopted(learner)
        record = check_record(record)
        learner, schedule, key, resume = without_derivatives((learner, schedule, key, resume))
        if not isinstance(resume, SavedState | None):
            raise ValueError(f"resume must be the .state of a result, but is a {type(resume).__name__}.")
        runs = Runs.of(learner, schedule, key)
        metrics = record.resolve(learner)
        outside = _look_at(learner, runs, metrics, transitions)
        traced = outside or check.is_tracing(learner, schedule, key)
        if traced:
            _refuse_inside_jit(resume=resume, devices=devices, progress=progress)
        spacing = record.spacing(schedule.num_messages)
        of_delay = learner.delay_metric_names
        runs, metrics = _without_keys(runs, metrics)
        kept, depth, places = choose(history, depth, schedule, resume, runs.one_learner())
        runs = dataclasses.replace(runs, places=places)
        platform = jax.default_backend() if traced or not devices else devices[0].platform
        named = [(name, metric) for name, metric in metrics if isinstance(metric, str)]
        plan = Plan(
            history=kept,
            num_workers=schedule.num_workers,
            depth=depth,
            segment=spacing,
            metrics=tuple(
                (name, metric)
                for name, metric in metrics
                if not (runs.is_schedule_metric(metric) or metric in of_delay)
            ),
            delay_metrics=tuple((name, metric) for name, metric in named if metric in of_delay),
            log=transitions,
            axes=runs.axes,
            backend=backend_for(runs.one_learner(), platform, runs.commit is not None),
            gathers=runs.commit is not None,
            discards=runs.weight is not None,
            of_workers=any(metric in learner.worker_metric_names for _, metric in named),
        )
        if not traced:
            plan = on_its_way(plan, runs, platform)
        check_memory(plan, runs, metrics, spacing)
        return cls(learner, runs, metrics, plan, spacing, depth, resume, traced, outside)


def _look_at(learner: Any, runs: Runs, metrics: tuple[tuple[str, Any], ...], transitions: bool) -> bool:
    """Refuse a learner that does not fit its runs; whether its methods use traced values that are no leaves of it."""
    check_scalars(learner, runs)
    check_steps(learner, runs.most_updates(runs.num_updates))
    kind = Kind.of(runs.one_learner())
    if transitions and samples_of(shapes_of(kind).message) is None:
        raise ValueError(
            f"transitions is True, but a {name_of(learner)} sends no samples to be returned; leave it out."
        )
    gathers = runs.commit is not None
    if gathers:
        check_gathers(runs.one_learner())
    outside = check_update(kind, gathers)
    return takes_from_outside(kind, metrics) or outside


def _refuse_inside_jit(**options: Any) -> None:
    for name, value in options.items():
        if value is not None:
            raise ValueError(f"{name} has no effect inside jit and vmap, where one program does it all; leave it out.")


def _without_keys(runs: Runs, metrics: tuple[tuple[str, Any], ...]) -> tuple[Runs, tuple[tuple[str, Any], ...]]:
    """The runs and metrics of a learner that keeps typed keys, as the engine takes them."""
    keyless = WithoutKeys.around(runs.one_learner())
    if not isinstance(keyless, WithoutKeys):
        return runs, metrics
    runs = dataclasses.replace(runs, learner_leaves=words(runs.learner_leaves), structure=jax.tree.structure(keyless))
    return runs, tuple((name, metric if isinstance(metric, str) else keyless.shown(metric)) for name, metric in metrics)


def _trace(plan: Plan, runs: Runs, spacing: int, outside: bool) -> tuple[Any, SavedState, dict[str, Any], Any]:
    """The whole schedule in one traced program."""

    def replay(leaves, columns, keys):
        given = dataclasses.replace(runs, learner_leaves=leaves, keys=keys, **columns)
        return _replay(plan, given, spacing)

    names = "worker", "delay", "turn", "commit", "weight", "places"
    columns = jax.tree.map(jnp.asarray, {name: getattr(runs, name) for name in names})
    given = runs.learner_leaves, columns, runs.keys
    if outside:
        replay, given = taken_in(replay, given)
    # A kernel cannot be mapped over: under the caller's vmap one replay follows the other.
    run: Any = jax.custom_batching.sequential_vmap(replay) if plan.backend.maps_sequentially else replay
    carry, values, log = run(*given)
    honoured = runs.honoured(plan.history, plan.depth)
    carry = _poison(carry, ~honoured)
    leaves = *jax.tree.leaves(carry), *known_versions(runs, runs.num_updates)
    saved = SavedState(leaves, runs.num_updates, plan.history, plan.depth)
    return carry.state, saved, values, log


def _replay(plan: Plan, runs: Runs, spacing: int) -> tuple[Carry, dict[str, Any], Any]:
    layout = Layout.of(runs.count, 1, plan.history, plan.num_workers, plan.backend)
    num_updates = runs.num_updates
    lengths = [spacing] * (num_updates // spacing) + [num_updates % spacing] * (num_updates % spacing > 0)
    block = runs.block(layout, 0, num_updates, plan.chunk(runs.one_learner(), layout.lanes))
    counts = jnp.int32(runs.num_workers), jnp.int32(0), jnp.asarray(lengths, jnp.int32)
    with compiling_for(plan.backend):
        given = opaque((runs.split_learner(layout), layout.split(runs.keys), block, counts))
    learner, keys, block, (workers, first, lengths) = given
    measured = jnp.arange(1, len(lengths) + 1) * spacing <= num_updates
    leaves, structure = jax.tree.flatten(learner)
    differing = {i: leaf for i, leaf in enumerate(leaves) if runs.axes[i] is not None}
    block_of_each = block if block.worker.shape[0] > 1 else None

    def replay_tile(tile):
        mine, block_of_tile, keys, real = tile
        one = jax.tree.unflatten(structure, [mine.get(i, leaf) for i, leaf in enumerate(leaves)])
        part = jax.tree.map(lambda column: column[0], block) if block_of_tile is None else block_of_tile
        carry = start(plan, one, keys, workers)
        with compiling_for(plan.backend):
            carry = opaque(carry)
        carry, values, _, log = advance(plan, one, carry, keys, part, first, lengths, measured, real)
        return runs_of(plan, runs.one_learner(), carry, layout.lanes), values, log

    carry, values, log = lax.map(replay_tile, (differing, block_of_each, keys, jnp.asarray(layout.real_lanes())))
    records = num_updates // spacing
    values = jax.tree.map(lambda leaf: layout.join(leaf, np.arange(records)), values)
    log = jax.tree.map(lambda leaf: layout.join(leaf, np.arange(num_updates)), log)
    return jax.tree.map(layout.join, carry), values, log


def _poison(carry: Carry, bad: jax.Array) -> Carry:
    """NaN for every parameter of the runs whose schedule could not be honoured."""

    def spoil(leaf):
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            return leaf
        return jnp.where(bad.reshape(-1, *(1,) * (leaf.ndim - 1)), jnp.nan, leaf)

    return carry._replace(state=jax.tree.map(spoil, carry.state))


def _result(
    runs: Runs,
    metrics: tuple[tuple[str, Any], ...],
    spacing: int,
    state: Any,
    saved: SavedState,
    values: dict[str, Any],
    log: Any,
    before: int,
) -> Result:
    done = saved.updates
    updates = np.arange(spacing, done + 1, spacing, dtype=np.int32)
    updates = updates[updates > before]
    finite = values[FINITE]
    named: dict[str, Any] = {}
    for name, metric in metrics:
        named[name] = (
            runs.schedule_metric(metric, updates, spacing) if runs.is_schedule_metric(metric) else values[name]
        )
    view = jax.vmap(lambda leaves, state: _unflatten(runs, leaves).view(state), in_axes=(list(runs.axes), 0))(
        runs.learner_leaves, state
    )
    module: Any = np if check.is_concrete(finite, view) else jnp
    last = [module.isfinite(x).reshape(runs.count, -1).all(1) for x in jax.tree.leaves(view)]
    stops = module.concatenate([module.asarray(finite), *(column[:, None] for column in last)], axis=1)
    counts = np.append(updates, [done] * len(last)).astype(np.int32)
    nonfinite = module.where(stops.all(1), -1, module.asarray(counts)[module.argmin(stops, axis=1)])
    learner = runs.one_learner()
    if isinstance(learner, WithoutKeys):
        view, log = learner.of_view.keys(view), learner.of_samples.keys(log)
    squeeze = (lambda leaf: leaf) if runs.batched else (lambda leaf: leaf[0])
    return Result(
        params=jax.tree.map(squeeze, view),
        updates=updates,
        time=squeeze(runs.times(updates)),
        metrics={name: jax.tree.map(squeeze, value) for name, value in named.items()},
        transitions=jax.tree.map(squeeze, log),
        nonfinite_from=squeeze(nonfinite),
        state=saved,
        num_updates=runs.num_updates,
    )


def _unflatten(runs: Runs, leaves: list[Any]) -> Any:
    return jax.tree.unflatten(runs.structure, leaves)


def _raise_if_diverged(result: Result) -> None:
    lost = np.atleast_1d(np.asarray(result.nonfinite_from))
    if (lost < 0).all():
        return
    run = int(np.argmax(lost >= 0))
    where = f"{int((lost >= 0).sum())} of {lost.size} runs (the first is run {run})" if lost.size > 1 else "the run"
    raise Diverged(
        f"Parameters of {where} were not finite at the record after update {lost[run]}; take smaller steps, or "
        "throw=False to keep the other runs. The exception's .result holds everything computed.",
        result,
    )
