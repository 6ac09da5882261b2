"""The package's docstrings, which are plain text, as reStructuredText.

What plain text means by an indented block after a blank line is a block of code or a formula, and what it writes as
|S|, ω* or θ_ is itself. Names of pages become links.
"""

import re
from typing import Any

from sphinx.application import Sphinx
from sphinx.ext import autosummary

_CODE = re.compile(r"(``.+?``|`[^`]+`)")
_PAGE = re.compile(r"\bdocs/([\w/-]+)\.md")
_EMPHASIS = r"(?<![\w*])\*{1,2}\w[^*]*\*{1,2}(?![\w*])"
_MARK = re.compile(rf"({_EMPHASIS})|\*|\||_(?=\W|$)")

_PROPERTIES: dict[str, list[str]] = {}


def prepare(_app: Sphinx, what: str, name: str, _of: Any, _options: Any, lines: list[str]) -> None:
    """In place, before napoleon sees the sections."""
    lines[:] = prepared(lines)
    if what in ("attribute", "property"):
        _PROPERTIES[name] = list(lines)


def restore(_app: Sphinx, what: str, name: str, _of: Any, _options: Any, lines: list[str]) -> None:
    """In place, after napoleon has taken the first line of a property's, up to a colon, for a type."""
    if what in ("attribute", "property"):
        lines[:] = _PROPERTIES[name]


def prepared(lines: list[str]) -> list[str]:
    """The same docstring, with what reStructuredText has to be told."""
    done: list[str] = []
    in_block = in_example = False
    for line in lines:
        indented = line.startswith("    ")
        if not line.strip():
            in_example = False
        elif line.lstrip().startswith(">>>"):
            in_example, in_block = True, False
        elif not indented:
            in_block = False
        elif not in_block and done and not done[-1].strip() and _before(done) == 0 and not in_example:
            if not _last(done).endswith("::"):
                done += [".. code-block:: text", ""]
            in_block = True
        done.append(line if in_block or in_example else _plain(line))
    return done


def _before(done: list[str]) -> int:
    """How far the last line with text is indented."""
    return len(_last(done)) - len(_last(done).lstrip())


def _last(done: list[str]) -> str:
    """The last line with text."""
    return next((line.rstrip() for line in reversed(done) if line.strip()), "")


def _plain(line: str) -> str:
    parts = _CODE.split(line)
    for i, part in enumerate(parts):
        if i % 2:
            parts[i] = part if part.startswith("``") else f"`{part}`"
        else:
            parts[i] = _MARK.sub(lambda match: match[1] or "\\" + match[0], part)
            parts[i] = _PAGE.sub(r":doc:`/\1`", parts[i])
    return "".join(parts)


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls."""
    autosummary.WELL_KNOWN_ABBREVIATIONS += ("Fig.", "Figs.", "eq.")
    app.connect("autodoc-process-docstring", prepare, priority=100)
    app.connect("autodoc-process-docstring", restore, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
