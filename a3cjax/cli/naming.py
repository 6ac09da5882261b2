"""Complaints in the words of the command line: a study says ``num_updates``, whoever typed it said ``--updates``."""

import re
from typing import Any

from a3cjax.cli.parse import option_names

# What studies, problems and laws call what these options hold; for all others the names are the same, or begin num_.
_ARGUMENTS = {
    "--record-every": ("every",),
    "--times-file": ("values",),
    "--weight": ("prior.weight",),
}

_SAYS = r"(?:\[[\d, ]*\])? (?:is|has|must|names|holds|sums)\b"


def as_typed(sentence: str, options: Any) -> str:
    """The sentence with the arguments that it names called by their options.

    A word is taken for an argument at the head of the sentence, and anywhere if it is one that only code would say.

    >>> from a3cjax.cli.commands import SpeedupOptions
    >>> as_typed("workers[1] is 0, but must be at least 1.", SpeedupOptions())
    '--workers[1] is 0, but must be at least 1.'
    >>> as_typed("every is 9, but there are 4 workers; choose num_updates=9 at least.", SpeedupOptions())
    '--record-every is 9, but there are 4 workers; choose --updates 9 at least.'
    """
    for option in option_names(options):
        same = option.removeprefix("--").replace("-", "_")
        for argument in (same, f"num_{same}", *_ARGUMENTS.get(option, ())):
            name = re.escape(argument)
            sentence = re.sub(rf"^(?:(?:The )?learner(?:'s |\.))?{name}(?={_SAYS})", option, sentence)
            sentence = re.sub(rf"(?<![\w.-]){name}='([^'.]*)'", rf"{option} \1", sentence)
            if "_" in argument:
                sentence = re.sub(rf"(?<![\w.-]){name}=", f"{option} ", sentence)
                sentence = re.sub(rf"(?<![\w-]){name}\b", option, sentence)
    return sentence
