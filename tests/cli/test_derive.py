"""A study's parameters are its command's options."""

import dataclasses
import inspect
from typing import get_type_hints

import pytest

from a3cjax.cli.commands import COMMANDS
from a3cjax.cli.derive import argument_help, as_typed


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("speedup-lqr", "speedup-minatar")])
def test_every_parameter_that_can_be_typed_is_an_option_with_the_studys_default(command):
    options = COMMANDS[command]
    fields = {field.name: field for field in dataclasses.fields(options)}
    hints = get_type_hints(options.function)
    for parameter in inspect.signature(options.function).parameters.values():
        option = options.parameters.get(parameter.name)
        if option is not None:
            assert fields[option].default == parameter.default
            assert option == parameter.name.removeprefix("num_")
        else:  # the command makes it, a metric is not asked for where J is meant, and progress is always shown
            made = {"metric", "target_value", "gap", "metrics", "partial", "radius", "source", "progress"}
            made |= {"bounds", "queues", "remedy"}  # as words: None is "any" there, and remedies have names
            assert as_typed(hints[parameter.name]) is None or parameter.name in made


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_help(command, capsys):
    from a3cjax.cli import main

    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert "``" not in text
    for parameter, option in COMMANDS[command].parameters.items():
        help_text = argument_help(COMMANDS[command].function)[parameter]
        assert help_text.endswith(".")
        assert f"--{option.replace('_', '-')}" in text


def test_help_is_the_first_sentence_of_what_the_docstring_says():
    def study(num_things=3, law="a"):
        """Do.

        Args:
            num_things: how many, at
                least 1 (``law``). More take longer.
            law: of each.

        Raises:
            ValueError: never.
        """

    assert argument_help(study) == {"num_things": "How many, at least 1 (law).", "law": "Of each."}
