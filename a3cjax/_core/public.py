"""What tab completion shows of a public module."""

from collections.abc import Callable, Sequence


def listing(names: Sequence[str]) -> Callable[[], list[str]]:
    """A module's ``__dir__``: its public names, and not what it imports for itself.

    >>> listing(["b", "a"])()
    ['a', 'b']
    """
    return lambda: sorted(names)
