"""From the words of a command line to a command's options, or a sentence that says which word is wrong."""

import contextlib
import dataclasses
import difflib
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import tyro

from a3cjax.cli.blocks import MergeOptions
from a3cjax.cli.command import Command, Report
from a3cjax.cli.commands import COMMANDS
from a3cjax.cli.doctor import DoctorOptions

# What tyro says, as a pattern, and what we say instead.
_OURS = {
    r"Error parsing (--\S+): invalid literal for int\(\) with base 10: (.+)": r"\1 is \2, but must be a whole number",
    r"Error parsing (--\S+): could not convert string to float: (.+)": r"\1 is \2, but must be a number",
    r"Missing value for argument '(--\S+)'\. Expected.*": r"\1 needs a value",
    r"invalid choice (.+) for argument '(--\S+)'\. Expected one of \((.+)\)": r"\2 is \1, but must be one of \3",
    r"Unrecognized options: (.+)": r"\1 belongs to no option",
}


# With those that make no study of their own.
ALL: dict[str, Any] = COMMANDS | {"merge": MergeOptions, "doctor": DoctorOptions}


class Refused(Exception):
    """The options cannot be understood."""


def parse(args: Sequence[str]) -> Command | Report | None:
    """The options, or None if help was asked for (and given).

    Raises:
        Refused: with a sentence, if there is no such command or option, or a value is of another kind.

    >>> parse(["speedup", "--seeds", "3"]).seeds
    3
    >>> parse(["speedup", "--sedes", "3"])
    Traceback (most recent call last):
    a3cjax.cli.parse.Refused: There is no option --sedes; did you mean --seeds? a3cjax speedup --help lists ...
    """
    command = next(iter(args), None)
    _check_command(command)
    if command in ALL:
        _check_options(command, args[1:])
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.extras.subcommand_cli_from_dict(
                ALL, prog="a3cjax", description="What asynchrony does to the advantage actor-critic.", args=args
            )
    except SystemExit as stop:
        if not stop.code:
            return None
        raise Refused(f"{_sentence(complaint.getvalue())}; a3cjax {command} --help lists what there is.") from None


def option_names(options: Any) -> Iterator[str]:
    """The names, as typed, of a command's options; ``options`` is its class or one of its kind.

    >>> from a3cjax.cli.commands import KneeOptions
    >>> list(option_names(KneeOptions))[:3]
    ['--factors', '--workers', '--sampling']
    """
    for field in dataclasses.fields(options):
        if dataclasses.is_dataclass(field.type) or dataclasses.is_dataclass(field.default_factory):
            yield from option_names(field.default_factory)
        else:
            yield f"--{field.name.replace('_', '-')}"


def _check_command(command: str | None) -> None:
    listed = ", ".join(ALL)
    if command is None:
        raise Refused(f"Which command? a3cjax has {listed}; a3cjax --help says what they do.")
    if command in ALL or command in ("-h", "--help"):
        return
    if command.startswith("-"):
        raise Refused(f"{command} comes before any command; begin with one of {listed}.")
    raise Refused(f"There is no command {command!r}; {_perhaps(command, ALL)}a3cjax has {listed}.")


def _check_options(command: str, args: Sequence[str]) -> None:
    known = [*option_names(ALL[command]), "--help"]
    for word in args:
        name = word.split("=")[0].replace("_", "-")
        if name.startswith("--") and name not in known:
            raise Refused(
                f"There is no option {word.split('=')[0]}; {_perhaps(name, known)}a3cjax {command} --help lists what "
                "there is."
            )


def _perhaps(word: str, known: Iterable[str]) -> str:
    bare = {name.removeprefix("--"): name for name in known}  # two dashes are no likeness
    close = difflib.get_close_matches(word.removeprefix("--"), bare, n=1)
    return f"did you mean {bare[close[0]]}? " if close else ""


def _sentence(box: str) -> str:
    """The complaint in tyro's box, the text between its first two rules, as one line without its full stop.

    On a terminal the box is coloured.
    """
    box = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", box)
    lines = [line.strip("│| ") for line in box.splitlines()]
    rules = [i for i, line in enumerate(lines) if "─────" in line or "-----" in line] + [len(lines)] * 2
    said = (" ".join(lines[rules[0] + 1 : rules[1]]).strip() or " ".join(box.split())).rstrip(".")
    for pattern, ours in _OURS.items():
        said = re.sub(pattern, ours, said)
    return said
