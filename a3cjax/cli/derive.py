"""From a study's parameters to a command's options: names, types, defaults and help from one place, the study."""

import dataclasses
import inspect
import re
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from tyro.conf import OmitArgPrefixes, arg

from a3cjax.cli.command import Command
from a3cjax.studies import Study


def option(kind: Any, words: str) -> Any:
    """The type of an option with its help; where None may stand the help says what is taken, so "None" need not.

    >>> option(int, "Runs.").__metadata__[0].help
    'Runs.'
    """
    first = next((one for one in get_args(kind) if one is not types.NoneType), kind)
    if types.NoneType not in get_args(kind):
        return Annotated[kind, arg(help=words)]
    metavar = "PATH" if first is Path else first.__name__.upper()
    return Annotated[kind, arg(help=words, metavar=metavar, help_behavior_hint="")]


def options_of(study: Callable[..., Study], *without: str, **more: Any) -> Any:
    """The base class of a study's command: a dataclass with a field for each parameter that can be typed.

    A parameter ``num_things`` is the option ``--things``. Its help is the first sentence of what the study's docstring
    says of it. The others, such as its learner, the command makes (``Command.made``).

    Args:
        study: the function.
        without: parameters that the command makes too, or leaves at their defaults.
        more: groups of options, as classes; defaults in place of the study's; and ``out``, the folder for the files.
    """
    words, hints = argument_help(study), get_type_hints(study)
    kind, parameters, fields = hints["return"], {}, []
    for parameter in inspect.signature(study).parameters.values():
        typed, name = as_typed(hints[parameter.name]), parameter.name.removeprefix("num_")
        if typed is not None and parameter.name not in (*without, "progress"):
            parameters[parameter.name] = name
            fields.append((name, option(typed, words[parameter.name]), more.get(name, parameter.default)))
    for name, group in more.items():
        if isinstance(group, type):
            fields.append((name, OmitArgPrefixes[group], dataclasses.field(default_factory=group)))
    fields.append(("out", option(Path, "Folder for the files."), Path(more.get("out", f"out/{kind.name}"))))
    known = {"study": kind, "function": staticmethod(study), "parameters": parameters}
    return dataclasses.make_dataclass(f"{kind.__name__}Options", fields, bases=(Command,), namespace=known, frozen=True)


def group_of(function: Callable[..., Any], *without: str) -> Any:
    """The base class of a group: a dataclass with a field for each parameter of a function that can be typed.

    Args:
        function: its docstring's first sentences are the help.
        without: parameters that are no options.
    """
    words, hints = argument_help(function), get_type_hints(function)
    typed = {name: as_typed(hints[name]) for name in inspect.signature(function).parameters}
    fields = [
        (name, option(typed[name], words[name]), parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
        if typed[name] is not None and name not in (*without, "progress")
    ]
    return dataclasses.make_dataclass(f"{function.__name__}_options", fields, frozen=True)


def as_typed(kind: Any) -> Any:
    """The type of a parameter as a command line can have it: of several the first, sequences as tuples; else None.

    >>> as_typed(Literal["both", "iid"] | Sequence[str]), as_typed(Sequence[int])
    (typing.Literal['both', 'iid'], tuple[int, ...])
    >>> as_typed(int | None), as_typed(Sequence[str | int]), as_typed(Callable[[int], int])
    (int | None, tuple[str, ...], None)
    """
    parts = get_args(kind)
    if get_origin(kind) in (types.UnionType, Union):
        first = as_typed(parts[0])
        return first | None if first is not None and types.NoneType in parts else first
    if get_origin(kind) is Sequence:
        entry = as_typed(parts[0])
        return None if entry is None else tuple[entry, ...]
    return kind if kind in (int, float, str) or get_origin(kind) is Literal else None


def argument_help(function: Callable[..., Any]) -> dict[str, str]:
    """The first sentence of what a docstring's section "Args" says of each argument.

    >>> def draw(count, law="uniform"):
    ...     '''Draw.
    ...
    ...     Args:
    ...         count: how many, see ``law``. At least 1.
    ...         law: of each.
    ...     '''
    >>> argument_help(draw)
    {'count': 'How many, see law.', 'law': 'Of each.'}
    """
    text = inspect.getdoc(function) or ""
    section = re.search(r"^Args:\n((?:    .*\n?|\n)*)", text, flags=re.MULTILINE)
    entries = re.findall(r"^    (\w+): (.*(?:\n     +.*)*)", section[1] if section else "", flags=re.MULTILINE)
    return {name: _first_sentence(said) for name, said in entries}


def _first_sentence(said: str) -> str:
    words = re.sub(r"\s+", " ", said).replace("``", "")
    return words[0].upper() + re.split(r"(?<=\.) (?=[A-Z])", words[1:])[0]
