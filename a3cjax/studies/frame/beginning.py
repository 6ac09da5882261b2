"""The moment at which a study has checked its arguments and begins to work."""

import contextlib
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any

from a3cjax._core import check
from a3cjax.sweeps import asked_for

_tell: ContextVar[Callable[[str], None] | None] = ContextVar("tell", default=None)


@contextlib.contextmanager
def announced(tell: Callable[[str], None]) -> Iterator[None]:
    """Within, the first study to begin calls ``tell`` with its task; one whose arguments it refuses never does.

    >>> import a3cjax
    >>> with announced(print):
    ...     study = a3cjax.studies.critical_step(a3cjax.families.ring(3), delays=(0,), resolution=0.1)
    Trying twenty steps around the closed form for τ = 0
    """
    before = _tell.set(tell)
    try:
        yield
    finally:
        _tell.reset(before)


def begin(task: str, trouble: str | None = None, *, in_blocks: bool = False) -> None:
    """Said by every study once its arguments are in order, before it draws, simulates or says anything.

    Args:
        task: what will be done, a sentence without its full stop.
        trouble: what the user must know before; a warning where nobody is told the task.
        in_blocks: whether the study can be made in blocks.

    Raises:
        ValueError: if it cannot, and that was asked for.
    """
    if asked_for() is not None and not in_blocks:
        raise ValueError("This study is not made in blocks; call it without them.")
    tell = _tell.get()
    if tell is not None:
        _tell.set(None)
        tell(task if trouble is None else f"{trouble} {task}")
    elif trouble is not None:
        warnings.warn(trouble, stacklevel=check.level_of_caller())


def counted(number: int, thing: str) -> str:
    """So many things.

    >>> counted(1, "law"), counted(10_000, "update")
    ('1 law', '10,000 updates')
    """
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def listed(values: Iterable[Any], form: str = "") -> str:
    """Values one after the other.

    >>> listed((0.5, 1.0), "g"), listed((100, 20_000), ",")
    ('0.5, 1', '100, 20,000')
    """
    return ", ".join(format(value, form) for value in values)
