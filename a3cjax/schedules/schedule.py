"""The schedule: who made each update, how stale it was, and when it landed."""

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int32, Key

from a3cjax._core import check
from a3cjax._core.tree import pytree, static
from a3cjax.schedules import _columns, _file, _plot
from a3cjax.schedules._resampled import resample
from a3cjax.schedules._values import plain, whole_numbers
from a3cjax.schedules._ways import Ways
from a3cjax.schedules.events.turns import own_reads_and_ranks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from a3cjax.schedules.logs.describe import Description


@pytree
class Schedule(Ways):
    """Who made each update, how stale it was, and when it landed.

    Update k, the k-th to be written, is computed from version ``k − delay[k]`` of the parameters; version j is the one
    after j updates. A delay of 0 is the sequential algorithm. A schedule does not depend on parameters: it is drawn
    first, and can be plotted, saved and replayed by any learner.

    With a ``commit`` column row k is a message: messages are averaged, with equal weights, until one commits, and that
    makes one update of their mean. Versions, and so delays, count commits: v_k = #{j < k: commit[j]} versions exist
    before message k, which is computed from version v_k − delay[k]. Messages after the last commit are never applied;
    they are what a cut, ``schedule[:n]``, may leave.

    With a ``weight`` column a message of weight 0 is discarded: its worker computes it, so that the worker's chains and
    draws go on, and nobody applies it. An update is the mean of its group's messages of weight 1; without ``commit``
    each of these is an update of its own, and v_k = #{j < k: weight[j] = 1}.

    Built from arrays whose values are known, it is validated and holds NumPy arrays. Built inside ``jax.jit`` or
    ``jax.vmap``, only shapes are checked; ``vmap`` puts a batch axis in front, and so does ``Schedule.stack``.

    Args:
        worker: [K] or [B, K], whole numbers in 0, …, num_workers − 1.
        delay: [K] or [B, K], whole numbers of updates with 0 ≤ delay[k] ≤ k (≤ v_k with ``commit`` or ``weight``), of
            a discarded message too.
        time: [K] or [B, K], when the update landed, nondecreasing, in any unit.
        num_workers: how many workers there are; the greatest in ``worker`` plus one if not given.
        commit: [K] or [B, K], whether message k ends a group that is averaged; None, which is also what ``weight == 1``
            becomes (all True, if none is discarded), if every message that counts is an update of its own.
        weight: [K] or [B, K], 1, or 0 for a message that is discarded; None, which is also what all 1 becomes, if none
            is.

    Raises:
        ValueError: if the schedule is empty or has more than 2³¹ − 1 rows, shapes differ, a delay is negative or from
            before the start, a worker is out of range, a time is not finite or decreases, ``commit`` is not True or
            False everywhere or ``weight`` not 0 or 1, every message of an update is discarded, or ``num_workers`` is
            missing while values are traced.

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
    commit: Bool[Array | np.ndarray, "*batch updates"] | None
    weight: Int32[Array | np.ndarray, "*batch updates"] | None

    def __init__(
        self,
        worker: Any,
        delay: Any,
        time: Any,
        *,
        num_workers: int | None = None,
        commit: Any | None = None,
        weight: Any | None = None,
    ):
        if num_workers is not None:
            num_workers = check.integer("num_workers", num_workers, least=1, most=check.MOST)
        _columns.check_lengths(worker=worker, delay=delay, time=time, commit=commit, weight=weight)
        if check.is_concrete(worker, delay, time, commit, weight):
            worker = whole_numbers("worker", worker, least=0)
            delay = whole_numbers("delay", delay, least=0)
            time = _columns.times(time)
            commit = None if commit is None else _columns.commits(commit)
            weight = None if weight is None else _columns.weights(weight)
            _columns.check_shapes(worker, delay, time, commit, weight)
            _columns.check_groups(commit, weight)
            commit, weight = _columns.normal(commit, weight)
            num_workers = int(worker.max()) + 1 if num_workers is None else num_workers
            check.integer("num_workers", num_workers, least=1, most=check.MOST)
            versions = _columns.versions(delay, commit, weight)
            counts = "weight" if commit is None else "commit"
            _columns.check_values(worker, delay, time, versions, num_workers, counts)
        else:
            worker, delay, time = (jnp.asarray(column) for column in (worker, delay, time))
            commit = None if commit is None else jnp.asarray(commit).astype(bool)
            weight = None if weight is None else jnp.asarray(weight).astype(jnp.int32)
            _columns.check_shapes(worker, delay, time, commit, weight)
            if num_workers is None:
                raise ValueError("num_workers must be given when the schedule's values are traced.")
        columns = {"worker": worker, "delay": delay, "time": time, "commit": commit, "weight": weight}
        for name, value in {**columns, "num_workers": num_workers}.items():
            object.__setattr__(self, name, value)

    # --------------------------------------------------------------------------------------- several, files of them

    @classmethod
    def stack(cls, schedules: Sequence["Schedule"]) -> "Schedule":
        """Schedules of one length as a batch: columns [B, K], and as many workers as the largest has.

        If messages are averaged in one of them, the batch has a ``commit`` column, true for the others wherever a
        message counts; if some are discarded in one of them, a ``weight`` column.

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
        xp = np if check.is_concrete(schedules) else jnp
        columns = (xp.stack(column) for column in zip(*((s.worker, s.delay, s.time) for s in schedules), strict=True))
        weights = [np.ones(s.delay.shape, np.int32) if s.weight is None else s.weight for s in schedules]
        pairs = zip(schedules, weights, strict=True)
        commits = [weight == 1 if s.commit is None else s.commit for s, weight in pairs]
        return cls(
            *columns,
            num_workers=max(s.num_workers for s in schedules),
            commit=None if all(s.commit is None for s in schedules) else xp.stack(commits),
            weight=None if all(s.weight is None for s in schedules) else xp.stack(weights),
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Schedule":
        """Read what ``save`` wrote, and validate it.

        Raises:
            ValueError: if the file is not a saved schedule, or the schedule in it is not valid.
            FileNotFoundError: if there is no such file.
        """
        columns, num_workers, optional = _file.load(path)
        return cls(*columns, num_workers=num_workers, **optional)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a NumPy archive (.npz) at exactly ``path``; a crash leaves the old file or the new one, never half.

        >>> import tempfile, pathlib, a3cjax
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "schedule.npz"
        ...     a3cjax.Schedule.sequential(3).save(path)
        ...     a3cjax.Schedule.load(path).num_updates
        3
        """
        columns = self.worker, self.delay, self.time
        _file.save(path, columns, self.num_workers, commit=self.commit, weight=self.weight)

    # --------------------------------------------------------------------------------------------------- what it says

    @property
    def report(self) -> Any:
        """What is known of how it was made: a ``PipelineReport`` from ``from_pipeline``, a ``LogReport`` from a log.

        None for all others. It belongs to this one object. What is made of it, by ``jit`` or a cut or a file, is
        columns alone and has none.
        """
        return self.__dict__.get("_report")

    def __repr__(self) -> str:
        what = "updates" if self.commit is None and self.weight is None else "messages"
        return f"Schedule({' × '.join(map(str, np.shape(self.delay)))} {what} by {self.num_workers} workers)"

    def __len__(self) -> int:
        return self.num_messages

    @property
    def num_messages(self) -> int:
        """K, the number of rows: of updates, or with ``commit`` or ``weight`` of messages."""
        return self.delay.shape[-1]

    @property
    def num_updates(self) -> Any:
        """The number of updates: K or, with ``commit``, of commits, or else of messages of weight 1.

        An int, or an array [B] for a batch in which messages are averaged or discarded.
        """
        counted = self.weight if self.commit is None else self.commit
        if counted is None:
            return self.num_messages
        updates = counted.sum(-1)
        return updates if self.batch_shape or not check.is_concrete(updates) else int(updates)

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """The axes in front of the updates: () for one schedule, (B,) for B of them."""
        return self.delay.shape[:-1]

    @property
    def max_delay(self) -> Any:
        """The greatest delay, in updates, of discarded messages too: an int, or an array [B] for a batch."""
        greatest = self.delay.max(-1)
        return greatest if self.batch_shape or not check.is_concrete(greatest) else int(greatest)

    @property
    def mean_delay(self) -> Any:
        """The mean delay, in updates, of the messages of weight 1 (NaN if there is none).

        A float, or an array [B] for a batch.
        """
        return plain(_columns.mean_delay(self.delay, self.weight))

    @property
    def versions(self) -> Int32[Array | np.ndarray, "*batch updates"]:
        """v_k, the versions that exist before row k, without the first: k itself, unless some rows make no update.

        [K], or of the shape of ``delay`` with ``commit`` or ``weight``.
        """
        return _columns.versions(self.delay, self.commit, self.weight)

    @property
    def reads(self) -> Int32[Array | np.ndarray, "*batch updates"]:
        """The version that each row was computed from: v_k − delay[k], which is k − delay[k] if all are updates."""
        return self.versions - self.delay

    @property
    def own_reads(self) -> Any:
        """Whether every update was computed from the version that its worker's previous write left.

        That is delay[k] = k − 1 − prev(k) for every k, prev(k) being the worker's update before k, and −1 before its
        first. Then a worker's gradient can be computed at the moment of its previous write and kept until it lands,
        without any memory of old parameters. A message that is discarded counts as written, though it leaves the
        version as it was. False where messages are averaged. A bool, or an array [B] for a batch.

        >>> import jax, a3cjax
        >>> a3cjax.Schedule.sequential(3).own_reads
        True
        >>> a3cjax.Schedule.from_law(jax.random.key(0), a3cjax.delays.Constant(1), 3).own_reads
        False
        """
        own_reads = self._own_reads_and_ranks[0]
        return own_reads if self.batch_shape or not check.is_concrete(own_reads) else bool(own_reads)

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
        versions = None if self.weight is None else self.versions
        own_reads, ranks = own_reads_and_ranks(self.worker, self.reads, self.num_workers, versions)
        return own_reads if self.commit is None else own_reads & self.commit.all(-1), ranks

    def describe(self) -> "Description":
        """What the delays are like: by worker, their moments, quantiles and autocorrelation, the nearest simple law.

        Also whether workers read right after their own writes and, of a log that tells, how long they were idle and
        waited. What ``from_log`` put in for
        missing updates, and what is discarded, is left out of what is said of delays.

        Raises:
            ValueError: if this is a batch, or its values are traced.

        >>> import a3cjax
        >>> print(a3cjax.Schedule(worker=[0, 1, 0, 1], delay=[0, 1, 1, 1], time=[1.0, 1.5, 2.0, 3.0]).describe())
        4 rows, 4 updates by 2 workers; 1.5 updates a unit of time.
        Delay: mean 0.75, standard deviation 0.433, median 1, 99 % 1, greatest 1.
        They are like no simple law; the nearest is Constant(1) (total variation 0.25).
        Autocorrelation from lag 1 on: -0.08, -0.17, -0.25.
        100.0% of reads directly follow the worker's own write; 0 versions come between the two on average.
        <BLANKLINE>
        worker  updates  mean    sd  median  99 %  most  own reads
        0             2  0.50  0.50       0     1     1     100.0%
        1             2  1.00  0.00       1     1     1     100.0%
        """
        from a3cjax.schedules.logs.describe import describe  # here, because few schedules come from a log

        if self.batch_shape or not check.is_concrete(self):
            raise ValueError("describe is of one schedule whose values are known; choose one with batch[b].")
        columns = (self.worker, self.delay, self.time, self.versions, self.commit, self.weight)
        worker, delay, time, versions, commit, weight = (
            None if column is None else np.asarray(column) for column in columns
        )
        return describe(worker, delay, time, versions, commit, weight, self.num_workers, self.report)

    def resampled(self, key: Key[Array, ""], num_updates: int, *, length: int | None = None) -> "Schedule":
        """A schedule put together anew from whole stretches of this one, such as a log: the circular block bootstrap.

        A round of a worker is the time from one landing of its to the next, and how many versions n newer the one read
        in between was than the first landing's own: 0 for its own, negative for one before. Worker i goes through
        rounds of its own here, ``length`` of them on end, from places drawn anew for each stretch, as
        ``compute_times.Stretches`` does with times. Delays are what comes of it: the landings of others in the round
        less n, if these are so many, and if the version read is not from before the start. So each round has the law
        of this schedule's exactly, and follows the one that it did follow: of an autocorrelation at lag l, 1 − l /
        length is left. Delays have the mean N − 1 − E n, N workers that always read their own. How workers depend on
        each other, beyond landing in turn, is lost.

        All begin together at time 0, from version 0.

        Args:
            key: a random key. Worker i's t-th stretch depends on (key, i, t) alone.
            num_updates: K, at least 1; more than this schedule has, if you like.
            length: rounds of a stretch, at least 1; ⌈√M⌉ of a worker that has M if not given, for which see
                ``compute_times.Stretches``.

        Raises:
            ValueError: if a number is out of range, ``key`` is not one key, a worker has no two updates at different
                times, this is a batch or its values are traced, or messages are averaged or discarded in it.

        >>> import jax, a3cjax
        >>> log = a3cjax.Schedule(worker=[0, 1, 0, 1, 0, 1], delay=[0, 1, 1, 1, 1, 1], time=[1, 2, 4, 5, 8, 9])
        >>> again = log.resampled(jax.random.key(0), 8, length=2)
        >>> again.time[again.worker == 0].tolist(), again.delay.tolist()
        ([3.0, 7.0, 11.0, 14.0], [0, 1, 1, 1, 1, 1, 1, 1])
        """
        worker, delay, time = resample(self, key, num_updates, length)
        return type(self)(worker, delay, time, num_workers=self.num_workers)

    def __getitem__(self, item: Any) -> "Schedule":
        """``schedule[:n]`` is the first n updates; ``batch[b]`` is one schedule of a batch.

        >>> import a3cjax
        >>> len(a3cjax.Schedule.sequential(10)[:4])
        4
        """
        where = _columns.place(item, self.num_messages, self.batch_shape)
        return jax.tree.map(lambda column: column[where], self)

    def __iter__(self) -> Iterator["Schedule"]:
        if not self.batch_shape:
            raise ValueError("one schedule cannot be iterated over; use its worker, delay and time.")
        return (self[b] for b in range(self.batch_shape[0]))

    def plot(self, ax: "Axes | None" = None) -> "Figure":
        """Draw the delays against the updates and, unless ``ax`` is given, their histogram and each worker's activity.

        Args:
            ax: where to draw the delays alone; a new figure with three panels if not given. Returned is the figure.

        Raises:
            ValueError: if this is a batch.
        """
        if self.batch_shape:
            raise ValueError("plot draws one schedule, and this is a batch; choose one with batch[b].")
        worker, delay, time = np.asarray(self.worker), np.asarray(self.delay), np.asarray(self.time)
        optional = (None if column is None else np.asarray(column) for column in (self.commit, self.weight))
        return _plot.plot(worker, delay, time, self.num_workers, ax, *optional)
