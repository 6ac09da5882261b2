"""Each notebook's .ipynb is its text, executed; ``make test`` executes it once more, with nbmake."""

import re

import nbformat
import pytest

from notebooks.pairs import FOLDER, METADATA, SOURCES, read

NAMES = [source.stem for source in SOURCES]


def committed(name: str) -> nbformat.NotebookNode:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def test_every_notebook_has_its_text():
    assert NAMES
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_cells_are_in_step_with_the_text(name):
    text, executed = read(FOLDER / f"{name}.py"), committed(name)
    cells = [[(cell.id, cell.cell_type, cell.source) for cell in notebook.cells] for notebook in (text, executed)]
    assert cells[0] == cells[1], "run make notebooks"


@pytest.mark.parametrize("name", NAMES)
def test_it_was_executed_from_top_to_bottom_and_shows_figures(name):
    code = [cell for cell in committed(name).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_in_it_depends_on_when_and_where_it_was_executed(name):
    notebook = committed(name)
    assert notebook.metadata == nbformat.from_dict(METADATA)
    assert not any(cell.metadata for cell in notebook.cells)
    shown = [
        output.get("text", "") + output.get("data", {}).get("text/plain", "")
        for cell in notebook.cells
        for output in cell.get("outputs", ())
    ]
    # Paths, addresses of objects (at 0x7f…), dates and times of day.
    local = re.compile(r"(^|[\s'\"(])(/\w+){2}|\b[A-Z]:\\|0x[0-9a-f]{6}|\d{4}-\d\d-\d\d|\d\d:\d\d:\d\d", re.MULTILINE)
    assert not [text for text in shown if local.search(text)]


@pytest.mark.parametrize("name", NAMES)
def test_it_is_small(name):
    assert (FOLDER / f"{name}.ipynb").stat().st_size < 300_000
