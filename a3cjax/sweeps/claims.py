"""Who is at work on what: locks on files, which end with whoever holds them, whatever ends it."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Within, whether the lock at ``path`` is ours; not if another process, or another place of this one, holds it.

    Where the system or its disk knows no locks everything is ours: work may then be done twice, to the same bytes.
    """
    try:
        import fcntl
    except ImportError:  # on Windows
        yield True
        return
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        ours = _lock(fcntl, handle)
        try:
            yield ours
        finally:
            if ours:
                with contextlib.suppress(OSError):
                    path.unlink()  # who opened it before finds the work done, or does it a second time at worst
    finally:
        os.close(handle)


def _lock(fcntl: Any, handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a disk without locks
        return True
    return True
