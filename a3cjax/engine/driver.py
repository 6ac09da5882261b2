"""The host's part of a simulation: blocks of updates, one compiled call each, with progress and clean interrupts."""

import contextlib
import dataclasses
import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from a3cjax.engine.histories import Carry
from a3cjax.engine.layout import Layout, share_count
from a3cjax.engine.loop import Block, Plan, advance, start
from a3cjax.engine.result import Interrupted, Result, SavedState
from a3cjax.engine.runs import Runs

BLOCK_WORK = 1 << 22  # run-updates per call and core: a fraction of a second, the grain of progress and Ctrl-C
LONGEST_BLOCK = 1 << 17
_PATIENCE = 1.0  # seconds before a progress bar shows


def drive(
    plan: Plan,
    runs: Runs,
    spacing: int,
    resume: SavedState | None,
    devices: Sequence[Any] | None,
    progress: bool | None,
) -> tuple[Carry, int, dict[str, Any], Any, Callable[[Result], Interrupted] | None]:
    """Replay the schedule block by block.

    Returns the carry [B, …], the updates done, the metrics [B, R, …], the samples [B, K, …] and, after Ctrl-C, how to
    make the exception to raise.
    """
    available = jax.local_devices() if devices is None else list(devices)
    workers = _workers(available)
    layout = Layout.of(runs.count, share_count(runs.count, len(workers)), plan.history, plan.target)
    used = workers[: layout.shares]
    block_updates, segments, plan = _shape_blocks(plan, layout, runs.num_updates)
    chunk = plan.chunk(runs.one_learner(), layout.lanes)
    learner = runs.split_learner(layout)
    parts = _Parts(layout, used)
    learners = parts.put(learner, plan.axes)
    keys = parts.put(layout.split(runs.keys))
    real = parts.put(layout.real_lanes())

    num_workers = jnp.int32(runs.num_workers)
    done = 0 if resume is None else resume.updates
    metrics: list[dict[str, np.ndarray]] = []
    logs: list[Any] = []
    with (
        ThreadPoolExecutor(len(used)) as pool,
        _interruptible() as interrupted,
        _bar(progress, done, runs.num_updates, runs.count) as report,
    ):
        on_each = functools.partial(_map_in, pool, jnp.result_type(float) == jnp.float64) if len(used) > 1 else map
        # Shares on one device run one program: compiled once, by the first of them, and not by each at the same time.
        firsts, others = slice(len(set(used))), slice(len(set(used)), None)
        if resume is None:
            begin = functools.partial(_start, plan, workers=num_workers)
            carry = [x for some in (firsts, others) for x in on_each(begin, learners[some], keys[some])]
        else:
            expected = jax.eval_shape(functools.partial(start, plan), learner, layout.split(runs.keys), num_workers)
            carry = parts.put(_restore(resume, plan, runs, layout, expected))
        for lengths, measured in _blocks(done, runs.num_updates, spacing, plan.segment, segments):
            block = runs.block(layout, done, block_updates, chunk)
            blocks = [block] * len(used) if block.worker.shape[1] == 1 else parts.take(block)
            idle = segments - len(lengths)
            lengths_and_marks = jnp.asarray(lengths + [0] * idle, jnp.int32), jnp.asarray(measured + [False] * idle)
            call = functools.partial(_advance, plan, first=done, lengths_and_marks=lengths_and_marks)
            if not metrics and used[others]:
                idly = functools.partial(_advance, plan, first=done, lengths_and_marks=_nothing(segments))
                warm = on_each(idly, learners[firsts], carry[firsts], keys[firsts], blocks[firsts], real[firsts])
                carry = [after[0] for after in warm] + carry[others]
            steps = on_each(call, learners, carry, keys, blocks, real)
            carry, values, log = (list(column) for column in zip(*steps, strict=True))
            wanted = np.flatnonzero(measured)
            metrics.append({n: layout.join(parts.joined([v[n] for v in values]), wanted) for n in values[0]})
            if plan.log:
                steps = np.arange(sum(lengths))
                logs.append(jax.tree.map(lambda *x, at=steps: layout.join(parts.joined(x), at), *log))
            done += sum(lengths)
            report(done)
            if interrupted():
                break
    whole = jax.tree.map(lambda *leaves: layout.join(parts.joined(leaves)), *carry)
    values = {name: np.concatenate([m[name] for m in metrics], axis=1) for name in (metrics[0] if metrics else ())}
    samples = jax.tree.map(lambda *x: np.concatenate(x, axis=1), *logs) if logs else None
    stopped = None
    if interrupted():
        stopped = functools.partial(
            Interrupted,
            f"Interrupted after {done} of {runs.num_updates} updates; the exception's .result holds them, and "
            "simulate(..., resume=error.result.state) goes on.",
        )
    return whole, done, values, samples, stopped


