"""A log's rows as columns of numbers, and what can be told of them while they go by."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from a3cjax.schedules.logs import columns
from a3cjax.schedules.logs.columns import MISSING, Column, Names, Spilled
from a3cjax.schedules.logs.opened import Opened, Piece
from a3cjax.schedules.logs.report import LogError

_VERSIONS = ("read", "written", "done", "taken")
_SPILL = 1_000_000  # rows
_SOME = 65_536
_TIMES = ("time", "read_time", "taken_time")


@dataclasses.dataclass
class Gathered:
    """The columns, [n] each: ``worker`` int32, versions int32 relative to ``offset`` or MISSING, times float64.

    ``read_time`` of a long log is ``Spilled``.
    """

    columns: dict[str, Any]
    workers: tuple[object, ...]
    offset: int
    idle: tuple[float, ...] | None
    waiting: tuple[float, ...] | None
    lines: list[tuple[int, int]]
    source: str

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.columns["worker"])

    def place(self, row: int) -> str:
        """Where row ``row`` stands, in words that begin a sentence."""
        before = [(start, line) for start, line in self.lines if start <= row]
        if before:
            start, line = before[-1]
            return f"{self.source}, line {line + row - start}"
        return f"{self.source}, row {row}"


def gather(opened: Opened, roles: Mapping[str, str], *, samples: bool, clock: bool = False) -> Gathered:
    """Read all of it; with ``clock`` also when messages were ready, which a schedule does not need.

    Raises:
        LogError: if an entry is not what its role says; the sentence names the line.
    """
    kinds = {"worker": np.int32} | dict.fromkeys(_VERSIONS, np.int32)
    kinds |= dict.fromkeys((*_TIMES, "ready_time") if clock else _TIMES, np.float64) | {"dropped": np.bool_}
    kept: dict[str, Any] = {
        role: Spilled() if role == "read_time" and opened.expected > _SPILL else Column(kinds[role], opened.expected)
        for role in roles
        if role in kinds
    }
    names, busy, lines, offset = Names(), _Busy(), [], None
    for piece in opened.pieces(list(dict.fromkeys(roles.values()))):
        start = kept["worker"].size
        _note_lines(lines, start, piece)
        parts = {"worker": names.codes(piece.columns[roles["worker"]], piece.where)}
        for role in _VERSIONS:
            if role in roles:
                values = piece.columns[roles[role]]
                numbers, there = columns.whole(role, values, piece.where, missing=samples and role != "read")
                if offset is None and there.any():
                    offset = int(numbers[there].min())
                parts[role] = _near(role, numbers, there, offset or 0, piece)
        for role in (*_TIMES, "ready_time"):
            if role in roles:
                lenient = role != "read_time" and (samples or role == "ready_time")
                parts[role] = columns.times(role, piece.columns[roles[role]], piece.where, missing=lenient)
        if "dropped" in roles:
            parts["dropped"] = columns.flags("dropped", piece.columns[roles["dropped"]], piece.where)
        if "time" in parts and "read_time" in parts and not samples:
            _check_span(parts, piece)
            busy.add(parts, len(names))
        for role, column in kept.items():
            column.append(parts[role])
    if not kept["worker"].size:
        raise LogError(f"{opened.source} has no rows; give the log of a run that made an update.")
    workers, final = names.ordered()
    closed = {role: column.close() for role, column in kept.items()}
    codes = closed["worker"]
    for start in range(0, len(codes), _SOME):
        codes[start : start + _SOME] = final[codes[start : start + _SOME]]
    idle, waiting = busy.shares(final)
    return Gathered(closed, workers, offset or 0, idle, waiting, lines, opened.source)


def _near(role: str, numbers: np.ndarray, there: np.ndarray, offset: int, piece: Piece) -> np.ndarray:
    """Versions as int32, by their distance from the first."""
    numbers = numbers - offset
    far = (np.abs(numbers) >= 2**30) & there
    if far.any():
        i = int(np.argmax(far))
        raise LogError(
            f"{piece.where(i)}: {role} is {numbers[i] + offset}, too far from {offset}, where the log begins."
        )
    return np.where(there, numbers, MISSING).astype(np.int32)


def _check_span(parts: Mapping[str, np.ndarray], piece: Piece) -> None:
    late = parts["read_time"] > parts["time"]
    if late.any():
        i = int(np.argmax(late))
        raise LogError(
            f"{piece.where(i)}: the update was written at {parts['time'][i]:.12g}, before it was read at "
            f"{parts['read_time'][i]:.12g}; say which columns are time and read_time, on one clock."
        )


def _note_lines(lines: list[tuple[int, int]], start: int, piece: Piece) -> None:
    if piece.lines is None or not len(piece.lines):
        return
    numbers = np.asarray(piece.lines)
    breaks = np.flatnonzero(np.diff(numbers) != 1) + 1
    for i in (0, *breaks.tolist()):
        line = int(numbers[i])
        if not lines or lines[-1][1] + (start + i - lines[-1][0]) != line:
            lines.append((start + i, line))


class _Busy:
    """What each worker did with its time, from its rows in the order in which they stand."""

    def __init__(self) -> None:
        self._first, self._last = np.empty(0), np.empty(0)
        self._idle, self._waiting = np.empty(0), np.empty(0)
        self._ordered, self._has_ready = True, False

    def add(self, parts: Mapping[str, np.ndarray], workers: int) -> None:
        """Some more rows."""
        more = workers - len(self._first)
        if more:
            self._first, self._last = (np.r_[array, np.full(more, np.nan)] for array in (self._first, self._last))
            self._idle, self._waiting = (np.r_[array, np.zeros(more)] for array in (self._idle, self._waiting))
        order = np.argsort(parts["worker"], kind="stable")
        who, read, time = parts["worker"][order], parts["read_time"][order], parts["time"][order]
        begins = np.r_[True, who[1:] != who[:-1]]
        before = np.r_[np.nan, time[:-1]]
        before[begins] = self._last[who[begins]]
        fresh = begins & np.isnan(before)
        self._first[who[fresh]] = read[fresh]
        pause = np.where(fresh, 0.0, read - before)
        self._ordered &= bool((pause >= 0).all())
        np.add.at(self._idle, who, pause)
        ends = np.r_[begins[1:], True]
        self._last[who[ends]] = time[ends]
        if "ready_time" in parts:
            self._has_ready = True
            wait = parts["time"] - parts["ready_time"]
            np.add.at(self._waiting, parts["worker"], np.where(np.isnan(wait), 0.0, wait))

    def shares(self, final: np.ndarray) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
        """Of each worker's time: between a write and the next read, and between its gradient and its write."""
        if not self._ordered or not len(self._first):
            return None, None
        span = self._last - self._first
        order = np.argsort(final)
        made = [np.where(span > 0, part / np.where(span > 0, span, 1), 0.0) for part in (self._idle, self._waiting)]
        idle, waiting = (tuple(np.asarray(part)[order].tolist()) for part in made)
        return idle, waiting if self._has_ready else None
