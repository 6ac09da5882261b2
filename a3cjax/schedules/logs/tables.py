"""Tables in memory, and parquet: columns that are there by name."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from a3cjax.schedules.logs.opened import ROWS, Opened, Piece
from a3cjax.schedules.logs.report import LogError


def open_table(table: Any) -> Opened:
    """A mapping from names to columns, or a frame of pandas or its like: ``columns`` and ``frame[name]``."""
    frame = not isinstance(table, Mapping)
    source = f"the {type(table).__name__}" if frame else "the table"
    columns: dict[str, Any] = {}
    for name in list(table.columns if frame else table):
        values = table[name]
        columns[str(name)] = values.to_numpy() if hasattr(values, "to_numpy") else values
    if not columns:
        raise LogError(f"{source} has no columns; give worker, read, written and time.")
    return of_columns(columns, source, "a table")


def of_columns(columns: Mapping[str, Any], source: str, form: str) -> Opened:
    """Columns of one length."""
    lengths = {}
    for name, values in columns.items():
        if not hasattr(values, "__len__") and np.ndim(values) == 0:
            raise LogError(f"{source}: {name} is {values!r}, but must be a column; give one entry for each row.")
        if isinstance(values, np.ndarray) and values.ndim != 1:
            raise LogError(f"{source}: {name} has shape {values.shape}, but must be a column; give one number a row.")
        lengths[name] = len(values)
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise LogError(f"{source} has columns of different lengths ({told}); give one entry for each row.")
    rows = next(iter(lengths.values()))

    def pieces(wanted: Sequence[str]) -> Iterator[Piece]:
        for start in range(0, rows, ROWS):
            part = {name: _plain(columns[name][start : start + ROWS]) for name in wanted}
            yield Piece(part, lambda i, start=start: f"{source}, row {start + i}")

    return Opened(source, form, list(columns), pieces)


def open_parquet(path: Path) -> Opened:
    """The columns of a parquet file, read batch by batch; needs pyarrow."""
    try:
        from pyarrow import ArrowException, parquet  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise LogError(
            f"{path} is a parquet file, and pyarrow is not installed to read it; pip install pyarrow, or save CSV."
        ) from None
    try:
        file = parquet.ParquetFile(path)
        names = list(file.schema_arrow.names)
    except (ArrowException, OSError, ValueError) as error:
        raise LogError(f"{path} is damaged or no parquet file ({_first_line(error)}); write it again.") from error

    def pieces(wanted: Sequence[str]) -> Iterator[Piece]:
        start = 0
        try:
            for batch in file.iter_batches(batch_size=ROWS, columns=list(wanted)):
                part = {name: batch.column(name).to_pylist() for name in wanted}
                yield Piece(part, lambda i, start=start: f"{path}, row {start + i}")
                start += batch.num_rows
        except (ArrowException, OSError) as error:
            raise LogError(f"{path} is damaged after row {start:,} ({_first_line(error)}); write it again.") from error

    return Opened(str(path), "parquet", names, pieces)


def _plain(values: Any) -> Any:
    return values if isinstance(values, np.ndarray) and values.dtype.kind in "iuf" else list(values)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:120].rstrip(".") if str(error).strip() else type(error).__name__
