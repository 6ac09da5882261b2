"""The host's part of a simulation: blocks of updates, and a compiled call for each tile.

A tile's parameters and history stay where they are from block to block: each call is given them to overwrite.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from a3cjax._xla.backend import Backend
from a3cjax._xla.compiler import known_options
from a3cjax._xla.lane_kernel import LANE_KERNEL
from a3cjax.engine.apart import Apart, is_measured_apart
from a3cjax.engine.history.protocol import Carry, Kind, shapes_of
from a3cjax.engine.host import interruptible, progress_bar
from a3cjax.engine.layout import Layout, share_count
from a3cjax.engine.loop import runs_of, start, tile_of
from a3cjax.engine.memory import bytes_of
from a3cjax.engine.persistent import KernelWay
from a3cjax.engine.plan import Block, Plan
from a3cjax.engine.restore import known_versions, restored
from a3cjax.engine.result import Interrupted, Result
from a3cjax.engine.runs import Runs
from a3cjax.engine.saved import SavedState
from a3cjax.engine.tiles import Tile, Tiles, for_a_thread, side_by_side
from a3cjax.engine.way import Way

WAYS: dict[Backend, Way] = {LANE_KERNEL: KernelWay()}  # of backends that have their own
_USUAL = Way()
LONGEST_BLOCK = 1 << 17
_ROOM_FOR_SHOWN = 1 << 24  # bytes of the states that a tile shows in a block
_MOST_ROOM = 1 << 12  # updates and segments of a run, up to which there may be twice the room
_FEW_WORKERS, _SMALL_SLOT = 16, 256  # workers, and bytes of a slot, up to which there is room for so many workers
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
    done = 0 if resume is None else resume.updates
    with (
        _Course.over(plan, runs, jax.local_devices() if devices is None else list(devices)) as course,
        interruptible() as interrupted,
        progress_bar(progress, done, runs.num_updates, runs.count) as report,
    ):
        if interrupted():  # since before this call; nothing is lost, for nothing was done
            raise KeyboardInterrupt
        course.begin() if resume is None else course.go_on(resume)
        for lengths, measured in _blocks(done, runs.num_updates, spacing, course.segment, course.segments):
            course.take(done, lengths, measured)
            done += sum(lengths)
            report(done)
            if interrupted():
                break
    stopped = None
    if interrupted():
        stopped = functools.partial(
            Interrupted,
            f"Interrupted after {done} of {runs.num_updates} updates; the exception's .result holds them, and "
            "simulate(..., resume=error.result.state) goes on.",
        )
    return course.states(), course.saved(done), course.metrics(), course.samples(), stopped


def compile_programs(plan: Plan, runs: Runs) -> None:
    """All that ``drive`` would call on this machine's devices, with nothing to do."""
    with _Course.over(plan, runs, jax.local_devices()) as course:
        course.shares = [tiles[:1] for tiles in course.shares]  # they are all alike
        course.begin()
        course.compile()


