"""What a log may be: a path, whose first bytes say its format, a folder of the recorder's files, or a table."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from a3cjax.schedules.logs.lines import open_folder, open_lines
from a3cjax.schedules.logs.opened import Opened
from a3cjax.schedules.logs.report import LogError
from a3cjax.schedules.logs.tables import open_parquet, open_table
from a3cjax.schedules.logs.text import open_csv

_KINDS = {
    b"\x1f\x8b": "compressed with gzip; unpack it first",
    b"\x28\xb5\x2f\xfd": "compressed with zstandard; unpack it first",
    b"PK\x03\x04": "a zip archive; Schedule.load reads what Schedule.save wrote, and a log is CSV or JSON lines",
    b"\x93NUMPY": "one NumPy array; give columns by name, or save CSV",
    b"\x89HDF": "an HDF5 file; save CSV or JSON lines",
    b"\xff\xfe": "UTF-16 text; save it as UTF-8",
    b"\xfe\xff": "UTF-16 text; save it as UTF-8",
    b"\x80": "a pickle, which is never loaded, for that runs whatever is in it; save CSV or JSON lines",
}


def open_source(source: Any, run: str | None) -> Opened:
    """The reader of a log.

    Raises:
        FileNotFoundError: if there is no such file.
        LogError: if it is nothing that can be a log.
    """
    if source is None:
        raise LogError("There is no log to read; give its path, as in a3cjax log out/run.")
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        opened = open_folder(path, run) if path.is_dir() else _open_file(path, run)
    else:
        if not (hasattr(source, "keys") or hasattr(source, "columns")):
            what = "a list" if isinstance(source, Sequence) else f"of the class {type(source).__name__}"
            raise LogError(f"source is {what}, but must be a path, a folder, a mapping of columns or a frame.")
        opened = open_table(source)
    if run is not None and not opened.run:
        raise LogError(f"run has no effect on {opened.source}, which names no runs; leave it out.")
    return opened


def _open_file(path: Path, run: str | None) -> Opened:
    with path.open("rb") as file:
        start = file.read(4096)
    if not start.strip():
        raise LogError(f"{path} is empty; give the log of a run.")
    if start.startswith(b"PAR1"):
        return open_parquet(path)
    for mark, kind in _KINDS.items():
        if start.startswith(mark):
            raise LogError(f"{path} is {kind}.")
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"["):
        raise LogError(f"{path} is a JSON array; write one object on each line.")
    return open_lines([path], run) if text.startswith(b"{") else open_csv(path)
