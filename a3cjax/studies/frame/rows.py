"""Rows, the lines of a study's table and CSV: made cell by cell from arrays, written column by column."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from a3cjax.studies.frame.statistics import Mean, Ratio
from a3cjax.studies.frame.tables import interval, number, short, text_table

Row = TypeVar("Row")


def make_rows(row: Callable[..., Row], /, **columns: Any) -> tuple[Row, ...]:
    """A row for each cell of the fields' arrays, which broadcast; the last axis runs fastest.

    >>> class Point(NamedTuple):
    ...     law: str
    ...     delay: int
    >>> make_rows(Point, law=np.array([["constant"]]), delay=[0, 4])
    (Point(law='constant', delay=0), Point(law='constant', delay=4))
    """
    cells = zip(*(array.ravel().tolist() for array in np.broadcast_arrays(*columns.values())), strict=True)
    return tuple(row(**dict(zip(columns, cell, strict=True))) for cell in cells)


def with_ends(name: str, mean: Mean | Ratio, ends: str | None = None) -> dict[str, Any]:
    """A mean and its interval as three fields: ``name``, and ``ends`` (``name`` if not given) with _low and _high."""
    ends = name if ends is None else ends
    return {name: mean.value, f"{ends}_low": mean.low, f"{ends}_high": mean.high}


class Column(NamedTuple):
    """One column of a table: its header, and what of a row stands there.

    ``cell``: a field's name, two fields' names for an interval, or a function of the row.
    ``form``: a number's format; without one numbers have about three figures.
    """

    header: str
    cell: str | tuple[str, str] | Callable[[Any], str]
    form: str | None = None

    def text(self, row: Any) -> str:
        """The cell; a dash where there is no number."""
        if callable(self.cell):
            return self.cell(row)
        if isinstance(self.cell, tuple):
            return interval(*(getattr(row, name) for name in self.cell), self.form)
        value = getattr(row, self.cell)
        if self.form is not None:
            return number(value, self.form)
        return short(value) if isinstance(value, float) else str(value)


def rows_text(rows: Sequence[Any], columns: Sequence[Column]) -> str:
    """An aligned table of the rows.

    >>> class Point(NamedTuple):
    ...     law: str
    ...     low: float
    ...     high: float
    >>> print(rows_text([Point("iid", 1.0, 2.5)], [Column("law", "law"), Column("95 %", ("low", "high"))]))
    law          95 %
    iid  1.00 to 2.50
    """
    return text_table([column.header for column in columns], [[column.text(row) for column in columns] for row in rows])


def all_columns(rows: Sequence[Any]) -> list[Column]:
    """A column for every field, by its name."""
    fields = dataclasses.fields(rows[0]) if rows else ()
    return [Column(field.name.replace("_", "\n"), field.name) for field in fields]
