"""``public``: all public names of a module, in a table and then one by one, so that none can be forgotten."""

import inspect
from collections.abc import Iterable
from typing import Any

from docstrings import prepared
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import a3cjax


class Public(SphinxDirective):
    """``.. public:: exact`` documents ``a3cjax.exact``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """What autodoc makes of the lines that nobody had to write."""
        (name,) = self.arguments
        module = getattr(a3cjax, name)
        members = sorted(module.__all__, key=lambda one: (_kind(getattr(module, one)) != "function", one.lower()))
        lines = [
            *prepared((inspect.getdoc(module) or "").splitlines()),
            "",
            ".. autosummary::",
            "   :nosignatures:",
            "",
        ]
        kinds = {one: _kind(getattr(module, one)) for one in members}
        lines += [f"   a3cjax.{name}.{one}" for one, kind in kinds.items() if kind != "data"]
        for one, kind in kinds.items():
            if kind == "data":
                lines += ["", f".. py:data:: a3cjax.{name}.{one}", "", f"   {_listed(getattr(module, one))}"]
            else:
                lines += ["", f".. auto{kind}:: a3cjax.{name}.{one}", *["   :members:"] * (kind != "function")]
        return self.parse_text_to_nodes("\n".join(lines) + "\n")


def _kind(member: Any) -> str:
    if isinstance(member, type):
        return "exception" if issubclass(member, BaseException) else "class"
    return "function" if callable(member) else "data"


def _listed(names: Iterable[str]) -> str:
    """A constant is a choice of names here."""
    return ", ".join(f'``"{name}"``' for name in names) + "."


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls."""
    app.add_directive("public", Public)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
