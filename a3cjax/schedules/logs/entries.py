"""Columns of a log that a schedule has no use for, such as the samples of every update."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from a3cjax.schedules.logs import columns, roles
from a3cjax.schedules.logs.report import LogError
from a3cjax.schedules.logs.sources import open_source


def read_entries(source: Any, names: Sequence[str], *, run: str | None = None) -> dict[str, list[Any]]:
    """The entries of these columns, in the order of the versions that their rows wrote.

    Raises:
        LogError: if a row has none; the sentence names the line.

    >>> read_entries({"written": [1, 0], "sample": [[4, 5], [2, 3]]}, ["sample"])
    {'sample': [[2, 3], [4, 5]]}
    """
    opened = open_source(source, run)
    found = roles.resolve(opened.names, {}, opened.source)
    roles.need("written", "the version that the update wrote", found, opened.names, opened.source)
    strange = [name for name in names if name not in opened.names and not opened.run]  # the recorder's may have more
    if strange:
        raise LogError(f"{opened.source} has no column {strange[0]!r}; it has {roles.listed(opened.names)}.")
    kept: dict[str, list[Any]] = {name: [] for name in names}
    written: list[np.ndarray] = []
    for piece in opened.pieces([found["written"], *names]):
        written.append(columns.whole("written", piece.columns[found["written"]], piece.where, missing=False)[0])
        for name, entries in kept.items():
            there = piece.columns[name]
            gone = next((i for i, entry in enumerate(there) if entry is None), None)
            if gone is not None:
                raise LogError(f"{piece.where(gone)}: {name} is missing; record it with each update.")
            entries.extend(there)
    order = np.argsort(np.concatenate(written), kind="stable").tolist() if written else []
    return {name: [entries[i] for i in order] for name, entries in kept.items()}
