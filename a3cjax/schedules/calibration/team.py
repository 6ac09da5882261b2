"""A team of workers, calibrated from a real run: it draws schedules, also of more or slower workers."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any, Literal

import jax
import numpy as np
from jaxtyping import Array, Key

from a3cjax._core import check
from a3cjax.schedules import _random
from a3cjax.schedules.calibration import saving, words
from a3cjax.schedules.calibration.calibration import Calibration, stretches
from a3cjax.schedules.compute_times import ComputeTime
from a3cjax.schedules.schedule import Schedule


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Team:
    """N workers, how long they compute and how they communicate: what a schedule is drawn from.

    ``calibrate`` makes one from the log of a real run, and ``print`` says what it is and how well it fits.

    Args:
        compute_times: one law of ``a3cjax.compute_times`` for each worker.
        read_latency: as in ``Schedule.from_workers``.
        write_time: likewise, as are the next three.
        wait: a law for all workers, a number, or None.
        cores: that the workers share, or None if each has one.
        time_slice: for which a worker may keep its core.
        names: of the workers; their numbers if not given.
        calibration: where it comes from; None for a team that is thought up.
        like: for each worker the number of that worker of the log which it is like.
        factor: for each worker how many times slower it is than that one.

    Raises:
        ValueError: if there is no worker, one has no law, or a number is out of range.

    >>> import jax, a3cjax
    >>> team = a3cjax.Team([a3cjax.compute_times.Exponential(2.0)] * 4)
    >>> schedule = team.with_workers(8).slowed(0, 3).schedule(jax.random.key(0), 1000)
    >>> schedule.num_workers, len(schedule)
    (8, 1000)
    """

    compute_times: Sequence[ComputeTime]
    read_latency: float = 0.0
    write_time: float = 0.0
    wait: ComputeTime | float | None = None
    cores: int | None = None
    time_slice: float | None = None
    names: Sequence[str] = ()
    calibration: Calibration | None = None
    like: Sequence[int] = ()
    factor: Sequence[float] = ()

    def __post_init__(self):
        laws = tuple(self.compute_times) if not isinstance(self.compute_times, ComputeTime) else ()
        if not laws:
            raise ValueError("compute_times must be a list with a law for each worker, as in [law] * 8.")
        for i, law in enumerate(laws):
            if not isinstance(law, ComputeTime):
                raise ValueError(
                    f"compute_times[{i}] is {law!r}, which has no mean and sample; see a3cjax.compute_times."
                )
        for name in ("read_latency", "write_time"):
            check.number(name, getattr(self, name), least=0)
            object.__setattr__(self, name, float(getattr(self, name)))
        if self.wait is not None and not isinstance(self.wait, ComputeTime):
            check.number("wait", self.wait, least=0)
            object.__setattr__(self, "wait", float(self.wait))
        if self.cores is not None:
            check.integer("cores", self.cores, 1)
        if self.time_slice is not None:
            if self.cores is None:
                raise ValueError("time_slice has no effect where no cores are shared; give cores, or leave it out.")
            check.number("time_slice", self.time_slice, above=0)
        known = {
            "compute_times": laws,
            "names": tuple(map(str, self.names or range(len(laws)))),
            "like": tuple(self.like or range(len(laws))),
            "factor": tuple(map(float, self.factor)) if self.factor else (1.0,) * len(laws),
        }
        for name, value in known.items():
            if len(value) != len(laws):
                raise ValueError(f"{name} has {len(value)} entries, but there are {len(laws)} workers; give one each.")
            object.__setattr__(self, name, value)

    @property
    def num_workers(self) -> int:
        """N."""
        return len(self.compute_times)

    @property
    def rate(self) -> float:
        """Updates in a unit of time, if nobody waits for a write: Σ 1 / (mean of computing, writing and waiting).

        On C cores that N > C workers share, at most as many as C / N of each one's computing and writing allows.
        """
        share = 1.0 if self.cores is None else min(1.0, self.cores / self.num_workers)
        write = 0.0 if self.wait is None else self.write_time
        wait: Any = 0.0 if self.wait is None else getattr(self.wait, "mean", self.wait)
        busy = [float(law.mean) + write for law in self.compute_times]
        return min(sum(1 / (time + wait) for time in busy), sum(share / time for time in busy))

    @property
    def stragglers(self) -> tuple[int, ...]:
        """The workers that are like one which was found a straggler."""
        slow = () if self.calibration is None else self.calibration.stragglers
        return tuple(i for i, worker in enumerate(self.like) if worker in slow)

    # ------------------------------------------------------------------------------------------------------ schedules

    def schedule(
        self,
        key: Key[Array, ""],
        num_updates: int,
        *,
        draws: Literal["laws", "stretches"] = "laws",
        stretch: int | None = None,
    ) -> Schedule:
        """A schedule of this team.

        Args:
            key: a random key.
            num_updates: K, at least 1.
            draws: "laws" has ``Schedule.from_workers`` draw each turn from the workers' laws. "stretches" has each
                worker go through stretches of turns as they followed each other in the log, at places drawn at random,
                which keeps their dependence, and with it that of delays; a turn's wait before the read too.
            stretch: turns of a stretch; 50, or the worker's number of turns if that is less, if not given.

        Raises:
            ValueError: if ``draws`` is "stretches" and there is no log, or the team has cores, a latency or another
                write time, which the log's turns have in them; or as ``Schedule.from_workers`` does.

        >>> import jax, a3cjax
        >>> team = a3cjax.Team([a3cjax.compute_times.Deterministic(1.0)] * 2)
        >>> team.schedule(jax.random.key(0), 4).time.tolist()
        [1.0, 1.0, 2.0, 2.0]
        """
        check.choice("draws", draws, ("laws", "stretches"))
        if draws == "stretches":
            return self._stretches(_random.random_key(key), num_updates, stretch)
        if stretch is not None:
            raise ValueError("stretch has no effect with draws='laws'; leave it out, or give draws='stretches'.")
        return Schedule.from_workers(
            key, self.compute_times, num_updates, read_latency=self.read_latency, write_time=self.write_time,
            wait=self.wait, cores=self.cores, time_slice=self.time_slice,
        )  # fmt: skip

    def _stretches(self, key: Any, num_updates: int, stretch: int | None) -> Schedule:
        """Every worker's turns from the log, put into one order; the reads are where the log had them."""
        log = self._log("draws='stretches'")
        num_updates = check.integer("num_updates", num_updates, least=1)
        if stretch is not None:
            check.integer("stretch", stretch, 1)
        if self.read_latency or self.write_time != log.parts.write_time or self.cores is not None:
            raise ValueError(
                "draws='stretches' takes turns as they were, and a read_latency, another write_time or cores would "
                "come on top of what is in them; use draws='laws'."
            )
        turn = [float((log.turns[i].computing + log.turns[i].waiting).mean()) for i in self.like]
        share = 1 / (np.array(turn) * np.array(self.factor))
        counts = np.ceil(num_updates * share / share.sum()).astype(int) + 16
        while True:
            turns = [self._drawn(log, key, i, int(count), stretch) for i, count in enumerate(counts)]
            ends = [np.cumsum(computing + waiting) for computing, waiting in turns]
            if sum(int((end <= min(end[-1] for end in ends)).sum()) for end in ends) >= num_updates:
                break
            counts = 2 * counts
        landed = np.concatenate(ends)
        begun = np.concatenate([end - computing for end, (computing, _) in zip(ends, turns, strict=True)])
        worker = np.repeat(np.arange(self.num_workers), counts)
        order = np.argsort(landed, kind="stable")[:num_updates]
        # Rounded sums may put a read just before the landing that it follows.
        last = np.concatenate([np.r_[0.0, end[:-1]] for end in ends])
        reads = np.minimum(
            np.searchsorted(landed[order], np.maximum(begun, last)[order], side="right"), np.arange(num_updates)
        )
        return Schedule(worker[order], np.arange(num_updates) - reads, landed[order], num_workers=self.num_workers)

    def _drawn(
        self, log: Calibration, key: Any, worker: int, count: int, stretch: int | None
    ) -> tuple[np.ndarray, np.ndarray]:
        rng = _generator(jax.random.fold_in(key, worker))
        turns = log.turns[self.like[worker]]
        n = len(turns.computing)
        chosen = stretches(rng, n, count, min(50, n) if stretch is None else stretch)
        waiting = np.r_[0.0, turns.waiting[chosen][1:]]  # all begin by reading
        return turns.computing[chosen] * self.factor[worker], waiting

    # ----------------------------------------------------------------------------------------------------- other teams

    def with_workers(self, num_workers: int, *, stragglers: Literal["keep", "none", "share"] = "keep") -> "Team":
        """The team with another number of workers.

        Fewer are the first of them; more are the same ones once more, from the first on.

        Args:
            num_workers: N, at least 1.
            stragglers: "keep" has the ones that there are, while one other worker is left, and no further ones: a slow
                machine stays one, whoever joins. "none" has others in their place, and "share" takes stragglers for
                workers like any other.

        Raises:
            ValueError: if ``num_workers`` is not such a number, or all workers are stragglers and none is asked for.

        >>> import a3cjax
        >>> laws = [a3cjax.compute_times.Exponential(mean) for mean in (1.0, 2.0)]
        >>> [law.mean for law in a3cjax.Team(laws).with_workers(5).compute_times]
        [1.0, 2.0, 1.0, 2.0, 1.0]
        """
        check.integer("num_workers", num_workers, 1)
        check.choice("stragglers", stragglers, ("keep", "none", "share"))
        slow = () if stragglers == "share" else self.stragglers
        ordinary = [i for i in range(self.num_workers) if i not in slow]
        if not ordinary:
            raise ValueError("all workers are stragglers, so that none can join; use stragglers='share'.")
        again = [ordinary[i % len(ordinary)] for i in range(num_workers)]
        if slow and stragglers == "keep":
            kept = slow[: num_workers - 1]
            places = [i for i in range(min(num_workers, self.num_workers)) if i in kept]
            free = num_workers - len(kept)
            beyond = [i for i in kept if i not in places]
            chosen: list[int] = []
            others = iter(again[:free])
            for i in range(num_workers - len(beyond)):
                chosen.append(i if i in places else next(others))
            again = chosen + beyond
        return self._of(again)

    def _of(self, chosen: Sequence[int]) -> "Team":
        """Of these workers, who may be there several times."""
        names, times = [], dict.fromkeys(chosen, 0)
        for i in chosen:
            times[i] += 1
            name = self.names[i]
            names.append(name if times[i] == 1 else f"{name} ({times[i]})")
        known = {name: tuple(getattr(self, name)[i] for i in chosen) for name in ("compute_times", "like", "factor")}
        return dataclasses.replace(self, names=tuple(names), **known)

    def slowed(self, worker: int | str, factor: float) -> "Team":
        """The team with one worker so many times slower, that is, one whose computing times are multiplied.

        Args:
            worker: its number, or its name.
            factor: greater than 0; less than 1 makes it faster.

        Raises:
            ValueError: if there is no such worker, its law cannot be scaled, or ``factor`` is not positive.

        >>> import a3cjax
        >>> team = a3cjax.Team([a3cjax.compute_times.Exponential(1.0)] * 3).slowed(2, 5)
        >>> [law.mean for law in team.compute_times]
        [1.0, 1.0, 5.0]
        """
        check.number("factor", factor, above=0)
        names = self.names
        if isinstance(worker, str):
            if worker not in names:
                raise ValueError(f"worker is {worker!r}, but the workers are {', '.join(names)}; name one of them.")
            worker = list(names).index(worker)
        place = check.integer("worker", worker, 0, self.num_workers - 1)
        laws, factors = list(self.compute_times), list(self.factor)
        law: Any = laws[place]
        if not hasattr(law, "scaled"):
            raise ValueError(f"compute_times[{place}] is a {type(law).__name__}, which cannot be scaled.")
        laws[place], factors[place] = law.scaled(factor), factors[place] * factor
        return dataclasses.replace(self, compute_times=tuple(laws), factor=tuple(factors))

    def with_latency(self, *, read: float | None = None, write: float | None = None) -> "Team":
        """The team with another ``read_latency`` or ``write_time``, as ``Schedule.from_workers`` explains them.

        Raises:
            ValueError: if neither is given, or one is negative.

        >>> import a3cjax
        >>> a3cjax.Team([a3cjax.compute_times.Exponential(1.0)]).with_latency(read=0.5).read_latency
        0.5
        """
        if read is None and write is None:
            raise ValueError("with_latency changes nothing without read or write; give one of them.")
        read = self.read_latency if read is None else read
        write = self.write_time if write is None else write
        return dataclasses.replace(self, read_latency=read, write_time=write)

    def with_cores(self, cores: int | None, time_slice: float | None = None) -> "Team":
        """The team on a machine with so many cores, or with one for each worker if None.

        Computing times are those on a core of its own: calibrate a log of more workers than cores with its ``cores``.

        Args:
            cores: that the workers share, at least 1.
            time_slice: for which a worker may keep its core; as it was, if not given.

        Raises:
            ValueError: if a number is out of range, or a time slice is given without cores.

        >>> import a3cjax
        >>> a3cjax.Team([a3cjax.compute_times.Exponential(1.0)] * 8).with_cores(2, 0.5).rate
        2.0
        """
        kept = self.time_slice if time_slice is None and cores is not None else time_slice
        return dataclasses.replace(self, cores=cores, time_slice=kept)

    def resampled(self, key: Key[Array, ""]) -> "Team":
        """The team as another log of the same run might have had it: for intervals that hold the calibration's error.

        A block bootstrap: whole stretches of each worker's turns, drawn at random, as many as there were, and the laws
        fitted to them anew. What does not come from turns (families, stragglers, latencies) stays.

        Raises:
            ValueError: if the team has no log.
        """
        log = self._log("resampled").resampled(_generator(_random.random_key(key)))
        pairs = zip(self.like, self.factor, strict=True)
        made: dict[tuple[int, float], Any] = {}  # workers that share a law share an object, which is looked at once
        laws = []
        for worker, factor in pairs:
            law: Any = log.law_of(worker)
            known = id(law), factor
            made.setdefault(known, law if factor == 1 else law.scaled(factor))
            laws.append(made[known])
        wait = self.wait if log.wait is None else log.wait
        return dataclasses.replace(self, compute_times=tuple(laws), calibration=log, wait=wait)

    def _log(self, what: str) -> Calibration:
        if self.calibration is None:
            raise ValueError(f"{what} needs the turns of a log, and this team has none; a3cjax.calibrate makes one.")
        return self.calibration

    # ------------------------------------------------------------------------------------------------- files and words

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a NumPy archive (.npz) at exactly ``path``, with the turns of its log; whole or not at all.

        Raises:
            ValueError: if a law is not one of ``a3cjax.compute_times``.

        >>> import tempfile, pathlib, a3cjax
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "team.npz"
        ...     a3cjax.Team([a3cjax.compute_times.Gamma(2.0, cv=0.5)] * 3).save(path)
        ...     a3cjax.Team.load(path).compute_times[2].mean
        2.0
        """
        saving.save(path, {field.name: getattr(self, field.name) for field in dataclasses.fields(self)})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Team":
        """Read what ``save`` wrote, and validate it.

        Raises:
            ValueError: if the file is not a saved team.
            FileNotFoundError: if there is no such file.
        """
        return cls(**saving.load(path))

    def __repr__(self) -> str:
        return f"Team({self.num_workers} workers, {self.rate:.4g} updates a unit of time)"

    def __str__(self) -> str:
        return "\n".join(words.sentences(self))


def _generator(key: Any) -> np.random.Generator:
    return np.random.default_rng(np.asarray(jax.random.key_data(key), np.uint32).ravel().tolist())