@dataclass
class _Course:
    """A simulation under way: where each tile stands, and what was found so far."""

    plan: Plan
    runs: Runs
    layout: Layout
    tiles: Tiles
    shares: list[list[Tile]]
    before: Backend  # what the start is compiled for
    segment: int  # updates, at most
    segments: int  # of a block
    room_for: tuple[int, int]  # updates and segments of a block; some stay idle
    apart: Apart | None
    carries: list[list[Carry]] = field(default_factory=list)
    _metrics: list[dict[str, np.ndarray]] = field(default_factory=list)
    _samples: list[Any] = field(default_factory=list)
    _room: dict[int, np.ndarray] = field(default_factory=dict)  # of the schedule's columns, used for every block
    _pool: ThreadPoolExecutor | None = None

    @classmethod
    def over(cls, plan: Plan, runs: Runs, devices: Sequence[Any]) -> "_Course":
        """The batch cut into tiles, which are spread over as many devices or cores as it is worth."""
        available = side_by_side(devices)
        shares = share_count(runs.count, len(available))
        layout = Layout.of(runs.count, shares, plan.history, plan.num_workers, plan.backend)
        tiles = Tiles(layout, available[:shares])
        on_devices = tiles.put(runs.split_learner(layout), plan.axes, layout.split(np.asarray(runs.keys)))
        measured = Apart.of(plan, runs, on_devices[0][0]) if is_measured_apart(plan) else None
        if measured:
            plan = dataclasses.replace(plan, apart=True, metrics=())  # which the loop then need not know
        shown = plan.shown_of_a_run(runs.one_learner()) if measured else None
        updates, segments, plan = _shape_blocks(
            plan, layout, runs.num_updates, runs.worker.shape[0] > 1, bytes_of(shown)
        )
        room_for = updates, segments
        one_block = updates >= runs.num_updates
        if one_block and plan.backend.pads_blocks and not _has_tiny_floats(runs):  # idle where it is not needed
            room_for = _roomy(updates, 256), _roomy(segments, 16)
        # Of segments the program knows nothing, and of workers how many it has room for.
        segment, plan = plan.segment, dataclasses.replace(plan, segment=0, num_workers=_room_for_workers(plan, runs))
        before, loop = _worth_their_work(plan, runs, layout)
        plan = dataclasses.replace(plan, backend=loop)
        return cls(plan, runs, layout, tiles, on_devices, before, segment, segments, room_for, measured)

    def __enter__(self) -> "_Course":
        used = len(self.tiles.devices)
        self._pool = ThreadPoolExecutor(used) if used > 1 else None
        return self

    def __exit__(self, *error: Any) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def begin(self) -> None:
        """Stand before the first update."""
        plan = dataclasses.replace(self.plan, backend=self.before)
        call = functools.partial(_start_share, plan, jax.device_put(np.int32(self.runs.num_workers)))
        # Shares on one device run one program: compiled once, by the first of them, and not by each at the same time.
        self.carries = [x for some in self._firsts_and_others for x in self._on_each(call, self.shares[some])]

    def go_on(self, saved: SavedState) -> None:
        """Stand where a saved state does."""
        one, tile, workers = self.runs.one_learner(), self.shares[0][0], self.runs.num_workers
        plan = dataclasses.replace(self.plan, num_workers=workers)
        begun = jax.eval_shape(functools.partial(start, plan), tile.learner, tile.keys, jnp.int32(workers))
        expected = jax.eval_shape(lambda carry: runs_of(plan, one, carry, self.layout.lanes), begun)
        carry = restored(saved, plan, self.runs, self.layout, expected)
        carry = _with_slots(carry, lambda slots: _more(slots, self.plan.num_workers - workers))
        carries = [[tile_of(self.plan, one, tile) for tile in tiles] for tiles in self.tiles.take(carry)]
        self.carries = self.tiles.place(carries)

    def take(self, done: int, lengths: list[int], measured: list[bool]) -> None:
        """A block of updates, measured where it is marked."""
        blocks, segments = self._block_of_each(done), self.room_for[1]
        idle = segments - len(lengths)
        measured = measured + [False] * idle
        marks = jax.device_put((np.array(lengths + [0] * idle, np.int32), np.array(measured, bool)))
        if not self._metrics and self._others:
            self._idle(done, blocks)
        ends = done + np.cumsum(lengths + [0] * idle)
        look = (
            None
            if self.apart is None
            else functools.partial(self.apart.of_block, measured=measured, updates=ends.tolist())
        )
        call = functools.partial(_advance, self.plan, first=done, lengths_and_marks=marks, look=look)
        results = self._on_each(call, self.shares, self.carries, blocks)
        self.carries, values, samples = (list(column) for column in zip(*results, strict=True))
        self._metrics.append(self.tiles.joined(values, np.flatnonzero(measured)))
        if self.plan.log:
            self._samples.append(self.tiles.joined(samples, np.arange(sum(lengths))))

    def states(self) -> Any:
        """The learner's, [B, …]."""
        return self.tiles.joined([[carry.state for carry in some] for some in self.carries])

    def saved(self, done: int) -> SavedState:
        """Where the simulation stands, put together when somebody asks for it."""
        plan, one, lanes = self.plan, self.runs.one_learner(), self.layout.lanes
        tiles, carries, workers = self.tiles, self.carries, self.runs.num_workers

        def leaves():
            runs = tiles.joined([[runs_of(plan, one, carry, lanes) for carry in some] for some in on_host()])
            known = _with_slots(runs, lambda slots: slots[:, :workers])
            return *jax.tree.leaves(known), *known_versions(self.runs, done)

        def on_host():
            return jax.tree.map(np.asarray, carries)

        return SavedState.put_off(leaves, done, plan.history, plan.depth, self.runs.origin(done))

    def metrics(self) -> dict[str, Any]:
        """All blocks', [B, R, …]."""
        return _one_after_the_other(self._metrics) if self._metrics else {}

    def samples(self) -> Any:
        """All blocks', [B, K, …], or None."""
        return _one_after_the_other(self._samples) if self._samples else None

    def compile(self) -> None:
        """Whatever ``take`` calls."""
        self._idle(0, self._block_of_each(0))
        if self.apart is not None:
            wait((self.apart.compiled,))

    def _block_of_each(self, done: int) -> list[list[Block]]:
        updates, way = self.room_for[0], way_of(self.plan.backend)
        block = way.block(self.plan, self.runs, self.layout, done, updates, self._room)
        return self.tiles.place(self.tiles.take(block))

    @property
    def _firsts_and_others(self) -> tuple[slice, slice]:
        devices = len(set(self.tiles.devices))
        return slice(devices), slice(devices, None)

    @property
    def _others(self) -> bool:
        """Whether there are shares that wait for a program which another share on their device compiles."""
        return bool(self.tiles.devices[self._firsts_and_others[1]])

    def _idle(self, done: int, blocks: list[list[Block]]) -> None:
        """Take no update with the first tile of each device, whose program is compiled for that."""
        firsts, _ = self._firsts_and_others
        segments = self.room_for[1]
        nothing = jax.device_put((np.zeros(segments, np.int32), np.zeros(segments, bool)))
        idly = functools.partial(_advance, self.plan, first=done, lengths_and_marks=nothing)
        only = [[tiles[:1] for tiles in column[firsts]] for column in (self.shares, self.carries, blocks)]
        for mine, (after, *_) in zip(self.carries[firsts], self._on_each(idly, *only), strict=True):
            mine[0] = after[0]

    def _on_each(self, function: Callable[..., Any], *columns: Sequence[Any]) -> Iterator[Any]:
        """``map``, in threads side by side."""
        if self._pool is None:
            return map(function, *columns)
        return self._pool.map(for_a_thread(function), *columns)


