"""What a command is: typed options that know which study they ask for."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Protocol

from a3cjax.studies import Study


class Command(Protocol):
    """A frozen dataclass: its fields, and those of the option groups in it, are the command's options."""

    study: ClassVar[type[Study]]

    @property
    def out(self) -> Path:
        """The folder for the files."""
        ...

    def prepare(self) -> tuple[str, Callable[[], Study]]:
        """What will be done, as the beginning of a sentence, and the doing of it.

        Options that do not fit each other are refused here, before anything is computed.
        """
        ...


def as_json(options: Any) -> dict[str, Any]:
    """All options by name, those of nested groups too, in values that JSON has.

    >>> from a3cjax.cli.commands.speedup import SpeedupOptions
    >>> told = as_json(SpeedupOptions())
    >>> told["workers"], told["mdp"], told["compute_time"], told["out"]
    ((1, 2, 4, 8, 16), 'synthetic', 'exponential', 'out/speedup')
    """
    told: dict[str, Any] = {}
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if dataclasses.is_dataclass(value):
            told |= as_json(value)
        else:
            told[field.name] = str(value) if isinstance(value, Path) else value
    return told