def _workers(devices: Sequence[Any]) -> list[Any]:
    """The devices, each as many times as it can run a program side by side: a CPU device once for each of its cores.

    In turn, so that the first so many of them are spread over all devices.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    on_cpu = devices[0].platform == "cpu"
    return list(devices) * (max(1, cores // jax.local_device_count("cpu")) if on_cpu else 1)


@dataclass(frozen=True)
class _Parts:
    """Equal shares of the tiles, one for each device.

    Each device runs the same one-device program on its share. A program sharded over devices is compiled otherwise,
    and rounds otherwise.
    """

    layout: Layout
    devices: Sequence[Any]

    def take(self, tree: Any) -> list[Any]:
        """The shares of a pytree of [tiles, …]."""
        each = self.layout.tiles // len(self.devices)
        return [jax.tree.map(lambda leaf, d=d: leaf[d * each : (d + 1) * each], tree) for d in range(len(self.devices))]

    def put(self, tree: Any, axes: Sequence[int | None] | None = None) -> list[Any]:
        """The shares on their devices; leaves without a run axis go whole to each."""
        leaves, structure = jax.tree.flatten(tree)
        axes = [0] * len(leaves) if axes is None else axes
        shares = [
            self.take(leaf) if axis == 0 else [leaf] * len(self.devices)
            for leaf, axis in zip(leaves, axes, strict=True)
        ]
        mine = zip(*shares, strict=True) if leaves else [()] * len(self.devices)
        return [
            jax.device_put(jax.tree.unflatten(structure, own), device)
            for own, device in zip(mine, self.devices, strict=True)
        ]

    def joined(self, shares: Sequence[Any]) -> np.ndarray:
        """The shares of one leaf as one array on the host."""
        return np.concatenate([np.asarray(share) for share in shares])


def _map_in(
    pool: ThreadPoolExecutor, x64: bool, function: Callable[..., Any], *columns: Sequence[Any]
) -> Iterator[Any]:
    """``pool.map`` with the caller's precision, which a thread does not inherit."""

    def call(*arguments):
        with jax.enable_x64(x64):
            return function(*arguments)

    return pool.map(call, *columns)


_start = jax.jit(start, static_argnums=0)


def _advance(
    plan: Plan, learner: Any, carry: Carry, keys: Any, block: Block, real: Any, *, first: int, lengths_and_marks: Any
) -> tuple[Carry, dict[str, Any], Any]:
    """One block on one device, waited for, so that the thread that calls is busy as long as the device is."""
    out = _compiled_advance(plan, learner, carry, keys, block, jnp.int32(first), *lengths_and_marks, real)
    return jax.block_until_ready(out)


def _nothing(segments: int) -> tuple[jax.Array, jax.Array]:
    """Lengths and marks of a block without updates."""
    return jnp.zeros(segments, jnp.int32), jnp.zeros(segments, bool)


_compiled_advance = jax.jit(advance, static_argnums=0, donate_argnums=2)


def _shape_blocks(plan: Plan, layout: Layout, num_updates: int) -> tuple[int, int, Plan]:
    """Updates per block, segments per block, and the plan with its segments no longer than a block."""
    per_device = layout.tiles * layout.lanes // layout.shares
    block = min(max(1, BLOCK_WORK // per_device), LONGEST_BLOCK, num_updates)
    segments = max(1, block // plan.segment)
    segment = min(plan.segment, block)
    return segments * segment, segments, dataclasses.replace(plan, segment=segment)


def _blocks(done: int, total: int, spacing: int, segment: int, segments: int) -> Iterator[tuple[list[int], list[bool]]]:
    """The segments of each block: their lengths, and whether a record follows; one block even if nothing is left."""
    nothing_left = done == total
    while done < total or nothing_left:
        nothing_left = False
        lengths: list[int] = []
        measured: list[bool] = []
        while done < total and len(lengths) < segments:
            next_record = (done // spacing + 1) * spacing
            length = min(segment, next_record - done, total - done)
            done += length
            lengths.append(length)
            measured.append(done == next_record)
        yield lengths, measured


def _restore(saved: SavedState, plan: Plan, runs: Runs, layout: Layout, expected: Carry) -> Carry:
    """A saved state in the loop's layout, or a sentence why it does not fit."""
    k, depth = saved.updates, saved.depth
    if k > runs.num_updates:
        raise ValueError(
            f"resume stands after update {k}, but the schedule has {runs.num_updates}; give a schedule "
            "that continues the one it was made with."
        )
    wanted, structure = jax.tree.flatten(expected)
    if len(saved.leaves) != len(wanted):
        raise ValueError("resume belongs to another learner; give the learner that it was made with.")
    carry = jax.tree.unflatten(structure, [np.asarray(leaf) for leaf in saved.leaves])
    if depth != plan.depth:
        for now, oldest in runs.oldest_reads(k):
            if oldest < now - depth + 1:
                raise ValueError(
                    f"resume holds versions {max(now - depth + 1, 0)} to {now}, but the schedule goes on to read "
                    f"version {oldest}; run its first part with depth={now - oldest + 1} or more."
                )
        carry = plan.build(runs.one_learner()).adopt(carry, k)
    for leaf, want in zip(jax.tree.leaves(carry), wanted, strict=True):
        shape = (layout.runs, *want.shape[2:])
        if leaf.shape != shape or leaf.dtype != want.dtype:
            raise ValueError(
                f"resume holds an array {leaf.dtype}{list(leaf.shape)} where {want.dtype}{list(shape)} is needed; "
                "give the learner, the number of runs, the schedule and the delay metrics that it was made with."
            )
    return jax.tree.map(layout.split, carry)


@contextlib.contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Within, Ctrl-C is remembered until the block in hand is done; a second one stops at once."""
    pressed: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def remember(number, frame):
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)

    previous = signal.signal(signal.SIGINT, remember)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, previous)


@contextlib.contextmanager
def _bar(progress: bool | None, done: int, total: int, runs: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error, shown once a simulation has taken a moment."""
    if not (sys.stderr.isatty() if progress is None else progress):
        yield lambda done: None
        return
    began = time.monotonic()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task(f"{total:,} updates × {runs:,} runs", total=total, completed=done)

    def report(done: int) -> None:
        if not bar.live.is_started and (progress or time.monotonic() - began > _PATIENCE):
            bar.start()
        bar.update(task, completed=done)

    try:
        yield report
    finally:
        bar.stop()
