"""Rows, the lines of a study's table and CSV: made cell by cell from arrays, written column by column."""

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar, dataclass_transform

import numpy as np

from a3cjax._core.statistics import Mean
from a3cjax.studies.frame.statistics import Ratio
from a3cjax.studies.frame.tables import interval, number, short, text_table
from a3cjax.studies.frame.types import Dataset

Row = TypeVar("Row")


def make_rows(row: Callable[..., Row], curves: Dataset, dims: str, /, **given: Any) -> tuple[Row, ...]:
    """A row for each cell along the dimensions, the last running fastest.

    Args:
        row: the rows' class; fields that are not ``given`` are the variables of that name.
        curves: the dataset.
        dims: names of dimensions, such as "sampling workers".
        given: other fields, as arrays along the dimensions or the last of them.

    >>> from a3cjax.studies.frame.layout import SEED, WORKERS, Layout, Var
    >>> curves = Layout("", {"workers": WORKERS}, {}).dataset({"workers": [1, 4]})
    >>> class Point(NamedTuple):
    ...     workers: int
    ...     time: float
    >>> make_rows(Point, curves, "workers", time=[8.0, 2.0])
    (Point(workers=1, time=8.0), Point(workers=4, time=2.0))
    """
    names, columns = dims.split(), {}
    for name in inspect.signature(row).parameters:
        if name in given:
            columns[name] = np.asarray(given[name])
        else:
            shape = [curves.sizes[dim] if dim in curves[name].dims else 1 for dim in names]
            columns[name] = (
                curves[name].transpose(*(dim for dim in names if dim in curves[name].dims)).values.reshape(shape)
            )
    arrays = np.broadcast_arrays(*columns.values(), np.empty([curves.sizes[dim] for dim in names]))[:-1]
    cells = zip(*(array.ravel().tolist() for array in arrays), strict=True)
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
            low, high = self.cell
            return interval(getattr(row, low), getattr(row, high), self.form)
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


def column(
    header: str,
    form: str | None = None,
    *,
    to: str | None = None,
    cell: Callable[[Any], str] | None = None,
    at: int = 0,
) -> Any:
    """A field of a row that is a column of the table, too.

    Args:
        header: its header; {percent} stands for the intervals' coverage, {row} for the first row.
        form: as in ``Column``.
        to: the field with the other end, if this is the lower end of an interval.
        cell: what stands there, if that is not the number alone.
        at: columns with a greater number stand further to the right, the others as the fields do.

    >>> @table_row
    ... class Point:
    ...     law: str = column("law of\\nthe delays")
    ...     low: float = column("{percent}", ".1f", to="high")
    ...     high: float
    >>> rows_text([Point("constant", 1.0, 2.0)], row_columns(Point, percent="95 %")).splitlines()[-1]
    'constant    1.0 to 2.0'
    """
    return dataclasses.field(metadata={"column": (at, header, form, to, cell)})


@dataclass_transform(frozen_default=True, field_specifiers=(column,))
def table_row(kind: type[Row]) -> type[Row]:
    """The class of a study's rows: a frozen dataclass, some of whose fields are a ``column``."""
    return dataclasses.dataclass(frozen=True)(kind)


def row_columns(kind: Any, **words: Any) -> list[Column]:
    """The columns that a row's class declares; if it declares none every field is one, by its name."""
    found = []
    for field in dataclasses.fields(kind):
        if "column" in field.metadata:
            at, header, form, to, cell = field.metadata["column"]
            cell = cell or (field.name if to is None else (field.name, to))
            found.append((at, Column(header.format(**words), cell, form)))
    by_name = [Column(field.name.replace("_", "\n"), field.name) for field in dataclasses.fields(kind)]
    return [told for _, told in sorted(found, key=lambda pair: pair[0])] or by_name
