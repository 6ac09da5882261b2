"""How far all blocks are, on standard error: a bar on a terminal, a line now and then elsewhere, as in a job's log."""

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from a3cjax._core import terminal
from a3cjax.sweeps.store import Store

if TYPE_CHECKING:
    from rich.progress import Progress

_BETWEEN = 30.0  # seconds between two lines


class Report:
    """Says how many units are there."""

    def __init__(self, store: Store, bar: "Progress | None", silent: bool) -> None:
        self._store, self._bar, self._silent = store, bar, silent
        job = store.job
        self._task = None if bar is None else bar.add_task(f"{job.count:,} {job.unit}s", total=job.count)
        self._last = time.monotonic()

    def now(self, at_work: str = "") -> None:
        """After a block was made, here or elsewhere."""
        job = self._store.job
        done = job.count - self._store.missing()
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, description=f"{job.count:,} {job.unit}s{at_work}")
        elif not self._silent and time.monotonic() - self._last > _BETWEEN:
            self._last = time.monotonic()
            terminal.complain(f"{done:,} of {job.count:,} {job.unit}s are done{at_work}.")

    def waiting(self, blocks: int) -> None:
        """When all that is left is in the hands of others."""
        self.now(f", {blocks} block{'' if blocks == 1 else 's'} in the hands of another process")


@contextlib.contextmanager
def reporting(store: Store, progress: bool | None) -> Iterator[Report]:
    """Within, a report; ``progress`` is as for ``simulate``: by default a bar where somebody looks."""
    if not (terminal.is_terminal(sys.stderr) if progress is None else progress):
        yield Report(store, None, silent=progress is False)
        return
    from a3cjax._core import displays

    with displays.bar_of_share() as bar:
        yield Report(store, bar, silent=False)
