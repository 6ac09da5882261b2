"""What is kept of a sweep while it runs, so that it can go on after an interruption."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from a3cjax.engine import SavedState
from a3cjax.studies import _files

_OPTIONS, _VALUES, _STATE = "options.json", "values.npz", "state.npz"


class Partial:
    """A folder with the sweep's options, what was recorded, and where its runs stand; each file whole or not at all.

    Values are written before the state, so they reach at least as far; what goes beyond it is recorded once more.
    """

    def __init__(self, folder: str | os.PathLike[str] | None, options: Mapping[str, Any]) -> None:
        """``options``: all that the bits depend on. Raises ValueError if the folder holds a sweep with others."""
        self._folder = None if folder is None else Path(folder)
        self._options = json.loads(json.dumps(options))
        if self._folder is not None and (self._folder / _OPTIONS).is_file():
            kept = json.loads((self._folder / _OPTIONS).read_text())
            for name in [name for name in self._options if kept.get(name) != self._options[name]]:
                raise ValueError(
                    f"{self._folder} holds an unfinished sweep with another {name} ({_brief(kept.get(name))}, not "
                    f"{_brief(self._options[name])}); finish that one with its own options, or remove the folder."
                )

    def load(self) -> tuple[SavedState | None, dict[str, np.ndarray]]:
        """Where the runs stand and what they recorded until then; nothing if there is nothing."""
        if self._folder is None or not (self._folder / _STATE).is_file():
            return None, {}
        state = SavedState.load(self._folder / _STATE)
        with np.load(self._folder / _VALUES) as kept:
            return state, {name: kept[name] for name in kept}

    def save(self, state: SavedState, values: Mapping[str, np.ndarray]) -> None:
        """Keep both."""
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self._options, indent=2) + "\n"
        _files.write_whole(self._folder / _OPTIONS, lambda path: Path(path).write_text(text))
        _files.write_whole(self._folder / _VALUES, lambda path: _savez(path, values))
        state.save(self._folder / _STATE)

    def remove(self) -> None:
        """Forget everything: the sweep is done."""
        if self._folder is not None and self._folder.is_dir():
            (self._folder / _STATE).unlink(missing_ok=True)  # first: nothing goes on from a state without options
            shutil.rmtree(self._folder)


def updates_kept(folder: str | os.PathLike[str]) -> int:
    """After how many updates the unfinished sweep in ``folder`` stands; 0 if there is none."""
    path = Path(folder) / _STATE
    if not path.is_file():
        return 0
    with np.load(path) as kept:
        return int(kept["updates"])


def _savez(path: str, values: Mapping[str, np.ndarray]) -> None:
    with open(path, "wb") as file:
        arrays: dict[str, Any] = dict(values)
        np.savez(file, **arrays)


def _brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
