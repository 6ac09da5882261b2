"""What is done in blocks: units in a row, each of which comes out the same whoever makes it."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from a3cjax._core import check


class Block(NamedTuple):
    """Units ``start`` to ``stop`` − 1."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        """How many units."""
        return self.stop - self.start

    def said(self, unit: str) -> str:
        """In a sentence.

        >>> Block(64, 128).said("run"), Block(3, 4).said("run")
        ('runs 64 to 127', 'run 3')
        """
        return f"{unit} {self.start}" if self.size == 1 else f"{unit}s {self.start} to {self.stop - 1}"


@dataclasses.dataclass(frozen=True)
class Job:
    """A study's grid as units in a row, such as runs.

    ``study``: what it is called. ``count``: units. ``options``: all that a unit's bits depend on but its number, in
    values that JSON has. ``make``: from ``start`` and ``stop`` to named arrays, whose leading axis is that of the
    units; a unit's row must not depend on what else is made with it. It goes to other processes, so it can be pickled.
    ``memory``: from a number of units to the bytes that a block of so many takes, part by part. ``unit``: its name.
    ``exact``: whether a unit's row is the same to the last bit whatever is made with it; if not, all blocks have one
    size, which is one of the options.
    """

    study: str
    count: int
    options: Mapping[str, Any]
    make: Callable[[int, int], Mapping[str, np.ndarray]]
    memory: Callable[[int], Mapping[str, float]]
    unit: str = "run"
    exact: bool = True

    @property
    def whole(self) -> Block:
        """All units."""
        return Block(0, self.count)


def shard_of(text: str | Sequence[int]) -> tuple[int, int]:
    """The shard "i/n" as two numbers.

    Raises:
        ValueError: if it is anything else, or i is not one of 1 to n.

    >>> shard_of("2/4")
    (2, 4)
    >>> shard_of("5/4")
    Traceback (most recent call last):
    ValueError: shard is '5/4', but must be i/n with i from 1 to n, such as 1/4 or 4/4.
    """
    words = text.split("/") if isinstance(text, str) else [str(part) for part in text]
    if len(words) == 2 and all(word.isascii() and word.isdecimal() for word in words):
        i, n = map(int, words)
        if 1 <= i <= n:
            return i, n
    raise ValueError(f"shard is {text!r}, but must be i/n with i from 1 to n, such as 1/4 or 4/4.")


def size_for_shards(count: int, shards: int) -> int:
    """Units of a block where ``shards`` machines that know nothing of each other must cut alike: four blocks for each.

    >>> size_for_shards(504, 4), size_for_shards(3, 4)
    (32, 1)
    """
    return max(1, -(-count // (4 * check.integer("shards", shards, 1))))


def cut(gaps: Sequence[Block], size: int) -> list[Block]:
    """The gaps as blocks of ``size`` units, and shorter ones at their ends.

    >>> cut([Block(0, 5), Block(8, 9)], 3)
    [Block(start=0, stop=3), Block(start=3, stop=5), Block(start=8, stop=9)]
    """
    return [Block(at, min(at + size, gap.stop)) for gap in gaps for at in range(gap.start, gap.stop, size)]


def gaps_in(whole: Block, known: Sequence[Block]) -> Iterator[Block]:
    """What of ``whole`` is in no known block.

    >>> list(gaps_in(Block(0, 10), [Block(2, 4), Block(3, 5), Block(9, 10)]))
    [Block(start=0, stop=2), Block(start=5, stop=9)]
    """
    at = whole.start
    for block in sorted(known):
        if block.start >= whole.stop:
            break
        if block.start > at:
            yield Block(at, block.start)
        at = max(at, block.stop)
    if at < whole.stop:
        yield Block(at, whole.stop)
