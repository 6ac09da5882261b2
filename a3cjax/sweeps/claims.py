"""Who is at work on what: locks on files, which end with whoever holds them, whatever ends it."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


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
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError:  # a disk without locks
            yield True
            return
        yield True
        with contextlib.suppress(OSError):
            path.unlink()  # while it is still ours; who opened it before finds its work done
    finally:
        os.close(handle)
