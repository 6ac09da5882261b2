"""JSON lines: one object on each line, of any trainer, or those that ``a3cjax.recorder`` writes."""

import heapq
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from a3cjax.schedules.logs.opened import LONGEST, ROWS, Opened, Piece, expected_rows
from a3cjax.schedules.logs.recorded import Line, Recorded
from a3cjax.schedules.logs.report import LogError

_MOST_FILES = 500  # open at a time


def open_folder(path: Path, run: str | None) -> Opened:
    """The recorder's files in a folder, merged by their clock."""
    files = sorted(one for one in path.iterdir() if one.suffix == ".jsonl" and one.is_file())
    if not files:
        there = sorted(one.name for one in path.iterdir())[:5]
        raise LogError(
            f"{path} is a folder without the recorder's .jsonl files (it has {', '.join(there) or 'nothing'}); "
            "give one file, or the folder that was given to Recorder."
        )
    begun = [file for file in files if not _is_stillborn(file)]
    for file in begun:
        if not _is_recorded(file):
            raise LogError(f"{file} is not of a3cjax.recorder; a folder is read only if all its .jsonl files are.")
    if not begun:
        raise LogError(f"{path} has .jsonl files, but no whole line is in any; give the folder of a run that began.")
    opened = open_lines(begun, run)
    opened.source = str(path)
    opened.partial += [f"{file}, line 1" for file in files if file not in begun]
    return opened


def open_lines(paths: Sequence[Path], run: str | None) -> Opened:
    """One file of JSON lines, or several of the recorder's."""
    if _is_recorded(paths[0]):
        partial: list[str] = []
        recorded = Recorded(run)
        for path in paths:
            recorded.look(_rows(path, partial=None))
        recorded.check()

        def merged() -> Iterator[Line]:
            streams = [_rows(path, partial) for path in paths]
            if recorded.clocks > 1 or len(paths) > _MOST_FILES:
                return (line for stream in streams for line in stream)
            return heapq.merge(*streams, key=lambda line: _moment(line.row))

        def pieces(wanted: Sequence[str]) -> Iterator[Piece]:
            return recorded.pieces(merged(), wanted)

        form = f"the recorder's lines in {len(paths)} file{'s' if len(paths) > 1 else ''}"
        known: dict[str, Any] = {
            "partial": partial,
            "notes": recorded.notes,
            "run": recorded.run,
            "clocks": recorded.clocks,
        }
        known["expected"] = expected_rows(paths)
        return Opened(str(paths[0]), form, recorded.names(), pieces, **known)
    (path,) = paths
    names: dict[str, None] = {}
    for line, _ in zip(_rows(path, partial=None), range(100), strict=False):
        names |= dict.fromkeys(line.row)
    opened = Opened(str(path), "JSON lines", list(names), lambda wanted: _plain(path, wanted, opened.partial))
    opened.expected = expected_rows([path])
    return opened


def _plain(path: Path, wanted: Sequence[str], partial: list[str]) -> Iterator[Piece]:
    columns: dict[str, list[Any]] = {name: [] for name in wanted}
    numbers: list[int] = []

    def piece() -> Piece:
        lines = numbers
        return Piece(columns, lambda i: f"{path}, line {lines[i]}", lines)

    for line in _rows(path, partial):
        for name, values in columns.items():
            values.append(line.row.get(name))
        numbers.append(line.number)
        if len(numbers) == ROWS:
            yield piece()
            columns, numbers = {name: [] for name in wanted}, []
    if numbers:
        yield piece()


def _rows(path: Path, partial: list[str] | None) -> Iterator[Line]:
    """The objects of a file; lines that were cut go to ``partial``, others that are no objects are refused."""
    recorded = _is_recorded(path)
    with path.open("rb") as file:
        number = 0
        while line := file.readline(LONGEST):
            number += 1
            if len(line) == LONGEST:
                raise LogError(f"{path}, line {number} is longer than {LONGEST:,} bytes; is it a log?")
            if line.isspace():
                continue
            row = _object(line)
            if row is None:
                rest = _after_a_cut(line) if recorded else None
                if partial is not None and (recorded or not line.endswith(b"\n")):
                    partial.append(f"{path}, line {number}")
                elif not recorded and line.endswith(b"\n"):
                    raise LogError(
                        f"{path}, line {number} is {line[:40].decode(errors='replace')!r}..., which is no JSON object; "
                        "mend the line or leave it out."
                    )
                if rest is None:
                    continue
                row = rest
            yield Line(row, path, number)


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _after_a_cut(line: bytes) -> dict[str, Any] | None:
    """Where several processes append to one file, a line that a kill cut goes on as another's, which is whole."""
    start = 0
    while (start := line.find(b'{"run": ', start + 1)) > 0:
        row = _object(line[start:])
        if row is not None:  # an object that was handed over may have a "run" too, but then the line goes on
            return row
    return None


def _is_recorded(path: Path) -> bool:
    """Whether the recorder wrote the file: its first line says so, or, if a kill cut that one, a later one."""
    with path.open("rb") as file:
        for _ in range(3):
            row = _object(file.readline(LONGEST))
            if row is not None:
                return "a3cjax_log" in row
    return False


def _is_stillborn(path: Path) -> bool:
    """Whether a kill came before the first line was whole."""
    with path.open("rb") as file:
        return not file.readline(LONGEST).endswith(b"\n")


def _moment(row: dict[str, Any]) -> int:
    moment = row.get("ns")
    return moment if isinstance(moment, int) else 0
