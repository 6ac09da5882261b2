"""The schedule: who made each update, how stale it was, and when it landed."""

import operator
import os
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32, Key

from a3cjax import _check
from a3cjax._tree import pytree, static
from a3cjax.schedules import _file, _plot, _random
from a3cjax.schedules._values import plain, whole_numbers
from a3cjax.schedules.compute_times import ComputeTime
from a3cjax.schedules.delays import DelayLaw
from a3cjax.schedules.workers import simulate_workers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@pytree
class Schedule:
    """Who made each update, how stale it was, and when it landed.

    Update k, the k-th to be written, is computed from version ``k − delay[k]`` of the parameters; version j is the one
    after j updates. A delay of 0 is the sequential algorithm. A schedule does not depend on parameters: it is drawn
    first, and can be plotted, saved and replayed by any learner.

    Built from arrays whose values are known, it is validated and holds NumPy arrays. Built inside ``jax.jit`` or
    ``jax.vmap``, only shapes are checked; ``vmap`` puts a batch axis in front, and so does ``Schedule.stack``.

    Args:
        worker: [K] or [B, K], whole numbers in 0, …, num_workers − 1.
        delay: [K] or [B, K], whole numbers of updates with 0 ≤ delay[k] ≤ k.
        time: [K] or [B, K], when the update landed, nondecreasing, in any unit.
        num_workers: how many workers there are; the greatest in ``worker`` plus one if not given.

    Raises:
        ValueError: if the schedule is empty, shapes differ, a delay is negative or reaches before the start, a worker
            is out of range, a time is not finite or decreases, or ``num_workers`` is missing while values are traced.

    >>> import a3cjax
    >>> schedule = a3cjax.Schedule(worker=[0, 1, 0, 1], delay=[0, 1, 1, 1], time=[1.0, 1.5, 2.0, 3.0])
    >>> schedule.num_updates, schedule.num_workers, schedule.max_delay, schedule.mean_delay
    (4, 2, 1, 0.75)
    >>> schedule.reads.tolist()
    [0, 0, 1, 2]
    """

    worker: Int32[Array | np.ndarray, "*batch updates"]
    delay: Int32[Array | np.ndarray, "*batch updates"]
    time: Float[Array | np.ndarray, "*batch updates"]
    num_workers: int = static()

    def __init__(self, worker: Any, delay: Any, time: Any, *, num_workers: int | None = None):
        if num_workers is not None:
            num_workers = _check.integer("num_workers", num_workers, least=1)
        if _check.is_concrete(worker, delay, time):
            worker = whole_numbers("worker", worker, least=0)
            delay = whole_numbers("delay", delay, least=0)
            time = _times(time)
            _check_shapes(worker, delay, time)
            num_workers = int(worker.max()) + 1 if num_workers is None else num_workers
            _check_values(worker, delay, time, num_workers)
        else:
            worker, delay, time = (jnp.asarray(column) for column in (worker, delay, time))
            _check_shapes(worker, delay, time)
            if num_workers is None:
                raise ValueError("num_workers must be given when the schedule's values are traced.")
        for name, value in (("worker", worker), ("delay", delay), ("time", time), ("num_workers", num_workers)):
            object.__setattr__(self, name, value)

    # ------------------------------------------------------------------------------------------------ ways to make one

    @classmethod
    def sequential(cls, num_updates: int) -> "Schedule":
        """One worker that always reads the newest version: delay 0, update k landing at time k + 1.

        Raises:
            ValueError: if ``num_updates`` is not a whole number of at least 1.

        >>> import a3cjax
        >>> a3cjax.Schedule.sequential(3).delay.tolist()
        [0, 0, 0]
        """
        updates = np.arange(_check.integer("num_updates", num_updates, least=1))
        return cls(np.zeros_like(updates), np.zeros_like(updates), updates + 1.0, num_workers=1)

    @classmethod
    def from_law(cls, key: Key[Array, ""], law: DelayLaw, num_updates: int, num_workers: int = 1) -> "Schedule":
        """Delays drawn from a law: the abstract model of staleness.

        delay[k] = min(draw, k), because no version is older than the first; the worker is uniform at random and
        update k lands at time k + 1. Two updates may be computed from the same version, unlike with workers that read
        after their own writes (``from_workers``).

        Args:
            key: a random key.
            law: a law of ``a3cjax.delays``, or any pytree with ``mean`` and ``sample(key, num_updates)``.
            num_updates: K, at least 1.
            num_workers: N, at least 1.

        Raises:
            ValueError: if ``key`` is not one key, ``law`` is not a law, or a number is out of range.

        >>> import jax, a3cjax
        >>> schedule = a3cjax.Schedule.from_law(jax.random.key(0), a3cjax.delays.Constant(2), 5)
        >>> schedule.delay.tolist()
        [0, 1, 2, 2, 2]
        """
        key = _random.random_key(key)
        num_updates = _check.integer("num_updates", num_updates, least=1)
        num_workers = _check.integer("num_workers", num_workers, least=1)
        if not isinstance(law, DelayLaw):
            raise ValueError(f"law is {law!r}, but must have a mean and a sample(key, num_updates); see a3cjax.delays.")
        worker, delay = _draw(key, law, num_updates, num_workers)
        return cls(worker, delay, np.arange(1.0, num_updates + 1), num_workers=num_workers)

    @classmethod
    def from_workers(
        cls,
        key: Key[Array, ""],
        compute_times: Sequence[ComputeTime],
        num_updates: int,
        *,
        read_latency: Float[Array, ""] | float = 0.0,
        write_time: Float[Array, ""] | float = 0.0,
    ) -> "Schedule":
        """Workers that compute at random speeds, each reading at its own writes; see ``a3cjax.schedules.workers``.

        Always-busy workers that wait for nobody. With ``read_latency = write_time = 0`` a worker reads right after its
        own write, so the mean delay tends to N − 1 whatever the laws are.

        Args:
            key: a random key. Worker i's t-th compute time depends on (key, i, t) alone.
            compute_times: one law of ``a3cjax.compute_times`` for each of the N workers.
            num_updates: K, at least 1.
            read_latency: how old, in the unit of the compute times, the versions are that a worker reads; at least 0.
            write_time: how long the serialised write of one gradient takes, in that unit; at least 0. Landings are at
                least this far apart.

        Returns:
            The schedule; its ``time`` is in the unit of the compute times.

        Raises:
            ValueError: if ``key`` is not one key, ``compute_times`` is not a list of laws, or a number is out of range.

        >>> import jax, a3cjax
        >>> laws = [a3cjax.compute_times.Deterministic(1.0), a3cjax.compute_times.Deterministic(2.5)]
        >>> schedule = a3cjax.Schedule.from_workers(jax.random.key(0), laws, 6)
        >>> schedule.worker.tolist(), schedule.delay.tolist()
        ([0, 0, 1, 0, 0, 0], [0, 0, 2, 1, 0, 0])
        >>> schedule.time.tolist()
        [1.0, 2.0, 2.5, 3.0, 4.0, 5.0]
        """
        writes = simulate_workers(key, compute_times, num_updates, read_latency, write_time)
        return cls(*writes, num_workers=len(compute_times))

    @classmethod
    def stack(cls, schedules: Sequence["Schedule"]) -> "Schedule":
        """Schedules of one length as a batch: columns [B, K], and as many workers as the largest has.

        Raises:
            ValueError: if there are none, or their lengths differ.

        >>> import a3cjax
        >>> a3cjax.Schedule.stack([a3cjax.Schedule.sequential(3)] * 2).delay.shape
        (2, 3)
        """
        if not schedules:
            raise ValueError("schedules is empty; give at least one to stack.")
        for b, schedule in enumerate(schedules):
            shape, first = schedule.delay.shape, schedules[0].delay.shape
            if shape != first:
                raise ValueError(
                    f"schedules[{b}] has shape {shape}, but schedules[0] has {first}; cut both with schedule[:n]."
                )
        xp = np if _check.is_concrete(schedules) else jnp
        columns = (xp.stack(column) for column in zip(*((s.worker, s.delay, s.time) for s in schedules), strict=True))
        return cls(*columns, num_workers=max(s.num_workers for s in schedules))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Schedule":
        """Read what ``save`` wrote, and validate it.

        Raises:
            ValueError: if the file is not a saved schedule, or the schedule in it is not valid.
            FileNotFoundError: if there is no such file.
        """
        columns, num_workers = _file.load(path)
        return cls(*columns, num_workers=num_workers)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a NumPy archive (.npz) at exactly ``path``; a crash leaves the old file or the new one, never half.

        >>> import tempfile, pathlib, a3cjax
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "schedule.npz"
        ...     a3cjax.Schedule.sequential(3).save(path)
        ...     a3cjax.Schedule.load(path).num_updates
        3
        """
        _file.save(path, (self.worker, self.delay, self.time), self.num_workers)

    # --------------------------------------------------------------------------------------------------- what it says

    def __repr__(self) -> str:
        return f"Schedule({' × '.join(map(str, np.shape(self.delay)))} updates by {self.num_workers} workers)"

    def __len__(self) -> int:
        return self.num_updates

    @property
    def num_updates(self) -> int:
        """K, the number of updates."""
        return self.delay.shape[-1]

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """The axes in front of the updates: () for one schedule, (B,) for B of them."""
        return self.delay.shape[:-1]

    @property
    def max_delay(self) -> Any:
        """The greatest delay, in updates: an int, or an array [B] for a batch."""
        greatest = self.delay.max(-1)
        return greatest if self.batch_shape or not _check.is_concrete(greatest) else int(greatest)

    @property
    def mean_delay(self) -> Any:
        """The mean delay, in updates: a float, or an array [B] for a batch."""
        return plain(self.delay.mean(-1))

    @property
    def reads(self) -> Int32[Array | np.ndarray, "*batch updates"]:
        """The version that each update was computed from: k − delay[k]."""
        return np.arange(self.num_updates, dtype=np.int32) - self.delay

    @property
    def own_reads(self) -> Any:
        """Whether every update was computed from the version that its worker's previous write left.

        That is delay[k] = k − 1 − prev(k) for every k, prev(k) being the worker's update before k, and −1 before its
        first. Then a worker's gradient can be computed at the moment of its previous write and kept until it lands,
        without any memory of old parameters. A bool, or an array [B] for a batch.

        >>> import jax, a3cjax
        >>> a3cjax.Schedule.sequential(3).own_reads
        True
        >>> a3cjax.Schedule.from_law(jax.random.key(0), a3cjax.delays.Constant(1), 3).own_reads
        False
        """
        own = self._own_reads_and_ranks[0]
        return own if self.batch_shape or not _check.is_concrete(own) else bool(own)

    def ranks(self) -> Int32[Array | np.ndarray, "*batch updates"]:
        """t_k = #{j < k: worker_j = worker_k}: update k is its worker's t_k-th, counted from 0.

        >>> import a3cjax
        >>> a3cjax.Schedule(worker=[0, 1, 0, 0], delay=[0, 1, 1, 0], time=[1, 2, 3, 4]).ranks().tolist()
        [0, 0, 1, 2]
        """
        return self._own_reads_and_ranks[1]

    @cached_property
    def _own_reads_and_ranks(self) -> tuple[Any, Any]:
        """Both, from one sort; kept, because a schedule is often replayed many times."""
        xp, order, first = self._by_worker()
        before = xp.where(first, -1, xp.roll(order, 1, axis=-1))
        own = (xp.take_along_axis(self.reads, order, axis=-1) == before + 1).all(-1)
        position = xp.broadcast_to(xp.arange(self.num_updates, dtype=np.int32), order.shape)
        start = xp.maximum.accumulate(xp.where(first, position, 0), axis=-1)
        ranks = position - start
        if xp is np:
            unsorted = np.empty_like(ranks)
            np.put_along_axis(unsorted, order, ranks, axis=-1)
        else:
            unsorted = jnp.put_along_axis(jnp.zeros_like(ranks), order, ranks, axis=-1, inplace=False)
        return own, unsorted

    def __getitem__(self, item: Any) -> "Schedule":
        """``schedule[:n]`` is the first n updates; ``batch[b]`` is one schedule of a batch.

        >>> import a3cjax
        >>> len(a3cjax.Schedule.sequential(10)[:4])
        4
        """
        if isinstance(item, slice):
            if item.start not in (None, 0) or item.step not in (None, 1):
                raise ValueError(
                    "a schedule can be cut at its end only, as in schedule[:n], or its delays lose meaning."
                )
            if len(range(*item.indices(self.num_updates))) == 0:
                raise ValueError(f"schedule[:{item.stop}] is empty; keep at least one of {self.num_updates} updates.")
            where: Any = (..., slice(item.stop))
        elif not self.batch_shape:
            raise ValueError(
                "one schedule cannot be indexed by update; use its worker, delay and time, or schedule[:n]."
            )
        else:
            where = operator.index(item)
            if not -self.batch_shape[0] <= where < self.batch_shape[0]:
                raise IndexError(f"schedule {where} was asked for, but the batch has {self.batch_shape[0]}.")
        return jax.tree.map(lambda column: column[where], self)

    def __iter__(self) -> Iterator["Schedule"]:
        if not self.batch_shape:
            raise ValueError("one schedule cannot be iterated over; use its worker, delay and time.")
        return (self[b] for b in range(self.batch_shape[0]))

    def plot(self, ax: "Axes | None" = None) -> "Figure":
        """Draw the delays against the updates and, unless ``ax`` is given, their histogram and each worker's activity.

        Args:
            ax: where to draw the delays alone; a new figure with three panels if not given.

        Returns:
            The figure drawn on.

        Raises:
            ValueError: if this is a batch.
        """
        if self.batch_shape:
            raise ValueError("plot draws one schedule, and this is a batch; choose one with batch[b].")
        worker, delay, time = np.asarray(self.worker), np.asarray(self.delay), np.asarray(self.time)
        return _plot.plot(worker, delay, time, self.num_workers, ax)

    def _by_worker(self) -> tuple[Any, Any, Any]:
        """NumPy or its JAX twin; the updates sorted by worker, in order within each; which are a worker's first."""
        xp: Any = np if isinstance(self.worker, np.ndarray) else jnp
        # NumPy sorts 16-bit integers by radix, ten times faster than 32-bit ones.
        small = self.num_workers <= np.iinfo(np.uint16).max
        worker = self.worker.astype(np.uint16) if small else self.worker
        order = xp.argsort(worker, axis=-1, stable=True)
        grouped = xp.take_along_axis(worker, order, axis=-1)
        changes = grouped[..., 1:] != grouped[..., :-1]
        first = xp.concatenate([xp.ones_like(grouped[..., :1], dtype=bool), changes], axis=-1)
        return xp, order, first


