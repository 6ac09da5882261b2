"""What every study gives: sentences, a table, a figure, and four files."""

import abc
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from a3cjax._core import files
from a3cjax.studies.frame import tables

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure


class Study(abc.ABC):
    """The outcome of a study.

    ``name``: of its files. ``rows``: frozen dataclasses of one kind, the lines of ``<name>.csv``. ``curves``: the
    ``xarray.Dataset`` that they were made of, every variable with a long name and units; if the rows have intervals,
    its attribute ``intervals`` says which. ``interrupted``: whether Ctrl-C ended the study early.
    """

    name: ClassVar[str]
    rows: tuple[Any, ...]
    curves: "xr.Dataset"
    interrupted: bool

    @abc.abstractmethod
    def summary(self) -> str:
        """What was asked, and the answer, in a sentence or a few."""

    @abc.abstractmethod
    def table(self) -> str:
        """The rows as text."""

    @abc.abstractmethod
    def figure(self) -> "Figure":
        """The study as a picture."""

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
        the numbers are there whatever becomes of it. JSON has no NaN and no infinity: they are the texts "nan", "inf"
        and "-inf" there, as they are in the CSV.
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
        return [table, curves, picture, about_run]


class StudyInterrupted(KeyboardInterrupt):
    """Ctrl-C during a study: ``study`` holds what was done, the rest of its curves NaN."""

    def __init__(self, message: str, study: Study) -> None:
        super().__init__(message)
        self.study = study

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (*self.args, self.study), self.__dict__


def about(long_name: str, units: str) -> dict[str, str]:
    """The attributes of a variable in ``curves``."""
    return {"long_name": long_name, "units": units}
