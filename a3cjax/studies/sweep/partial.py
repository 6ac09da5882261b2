"""What is kept of a sweep until its files are written: where its runs stand, and what they recorded until then."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from a3cjax.engine import SavedState
from a3cjax.engine.saved import arrays_of, state_of
from a3cjax.studies.frame.kept import Kept

_UPDATES, _VALUE = "updates_done", "value_"


class Partial:
    """A ``Kept`` that holds the state of all runs beside their records."""

    def __init__(self, folder: str | os.PathLike[str] | None, options: Mapping[str, Any]) -> None:
        """``options``: see ``Kept``."""
        self.options = dict(options)
        self._kept = Kept(folder, options, "sweep")
        self.alone = self._kept.alone

    @property
    def goes_on(self) -> bool:
        """Whether an interrupted sweep is kept."""
        return self._kept.goes_on

    def load(self) -> tuple[SavedState | None, dict[str, np.ndarray], str | None]:
        """Where the runs stand and what they recorded until then, and a sentence of trouble, as ``Kept.load``."""
        arrays, trouble = self._kept.load(_UPDATES)
        if not arrays:
            return None, {}, trouble
        try:
            state = state_of(arrays, self._kept.path)
        except ValueError as error:
            return None, {}, self._kept.begins_again(error)
        return state, {name.removeprefix(_VALUE): x for name, x in arrays.items() if name.startswith(_VALUE)}, None

    def save(self, state: SavedState, values: Mapping[str, np.ndarray]) -> None:
        """Keep both."""
        if not self.goes_on:
            return
        # The options say what the state was made from; a fingerprint of its own would take a look at every schedule.
        arrays: dict[str, Any] = arrays_of(state, {}) | {_VALUE + name: value for name, value in values.items()}
        self._kept.save(arrays | {_UPDATES: np.array(state.updates)})

    def remove(self) -> None:
        """Forget everything: the sweep's files are written."""
        self._kept.remove()
