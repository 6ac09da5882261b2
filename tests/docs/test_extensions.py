"""What the site makes of docstrings, of indices in running text, and of a schedule."""

import importlib.util
import sys
from pathlib import Path

import pytest

DOCS = Path("docs")


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def worker_blocks():
    return load(DOCS / "figures" / "worker_blocks.py")


def test_a_blocks_delay_is_the_number_of_blocks_that_end_within(worker_blocks):
    drawn = worker_blocks.blocks(worker_blocks.schedule())
    assert len(drawn) == 10
    for block in drawn:
        ends = [other.end for other in drawn]
        assert block.delay == sum(block.begin < end < block.end for end in ends)
        assert block.read == sum(end <= block.begin for end in ends)


def test_docstrings_as_restructured_text():
    prepared = load(DOCS / "_ext" / "docstrings.py").prepared
    text = [
        "|S| of ω*, see docs/howto/logs.md and `x`:",
        "",
        "    θ_{k} = |x|",
        "",
        "Args:",
        "    x: *one*.",
        "",
        ">>> a*b",
    ]
    assert prepared(text) == [
        "\\|S\\| of ω\\*, see :doc:`/howto/logs` and ``x``:", "", ".. code-block:: text", "", "    θ_{k} = |x|", "",
        "Args:", "    x: *one*.", "", ">>> a*b",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("θ_{k−τ_k} and J_λ", "θ<sub>k−τ<sub>k</sub></sub> and J<sub>λ</sub>"),
        ("K^(−2/5), r_max, V̂_ω", "K<sup>−2/5</sup>, r<sub>max</sub>, V̂<sub>ω</sub>"),
        ("from_workers, a_long_name, x_next", "from_workers, a_long_name, x_next"),
    ],
)
def test_indices_in_running_text(text, shown):
    indices = load(DOCS / "_ext" / "indices.py")

    def written(nodes):
        tags = {"subscript": "sub", "superscript": "sup"}
        return "".join(
            f"<{tags[node.tagname]}>{written(node.children)}</{tags[node.tagname]}>"
            if node.tagname in tags
            else str(node)
            for node in nodes
        )

    assert written(indices._set(text)) == shown
