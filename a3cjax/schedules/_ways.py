"""The ways to make a schedule: from a law of delays, from a pipeline, from a log, and those of ``_team_ways.py``."""

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from jaxtyping import Array, Key

from a3cjax._core import check
from a3cjax.schedules import _columns, _random
from a3cjax.schedules._law import draw_delays
from a3cjax.schedules._pipeline import draw_pipeline
from a3cjax.schedules._team_ways import TeamWays
from a3cjax.schedules.compute_times import ComputeTime
from a3cjax.schedules.delays import DelayLaw


class Ways(TeamWays):
    """What ``Schedule`` is made by, beside its columns; each gives columns to the class itself."""

    @classmethod
    def sequential(cls, num_updates: int) -> Self:
        """One worker that always reads the newest version: delay 0, update k landing at time k + 1.

        Raises:
            ValueError: if ``num_updates`` is not a whole number of at least 1.

        >>> import a3cjax
        >>> a3cjax.Schedule.sequential(3).delay.tolist()
        [0, 0, 0]
        """
        num_updates = check.integer("num_updates", num_updates, least=1)
        _columns.check_size("num_updates", num_updates)
        updates = np.arange(num_updates)
        return cls(np.zeros_like(updates), np.zeros_like(updates), updates + 1.0, num_workers=1)

    @classmethod
    def from_law(cls, key: Key[Array, ""], law: DelayLaw, num_updates: int, num_workers: int = 1) -> Self:
        """Delays drawn from a law: the abstract model of staleness.

        delay[k] = min(draw, k), because no version is older than the first; the worker is uniform at random and
        update k lands at time k + 1. Two updates may be computed from the same version, unlike with workers that read
        after their own writes (``from_workers``).

        Args:
            key: a random key.
            law: a law of ``a3cjax.delays``, or anything with ``mean`` and ``sample(key, num_updates)``.
            num_updates: K, at least 1.
            num_workers: N, at least 1.

        Raises:
            ValueError: if ``key`` is not one key, ``law`` is not a law or draws anything but a whole number of at least
                0 for each update, or a number is out of range.

        >>> import jax, a3cjax
        >>> schedule = a3cjax.Schedule.from_law(jax.random.key(0), a3cjax.delays.Constant(2), 5)
        >>> schedule.delay.tolist()
        [0, 1, 2, 2, 2]
        """
        key = _random.random_key(key)
        num_updates = check.integer("num_updates", num_updates, least=1)
        _columns.check_size("num_updates", num_updates)
        num_workers = check.integer("num_workers", num_workers, least=1, most=check.MOST)
        if not isinstance(law, DelayLaw):
            raise ValueError(f"law is {law!r}, but must have a mean and a sample(key, num_updates); see a3cjax.delays.")
        worker, delay = draw_delays(key, law, num_updates, num_workers)
        return cls(worker, delay, np.arange(1.0, num_updates + 1), num_workers=num_workers)

    @classmethod
    def from_pipeline(
        cls,
        key: Key[Array, ""],
        generators: Sequence[ComputeTime],
        learner_time: ComputeTime,
        num_updates: int,
        *,
        batch: int,
        queue: int | None,
        max_staleness: int | None = None,
        on_stale: Literal["drop", "wait"] = "drop",
        publish_every: int = 1,
        publish_time: float = 0.0,
        publish_lag: int = 0,
        order: Literal["fifo", "newest"] = "fifo",
        in_flight: bool = False,
        replays: int = 1,
    ) -> Self:
        """Generators that send samples through a queue to a learner; see ``events/pipeline.py``.

        Every sample that the learner takes is a row, and ``report`` says what else happened: lags in flight and in the
        queue, what was dropped, who idled. docs/choose/pipelines.md gives the bounds of today's systems as these
        arguments.

        Args:
            key: a random key. Generator i's t-th time depends on (key, i, t) alone, the learner's on (key, t).
            generators: one law of ``a3cjax.compute_times`` for each generator, of the time that one sample takes.
            learner_time: the law of the time that one update takes, in the same unit.
            num_updates: updates, at least 1; a multiple of ``replays``.
            batch: samples of one update, at least 1.
            queue: finished samples that the queue holds, at least 0; None for any number. Beside them each generator
                that is blocked holds one.
            max_staleness: a bound of the staleness in updates, the learner's version when a sample is taken less the
                version that it was started with; None for no bound.
            on_stale: "drop" discards a sample that is staler when it is taken, as a row of weight 0; "wait" drops none
                and starts a sample only when the batches before its own are at most ``max_staleness`` updates ahead of
                what generators see, which bounds the samples under way by (max_staleness + 1) · batch.
            publish_every: updates between two versions that generators get to see.
            publish_time: how long these travel, in the unit of the laws; the learner does not wait for it.
            publish_lag: updates that are made before they set out.
            order: whether the learner takes the oldest ("fifo") or the newest sample of the queue.
            in_flight: whether versions change within a sample, which then has a first and a last. The delay is counted
                from the first; the report has both.
            replays: updates that are made of each batch. A replayed sample is a row once more, with new draws.

        Returns:
            The schedule; its ``time`` is in the unit of the laws, its ``delay`` the staleness in updates.

        Raises:
            ValueError: as in ``from_workers``; also if anything is being traced, if an option would have no effect, or
                if the bound is so low that nothing would go on.

        >>> import jax, a3cjax
        >>> law = a3cjax.compute_times.Deterministic
        >>> options = dict(batch=2, queue=1, max_staleness=1)
        >>> schedule = a3cjax.Schedule.from_pipeline(jax.random.key(0), [law(1.0), law(5.0)], law(2.0), 4, **options)
        >>> schedule.worker.tolist(), schedule.delay.tolist()
        ([0, 0, 0, 0, 0, 1, 0, 0, 0], [0, 0, 1, 1, 1, 2, 1, 1, 1])
        >>> schedule.weight.tolist()
        [1, 1, 1, 1, 1, 0, 1, 1, 1]
        >>> round(schedule.report.share_dropped, 3)
        0.111
        """
        columns, report = draw_pipeline(
            key, generators, learner_time, num_updates=num_updates, batch=batch, queue=queue,
            max_staleness=max_staleness, on_stale=on_stale, publish_every=publish_every, publish_time=publish_time,
            publish_lag=publish_lag, order=order, in_flight=in_flight, replays=replays,
        )  # fmt: skip
        schedule = cls(**columns, num_workers=len(generators))
        object.__setattr__(schedule, "_report", report)
        return schedule

    @classmethod
    def from_log(
        cls,
        source: Any,
        *,
        worker: str | None = None,
        read: str | None = None,
        written: str | None = None,
        time: str | None = None,
        read_time: str | None = None,
        done: str | None = None,
        taken: str | None = None,
        dropped: str | None = None,
        order: Literal["auto", "counter", "clock"] = "auto",
        counts_from: int | None = None,
        first_version: int | None = None,
        gaps: Literal["refuse", "fill"] = "refuse",
        duplicates: Literal["refuse", "drop"] = "refuse",
        shared: Literal["refuse", "average"] = "refuse",
        clocks: Literal["refuse", "hold"] = "refuse",
        preset: str | None = None,
        averages: Literal["refuse", "as delays"] = "refuse",
        run: str | None = None,
    ) -> Self:
        """The schedule that a real asynchronous run realised, from its log; docs/howto/logs.md shows it.

        A row of the log is an update: who made it, the version ``read`` that it was computed from, and ``written``, the
        number of updates before it, so that delay = written − read. Or it is a sample of a pipeline: several samples
        that trained one version make one update, by their mean. What a log leaves open is refused, with a sentence,
        unless an argument closes it; nothing is clipped or left out silently, and ``report`` says what was found.

        Without a lock a counter loses counts. Such a log is ordered by the clock: row k is the k-th to be written, and
        delay[k] = k − #{j < k: time[j] ≤ read_time[k]}.

        Args:
            source: the path of a CSV file, of JSON lines or of a parquet file (with pyarrow); a folder that
                ``a3cjax.recorder`` wrote; or a mapping from names to columns, or a frame with ``columns``.
            worker: the column of the workers' names, of any kind; as for the others, a usual name is found by itself.
                Names that are whole numbers are ordered by value, others as texts with the numbers in them by value.
            read: the column of versions read; of samples, the newest version when their generation began.
            written: the column of versions written; of samples, the version that they trained.
            time: the column of times of the writes: numbers of any unit, or texts of ISO 8601, which become seconds.
            read_time: the column of the times of the reads, on the same clock.
            done: of samples, the column of the newest version when their generation ended.
            taken: of samples, the column of the newest version when they were taken off the queue.
            dropped: of samples, the column that says which were thrown away then.
            order: "counter", by ``written``; "clock", by ``time``; or the first unless the counter is broken.
            counts_from: 1 if ``written`` was noted after the counter was raised, else 0; found out if it can be.
            first_version: the version that the schedule begins with; for a log that begins in mid-run. Updates computed
                from versions before it are then computed from it, and rows before it are left out.
            gaps: "fill" puts in an update for each missing version: by an additional worker, of delay 0, landing with
                the next one.
            duplicates: "drop" leaves out rows that repeat another in every column.
            shared: "average" says that rows of one version make one update, by their mean.
            clocks: "hold" has an update whose time is before one ahead of it land with the latest ahead of it.
            preset: a system whose reported staleness ``source`` has: "areal", "prime-rl", "verl", "skyrl",
                "open-instruct", "rllib" or "sample-factory"; all report averages.
            averages: "as delays" has each reported average, rounded, as the delay of one update.
            run: which run, where the recorder's lines are of several.

        Returns:
            The schedule; its ``report`` says what was found, and reads well when printed.

        Raises:
            ValueError: if the log cannot be read or leaves something open; the sentence says where and what to do, and
                the error's ``report`` what could be read.
            FileNotFoundError: if there is no such file.

        >>> import a3cjax
        >>> log = {"worker": ["b", "a", "b"], "read": [0, 0, 1], "written": [0, 1, 2], "time": [1.0, 1.5, 2.0]}
        >>> schedule = a3cjax.Schedule.from_log(log)
        >>> schedule.worker.tolist(), schedule.delay.tolist(), schedule.report.workers
        ([1, 0, 1], [0, 1, 1], ('a', 'b'))
        """
        from a3cjax.schedules.logs.read import Choices, read_log  # here, because a dozen files take time to import

        given = {"worker": worker, "read": read, "written": written, "time": time, "read_time": read_time}
        given |= {"done": done, "taken": taken, "dropped": dropped}
        choices = Choices(order, counts_from, first_version, gaps, duplicates, shared, clocks)
        rows, report = read_log(source, given, choices, preset=preset, averages=averages, run=run)
        # The rows are what __init__ would ask for, and may be too many to be looked at all at once.
        made = object.__new__(cls)
        for name, value in {**rows.columns(), "num_workers": len(rows.workers), "_report": report}.items():
            object.__setattr__(made, name, value)
        return made
