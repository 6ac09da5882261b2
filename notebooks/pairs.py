"""A notebook is a pair of files: text in jupytext's percent format, and the same executed, which shows its figures."""

from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent
SOURCES = sorted(path for path in FOLDER.glob("*.py") if path.read_text().startswith("# %%"))
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def read(source: Path) -> nbformat.NotebookNode:
    """The notebook of a text: no outputs, and nothing that depends on when or where it was read."""
    notebook = jupytext.read(source, fmt="py:percent")
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        cell.metadata = nbformat.from_dict({})
    notebook.metadata = nbformat.from_dict(METADATA)
    return notebook


def execute(source: Path) -> nbformat.NotebookNode:
    """The notebook with its outputs, from a fresh kernel that works in the notebooks' folder.

    Raises RuntimeError for a warning, or anything else on standard error: readers should not see one.
    """
    notebook = read(source)
    where = {"metadata": {"path": FOLDER}}
    NotebookClient(notebook, timeout=300, record_timing=False, resources=where).execute()
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", ()):
            if output.get("name") == "stderr":
                raise RuntimeError(f"{source.name}, cell {number}, wrote to standard error: {output['text']}")
    notebook.metadata = nbformat.from_dict(METADATA)  # less the version of the Python that ran it
    return notebook


def write(source: Path, notebook: nbformat.NotebookNode) -> Path:
    """Put the executed notebook beside its text."""
    path = source.with_suffix(".ipynb")
    nbformat.write(notebook, path)
    return path