def _with_slots(carry: Carry, change: Callable[[Any], Any]) -> Carry:
    return carry._replace(slots=jax.tree.map(change, carry.slots))


def _more(slots: np.ndarray, spare: int) -> np.ndarray:
    """Of [tiles, lanes, N, …] so many more, which nobody uses."""
    return np.concatenate([slots, np.zeros((*slots.shape[:2], spare, *slots.shape[3:]), slots.dtype)], axis=2)


def _one_after_the_other(blocks: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: np.concatenate(leaves, axis=1), *blocks)


def _worth_their_work(plan: Plan, runs: Runs, layout: Layout) -> tuple[Backend, Backend]:
    """What the start and the loop are compiled for: quickly, where that takes less time than it costs."""
    little = 0 if plan.metrics or plan.delay_metrics else runs.one_learner().little_work
    mine = layout.lanes * -(-layout.tiles // layout.shares)
    proposals, updates = mine * runs.num_workers, mine * runs.num_updates
    start, loop = (plan.backend.for_little if work <= little else plan.backend for work in (proposals, updates))
    return start, loop


class Programs(NamedTuple):
    """``start`` and ``advance``, to be compiled for one backend."""

    start: Any
    advance: Any


def on_its_way(plan: Plan, runs: Runs, platform: str) -> Plan:
    """The plan for a backend with a way of its own, if one takes these runs; else the same plan."""
    own = (backend for backend, way in WAYS.items() if way.takes(plan, runs, platform))
    return dataclasses.replace(plan, backend=next(own, plan.backend))


def way_of(backend: Backend) -> Way:
    """How blocks are taken on this backend."""
    return WAYS.get(backend, _USUAL)


def programs(backend: Backend) -> Programs:
    """Compiled once for each plan and shapes; the carry that ``advance`` is given is overwritten."""
    options = way_of(backend).compiler_options(backend)
    return _programs(backend, None if options is None else tuple(options.items()))


@functools.cache
def _programs(backend: Backend, options: tuple[tuple[str, Any], ...] | None) -> Programs:
    of_loop = None if options is None else known_options(dict(options))
    return Programs(
        jax.jit(start, static_argnums=0, compiler_options=known_options(backend.compiler_options)),
        jax.jit(way_of(backend).advance, static_argnums=0, donate_argnums=2, compiler_options=of_loop),
    )


def _start_share(plan: Plan, workers: Int[Array, ""], tiles: Sequence[Tile]) -> list[Carry]:
    """What a share's tiles begin with."""
    begin = programs(plan.backend).start
    plan = dataclasses.replace(plan, metrics=(), apart=False)  # of which a start knows nothing
    return [begin(plan, tile.learner, tile.keys, workers) for tile in tiles]


def _advance(
    plan: Plan,
    tiles: Sequence[Tile],
    carries: Sequence[Carry],
    blocks: Sequence[Block],
    *,
    first: int,
    lengths_and_marks: Any,
    look: Callable[..., dict[str, Any]] | None = None,
) -> tuple[list[Carry], list[dict[str, Any]], list[Any]]:
    """One block of a share, tile by tile, each waited for, so that the thread is busy as long as its core is.

    ``look`` measures the states that a tile shows.
    """
    out: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
    go_on = programs(plan.backend).advance
    begin = jax.device_put(np.int32(first))
    for tile, carry, block in zip(tiles, carries, blocks, strict=True):
        given = plan, tile.learner, carry, tile.keys, block, begin, *lengths_and_marks, tile.real
        after, values, shown, samples = jax.block_until_ready(go_on(*given))
        known = values if look is None else values | look(tile, shown)
        for column, part in zip(out, (after, known, samples), strict=True):
            column.append(part)
    return out


def _shape_blocks(
    plan: Plan, layout: Layout, num_updates: int, own_schedules: bool = False, shown: int = 0
) -> tuple[int, int, Plan]:
    """Updates per block, segments per block, and the plan with its segments no longer than a block.

    ``shown``: bytes of what a run shows of itself at a record.
    """
    per_device = min(layout.tiles // layout.shares, _MOST_TILES) * layout.lanes
    work = way_of(plan.backend).block_work(plan, own_schedules)
    block = min(max(1, work // per_device), LONGEST_BLOCK, num_updates)
    whole = block == num_updates  # then in one block, though the last segment may be shorter than the others
    segments = -(-block // plan.segment) if whole else max(1, block // plan.segment)
    segment = min(plan.segment, block)
    segments = min(segments, max(1, _ROOM_FOR_SHOWN // max(1, layout.lanes * shown)))
    return segments * segment, segments, dataclasses.replace(plan, segment=segment)


def _room_for_workers(plan: Plan, runs: Runs) -> int:
    """Slots of a run: sixteen where they are small, so that schedules of fewer workers share a program."""
    one = runs.one_learner()
    shapes = shapes_of(Kind.of(one))
    slot = bytes_of((shapes.message, shapes.worker_state, shapes.view if plan.keeps_views(one) else ()))
    small = plan.backend.pads_blocks and slot <= _SMALL_SLOT and not plan.of_workers
    return max(runs.num_workers, _FEW_WORKERS) if small else runs.num_workers


def _has_tiny_floats(runs: Runs) -> bool:
    """Whether the state holds floats of 8 bits: XLA may quiet their NaNs in a loop over segments, so one is best."""
    state = jax.tree.leaves(shapes_of(Kind.of(runs.one_learner())).state)
    return any(jnp.issubdtype(leaf.dtype, jnp.inexact) and leaf.dtype.itemsize == 1 for leaf in state)


def _roomy(count: int, least: int) -> int:
    """The next power of two, so that runs of about the same length share a program; long ones have their own."""
    return max(least, 1 << (count - 1).bit_length()) if count <= _MOST_ROOM else count


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
