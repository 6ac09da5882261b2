"""What every reader gives: the columns there are, and pieces of those that are wanted."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from a3cjax.schedules.logs.columns import Where

ROWS = 16_384  # of a piece
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
    written by.
    """

    source: str
    form: str
    names: list[str]
    pieces: Callable[[Sequence[str]], Iterator[Piece]]
    partial: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    run: str = ""
    clocks: int = 1
