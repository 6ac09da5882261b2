"""CSV: one row on each line under a line of names, between them commas, semicolons or tabs."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from a3cjax.schedules.logs.opened import LONGEST, ROWS, Opened, Piece, expected_rows
from a3cjax.schedules.logs.report import LogError


def open_csv(path: Path) -> Opened:
    """The columns of a CSV file, read as a stream."""
    with path.open("rb") as file:
        heading = next(_Lines(file, path), "")
    delimiter = max(",;\t", key=heading.count)
    names = [name.strip() for name in next(csv.reader([heading], delimiter=delimiter), [])]
    if names and all(_is_number(name) for name in names):
        raise LogError(f"{path}, line 1: {heading.strip()[:60]!r} has no names; give the columns' names on that line.")
    opened = Opened(str(path), "CSV", names, lambda wanted: _pieces(path, delimiter, wanted, opened))
    opened.expected = expected_rows([path])
    return opened


class _Lines:
    """The lines of a file as text, each with its end; knows how many there were and whether the last has one."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file, self._path, self.number, self.ended = file, path, 0, True

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._file.readline(LONGEST)
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) == LONGEST:
            raise LogError(f"{self._path}, line {self.number} is longer than {LONGEST:,} bytes; is it a log?")
        self.ended = line.endswith(b"\n")
        try:
            return line.decode("utf-8-sig" if self.number == 1 else "utf-8").replace("\0", "\ufffd")
        except UnicodeDecodeError as error:
            raise LogError(f"{self._path}, line {self.number} is not UTF-8 text; save it as UTF-8.") from error


def _pieces(path: Path, delimiter: str, wanted: Sequence[str], opened: Opened) -> Iterator[Piece]:
    for name in wanted:
        if opened.names.count(name) > 1:
            raise LogError(f"{path}, line 1 names the column {name!r} twice; give each a name of its own.")
    places = {name: opened.names.index(name) for name in wanted}
    width, rows, numbers = len(opened.names), [], []
    with path.open("rb") as file:
        lines = _Lines(file, path)
        reader = csv.reader(lines, delimiter=delimiter)
        try:
            next(reader)
            for row in reader:
                if len(row) != width and row:
                    if not lines.ended:  # only the last line has no end
                        opened.partial.append(f"{path}, line {lines.number}")
                        break
                    raise LogError(
                        f"{path}, line {reader.line_num} has {len(row)} entries, but the first line names {width} "
                        "columns; mend the line or leave it out."
                    )
                if row:
                    rows.append(row)
                    numbers.append(reader.line_num)
                if len(rows) == 2 * ROWS:
                    yield _piece(path, places, rows[:ROWS], numbers[:ROWS])
                    rows, numbers = rows[ROWS:], numbers[ROWS:]
        except csv.Error as error:
            raise LogError(f"{path}, line {reader.line_num} is no CSV ({error}); mend the line.") from error
    if rows and not lines.ended and numbers[-1] == lines.number:
        if _is_cut(rows):
            opened.partial.append(f"{path}, line {numbers.pop()}")
            rows.pop()
        else:
            opened.notes.append(f"The last line, {numbers[-1]}, has no line end, but all its entries, and was taken.")
    for start in range(0, len(rows), ROWS):
        yield _piece(path, places, rows[start : start + ROWS], numbers[start : start + ROWS])


def _piece(path: Path, places: dict[str, int], rows: list[list[str]], lines: list[int]) -> Piece:
    columns = {name: [row[place] for row in rows] for name, place in places.items()}
    return Piece(columns, lambda i: f"{path}, line {lines[i]}", lines)


def _is_cut(rows: list[list[str]]) -> bool:
    """Whether the last entry of the last row lacks digits after the point that all rows ahead of it have."""
    ahead = {len(row[-1].partition(".")[2]) for row in rows[-101:-1]}
    return bool(ahead) and len(rows[-1][-1].partition(".")[2]) < min(ahead)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