@partial(jax.jit, static_argnums=(2, 3))
def _draw(key, law, num_updates, num_workers):
    """Workers and delays of ``from_law``."""
    law_key, worker_key = jax.random.split(key)
    delay = jnp.minimum(law.sample(law_key, num_updates), jnp.arange(num_updates, dtype=jnp.int32))
    worker = _random.below(jax.random.bits(worker_key, (num_updates,), jnp.uint32), num_workers)
    return worker, delay.astype(jnp.int32)


def _times(time: Any) -> np.ndarray:
    try:
        return np.asarray(time, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"time must hold numbers, but is {time!r}.") from error


def _check_shapes(worker: Any, delay: Any, time: Any) -> None:
    if not worker.shape == delay.shape == time.shape:
        shapes = f"{worker.shape}, {delay.shape} and {time.shape}"
        raise ValueError(f"worker, delay and time have shapes {shapes}, but must have the same.")
    if not delay.ndim or 0 in delay.shape:
        raise ValueError(
            f"the schedule has shape {delay.shape}; give at least one update, as worker, delay and time [K]."
        )


def _check_values(worker: np.ndarray, delay: np.ndarray, time: np.ndarray, num_workers: int) -> None:
    if (worker >= num_workers).any():
        where = _first(worker >= num_workers)
        raise ValueError(
            f"worker{_check.index(where)} is {worker[where]}, but num_workers is {num_workers}; "
            f"workers are numbered 0 to {num_workers - 1}."
        )
    early = delay > np.arange(delay.shape[-1])
    if early.any():
        where = _first(early)
        raise ValueError(
            f"delay{_check.index(where)} is {delay[where]}, but only {where[-1]} updates come before it; "
            "use np.minimum(delay, np.arange(K)) if the run starts there."
        )
    _check.finite("time", time)
    backwards = np.diff(time, axis=-1) < 0
    if backwards.any():
        where = _first(backwards)
        after = (*where[:-1], where[-1] + 1)
        raise ValueError(
            f"time{_check.index(after)} is {time[after]:g}, before the update ahead of it at {time[where]:g}; "
            "sort the updates by when they landed."
        )


def _first(bad: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argwhere(bad)[0])
