"""Every public name is on a page of the reference."""

import inspect
import re
from pathlib import Path
from typing import Any

import a3cjax

TEXT = "\n".join(page.read_text(encoding="utf-8") for page in Path("docs/reference").glob("*.md"))
WHOLE = set(re.findall(r"^\.\. public:: (\w+)$", TEXT, flags=re.MULTILINE))  # all names of a module
ONE_BY_ONE = re.findall(r"^\.\. auto\w+:: a3cjax\.(\w+)$", TEXT, flags=re.MULTILINE)


def test_every_public_name_is_documented_once():
    modules = {name for name in a3cjax.__all__ if inspect.ismodule(getattr(a3cjax, name))}
    assert modules == WHOLE
    assert sorted(ONE_BY_ONE) == sorted({*a3cjax.__all__} - modules | {"recorder"})


def test_what_the_table_of_symbols_names_is_there():
    table = Path("docs/reference/index.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:[A-Z]\w+|exact|policies|a3cjax)(?:\.\w+)*)\(?(\w+=)?", table)
    assert len(named) > 30
    for path, argument in named:
        thing: Any = a3cjax
        for name in path.removeprefix("a3cjax.").split("."):
            thing = getattr(thing, name, None) or vars(thing).get("__annotations__", {}).get(name)
            assert thing is not None, path
        if argument:
            assert argument.rstrip("=") in inspect.signature(thing).parameters, (path, argument)
