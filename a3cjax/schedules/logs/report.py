"""What was found in a log, and what was done about it."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class LogReport:
    """What ``Schedule.from_log`` found in a log and did about it; ``str`` of it reads as sentences.

    Attributes:
        source: the file, the folder or the table.
        form: what it is, such as "CSV".
        columns: from each role to the column that has it.
        num_rows: rows that could be read.
        num_updates: updates, or with averaged groups messages, that the schedule has; 0 where it was refused.
        workers: their names; that of worker i is ``workers[i]``.
        order: "counter", by the version that each update wrote, or "clock", by the time at which it was written.
        why: why that order.
        moved: rows that stood elsewhere than the order puts them.
        counts_from: 1 if the log's counter was raised before ``written`` was noted, so that written − read counts from
            1; else 0.
        first_version: the version before the first update of the schedule, in the log's count.
        read_before: updates computed from versions before that one; they are taken to be computed from it.
        cut: rows before ``first_version`` as the caller gave it, which were left out.
        missing: versions between first and last that no row wrote; ``filled`` says how many were put in.
        filled: see ``missing``.
        duplicates: rows that repeat another in everything, which were left out.
        shared: rows that wrote a version that another row wrote too.
        negative: rows whose counter was behind the version that they had read.
        lost: updates that the counter did not count.
        back: rows whose time is before that of an update ahead of them; ``back_most`` is by how much at most.
        back_most: see ``back``.
        partial: where lines were cut, which were left out.
        dropped: samples that the trainer threw away.
        unused: samples that it neither trained on nor dropped.
        in_flight: for pipelines, the mean of the versions that came while a trained sample was made.
        in_queue: the same for the time between its end and its training.
        idle: for each worker, the share of the time between its first read and last write in which it was between a
            write and its next read; None where reads have no time.
        waiting: the same for the time between the end of its computation and its write.
        run: the name of the run, where the log has one.
        notes: further sentences.
    """

    source: str = ""
    form: str = ""
    columns: dict[str, str] = dataclasses.field(default_factory=dict)
    num_rows: int = 0
    num_updates: int = 0
    workers: tuple[Any, ...] = ()
    order: str = ""
    why: str = ""
    moved: int = 0
    counts_from: int = 0
    first_version: int = 0
    read_before: int = 0
    cut: int = 0
    missing: int = 0
    filled: int = 0
    duplicates: int = 0
    shared: int = 0
    negative: int = 0
    lost: int = 0
    back: int = 0
    back_most: float = 0.0
    partial: tuple[str, ...] = ()
    dropped: int = 0
    unused: int = 0
    in_flight: float | None = None
    in_queue: float | None = None
    idle: tuple[float, ...] | None = None
    waiting: tuple[float, ...] | None = None
    run: str = ""
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join(self.sentences())

    def sentences(self) -> list[str]:
        """What there is to say, a sentence each; what did not occur is not mentioned."""
        said = [f"{self.source}: {self.form}, {_count(self.num_rows, 'row')} by {_count(len(self.workers), 'worker')}."]
        if self.run:
            said.append(f"It is the run {self.run}.")
        if self.columns:
            roles = ", ".join(f"{role} is {name}" for role, name in self.columns.items())
            said.append(f"Columns: {roles}.")
        if self.order:
            said.append(f"Ordered by {'the counter' if self.order == 'counter' else 'the clock'}: {self.why}.")
        for number, one, several in (
            (self.moved, "row was put in its place.", "rows were put in their places."),
            (self.read_before, *_both(f"computed from before version {self.first_version}, taken to be from it.")),
            (self.cut, *_both(f"before version {self.first_version} left out.", "row")),
            (self.missing - self.filled, "version is written by no row.", "versions are written by no row."),
            (self.filled, *_both("missing and put in, with delay 0, by an additional worker.")),
            (self.duplicates, "row repeats another and was left out.", "rows repeat others and were left out."),
            (self.shared, *_both("of a version that another row wrote too.", "row")),
            (self.negative, *_both("whose counter was behind the version read, as without a lock.", "row")),
            (self.lost, *_both("not counted by the counter, as without a lock.")),
            (self.back, *_both(f"whose time is before one ahead of it, by up to {self.back_most:.3g}.", "row")),
            (self.dropped, *_both("dropped by the trainer.", "sample")),
            (self.unused, *_both("neither trained on nor dropped.", "sample")),
        ):
            if number:
                said.append(f"{number:,} {one if number == 1 else several}")
        said += [f"{place} is cut and was left out." for place in self.partial]
        if self.counts_from:
            said.append("written − read counts from 1 in this log; 1 was taken off.")
        if self.first_version:
            said.append(f"The log begins at version {self.first_version:,}, which is version 0 of the schedule.")
        if self.in_flight is not None and self.in_queue is not None:
            said.append(f"Mean lag {self.in_flight:.3g} while a sample is made and {self.in_queue:.3g} in the queue.")
        for shares, what in ((self.idle, "between a write and the next read"), (self.waiting, "waiting to write")):
            if shares:
                middle = f"{sum(shares) / len(shares):.1%}"
                said.append(f"Workers are {middle} of their time {what} ({min(shares):.1%} to {max(shares):.1%}).")
        return [*said, *self.notes]


class LogError(ValueError):
    """A log that cannot be made into a schedule; ``report`` says what could be read."""

    def __init__(self, message: str, report: LogReport | None = None) -> None:
        super().__init__(message)
        self.report = LogReport() if report is None else report

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (*self.args, self.report)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _both(rest: str, what: str = "update") -> tuple[str, str]:
    return f"{what} {rest}", f"{what}s {rest}"
