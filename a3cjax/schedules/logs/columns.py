"""Columns that grow as a log is read, and the conversions of their entries, which say where one is wrong."""

import datetime
import math
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from a3cjax.schedules.logs.report import LogError

MISSING = np.iinfo(np.int32).min  # a version that a row does not have
_STEP = 65_536

Where = Callable[[int], str]  # from an entry of a piece to where it stands, as in "run.csv, line 17"


class Column:
    """Numbers of one type, appended piece by piece without a second copy.

    ``expected``: how many will come, as far as is known; memory for them is touched only when they do.
    """

    def __init__(self, kind: Any, expected: int = 0) -> None:
        self._array, self.size = np.empty(expected, kind), 0

    def append(self, piece: np.ndarray) -> None:
        """Put ``piece`` at the end."""
        needed = self.size + len(piece)
        if needed > len(self._array):
            # realloc moves no pages of a large array; what is zeroed ahead is an eighth.
            self._array.resize(max(needed, self.size + self.size // 8 + _STEP), refcheck=False)
        self._array[self.size : needed] = piece
        self.size = needed

    def close(self) -> np.ndarray:
        """All of it."""
        self._array.resize(self.size, refcheck=False)
        return self._array


class Spilled:
    """Numbers that are needed later, a part at a time, or not at all: in a file without a name, not in memory.

    It stands for an array: it has a length, and an index gives an array.
    """

    def __init__(self) -> None:
        self._file, self.size = tempfile.TemporaryFile(), 0  # noqa: SIM115 it lives as long as this does

    def __del__(self) -> None:
        self._file.close()

    def append(self, piece: np.ndarray) -> None:
        """Put ``piece`` at the end."""
        self._file.write(np.asarray(piece, np.float64).tobytes())
        self.size += len(piece)

    def close(self) -> "Spilled":
        """All of it, as far as it is asked for."""
        return self

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, item: Any) -> np.ndarray:
        if not isinstance(item, slice):
            return self[:][item]
        start, stop, _ = item.indices(self.size)
        self._file.seek(8 * start)
        return np.frombuffer(self._file.read(8 * max(stop - start, 0)), np.float64)


class Names:
    """Workers' names and their numbers, in order of appearance until ``ordered`` says the final one."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def codes(self, values: Sequence[Any], where: Where) -> np.ndarray:
        """The number of each name."""
        numbers = self._numbers
        values = values.tolist() if isinstance(values, np.ndarray) else values
        try:
            return np.fromiter(map(numbers.__getitem__, values), np.int32, len(values))
        except (KeyError, TypeError):
            pass
        codes = np.empty(len(values), np.int32)
        for i, value in enumerate(values):
            codes[i] = numbers.setdefault(_name(value, where, i), len(numbers))
        return codes

    def ordered(self) -> tuple[tuple[Any, ...], np.ndarray]:
        """The names, whole numbers by value, then texts with the numbers in them by value; the new number of each."""
        as_numbers = {name: _number_or_none(name) for name in self._numbers}
        if all(number is not None for number in as_numbers.values()) and len(set(as_numbers.values())) == len(
            as_numbers
        ):
            final: dict[Any, Any] = as_numbers
        else:
            final = {name: name for name in self._numbers}
        order = sorted(self._numbers, key=lambda name: _natural(final[name]))
        place = np.empty(len(order), np.int32)
        place[[self._numbers[name] for name in order]] = np.arange(len(order))
        return tuple(final[name] for name in order), place


def whole(role: str, values: Sequence[Any], where: Where, *, missing: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers as int64, and which of them are there; with ``missing`` empty ones, None and NaN are not."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "iu":
        return values.astype(np.int64), np.ones(len(values), bool)
    try:
        if set(map(type, values)) <= {int, str}:  # of a float int would take the whole part
            return np.fromiter(map(int, values), np.int64, len(values)), np.ones(len(values), bool)
    except (TypeError, ValueError, OverflowError):
        pass
    numbers, there = np.zeros(len(values), np.int64), np.ones(len(values), bool)
    for i, value in enumerate(values):
        if _is_missing(value):
            there[i] = False
            if not missing:
                raise LogError(f"{where(i)}: {role} is missing; leave the row out or say what it is.")
            continue
        try:
            number = float(value)
            if not number.is_integer() or abs(number) >= 2**53:
                raise ValueError
            numbers[i] = int(value) if isinstance(value, int) else int(number)
        except (TypeError, ValueError, OverflowError):
            raise LogError(f"{where(i)}: {role} is {_shown(value)}, but must be a whole number.") from None
    return numbers, there


def times(role: str, values: Sequence[Any], where: Where, *, missing: bool = False) -> np.ndarray:
    """Times as float64: numbers in any unit, or texts of ISO 8601 as seconds since 1970; NaN where there is none."""
    try:
        if isinstance(values, np.ndarray):
            array = values.astype(np.float64)
        else:
            array = np.fromiter(map(float, values), np.float64, len(values))
    except (TypeError, ValueError, OverflowError):
        array = np.array([_time(role, value, where, i) for i, value in enumerate(values)], np.float64)
    bad = ~np.isfinite(array)
    if bad.any() and not (missing and np.isnan(array[bad]).all()):
        i = int(np.argmax(bad if not missing else np.isinf(array)))
        raise LogError(f"{where(i)}: {role} is {_shown(values[i])}, but must be a number or a time of ISO 8601.")
    return array


def flags(role: str, values: Sequence[Any], where: Where) -> np.ndarray:
    """Yes and no: 1 and 0, true and false; an empty one is no."""
    words = {"1": True, "true": True, "yes": True, "1.0": True, "0": False, "false": False, "no": False, "0.0": False}
    array = np.zeros(len(values), bool)
    for i, value in enumerate(values):
        if _is_missing(value):
            continue
        word = words.get(str(value).strip().lower())
        if word is None:
            raise LogError(f"{where(i)}: {role} is {_shown(value)}, but must be 0 or 1.")
        array[i] = word
    return array


def _time(role: str, value: Any, where: Where, i: int) -> float:
    if _is_missing(value):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError):
        pass
    try:
        moment = value if isinstance(value, datetime.datetime) else datetime.datetime.fromisoformat(str(value).strip())
    except ValueError:
        raise LogError(f"{where(i)}: {role} is {_shown(value)}, but must be a number or a time of ISO 8601.") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()


def _is_missing(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in ("", "nan", "na", "null", "none")
    return value is None or (isinstance(value, float) and math.isnan(value))


def _name(value: Any, where: Where, i: int) -> Any:
    if _is_missing(value):
        raise LogError(f"{where(i)}: worker is missing; give every row a worker's name.")
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _number_or_none(name: Any) -> int | None:
    if isinstance(name, int):
        return name
    return int(name) if name.isascii() and name.isdecimal() else None


def _natural(name: Any) -> tuple[Any, ...]:
    if isinstance(name, int):
        return (0, name)
    parts, digits = [], ""
    for letter in f"{name}\0":
        if letter.isascii() and letter.isdecimal():
            digits += letter
            continue
        if digits:
            parts.append((0, int(digits), ""))
            digits = ""
        parts.append((1, 0, letter))
    return (1, *parts)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
