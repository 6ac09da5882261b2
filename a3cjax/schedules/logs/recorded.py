"""The recorder's lines as rows: one for each update, or, for a pipeline, one for each sample."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from a3cjax.schedules.logs.opened import ROWS, Piece
from a3cjax.schedules.logs.report import LogError

_UPDATE = ("worker", "read", "written", "ns", "read_ns", "ready_ns")
_SAMPLE = ("worker", "submitted", "trained", "ns", "t_submitted", "done", "taken", "dropped")
_KNOWN = ("submitted", "done", "trained", "dropped", "published")
_TIMES = ("ns", "read_ns", "ready_ns", "t_submitted")


class Line(NamedTuple):
    """One object, and where it stands."""

    row: dict[str, Any]
    path: Path
    number: int

    def __str__(self) -> str:
        return f"{self.path}, line {self.number}"


class Recorded:
    """What the first lines of the recorder's files say, and the rows of all of them.

    ``run`` is the one that is read: the only one, or the one that was asked for.
    """

    def __init__(self, run: str | None) -> None:
        self._asked, self.run, self.notes = run, run or "", []
        self._runs: dict[str, str] = {}
        self._machines: dict[str, int] = {}
        self._first: dict[str, dict[str, Any]] = {}
        self._opened: dict[Any, tuple[Path, int]] = {}
        self._last_read: dict[Any, int] = {}

    @property
    def clocks(self) -> int:
        """How many machines' clocks the times are of."""
        return len(self._machines)

    def look(self, lines: Iterable[Line]) -> None:
        """The beginning of one file."""
        for line in islice(lines, 64):
            row = line.row
            self._runs.setdefault(str(row.get("run")), str(line))
            if self._asked is not None and row.get("run") != self._asked:
                continue
            if "a3cjax_log" in row:
                if row["a3cjax_log"] != 1:
                    raise LogError(f"{line}: the log is of version {row['a3cjax_log']!r}, and this reads version 1.")
                self._machines.setdefault(str(row.get("clock")), _integer(line, "unix_ns") - _integer(line, "ns"))
            elif "written" in row:
                self._first.setdefault("update", row)
            elif row.get("event") in _KNOWN:
                self._first.setdefault("sample", row)

    def check(self) -> None:
        """Refuse the logs of two runs, and what is no run's."""
        if self._asked is None and len(self._runs) > 1:
            told = "; ".join(f"{name} ({where})" for name, where in self._runs.items())
            raise LogError(f"There are logs of {len(self._runs)} runs here: {told}; choose one with run=.")
        if self._asked is not None and self._asked not in self._runs:
            raise LogError(f"run is {self._asked!r}, but there is {', '.join(self._runs)}; choose one of them.")
        self.run = next(iter(self._runs)) if self._asked is None else self._asked
        if len(self._first) > 1:
            raise LogError(
                f"The run {self.run} has lines of updates, as write makes them, and of samples, as event does; a "
                "schedule is made of one of them: put the others into another file."
            )
        if self.clocks > 1:
            self.notes.append(
                f"The times are of {self.clocks} machines, told by their clocks on the wall, which may differ."
            )

    def names(self) -> list[str]:
        """The columns that the rows have."""
        if "sample" in self._first:
            return list(_SAMPLE)
        first = self._first.get("update", {})
        return [name for name in _UPDATE if first.get(name) is not None]

    def pieces(self, lines: Iterator[Line], wanted: Sequence[str]) -> Iterator[Piece]:
        """The rows, some at a time."""
        lines = self._of_the_run(lines)
        rows = self._samples(lines) if "sample" in self._first else ((line.row, line) for line in lines)
        while some := list(islice((pair for pair in rows if "event" not in pair[0]), ROWS)):
            columns: dict[str, Any] = {}
            for name in wanted:
                values = [row.get(name) for row, _ in some]
                columns[name] = self._seconds(name, values, some) if name in _TIMES else values
            where = [line for _, line in some]
            yield Piece(columns, lambda i, where=where: str(where[i]))

    def _seconds(self, name: str, values: list[Any], some: Sequence[tuple[dict[str, Any], Line]]) -> Any:
        """Nanoseconds as seconds; those of several machines by their clocks on the wall."""
        try:
            array = np.array([np.nan if value is None else value for value in values], np.float64)
        except (TypeError, ValueError, OverflowError):
            line = next(line for (_, line), value in zip(some, values, strict=True) if type(value) is not int)
            raise LogError(f"{line}: {name} is not a whole number of nanoseconds.") from None
        if self.clocks > 1:
            array += [row["unix - ns"] for row, _ in some]
        return array / 1e9

    def _of_the_run(self, lines: Iterator[Line]) -> Iterator[Line]:
        """Without headers and other runs' lines; refuses what a second run would look like."""
        offset: dict[Path, int] = {}
        for line in lines:
            row = line.row
            if row.get("run") != self.run:
                if self._asked is None:
                    raise LogError(
                        f"{line} is of the run {row.get('run')}, others of {self.run}; choose one with run=."
                    )
                continue
            if "a3cjax_log" in row:
                self._open(line)
                offset[line.path] = _integer(line, "unix_ns") - _integer(line, "ns")
                continue
            if self.clocks > 1:
                row["unix - ns"] = offset.get(line.path, 0)
            if "written" in row:
                self._follow(line)
            yield line

    def _open(self, line: Line) -> None:
        worker = line.row.get("worker")
        if str(line.row.get("clock")) not in self._machines:
            raise LogError(f"{line} is of another machine than the lines ahead; give a folder, with a file for each.")
        if worker in self._opened:
            self.notes.append(f"Worker {worker!r} began again at {line}.")
        self._opened[worker] = line.path, self._last_read.get(worker, 0)

    def _follow(self, line: Line) -> None:
        """A worker that began again goes on in the same run only if the versions that it reads do."""
        row, worker = line.row, line.row.get("worker")
        path, before = self._opened.get(worker, (line.path, 0))
        if path != line.path and self.clocks == 1:
            raise LogError(
                f"{line}: two processes are worker {worker!r} at once, also {path}; give each process its own name, "
                "and each run a folder or a run= of its own."
            )
        read = row.get("read")
        if isinstance(read, int):
            if read < before:
                raise LogError(
                    f"{line}: worker {worker!r} began again and reads version {read}, but had read {before} before: "
                    "these are two runs; give each a folder or a run= of its own."
                )
            self._last_read[worker] = read

    def _samples(self, lines: Iterator[Line]) -> Iterator[tuple[dict[str, Any], Line]]:
        """A row for each sample that was trained on or dropped, made of its events."""
        waiting: dict[Any, dict[str, Any]] = {}
        published = 0
        for line in lines:
            row, kind = line.row, line.row.get("event")
            if kind == "submitted":
                known = {"worker": row.get("worker"), "submitted": row.get("version"), "t_submitted": row.get("ns")}
                waiting[_sample(line)] = known
            elif kind == "done":
                _taken(waiting, _sample(line), line)["done"] = row.get("version")
            elif kind == "published":
                published += 1
            elif kind in ("trained", "dropped"):
                for name in [_sample(line)] if "sample" in row else _batch(line):
                    made = _taken(waiting, name, line)
                    del waiting[name]
                    made |= {"ns": row.get("ns"), "dropped": int(kind == "dropped"), "unix - ns": row.get("unix - ns")}
                    yield made | {"trained" if kind == "trained" else "taken": row.get("version")}, line
        if published:
            self.notes.append(f"{published:,} versions were published.")
        left = sum("done" in made for made in waiting.values())
        if left:
            self.notes.append(f"{left:,} samples were done and not used when the log ends.")


def _sample(line: Line) -> Any:
    name = line.row.get("sample")
    if isinstance(name, (str, int)):
        return name
    raise LogError(f"{line}: {line.row.get('event')} names no sample; give sample=.")


def _batch(line: Line) -> list[Any]:
    names = line.row.get("samples")
    if isinstance(names, list) and names and all(isinstance(name, (str, int)) for name in names):
        return names
    raise LogError(f"{line}: {line.row.get('event')} names no samples; give sample= or samples=.")


def _taken(waiting: dict[Any, dict[str, Any]], name: Any, line: Line) -> dict[str, Any]:
    if name in waiting:
        return waiting[name]
    raise LogError(
        f"{line}: {line.row.get('event')} names the sample {name!r}, which no line before submitted, or which was "
        "trained on or dropped before; record each sample's submitted, done and trained once."
    )


def _integer(line: Line, name: str) -> int:
    value = line.row.get(name)
    if type(value) is not int:
        raise LogError(f"{line}: {name} is {value!r}, but must be a whole number of nanoseconds.")
    return value
