"""Measured numbers in a file. What such a file is:

- a ``.npy`` file of a vector of numbers; or
- text in UTF-8 with one number on each line, under a heading or not; or
- text in UTF-8 with all numbers on its only line: between them spaces or tabs, after a comma or not, or commas alone if
  every number has a decimal point, for ``1,5`` and ``1,234`` may be one number each.

A number is written as in ``12``, ``-0.5`` or ``3e-2``, and may stand in double quotes. Empty lines do not count, and
``#`` begins a comment. A heading is a first line that begins with a letter, such as ``delay [updates]``; a first line
that is a number is a value. Everything else is refused with the number of its line: a second column, such as the index
that pandas writes (``to_csv(index=False)`` leaves it out), a missing value, a unit, a decimal comma.
"""

import math
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_MISSING = {"na", "n/a", "n.a.", "nan", "nat", "null", "nil", "none", "inf", "infinity", "missing", "undefined"}
_NO_COMMENT = re.compile(r"#(N/A|NULL!|DIV/0!|VALUE!|REF!|NAME\?|NUM!)")  # what spreadsheets write for a lost value
_KINDS = {
    b"\xff\xfe": "UTF-16 text; save it as UTF-8",
    b"\xfe\xff": "UTF-16 text; save it as UTF-8",
    b"\x1f\x8b": "compressed with gzip; unpack it first",
    b"PK\x03\x04": "a zip archive, as .npz and .xlsx files are; save one column as text or .npy",
}
_NPY = b"\x93NUMPY"


class Measured(NamedTuple):
    """Numbers, and where each stands, as the beginning of a sentence."""

    values: np.ndarray
    places: list[str]


def read_measured(path: Path) -> Measured:
    """The numbers in a file, in the order of the file.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is not a file of values; the sentence names the line.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder; give a file of numbers.")
    content = path.read_bytes()
    if content.startswith(_NPY):
        return _array(path)
    if path.suffix == ".npy":
        raise ValueError(f"{path} is not what np.save writes; save a vector with np.save, or text as .txt or .csv.")
    for mark, kind in _KINDS.items():
        if content.startswith(mark):
            raise ValueError(f"{path} is {kind}.")
    return _text(path, content)


def _array(path: Path) -> Measured:
    try:
        values = np.load(path, allow_pickle=False)
    except Exception as error:  # cut, of Python objects, or of sizes that cannot be
        raise ValueError(f"{path} does not hold a whole array of numbers; save a vector with np.save.") from error
    if values.dtype.kind not in "iuf":
        raise ValueError(f"{path} holds {values.dtype}, not numbers; save a vector of whole numbers or floats.")
    return Measured(values, [f"{path}, entry {i}:" for i in range(values.shape[0] if values.ndim == 1 else 0)])


def _text(path: Path, content: bytes) -> Measured:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + len(re.findall(rb"\r\n|\n|\r", content[: error.start]))
        raise ValueError(
            f"{path}, line {line}: byte {error.start} is not UTF-8 text; save one column as UTF-8 text or .npy."
        ) from error
    if "\0" in text:
        raise ValueError(f"{path} holds zero bytes, which text does not; save one column as UTF-8 text or .npy.")
    lines = [
        (number, _without_comment(line).strip(" \t"))
        for number, line in enumerate(re.split(r"\r\n|\n|\r", text), start=1)
    ]
    lines = [(number, line) for number, line in lines if line]
    headed = bool(lines) and _is_heading(lines[0][1])
    rows = lines[headed:]
    if len(rows) == 1 and not headed and not rows[0][1].startswith('"'):
        rows = [(rows[0][0], entry) for entry in _entries(rows[0][1])]
    values = [_number(path, number, entry) for number, entry in rows]
    if not values:
        raise ValueError(f"{path} holds no numbers; give one on each line.")
    return Measured(np.array(values), [f"{path}, line {number}:" for number, _ in rows])


def _entries(line: str) -> list[str]:
    by_comma = line.split(",")
    if len(by_comma) > 1 and all("." in entry for entry in by_comma) and not re.search(r"[ \t]", line):
        return by_comma
    return re.split(r",?[ \t]+", line)


def _without_comment(line: str) -> str:
    return line if _NO_COMMENT.search(line) else line.split("#")[0]


def _is_heading(line: str) -> bool:
    """Whether a first line names the column: a letter first, one column, and no word for a missing value."""
    quoted = len(line) > 1 and line[0] == line[-1] == '"' and '"' not in line[1:-1]
    name = line[1:-1] if quoted else line
    several = not quoted and any(mark in line for mark in ",;\t")
    return bool(name) and name[0].isalpha() and not several and name.lower() not in _MISSING


def _number(path: Path, line: int, text: str) -> float:
    bare = text[1:-1] if len(text) > 2 and text[0] == text[-1] == '"' else text
    if not _NUMBER.fullmatch(bare):
        raise ValueError(f"{path}, line {line}: {_shortened(text)} {_wrong(bare)}.")
    value = float(bare)
    if math.isinf(value):
        raise ValueError(f"{path}, line {line}: {_shortened(text)} is too large a number for a float.")
    return value


def _wrong(text: str) -> str:
    if "," in text or ";" in text:
        return "has a comma or semicolon; give one column, with points in decimals, such as to_csv(index=False) writes"
    if len(text.split()) > 1:
        return "holds several entries, but there are other lines; give one number on each line"
    return "is not a number; give one column of numbers"


def _shortened(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:37]}...")
