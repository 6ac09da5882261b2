"""``commands``: what ``a3cjax COMMAND --help`` says, command by command."""

import contextlib
import io
import os
import re
from unittest import mock

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import nested_parse_with_titles

from a3cjax.cli.parse import ALL, parse

_WIDE = "400"  # columns: so that every option's help is on one line


class Commands(SphinxDirective):
    """A section for each command."""

    def run(self) -> list[nodes.Node]:
        """With what it does, and a definition list of its options."""
        node = nodes.container()
        node.document = self.state.document
        lines = [line for name in ALL for line in _section(name)]
        nested_parse_with_titles(self.state, StringList(lines, "commands"), node, self.content_offset)
        return node.children


def _section(name: str) -> list[str]:
    said, options = _help(name)
    lines = [f"## a3cjax {name}", ""]
    for paragraph in said:
        lines += [_escaped(paragraph), ""]
    for option, words in options:
        lines += [f"`{option}`", f": {_escaped(words)}", ""]
    return lines


def _help(name: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Paragraphs, and options with their help."""
    text = io.StringIO()
    wide = {"COLUMNS": _WIDE, "NO_COLOR": "1", "TERM": "dumb"}
    with contextlib.redirect_stdout(text), mock.patch.dict(os.environ, wide):
        parse([name, "--help"])
    said, options = re.split(r"\n\s*\n\s*(?=positional arguments|options)", text.getvalue(), maxsplit=1)
    found: list[tuple[str, str]] = []
    for line in options.splitlines():
        inside = re.match(r" (?: (--?\w.*?|[A-Z]+)(?:  +(.*))?|   +(.*))$", line.rstrip())
        if inside and inside[1]:
            found.append((inside[1], inside[2] or ""))
        elif inside and found:
            found[-1] = found[-1][0], f"{found[-1][1]} {inside[3]}".strip()
    return re.split(r"\n\s*\n", said)[1:], [(option, words) for option, words in found if not option.startswith("-h")]


def _escaped(text: str) -> str:
    return re.sub(r"([*|`<_\\])", r"\\\1", text)


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls."""
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
