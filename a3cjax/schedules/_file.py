"""A schedule as a file: a NumPy archive, written whole or not at all."""

import os
import zipfile
from typing import Any

import numpy as np

from a3cjax import _files

_COLUMNS = ("worker", "delay", "time")


def save(path: str | os.PathLike[str], columns: tuple[Any, Any, Any], num_workers: int, commit: Any) -> None:
    """Write the columns, the number of workers and the commits, if any."""
    named: dict[str, Any] = dict(zip(_COLUMNS, map(np.asarray, columns), strict=True))
    if commit is not None:
        named["commit"] = np.asarray(commit)
    _files.write_whole(path, lambda file: np.savez(file, num_workers=num_workers, **named))


def load(path: str | os.PathLike[str]) -> tuple[tuple[np.ndarray, ...], int, np.ndarray | None]:
    """The columns, the number of workers and the commits, if any, in a file that ``save`` wrote."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            commit = archive.get("commit")
            return tuple(archive[name] for name in _COLUMNS), int(archive["num_workers"]), commit
    except (KeyError, ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{os.fspath(path)} is not a schedule; give a file written by Schedule.save.") from error
