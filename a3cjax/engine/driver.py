"""The host's part of a simulation: blocks of updates, and a compiled call for each tile.

A tile's parameters and history stay where they are from block to block: each call is given them to overwrite.
"""

import dataclasses
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, UInt32

from a3cjax.engine import persistent
from a3cjax.engine.columns import narrow_block, types_of
from a3cjax.engine.histories import Carry
from a3cjax.engine.host import interruptible, progress_bar
from a3cjax.engine.layout import Layout, share_count
from a3cjax.engine.loop import Block, Plan, advance, runs_of, start, tile_of
from a3cjax.engine.result import Interrupted, Result
from a3cjax.engine.runs import Runs
from a3cjax.engine.saved import SavedState

BLOCK_WORK = 1 << 22  # run-updates per call and core: a fraction of a second, the grain of progress and Ctrl-C
LONGEST_BLOCK = 1 << 17
_KERNEL_WORK = 1 << 30  # likewise of an accelerator's kernel,
_KERNEL_WORK_OWN = 1 << 28  # where each update of each run is told something of its own,
_KERNEL_WORK_LOGGED = persistent.LOGGED_WORK  # and where it logs its samples
_MOST_TILES = 128  # of a core; with more of them blocks take longer, lest the calls cost more than the updates


def drive(
    plan: Plan,
    runs: Runs,
    spacing: int,
    resume: SavedState | None,
    devices: Sequence[Any] | None,
    progress: bool | None,
) -> tuple[Any, SavedState, dict[str, Any], Any, Callable[[Result], Interrupted] | None]:
    """Replay the schedule block by block.

    Returns the learner's state [B, …], where the simulation stands, the metrics [B, R, …], the samples [B, K, …] and,
    after Ctrl-C, how to make the exception to raise.
    """
    available = jax.local_devices() if devices is None else list(devices)
    workers = _workers(available)
    shares = share_count(runs.count, len(workers))
    multiple = persistent.block_lanes(-(-runs.count // shares)) if plan.target == "persistent kernel" else 1
    layout = Layout.of(runs.count, shares, plan.history, plan.num_workers, plan.target, multiple)
    used = workers[: layout.shares]
    block_updates, segments, plan = _shape_blocks(plan, layout, runs.num_updates, runs.worker.shape[0] > 1)
    one = runs.one_learner()
    chunk = plan.chunk(one, layout.lanes)
    parts = _Parts(layout, used)
    shares = parts.put_tiles(runs.split_learner(layout), plan.axes, layout.split(np.asarray(runs.keys)))

    block_of = _blocks_of(plan, runs, layout)
    num_workers = jnp.int32(runs.num_workers)
    done = 0 if resume is None else resume.updates
    metrics: list[dict[str, np.ndarray]] = []
    logs: list[Any] = []
    room: dict[int, np.ndarray] = {}
    with (
        ThreadPoolExecutor(len(used)) as pool,
        interruptible() as interrupted,
        progress_bar(progress, done, runs.num_updates, runs.count) as report,
    ):
        if interrupted():  # since before this call; nothing is lost, for nothing was done
            raise KeyboardInterrupt
        on_each = functools.partial(_map_in, pool, jnp.result_type(float) == jnp.float64) if len(used) > 1 else map
        # Shares on one device run one program: compiled once, by the first of them, and not by each at the same time.
        firsts, others = slice(len(set(used))), slice(len(set(used)), None)
        if resume is None:
            begin = functools.partial(_start_share, plan, num_workers)
            carries = [x for some in (firsts, others) for x in on_each(begin, shares[some])]
        else:
            tile = shares[0][0]
            begun = jax.eval_shape(functools.partial(start, plan), tile.learner, tile.keys, num_workers)
            expected = jax.eval_shape(lambda carry: runs_of(plan, one, carry, layout.lanes), begun)
            restored = parts.take(_restore(resume, plan, runs, layout, expected))
            carries = parts.place([[tile_of(plan, one, carry) for carry in carries] for carries in restored])
        for lengths, measured in _blocks(done, runs.num_updates, spacing, plan.segment, segments):
            blocks = parts.place(parts.take(block_of(done, block_updates, chunk, room)))
            idle = segments - len(lengths)
            lengths_and_marks = jnp.asarray(lengths + [0] * idle, jnp.int32), jnp.asarray(measured + [False] * idle)
            call = functools.partial(_advance, plan, first=done, lengths_and_marks=lengths_and_marks)
            if not metrics and used[others]:
                idly = functools.partial(_advance, plan, first=done, lengths_and_marks=_nothing(segments))
                only = [[tiles[:1] for tiles in column[firsts]] for column in (shares, carries, blocks)]
                for mine, (after, *_) in zip(carries[firsts], on_each(idly, *only), strict=True):
                    mine[0] = after[0]
            carries, values, log = (
                list(column) for column in zip(*on_each(call, shares, carries, blocks), strict=True)
            )
            metrics.append(parts.joined(values, np.flatnonzero(measured)))
            if plan.log:
                logs.append(parts.joined(log, np.arange(sum(lengths))))
            done += sum(lengths)
            report(done)
            if interrupted():
                break
    state = parts.joined([[carry.state for carry in some] for some in carries])

    def whole():
        on_host = jax.tree.map(np.asarray, carries)
        return parts.joined([[runs_of(plan, one, carry, layout.lanes) for carry in some] for some in on_host])

    values = {name: np.concatenate([m[name] for m in metrics], axis=1) for name in (metrics[0] if metrics else ())}
    samples = jax.tree.map(lambda *x: np.concatenate(x, axis=1), *logs) if logs else None
    stopped = None
    if interrupted():
        stopped = functools.partial(
            Interrupted,
            f"Interrupted after {done} of {runs.num_updates} updates; the exception's .result holds them, and "
            "simulate(..., resume=error.result.state) goes on.",
        )
    saved = SavedState.put_off(
        lambda: tuple(jax.tree.leaves(whole())), done, plan.history, plan.depth, runs.origin(done)
    )
    return state, saved, values, samples, stopped


def _workers(devices: Sequence[Any]) -> list[Any]:
    """The devices, each as many times as it can run a program side by side: a CPU device once for each of its cores.

    In turn, so that the first so many of them are spread over all devices.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    on_cpu = devices[0].platform == "cpu"
    return list(devices) * (max(1, cores // jax.local_device_count("cpu")) if on_cpu else 1)


class _Tile(NamedTuple):
    """What no update changes: the learner, whose leaves with a run axis are [lanes], and which lanes hold a run."""

    learner: Any
    keys: UInt32[Array, "lanes 2"]
    real: Int[Array, ""]


@dataclass(frozen=True)
class _Parts:
    """Equal shares of the tiles, one for each device.

    Each device runs the same one-device program on its tiles. A program sharded over devices is compiled otherwise,
    and rounds otherwise.
    """

    layout: Layout
    devices: Sequence[Any]

    def take(self, tree: Any) -> list[list[Any]]:
        """The tiles of each share of a pytree of [tiles, …], or of [1, …], which is the same for all."""
        each = self.layout.tiles // len(self.devices)

        def tile(t):
            return jax.tree.map(lambda leaf: leaf[t if leaf.shape[0] > 1 else 0], tree)

        return [[tile(share * each + i) for i in range(each)] for share in range(len(self.devices))]

    def place(self, shares: Sequence[Sequence[Any]]) -> list[list[Any]]:
        """The same tiles, on the devices of their shares."""
        pairs = zip(shares, self.devices, strict=True)
        return [[jax.device_put(tile, device) for tile in tiles] for tiles, device in pairs]

    def put_tiles(self, learner: Any, axes: Sequence[int | None], keys: Any) -> list[list[_Tile]]:
        """The shares; leaves of the learner without a run axis go whole to each device."""
        leaves, structure = jax.tree.flatten(learner)
        own = {i: np.asarray(leaf) for i, (leaf, axis) in enumerate(zip(leaves, axes, strict=True)) if axis == 0}
        common = {i: leaf for i, leaf in enumerate(leaves) if i not in own}
        shares = []
        placed = self.place(self.take((own, keys, self.layout.real_lanes())))
        for tiles, device in zip(placed, self.devices, strict=True):
            here = jax.device_put(common, device)
            shares.append([])
            for mine, key, real in tiles:
                whole = here | mine
                shares[-1].append(_Tile(jax.tree.unflatten(structure, [whole[i] for i in sorted(whole)]), key, real))
        return shares

    def joined(self, shares: Sequence[Sequence[Any]], steps: Any = None) -> Any:
        """The tiles' pytrees of [lanes, …] as one of [B, …]; given ``steps``, [steps, lanes, …] as [B, those, …]."""
        tiles = [tile for share in shares for tile in share]
        return jax.tree.map(lambda *leaves: self.layout.join(_stacked(leaves), steps), *tiles)


def _stacked(leaves: Sequence[Any]) -> np.ndarray:
    """On the host; a single one is not copied."""
    return np.asarray(leaves[0])[None] if len(leaves) == 1 else np.stack([np.asarray(leaf) for leaf in leaves])


def _map_in(
    pool: ThreadPoolExecutor, x64: bool, function: Callable[..., Any], *columns: Sequence[Any]
) -> Iterator[Any]:
    """``pool.map`` with the caller's settings, which a thread does not inherit."""

    def call(*arguments):
        with jax.enable_x64(x64), jax.numpy_rank_promotion("allow"):
            return function(*arguments)

    return pool.map(call, *columns)


# At level 3, the usual one, loops over 40 lanes and fewer are unrolled, and then not vectorised.
_FOR_CPU: Any = {"xla_backend_optimization_level": 2}
_start = jax.jit(start, static_argnums=0, compiler_options=_FOR_CPU)
_compiled_advance = jax.jit(advance, static_argnums=0, donate_argnums=2, compiler_options=_FOR_CPU)
_start_elsewhere = jax.jit(start, static_argnums=0)
_advance_elsewhere = jax.jit(advance, static_argnums=0, donate_argnums=2)
_advance_in_kernel = jax.jit(persistent.advance, static_argnums=0, donate_argnums=2)
_advance_interpreted = jax.jit(  # for tests: quick to compile
    persistent.advance,
    static_argnums=0,
    donate_argnums=2,
    compiler_options={"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True},
)
_ADVANCES = {"accelerator": _advance_elsewhere, "persistent kernel": _advance_in_kernel}


def _start_share(plan: Plan, workers: Int[Array, ""], tiles: Sequence[_Tile]) -> list[Carry]:
    """What a share's tiles begin with."""
    begin = _start_elsewhere if plan.target in _ADVANCES else _start
    return [begin(plan, tile.learner, tile.keys, workers) for tile in tiles]


def _advance(
    plan: Plan,
    tiles: Sequence[_Tile],
    carries: Sequence[Carry],
    blocks: Sequence[Block],
    *,
    first: int,
    lengths_and_marks: Any,
) -> tuple[list[Carry], list[dict[str, Any]], list[Any]]:
    """One block of a share, tile by tile, each waited for, so that the thread is busy as long as its core is."""
    out: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
    go_on = _ADVANCES.get(plan.target, _compiled_advance)
    if plan.target == "persistent kernel" and persistent.is_interpreted():
        go_on = _advance_interpreted
    begin = jnp.int32(first)
    for tile, carry, block in zip(tiles, carries, blocks, strict=True):
        after = go_on(plan, tile.learner, carry, tile.keys, block, begin, *lengths_and_marks, tile.real)
        for column, part in zip(out, jax.block_until_ready(after), strict=True):
            column.append(part)
    return out


def _blocks_of(plan: Plan, runs: Runs, layout: Layout) -> Callable[..., Block]:
    """How a block of the schedule is put together."""
    if plan.target != "persistent kernel":
        return functools.partial(runs.block, layout)
    used = persistent.used_columns(plan, runs.one_learner(), runs.worker.shape[0] > 1, layout.lanes)
    types = types_of(runs, plan.depth, used)

    def narrow(first: int, updates: int, chunk: int, room: dict[int, np.ndarray]) -> Block:
        return narrow_block(runs, layout, first, updates, chunk, types, room)

    return narrow


def _nothing(segments: int) -> tuple[jax.Array, jax.Array]:
    """Lengths and marks of a block without updates."""
    return jnp.zeros(segments, jnp.int32), jnp.zeros(segments, bool)


def _shape_blocks(plan: Plan, layout: Layout, num_updates: int, own_schedules: bool = False) -> tuple[int, int, Plan]:
    """Updates per block, segments per block, and the plan with its segments no longer than a block."""
    per_device = min(layout.tiles // layout.shares, _MOST_TILES) * layout.lanes
    work = BLOCK_WORK
    if plan.target == "persistent kernel":
        work = _KERNEL_WORK_OWN if own_schedules else _KERNEL_WORK
        work = min(work, _KERNEL_WORK_LOGGED) if plan.log else work
    block = min(max(1, work // per_device), LONGEST_BLOCK, num_updates)
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
    if saved.leaves[0].shape[0] != runs.count:
        raise ValueError(
            f"resume holds {saved.leaves[0].shape[0]} runs, but there are {runs.count}; give the number of runs that "
            "it was made with."
        )
    saved.check_origin(runs.origin(k))
    wanted, structure = jax.tree.flatten(expected)
    if len(saved.leaves) != len(wanted):
        raise ValueError("resume belongs to another learner; give the learner that it was made with.")
    pairs = zip(saved.leaves, wanted, strict=True)
    carry = jax.tree.unflatten(structure, [_typed(np.asarray(leaf), want.dtype) for leaf, want in pairs])
    if depth != plan.depth:
        for now, oldest in runs.oldest_reads(k):
            if oldest < now - depth + 1:
                raise ValueError(
                    f"resume holds versions {max(now - depth + 1, 0)} to {now}, but the schedule goes on to read "
                    f"version {oldest}; run its first part with depth={now - oldest + 1} or more."
                )
        carry = plan.build(runs.one_learner()).adopt(carry, k)
    for leaf, want in zip(jax.tree.leaves(carry), wanted, strict=True):
        shape = (layout.runs, *want.shape[1:])
        if leaf.shape != shape or leaf.dtype != want.dtype:
            raise ValueError(
                f"resume holds an array {leaf.dtype}{list(leaf.shape)} where {want.dtype}{list(shape)} is needed; "
                "give the learner, the number of runs, the schedule and the delay metrics that it was made with."
            )
    return jax.tree.map(layout.split, carry)


def _typed(leaf: np.ndarray, dtype: Any) -> np.ndarray:
    """A leaf from a file, which keeps the bits of the types that NumPy does not know and not their names."""
    unnamed = leaf.dtype.kind == "V" and leaf.dtype.names is None and leaf.dtype.itemsize == np.dtype(dtype).itemsize
    return leaf.view(dtype) if unnamed and np.dtype(dtype).kind == "V" else leaf
