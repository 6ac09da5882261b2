"""The code on the pages runs, their commands are understood, and what they name is there."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from a3cjax.cli.parse import parse

PAGES = sorted(page for page in Path("docs").rglob("*.md") if "_build" not in page.parts)
OTHERS = [Path(name) for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md")]
EXTRAS = tomllib.loads(Path("pyproject.toml").read_text())["project"]["optional-dependencies"]
TARGETS = re.findall(r"^([\w-]+):", Path("Makefile").read_text(), flags=re.MULTILINE)
NOT_CODE = {"text", "eval-rst", "toctree", "image", "include", "commands", "grid", "grid-item-card"}


def blocks_of(page):
    """Pairs (language, text); what is indented has no language."""
    tokens = MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8"))
    for token in tokens:
        if token.type in ("fence", "code_block"):
            yield token.info.partition(" ")[0].strip("{}") or None, token.content


def python_of(page):
    return [text for language, text in blocks_of(page) if language == "python"]


def commands_of(page):
    """Each line that a shell is given, without its comment; a line that ends in a backslash goes on."""
    for language, text in blocks_of(page):
        for line in text.replace("\\\n", " ").splitlines():
            if language == "shell" or (language is None and line.startswith(("a3cjax ", "make ", "python -m "))):
                yield shlex.split(line, comments=True)


@pytest.mark.parametrize("page", [page for page in PAGES if python_of(page)], ids=str)
def test_a_pages_blocks_run_one_after_the_other(page):
    exec(compile("\n".join(python_of(page)), str(page), "exec"), {"__name__": "page"})


def test_every_block_is_known_to_be_code_or_not():
    languages = {(language, str(page)) for page in PAGES for language, _ in blocks_of(page)}
    assert not [pair for pair in languages if pair[0] not in {None, "python", "shell", *NOT_CODE}]


@pytest.mark.parametrize("page", [page for page in [*PAGES, *OTHERS] if list(commands_of(page))], ids=str)
def test_what_a_shell_is_given_is_understood(page, capsys):
    for words in filter(None, commands_of(page)):
        if words[0] == "a3cjax" and words[1:] != ["--version"]:
            parse(words[1:])  # refuses what is not
        elif words[0] == "make":
            assert words[1] in TARGETS
        elif words[:2] == ["pip", "install"]:
            asked = re.findall(r"\[(\w+)\]", words[-1])
            assert all(extra in EXTRAS for extra in asked), words
        elif "-m" in words:
            module = words[words.index("-m") + 1]
            assert module in ("sphinx", "pytest") or Path(f"{module.replace('.', '/')}.py").exists(), words
    capsys.readouterr()


def anchors_of(page):
    """GitHub's, of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", OTHERS, ids=str)
def test_links_outside_the_site_lead_somewhere(page):
    """Those within are Sphinx's to check."""
    links = re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([\w-]+))?\)", page.read_text(encoding="utf-8"))
    for target, anchor in links:
        leads = page.parent / target if target else page
        assert leads.exists(), target
        assert not anchor or anchor in anchors_of(leads), f"{target}#{anchor}"


def test_pages_that_are_named_in_the_code_exist():
    sources = [
        source for folder in ("a3cjax", "benchmarks", "notebooks", "tests") for source in Path(folder).rglob("*.py")
    ]
    text = "\n".join(path.read_text(encoding="utf-8") for path in [*sources, *OTHERS])
    named = set(re.findall(r"(?<!/)\bdocs/[\w/-]+\.(?:md|png|py)\b", text))
    assert len(named) > 5
    assert not [page for page in named if not Path(page).exists()]
