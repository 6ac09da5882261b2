"""What was asked of the studies within: to make their grids in blocks, where, which of them, and by whom."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np

from a3cjax._core import check
from a3cjax.sweeps import on_ray
from a3cjax.sweeps.here import make, make_all
from a3cjax.sweeps.job import Block, Job, cut, shard_of, size_for_shards
from a3cjax.sweeps.reports import reporting
from a3cjax.sweeps.sizes import chosen_size, memory_table
from a3cjax.sweeps.store import Store, notes_in

ENGINES = ("here", "ray")
_asked: ContextVar["Blocks | None"] = ContextVar("blocks", default=None)


class Unfinished(Exception):
    """No study comes of it this time, as was asked: the message says what was done instead."""


@dataclasses.dataclass
class Blocks:
    """See ``in_blocks``."""

    folder: Path
    on: str = "here"
    shard: tuple[int, int] | None = None
    address: str | None = None
    cores: int = 1
    seconds: float = 30.0
    size: int | None = None
    merge: tuple[Path, ...] | None = None
    dry_run: bool = False
    notes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    say: Callable[[str], None] = print
    progress: bool | None = None
    # From a folder, a shard and a size to the command that makes these blocks.
    remake: Callable[[str, tuple[int, int] | None, int | None], str] | None = None
    _store: Store | None = None

    def run(self, job: Job) -> dict[str, np.ndarray]:
        """All units' arrays, made here or there.

        Raises:
            Unfinished: after a shard, or a dry run.
            ValueError: if a file in the folder is damaged or of other options, or blocks to be merged are missing.
        """
        if not job.exact:
            job = self._with_one_size(job)
        if self.merge is not None:
            return self._merged(job)
        store = self._store = Store(self.folder, job)
        if self.dry_run:
            done = job.count - store.missing()
            raise Unfinished(
                f"{memory_table(job, self.size)}\n{done:,} of {job.count:,} {job.unit}s are there already."
            )
        store.prepare()
        store.finished()
        if self.notes:
            store.note(**self.notes)
        if self.shard is not None:
            self._make_shard(store, self.shard)
        elif store.gaps():
            self._make(store)
        return store.gather()

    def _with_one_size(self, job: Job) -> Job:
        """The job, one of whose options is the size of its blocks: their last digits depend on it."""
        if self.merge is not None:
            self.size = notes_in(self.merge[0]).get("size")
        elif self.size is None and self.shard is not None:
            self.size = size_for_shards(job.count, self.shard[1])
        if self.size is None and not self.dry_run:
            raise ValueError(
                f"The last digits of these {job.unit}s depend on how many are beside them, so a pilot cannot choose "
                f"how many a block has; give its size (size, or --block-size), the same to all who make blocks."
            )
        return dataclasses.replace(job, options={**job.options, "size of a block": self.size})

    def remove(self) -> None:
        """Forget the blocks: the study's files are written. What was merged stays where it is."""
        if self._store is not None:
            self._store.remove()

    def _make(self, store: Store) -> None:
        with reporting(store, self.progress) as report:
            if self.on == "ray":
                on_ray.make_all(store, report, self.address, self.cores, self.size, self.seconds, self.announce)
                return
            size = self.size or chosen_size(store, lambda block: make(store, block), self.seconds, 1)
            store.note(size=size)
            self.announce(store, size)
            make_all(store, cut(store.gaps(), size), report)

    def announce(self, store: Store, size: int, workers: str = "") -> None:
        """Say what a block is, and what it takes."""
        job, left = store.job, cut(store.gaps(), size)
        if not left:
            return
        each, room = store.seconds_per_unit(), max(1, sum(job.memory(size).values()) / 2**20)
        about = "" if each is None else f"about {size * each:.2g} s and "
        self.say(
            f"Blocks of {size:,} {job.unit}s, {about}{room:,.0f} MiB beside the program{workers}: {len(left):,} to be "
            f"made; {job.count - store.missing():,} of {job.count:,} {job.unit}s are there."
        )

    def _make_shard(self, store: Store, shard: tuple[int, int]) -> None:
        i, n = shard
        size = self.size or size_for_shards(store.job.count, n)
        mine = cut([store.job.whole], size)[i - 1 :: n]
        store.note(size=size, shards=n)
        with reporting(store, self.progress) as report:
            make_all(store, mine, report)
        left, job = store.missing(), store.job
        rest = f"{left:,} {job.unit}s of other shards are not in this folder" if left else f"all {job.unit}s are there"
        raise Unfinished(
            f"Shard {i}/{n} is done: {sum(block.size for block in mine):,} of {job.count:,} {job.unit}s, in "
            f"{store.folder}; {rest}."
        )

    def _merged(self, job: Job) -> dict[str, np.ndarray]:
        assert self.merge
        store = Store(self.merge[0], job, self.merge[1:])
        gaps = store.gaps()
        if not gaps:
            return store.gather()
        where = " and ".join(str(folder) for folder in self.merge)
        said = f"{_listed(gaps, job.unit)} of {job.count:,} are missing in {where}"
        raise ValueError(f"{said}; {self._how_to_make(gaps, store)}.")

    def _how_to_make(self, gaps: Sequence[Block], store: Store) -> str:
        notes = notes_in(store.folder)
        size, n = notes.get("size"), notes.get("shards")
        if self.remake is None:
            return "make them by the same call that made the others"
        folder = str(store.folder)
        if not (isinstance(size, int) and isinstance(n, int)):
            return f"make them by {self.remake(folder, None, None if store.job.exact else self.size)}"
        shards = sorted({(at // size) % n + 1 for gap in gaps for at in range(gap.start, gap.stop)})
        return "make them by " + " and ".join(self.remake(folder, (i, n), size) for i in shards)


@contextlib.contextmanager
def in_blocks(
    folder: str | os.PathLike[str], *, on: str = "here", shard: str | tuple[int, int] | None = None,
    address: str | None = None, cores: int | None = None, seconds: float = 30.0, size: int | None = None,
    merge: Sequence[str | os.PathLike[str]] | None = None, dry_run: bool = False,
    progress: bool | None = None, **more: Any,
) -> Iterator[Blocks]:  # fmt: skip
    """Within, a study makes its grid in blocks: to the same bytes, however many, in whatever order, wherever.

    A finished block is a file in ``folder``, written whole or not at all. A study that was ended at any moment goes on
    from them; several at once in one folder share the work. ``study.save`` removes them, once its files are written.

    Args:
        folder: for the blocks.
        on: "here", one block after the other in this process, or "ray": on the workers of a Ray cluster.
        shard: "i/n" for blocks i, i + n, … only; then no study comes of it, the body ends where the study is called.
            The blocks are cut alike on all machines, without a pilot, into four for each shard.
        address: of a running Ray cluster; not given: one on this machine, for as long as it takes.
        cores: of each of Ray's workers; not given: 1.
        seconds: what a block should take, by a pilot of two small ones.
        size: runs of a block, in place of that. Runs of networks, or of a learner of your own, have their last digits
            from how many are beside them: they need it, and are the same for all who give the same.
        merge: folders of blocks to make the study from, which are only read; then none is made.
        dry_run: print a table of the memory that a block takes, and make none.
        progress: see ``simulate``. Where nobody looks, a line every half minute.
        more: notes to keep beside the blocks, and how to ``say`` something.

    Raises:
        ValueError: if an argument is out of range or has no effect.

    >>> import a3cjax, tempfile
    >>> learner = a3cjax.QuadraticSGD([1.0], step=0.1)
    >>> few = dict(laws=["constant"], delays=(0, 2), factors=(1,), seeds=2, num_updates=50)
    >>> few |= dict(metric="objective", gap="distance_sq", progress=False)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for i in (1, 2):
    ...         with in_blocks(folder, shard=(i, 2), progress=False):
    ...             a3cjax.studies.sweep(learner, **few)
    ...     with in_blocks(folder, merge=[folder]):
    ...         study = a3cjax.studies.sweep(learner, **few)
    Shard 1/2 is done: 2 of 4 runs, in ...; 2 runs of other shards are not in this folder.
    Shard 2/2 is done: 2 of 4 runs, in ...; all runs are there.
    >>> study.table() == a3cjax.studies.sweep(learner, **few).table()
    True
    """
    check.choice("on", on, ENGINES)
    for name, value in (("address", address), ("cores", cores)):
        if value is not None and on != "ray":
            raise ValueError(f"{name} has no effect without on='ray'; leave it out.")
    if shard is not None and on == "ray":
        raise ValueError("shard and on='ray' exclude each other: Ray's workers take all blocks; leave one out.")
    if size is not None:
        check.integer("size", size, 1)
    check.number("seconds", seconds, above=0)
    asked = Blocks(
        Path(folder), on, None if shard is None else shard_of(shard), address,
        1 if cores is None else check.integer("cores", cores, 1), seconds, size,
        None if merge is None else tuple(Path(one) for one in merge), dry_run, progress=progress, **more,
    )  # fmt: skip
    if on == "ray":
        on_ray.check_installed()
    before = _asked.set(asked)
    try:
        yield asked
    except Unfinished as done:
        asked.say(str(done))
    finally:
        _asked.reset(before)


@contextlib.contextmanager
def as_a_whole() -> Iterator[None]:
    """Within, studies are made as a whole: it is part of a block of another."""
    before = _asked.set(None)
    try:
        yield
    finally:
        _asked.reset(before)


def asked_for() -> Blocks | None:
    """The blocks that were asked for, if any."""
    return _asked.get()


def _listed(gaps: Sequence[Block], unit: str) -> str:
    """The first few of them."""
    said = [gap.said(unit) for gap in gaps[:8]]
    return ", ".join(said) + (f" and {len(gaps) - 8} more stretches" if len(gaps) > 8 else "")
