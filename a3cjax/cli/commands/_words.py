"""How a command speaks: options that need not be given, and numbers of things."""

from pathlib import Path
from typing import Annotated

from tyro.conf import arg

# Their help says what is taken when they are not given, so it need not say "None" too.
OptionalInt = Annotated[int | None, arg(metavar="INT", help_behavior_hint="")]
OptionalFloat = Annotated[float | None, arg(metavar="FLOAT", help_behavior_hint="")]
OptionalPath = Annotated[Path | None, arg(metavar="PATH", help_behavior_hint="")]


def counted(number: int, thing: str) -> str:
    """So many things.

    >>> counted(1, "law"), counted(10_000, "update")
    ('1 law', '10,000 updates')
    """
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
