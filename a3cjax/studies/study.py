"""What every study gives: sentences, a table, a figure, and four files."""

import abc
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from a3cjax.studies import _files, tables

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

    def save(self, folder: str | os.PathLike[str], options: Mapping[str, Any] | None = None) -> list[Path]:
        """Write <name>.csv, <name>.nc, <name>.png and run.json, each whole or not at all; return their paths.

        ``options`` goes into run.json, beside the versions of what made the numbers.
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        picture = io.BytesIO()
        self.figure().savefig(picture, format="png", dpi=150)
        run = {
            "study": self.name,
            "options": dict(options or {}),
            "problem": self.facts(),
            "interrupted": self.interrupted,
            "intervals": self.curves.attrs.get("intervals"),
            "notes": self.notes(),
            "versions": tables.versions(),
        }
        contents = {
            f"{self.name}.csv": tables.csv_text(self.rows).encode(),
            f"{self.name}.png": picture.getvalue(),
            "run.json": (json.dumps(run, indent=2, allow_nan=False) + "\n").encode(),
        }
        for name, content in contents.items():
            _files.write_whole(target / name, lambda path, content=content: Path(path).write_bytes(content))
        curves = f"{self.name}.nc"
        _files.write_whole(target / curves, lambda path: self.curves.to_netcdf(path, engine="h5netcdf"))
        return [target / name for name in (f"{self.name}.csv", curves, f"{self.name}.png", "run.json")]


class StudyInterrupted(KeyboardInterrupt):
    """Ctrl-C during a study: ``study`` holds what was done, the rest of its curves NaN."""

    def __init__(self, message: str, study: Study) -> None:
        super().__init__(message)
        self.study = study


def about(long_name: str, units: str) -> dict[str, str]:
    """The attributes of a variable in ``curves``."""
    return {"long_name": long_name, "units": units}
