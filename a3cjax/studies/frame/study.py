"""What every study gives: sentences, a table, a figure, and four files."""

import abc
import dataclasses
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, get_args, get_type_hints

from a3cjax._core import files
from a3cjax.studies.frame import tables
from a3cjax.studies.frame.rows import Column, row_columns, rows_text
from a3cjax.studies.frame.types import Dataset, Figure


@dataclasses.dataclass(frozen=True)
class Study(abc.ABC):
    """The outcome of a study: what it found, in sentences, a table, a picture and four files.

    A study of your own derives from this and writes ``name``, ``summary`` and ``figure``.

    ``name``: of its files. ``rows``: frozen dataclasses of one kind, the lines of ``<name>.csv``. ``curves``: the
    ``xarray.Dataset`` that they were made of, every variable with a long name and units; if the rows have intervals,
    its attribute ``intervals`` says which. ``confidence``: coverage of the intervals. ``interrupted``: whether Ctrl-C
    ended the study early. ``kept``: what is kept on disk of a finished study until it is saved.
    """

    name: ClassVar[str]

    curves: Dataset
    rows: tuple[Any, ...]
    confidence: float = 0.95
    interrupted: bool = False
    kept: Any = dataclasses.field(default=None, repr=False, compare=False, kw_only=True)

    @abc.abstractmethod
    def summary(self) -> str:
        """What was asked, and the answer, in a sentence or a few."""

    @abc.abstractmethod
    def figure(self) -> Figure:
        """The study as a picture."""

    def columns(self) -> list[Column]:
        """The table's columns: those that the rows' class declares, or every field."""
        first = next(iter(self.rows), None)
        kind = get_args(get_type_hints(type(self))["rows"])[0] if first is None else type(first)
        return row_columns(kind, percent=self.percent, row=first)

    def table(self) -> str:
        """The rows as text."""
        return rows_text(self.rows, self.columns())

    @property
    def percent(self) -> str:
        """The intervals' coverage in words."""
        return f"{100 * self.confidence:g} %"

    def notes(self) -> list[str]:
        """A sentence for each thing that a reader of the rows must know."""
        return []

    def facts(self) -> dict[str, Any]:
        """What ``run.json`` says of the problem: names and numbers."""
        return {}

    @classmethod
    def file_names(cls) -> tuple[str, ...]:
        """What ``save`` writes."""
        return f"{cls.name}.csv", f"{cls.name}.nc", f"{cls.name}.png", "run.json"

    def save(self, folder: str | os.PathLike[str], options: Mapping[str, Any] | None = None) -> list[Path]:
        """Write <name>.csv, <name>.nc, run.json and <name>.png, each whole or not at all; return their paths.

        ``options`` goes into run.json, beside the versions of what made the numbers. The figure comes last, so that
        the numbers are there whatever becomes of it; then what was ``kept`` of the finished study goes. JSON has no NaN
        and no infinity: they are the texts "nan", "inf" and "-inf" there, as they are in the CSV.
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        run = {
            "study": self.name,
            "options": dict(options or {}),
            "problem": self.facts(),
            "interrupted": self.interrupted,
            "intervals": self.curves.attrs.get("intervals"),
            "notes": self.notes(),
            "versions": tables.versions(),
        }
        table, curves, picture, about_run = (target / name for name in self.file_names())
        files.write_whole(table, lambda file: file.write(tables.csv_text(self.rows).encode()))
        files.write_whole(curves, lambda file: self.curves.to_netcdf(file.name, engine="h5netcdf"))
        files.write_whole(about_run, lambda file: file.write(tables.json_text(run).encode()))
        drawn = io.BytesIO()
        self.figure().savefig(drawn, format="png", dpi=150)
        files.write_whole(picture, lambda file: file.write(drawn.getvalue()))
        if self.kept is not None:
            self.kept.remove()
        return [table, curves, picture, about_run]


class StudyInterrupted(KeyboardInterrupt):
    """Ctrl-C during a study: ``study`` holds what was done, the rest of its curves NaN."""

    def __init__(self, message: str, study: Study) -> None:
        super().__init__(message)
        self.study = study

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (*self.args, self.study), self.__dict__
