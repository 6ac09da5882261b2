"""Metrics of a state by a program of their own, which all simulations share that measure the same.

The loop shows the states that it passes. Here they are measured in rows, each of them one run at one record, and so
many in a call that a program of one size does for all: neither the schedule nor the history, neither the number of runs
nor that of records is part of it. It is compiled on another core while the loop is.

Where the runs of a record are measured side by side, or lie on an accelerator, a call takes one record of a tile.

What a learner says is ``quickly_measured`` is so by a program without the general ways, which is half as much to
compile. It gives NaN where one is needed, and these rows are measured again with both.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, UInt32

from a3cjax._xla.backend import Backend, compiling_for
from a3cjax._xla.choice import general_left_out
from a3cjax._xla.compiler import known_options
from a3cjax.engine.batched import Batched
from a3cjax.engine.history.protocol import Kind
from a3cjax.engine.measure import Shown, measure_state
from a3cjax.engine.memory import bytes_of
from a3cjax.engine.plan import Plan
from a3cjax.engine.runs import Runs, paths
from a3cjax.engine.tiles import Tile, for_a_thread

_MOST_ROWS, _ROOM_FOR_ROWS = 256, 1 << 22  # of a call: so many at most, and bytes of their states


def is_measured_apart(plan: Plan) -> bool:
    """Whether a metric is the learner's. Functions of the user's alone are most often short, and the loop measures."""
    return any(isinstance(metric, str) for _, metric in plan.metrics)


class What(NamedTuple):
    """Sizes and choices that shape the program."""

    metrics: tuple[tuple[str, str | Callable[..., Any]], ...]
    axes: tuple[int | None, ...]  # of the measurer's leaves: 0 where there is one for each row
    backend: Backend
    quick: bool  # without the general ways


def measure(
    what: What,
    measurer: Any,
    shown: Shown,
    keys: UInt32[Array, "rows 2"],
    updates: Int[Array, " rows"],
    real: Int[Array, ""],
) -> dict[str, Any]:
    """Metrics of the first ``real`` rows, [rows, …], each after its ``updates``."""
    with compiling_for(what.backend), general_left_out() if what.quick else contextlib.nullcontext():
        return measure_state(what.metrics, Batched.of(measurer, what.axes), shown, keys, updates, real)


@functools.cache
def program(backend: Backend) -> Any:
    """``measure``, compiled once for each ``What`` and shapes."""
    return jax.jit(measure, static_argnums=0, compiler_options=known_options(backend.compiler_options))


@dataclass(frozen=True)
class Apart:
    """The measuring of one simulation."""

    what: What
    rows: int | None  # of a call; None where it takes a record of a tile
    values: dict[str, Any]  # shapes of what is found out about a row
    compiled: Future[None]

    @classmethod
    def of(cls, plan: Plan, runs: Runs, tile: Tile) -> "Apart":
        """Trace the program, which is when a metric's errors are raised, and begin to compile it."""
        one, row = runs.one_learner(), plan.shown_of_a_run(runs.one_learner())
        together = one.measures_together or not _is_host(tile.device)
        rows = None if together else max(1, min(_MOST_ROWS, _ROOM_FOR_ROWS // max(1, bytes_of(row))))
        axes = dict(zip(paths(one), runs.axes, strict=True))
        ours = all(isinstance(metric, str) for _, metric in plan.metrics)
        quick = rows is not None and ours and one.quickly_measured
        what = What(plan.metrics, tuple(axes.get(path) for path in paths(one.measurer())), plan.backend, quick)
        leaves, structure = jax.tree.flatten(row)
        kind = Kind(structure, tuple((leaf.shape, leaf.dtype) for leaf in leaves), jnp.result_type(float))
        count = len(tile.keys) if rows is None else rows
        return cls(what, rows, *_prepared(what, Kind.of(one.measurer()), kind, count, tile.device))

    def of_block(self, tile: Tile, shown: Shown, measured: Sequence[bool], updates: Sequence[int]) -> dict[str, Any]:
        """Metrics [segments, lanes, …] after those segments that are ``measured``; zeros elsewhere."""
        wait((self.compiled,))  # and if it failed, so does the call, and says why
        keys, real, ends = np.asarray(tile.keys), int(tile.real), np.asarray(updates, np.int32)
        measurer, run = tile.learner.measurer(), program(self.what.backend)
        if _is_host(tile.device):
            shown = jax.tree.map(np.asarray, shown)  # whose parts are no programs of their own
        found = jax.tree.map(lambda v: np.zeros((len(measured), len(keys), *v.shape), v.dtype), self.values)

        def measure_rows(quick, segment, lane, states, count):
            given = _of_rows(measurer, self.what.axes, lane), states, keys[lane], ends[segment], np.int32(count)
            values = run(self.what._replace(quick=quick), *given)
            return jax.tree.map(lambda value: np.array(value)[:count], values)

        for segment, lane, states, count in self._calls(shown, np.flatnonzero(measured), len(keys), real):
            values = measure_rows(self.what.quick, segment, lane, states, count)
            if self.what.quick and (some := _with_nan(values)).size:
                rows = np.resize(some, len(lane))
                these = jax.tree.map(lambda leaf, rows=rows: leaf[rows], states)
                again = measure_rows(False, segment[rows], lane[rows], these, some.size)
                for value, other in zip(jax.tree.leaves(values), jax.tree.leaves(again), strict=True):
                    value[some] = other
            for kept, value in zip(jax.tree.leaves(found), jax.tree.leaves(values), strict=True):
                kept[segment[:count], lane[:count]] = value
        return found

    def _calls(self, shown: Shown, measured: np.ndarray, lanes: int, real: int) -> Iterator[tuple[Any, ...]]:
        """For each call the segments and lanes of its rows, their states, and how many of them are wanted."""
        if self.rows is None:
            for j in measured:
                yield np.full(lanes, j), np.arange(lanes), jax.tree.map(lambda leaf, j=j: leaf[j], shown), real
            return
        segment, lane = np.repeat(measured, real), np.tile(np.arange(real), len(measured))
        states = jax.tree.map(lambda leaf: _rows(leaf, measured, real), shown)
        rows = self.rows
        for begin in range(0, len(lane), rows):
            count = min(rows, len(lane) - begin)
            part = jax.tree.map(lambda leaf, begin=begin: leaf[begin : begin + rows], (segment, lane, states))
            if count < rows:
                part = jax.tree.map(lambda leaf: np.resize(leaf, (rows, *leaf.shape[1:])), part)
            yield *part, count


def _is_host(device: Any) -> bool:
    """Whether NumPy may look at what lies there without a copy."""
    return device.platform == "cpu"


def _with_nan(values: Any) -> np.ndarray:
    """The numbers of the rows that have one."""
    each = [np.isnan(value).reshape(len(value), -1).any(1) for value in jax.tree.leaves(values)]
    return np.flatnonzero(np.any(each, axis=0))


def _rows(leaf: np.ndarray, measured: np.ndarray, real: int) -> np.ndarray:
    """Of [segments, lanes, …] those segments and the first ``real`` lanes, one after the other; where they lie, if
    they are the first segments."""
    some = leaf[: len(measured)] if len(measured) == 0 or measured[-1] < len(measured) else leaf[measured]
    return some[:, :real].reshape(-1, *leaf.shape[2:])


def _of_rows(measurer: Any, axes: tuple[int | None, ...], lane: np.ndarray) -> Any:
    """Of leaves with a run axis what belongs to each row; others stay on the device, which is where a call goes."""
    leaves, structure = jax.tree.flatten(measurer)
    pairs = zip(leaves, axes, strict=True)
    return structure.unflatten([leaf if axis is None else np.asarray(leaf)[lane] for leaf, axis in pairs])


@functools.lru_cache(maxsize=64)
def _prepared(what: What, measurer: Kind, row: Kind, count: int, device: Any) -> tuple[dict[str, Any], Future[None]]:
    """Shapes of a row's metrics; and the program being compiled, for which it has to be called, with nothing to do."""
    leaves = [
        jax.device_put(np.zeros(leaf.shape, leaf.dtype), device) if axis is None else np.zeros(count, leaf.dtype)
        for leaf, axis in zip(measurer.shapes(), what.axes, strict=True)
    ]
    states = row.structure.unflatten([np.zeros((count, *leaf.shape), leaf.dtype) for leaf in row.shapes()])
    if not _is_host(device):
        states = jax.device_put(states, device)  # as they are when a tile shows them: other arguments, another program
    numbers = np.zeros((count, 2), np.uint32), np.zeros(count, np.int32), np.int32(0)
    arguments = what, measurer.structure.unflatten(leaves), states, *numbers
    run = program(what.backend)
    values = run.eval_shape(*arguments)
    pool = ThreadPoolExecutor(1)
    compiled = pool.submit(for_a_thread(lambda: (run(*arguments), None)[1]))
    pool.shutdown(wait=False)
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), values), compiled
