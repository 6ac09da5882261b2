"""What is kept of a sweep until its files are written, so that it can go on after an interruption."""

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from a3cjax._core import files
from a3cjax.engine import SavedState
from a3cjax.engine.saved import arrays_of, state_of

_FILE = "unfinished.npz"
_OPTIONS, _UPDATES, _VALUE = "options", "updates_done", "value_"
_IS = "an unfinished sweep", "it is of no use"
_AGAIN = "The sweep begins again and will write over it."


class Partial:
    """A folder with one file: the sweep's options, where its runs stand, and what they recorded until then.

    One file, written whole or not at all, so that the three always belong together.
    """

    def __init__(self, folder: str | os.PathLike[str] | None, options: Mapping[str, Any]) -> None:
        """``options``: all that the bits depend on."""
        self._path = None if folder is None else Path(folder) / _FILE
        self._options = json.loads(json.dumps(options))
        self._ours = False  # whether the file is known to be of this sweep

    @property
    def goes_on(self) -> bool:
        """Whether an interrupted sweep is kept."""
        return self._path is not None

    def load(self) -> tuple[SavedState | None, dict[str, np.ndarray], str | None]:
        """Where the runs stand and what they recorded until then; nothing if there is nothing.

        Or nothing, and a sentence why, if the file cannot be read: then the sweep begins again.

        Raises:
            ValueError: if the folder holds a sweep with other options.
        """
        if self._path is None or not self._path.is_file():
            return None, {}, None
        try:
            arrays = _read(self._path)
            options = json.loads(str(arrays[_OPTIONS]))
            state = state_of(arrays, str(self._path))
        except ValueError as error:
            return None, {}, f"{error} {_AGAIN}"
        values = {name.removeprefix(_VALUE): array for name, array in arrays.items() if name.startswith(_VALUE)}
        for name in self._options.keys() | options.keys():
            if options.get(name) != self._options.get(name):
                ours, kept = _brief(self._options.get(name)), _brief(options.get(name))
                values_of = f" ({kept}, not {ours})" if not name.startswith("learner") else ""
                raise ValueError(
                    f"{self._path.parent} holds an unsaved sweep with another {name}{values_of}; finish that one "
                    "with its own options, or remove the folder."
                )
        self._ours = True
        return state, values, None

    def save(self, state: SavedState, values: Mapping[str, np.ndarray]) -> None:
        """Keep both."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # The options say what the state was made from; a fingerprint of its own would take a look at every schedule.
        arrays: dict[str, Any] = arrays_of(state, {}) | {_VALUE + name: value for name, value in values.items()}
        arrays |= {_OPTIONS: np.array(json.dumps(self._options)), _UPDATES: np.array(state.updates)}
        files.write_whole(self._path, lambda file: np.savez(file, **arrays))
        self._ours = True

    def remove(self) -> None:
        """Forget everything: the sweep's files are written. What else is in the folder stays."""
        if self._path is None or not self._ours:
            return
        self._path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._path.parent.rmdir()


def _read(path: Path) -> dict[str, np.ndarray]:
    arrays = files.read_arrays(path, *_IS)
    if not {_OPTIONS, _UPDATES} <= arrays.keys():
        raise ValueError(f"{path} is not an unfinished sweep; it holds other arrays.")
    return arrays


def _brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
