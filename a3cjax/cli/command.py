"""What a command is: options derived from a study's parameters, and what it makes for the study from others."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from a3cjax.studies import Study


@dataclasses.dataclass(frozen=True)
class Command:
    """The base of every command, a frozen dataclass: its fields, and those of the groups in it, are its options.

    ``study``: what the command shows and saves. ``function``: what computes it. ``parameters``: from the function's
    parameters to the options that stand for them. ``out``: the folder for the files.
    """

    study: ClassVar[type[Study]]
    function: ClassVar[Callable[..., Study]]
    parameters: ClassVar[dict[str, str]]
    if TYPE_CHECKING:  # a field of every command, but not its first
        out: Path

    def made(self) -> dict[str, Any]:
        """The study's other arguments: its learner, the workers' laws, or what a command makes besides.

        Options that do not fit each other are refused here, before anything is computed.
        """
        parts: Any = self
        made = {"learner": parts.build_learner()} if hasattr(self, "build_learner") else {}
        return made | ({"compute_times": parts.team.build()} if hasattr(self, "team") else {})

    def compute(self) -> Study | None:
        """The study that the options ask for; None if that was a part of its blocks, and no study came of it."""
        given = {parameter: getattr(self, name) for parameter, name in self.parameters.items()}
        blocks = getattr(self, "blocks", None)
        if blocks is None:
            return type(self).function(**self.made(), **given)
        study = None
        with blocks.asked(self.out / f"{self.study.name}.blocks"):
            study = type(self).function(**self.made(), **given)
        return study


class Report:
    """A command that says something and computes no study: a frozen dataclass, whose fields are its options."""

    def report(self, say: Callable[[str], None]) -> bool:
        """Say it, a piece at a time; whether all is well, which the exit status tells."""
        raise NotImplementedError


def as_json(options: Any) -> dict[str, Any]:
    """All options by name, those of nested groups too, in values that JSON has.

    >>> from a3cjax.cli.commands import SpeedupOptions
    >>> told = as_json(SpeedupOptions())
    >>> told["workers"], told["mdp"], told["compute_time"], told["out"]
    ((1, 2, 4, 8, 16), 'synthetic', 'exponential', 'out/speedup')
    """
    told: dict[str, Any] = {}
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if dataclasses.is_dataclass(value):
            told |= as_json(value) if getattr(value, "recorded", True) else {}
        else:
            told[field.name] = str(value) if isinstance(value, Path) else value
    return told
