"""The package's docstrings, which are plain text, as reStructuredText.

What plain text means by an indented block after a blank line is a block of code or a formula, and what it writes as
|S|, ω* or θ_ is itself. Names of pages become links.
"""

import re
from typing import Any

from sphinx.application import Sphinx

_CODE = re.compile(r"(``.+?``|`[^`]+`)")
_PAGE = re.compile(r"\bdocs/([\w/-]+)\.md")
_BOLD = re.compile(r"(?<!\*)\*(?!\*)|\||_(?=\W|$)")


def prepare(_app: Sphinx, _what: str, _name: str, _of: Any, _options: Any, lines: list[str]) -> None:
    """In place, before napoleon sees the sections."""
    lines[:] = _prepared(lines)


def _prepared(lines: list[str]) -> list[str]:
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
            parts[i] = _BOLD.sub(lambda match: "\\" + match.group(), part)
            parts[i] = _PAGE.sub(r":doc:`/\1`", parts[i])
    return "".join(parts)


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls."""
    app.connect("autodoc-process-docstring", prepare, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
