"""What is kept of a study until its files are written, so that it can go on after an interruption."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from a3cjax._core import files
from a3cjax.studies.frame.tables import versions
from a3cjax.sweeps.claims import claimed
from a3cjax.sweeps.fingerprint import other_option

_FILE = "unfinished.npz"
_OPTIONS = "options"


class Kept:
    """A folder with one file: a study's options, and arrays.

    One file, written whole or not at all, so that they always belong together.
    """

    def __init__(self, folder: str | os.PathLike[str] | None, options: Mapping[str, Any], study: str) -> None:
        """``options``: all that the bits depend on but platform and versions. ``study``: its name in sentences."""
        self._path = None if folder is None else Path(folder) / _FILE
        everything = {**options, "platform": jax.default_backend(), "versions": versions()}
        self._options = json.loads(json.dumps(everything))
        self._study = study
        self._ours = False  # whether the file is known to be of this study

    @property
    def goes_on(self) -> bool:
        """Whether an interrupted study is kept."""
        return self._path is not None

    def interrupted(self) -> str:
        """Said at Ctrl-C of a study that is kept whenever a part of it is done."""
        return "Interrupted." + (" The same command goes on from there." if self.goes_on else "")

    def load(self, *needed: str) -> tuple[dict[str, np.ndarray], str | None]:
        """What is kept; nothing if there is nothing.

        Or nothing, and a sentence why, if the file cannot be read: then the study begins again.

        Raises:
            ValueError: if the folder holds a study with other options.
        """
        if self._path is None or not self._path.is_file():
            return {}, None
        try:
            arrays = self._read(self._path, needed)
            options = json.loads(str(arrays.pop(_OPTIONS)))
        except ValueError as error:
            return {}, self.begins_again(error)
        other = other_option(self._options, options)
        if other is not None:
            raise ValueError(
                f"{self._path.parent} holds an unsaved {self._study} with another {other}; finish that one with its "
                "own options, or remove the folder."
            )
        self._ours = True
        return arrays, None

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Within, nobody else who keeps a study in this folder is at work.

        Raises:
            ValueError: if somebody is.
        """
        if self._path is None:
            yield
            return
        folder = self._path.parent
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with claimed(folder / "at-work.lock") as ours:
                if not ours:
                    raise ValueError(
                        f"Another process is at work on the {self._study} in {folder.parent}; wait until it is done, or"
                        " write to another folder."
                    )
                yield
        finally:
            with contextlib.suppress(OSError):
                folder.rmdir()  # if nothing was kept

    def begins_again(self, error: ValueError) -> str:
        """Said of a file that cannot be read."""
        return f"{error} The {self._study} begins again and will write over it."

    @property
    def path(self) -> str:
        """Of the file."""
        return str(self._path)

    def save(self, arrays: Mapping[str, Any]) -> None:
        """Keep them, in place of what was kept before."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        everything = {**arrays, _OPTIONS: np.array(json.dumps(self._options))}
        files.write_whole(self._path, lambda file: np.savez(file, **everything))
        self._ours = True

    def remove(self) -> None:
        """Forget everything: the study's files are written. What else is in the folder stays."""
        if self._path is None or not self._ours:
            return
        self._path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._path.parent.rmdir()

    def _read(self, path: Path, needed: tuple[str, ...]) -> dict[str, np.ndarray]:
        arrays = files.read_arrays(path, f"an unfinished {self._study}", "it is of no use")
        if not {_OPTIONS, *needed} <= arrays.keys():
            raise ValueError(f"{path} is not an unfinished {self._study}; it holds other arrays.")
        return arrays
