"""The moment at which a study has checked its arguments and begins to work."""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

_tell: ContextVar[Callable[[], None] | None] = ContextVar("tell", default=None)


@contextlib.contextmanager
def announced(tell: Callable[[], None]) -> Iterator[None]:
    """Within, the first study to begin calls ``tell``; one whose arguments it refuses never does.

    >>> import a3cjax
    >>> with announced(lambda: print("begun")):
    ...     study = a3cjax.studies.critical_step(a3cjax.families.ring(3), delays=(0,), resolution=0.1)
    begun
    """
    before = _tell.set(tell)
    try:
        yield
    finally:
        _tell.reset(before)


def begin() -> None:
    """Said by every study once its arguments are in order, before it draws, simulates or says anything."""
    tell = _tell.get()
    if tell is not None:
        _tell.set(None)
        tell()
