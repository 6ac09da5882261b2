"""The ways to draw a schedule from workers whose compute times are drawn, and from who waits for whom."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from jaxtyping import Array, Float, Key

from a3cjax.schedules._workers import draw_workers
from a3cjax.schedules.compute_times import ComputeTime
from a3cjax.schedules.events.bounded import check_bound, simulate_ringmaster, simulate_stale_synchronous
from a3cjax.schedules.events.gathering import simulate_barrier, simulate_buffer


class TeamWays:
    """What ``Schedule`` is made by, of a team of workers; each gives columns to the class itself."""

    if TYPE_CHECKING:

        def __init__(
            self,
            worker: Any,
            delay: Any,
            time: Any,
            *,
            num_workers: int | None = None,
            commit: Any | None = None,
            weight: Any | None = None,
        ): ...

    @classmethod
    def from_workers(
        cls,
        key: Key[Array, ""],
        compute_times: Sequence[ComputeTime],
        num_updates: int,
        *,
        read_latency: Float[Array, ""] | float = 0.0,
        write_time: Float[Array, ""] | float = 0.0,
        wait: ComputeTime | float | Sequence[ComputeTime | float] | None = None,
        cores: int | None = None,
        time_slice: float | None = None,
    ) -> Self:
        """Workers that compute at random speeds, each reading at its own writes; see ``events/workers.py``.

        Always-busy workers that wait for nobody. With ``read_latency = write_time = 0`` a worker reads right after its
        own write, so the mean delay tends to N − 1 whatever the laws are; with a ``wait`` it is less. Workers that
        wait or share cores are in ``events/cores.py``.

        Args:
            key: a random key. Worker i's t-th compute time depends on (key, i, t) alone, and so does its t-th wait.
            compute_times: one law of ``a3cjax.compute_times`` for each of the N workers.
            num_updates: K, at least 1.
            read_latency: how old, in the unit of the compute times, the versions are that a worker reads; at least 0.
            write_time: how long the serialised write of one gradient takes, in that unit; at least 0. Landings are at
                least this far apart.
            wait: how long it takes from the landing of a worker's write to its next read, which it then does one after
                the other; without, it reads and computes on while its write is under way. A number of at least 0, a
                law of ``a3cjax.compute_times`` or ``a3cjax.waits`` for all workers, or a list of N of these.
            cores: how many workers can compute at a time, at least 1; the others stand in line, in the order in which
                they came. A compute time is one on a core. For N and more it is as without.
            time_slice: how long, in that unit, a worker may keep its core while others stand in line, on however many
                computations; without, or if infinite, until it has to wait.

        Returns:
            The schedule; its ``time`` is in the unit of the compute times.

        Raises:
            ValueError: if ``key`` is not one key, ``compute_times`` is not a list of laws, one of them draws a time
                that is not positive and finite (a wait may be 0), a number is out of range, ``time_slice`` is given
                without ``cores``, workers without a wait might keep all cores for lack of it, or anything is being
                traced while workers wait or share cores.

        >>> import jax, a3cjax
        >>> laws = [a3cjax.compute_times.Deterministic(1.0), a3cjax.compute_times.Deterministic(2.5)]
        >>> schedule = a3cjax.Schedule.from_workers(jax.random.key(0), laws, 6)
        >>> schedule.worker.tolist(), schedule.delay.tolist()
        ([0, 0, 1, 0, 0, 0], [0, 0, 2, 1, 0, 0])
        >>> schedule.time.tolist()
        [1.0, 2.0, 2.5, 3.0, 4.0, 5.0]
        >>> laws = [a3cjax.compute_times.Deterministic(1.0)] * 2
        >>> a3cjax.Schedule.from_workers(jax.random.key(0), laws, 7, cores=1, time_slice=2.0).worker.tolist()
        [0, 0, 1, 1, 0, 0, 1]
        >>> a3cjax.Schedule.from_workers(jax.random.key(0), laws, 7, wait=[0.0, 1.0]).delay.tolist()
        [0, 1, 1, 0, 1, 1, 0]
        """
        writes = draw_workers(
            key, compute_times, num_updates, read_latency=read_latency, write_time=write_time, wait=wait, cores=cores,
            time_slice=time_slice,
        )  # fmt: skip
        return cls(*writes, num_workers=len(compute_times))

    @classmethod
    def barrier(cls, key: Key[Array, ""], compute_times: Sequence[ComputeTime], num_updates: int) -> Self:
        """The synchronous method: N workers wait for the slowest; see ``a3cjax.schedules.events.gathering``.

        In each round all workers read the same version and send one gradient each; the round ends with the last, with
        one update by their mean. Every delay is 0. Compute times are those of ``from_workers`` with the same key.

        Args:
            key: a random key. Worker i's t-th compute time depends on (key, i, t) alone.
            compute_times: one law of ``a3cjax.compute_times`` for each of the N workers.
            num_updates: rounds, at least 1, each of N messages; the schedule has num_updates · N rows.

        Returns:
            The schedule, its rows in order of arrival, ties going to the lowest index; ``time`` is in the unit of the
            compute times.

        Raises:
            ValueError: as in ``from_workers``.

        >>> import jax, a3cjax
        >>> laws = [a3cjax.compute_times.Deterministic(2.5), a3cjax.compute_times.Deterministic(1.0)]
        >>> schedule = a3cjax.Schedule.barrier(jax.random.key(0), laws, 2)
        >>> schedule.worker.tolist(), schedule.time.tolist(), schedule.commit.tolist()
        ([1, 0, 1, 0], [1.0, 2.5, 3.5, 5.0], [False, True, False, True])
        """
        messages = simulate_barrier(key, compute_times, num_updates)
        return cls(*messages[:3], num_workers=len(compute_times), commit=messages.commit)

    @classmethod
    def buffered(cls, key: Key[Array, ""], compute_times: Sequence[ComputeTime], num_updates: int, size: int) -> Self:
        """Always-busy workers whose gradients are averaged ``size`` at a time; see ``events/gathering.py``.

        Args:
            key: a random key. Worker i's t-th compute time depends on (key, i, t) alone.
            compute_times: one law of ``a3cjax.compute_times`` for each of the N workers.
            num_updates: commits, at least 1; the schedule has num_updates · size rows.
            size: messages of one update, at least 1; 1 gives the schedule of ``from_workers``.

        Raises:
            ValueError: as in ``from_workers``.

        >>> import jax, a3cjax
        >>> laws = [a3cjax.compute_times.Deterministic(1.0)] * 3
        >>> schedule = a3cjax.Schedule.buffered(jax.random.key(0), laws, 3, size=2)
        >>> schedule.worker.tolist(), schedule.versions.tolist(), schedule.delay.tolist()
        ([0, 1, 2, 0, 1, 2], [0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 1, 1])
        """
        messages = simulate_buffer(key, compute_times, num_updates, size)
        return cls(*messages[:3], num_workers=len(compute_times), commit=messages.commit)

    @classmethod
    def stale_synchronous(
        cls, key: Key[Array, ""], compute_times: Sequence[ComputeTime], num_updates: int, bound: float
    ) -> Self:
        """Workers of which none may be more than ``bound`` gradients ahead of the slowest; see ``events/bounded.py``.

        Who is further ahead waits, and then reads anew; every gradient is an update of its own. Compute times are those
        of ``from_workers`` with the same key.

        Args:
            key: a random key. Worker i's t-th compute time depends on (key, i, t) alone.
            compute_times: one law of ``a3cjax.compute_times`` for each of the N workers.
            num_updates: K, at least 1.
            bound: gradients that a worker may be ahead, at least 0; ``math.inf`` gives the schedule of
                ``from_workers``. At 0 all workers finish one in each round, as at a barrier.

        Raises:
            ValueError: as in ``from_workers``, or if ``bound`` is no such number.

        >>> import jax, a3cjax
        >>> laws = [a3cjax.compute_times.Deterministic(1.0), a3cjax.compute_times.Deterministic(2.5)]
        >>> schedule = a3cjax.Schedule.stale_synchronous(jax.random.key(0), laws, 6, bound=1)
        >>> schedule.worker.tolist(), schedule.delay.tolist()
        ([0, 0, 1, 0, 1, 0], [0, 0, 2, 0, 1, 0])
        >>> schedule.time.tolist()
        [1.0, 2.0, 2.5, 3.5, 5.0, 6.0]
        """
        limit = check_bound("bound", bound, least=0)
        if limit is None:
            return cls.from_workers(key, compute_times, num_updates)
        landings = simulate_stale_synchronous(key, compute_times, num_updates, limit)
        return cls(*landings, num_workers=len(compute_times))

    @classmethod
    def ringmaster(
        cls, key: Key[Array, ""], compute_times: Sequence[ComputeTime], num_updates: int, threshold: float
    ) -> Self:
        """Always-busy workers whose gradients are discarded if too stale: Ringmaster ASGD; see ``events/bounded.py``.

        A gradient of delay δ ≥ ``threshold`` is a row of weight 0, and its worker reads anew as after any other, so
        that no delay of what is applied reaches the threshold. Compute times are those of ``from_workers`` with the
        same key, and so are the landings.

        Args:
            key: a random key. Worker i's t-th compute time depends on (key, i, t) alone.
            compute_times: one law of ``a3cjax.compute_times`` for each of the N workers.
            num_updates: gradients that are applied, at least 1; the schedule has as many rows as it takes.
            threshold: R, at least 1, in updates; ``math.inf`` gives the schedule of ``from_workers``.

        Raises:
            ValueError: as in ``from_workers``, if ``threshold`` is no such number, or if anything is being traced.

        >>> import jax, a3cjax
        >>> laws = [a3cjax.compute_times.Deterministic(1.0), a3cjax.compute_times.Deterministic(2.5)]
        >>> schedule = a3cjax.Schedule.ringmaster(jax.random.key(0), laws, 4, threshold=2)
        >>> schedule.worker.tolist(), schedule.delay.tolist(), schedule.weight.tolist()
        ([0, 0, 1, 0, 0], [0, 0, 2, 0, 0], [1, 1, 0, 1, 1])
        """
        limit = check_bound("threshold", threshold, least=1)
        if limit is None:
            return cls.from_workers(key, compute_times, num_updates)
        landings, weight = simulate_ringmaster(key, compute_times, num_updates, limit)
        return cls(*landings, num_workers=len(compute_times), weight=weight)
