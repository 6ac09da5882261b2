"""What every reader gives: the columns there are, and pieces of those that are wanted."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from a3cjax.schedules.logs.columns import Where

ROWS = 4096  # of a piece
LONGEST = 1 << 20  # bytes of a line


class Piece(NamedTuple):
    """Some rows: the entries of each column asked for, where each stands, and their lines if all are of one file."""

    columns: Mapping[str, Sequence[Any]]
    where: Where
    lines: Sequence[int] | None = None


@dataclasses.dataclass
class Opened:
    """A log whose columns are known and whose rows are still to be read.

    ``partial``, ``notes`` and ``run`` are filled while it is read. ``clocks``: how many machines' clocks it was
    written by. ``expected``: about how many rows there are, rather more.
    """

    source: str
    form: str
    names: list[str]
    pieces: Callable[[Sequence[str]], Iterator[Piece]]
    partial: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    run: str = ""
    clocks: int = 1
    expected: int = 0


def expected_rows(paths: Iterable[Path]) -> int:
    """About how many lines these files have, by the length of the first ones, which are not longer than most."""
    total = 0
    for path in paths:
        with path.open("rb") as file:
            start = file.read(1 << 16)
        lines = max(start.count(b"\n"), 1)
        total += int(1.05 * path.stat().st_size / (len(start) / lines)) + 1
    return total
