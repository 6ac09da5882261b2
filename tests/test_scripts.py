"""The scripts that CI does not run still name what is there."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_quick_tests_are_there():
    quick = runpy.run_path(str(ROOT / ".ci" / "versions.py"))["QUICK"]
    assert [path for path in quick if not (ROOT / path).is_file()] == []


def test_only_versions_from_the_first_on_are_tried():
    script = runpy.run_path(str(ROOT / ".ci" / "versions.py"))
    listed = type(
        "Done", (), {"stdout": "jax (0.12.0.1)\nAvailable versions: 0.12.0.1, 0.12.0, 0.10.2, 0.10.0, 0.9.9\n"}
    )
    script["jax_versions"].__globals__["run"] = lambda words: listed
    assert script["jax_versions"]("python3") == ["0.10.0", "0.12.0.1"]
