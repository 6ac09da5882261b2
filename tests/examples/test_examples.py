"""The recorded examples run, for a moment and with two processes, and leave a log that says what they did."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name, *arguments):
    return subprocess.run([sys.executable, EXAMPLES / name, *arguments], capture_output=True, text=True, timeout=120)


def rows_of(folder):
    lines = [line for path in sorted(Path(folder).iterdir()) for line in path.read_text().splitlines()]
    return [row for row in map(json.loads, lines) if "a3cjax_log" not in row]


def test_numpy_a3c(tmp_path):
    done = run("numpy_a3c.py", str(tmp_path / "run"), "--seconds", "0.5")
    assert done.returncode == 0, done.stderr
    rows = [row for row in rows_of(tmp_path / "run") if row.get("event") != "end"]
    assert sorted(row["written"] for row in rows) == list(range(len(rows)))  # under a lock no count is lost
    assert {row["worker"] for row in rows} == {0, 1}
    for row in rows:
        assert 0 <= row["read"] <= row["written"]
        assert row["read_ns"] < row["ready_ns"] < row["ns"]
        assert len(row["critic"]) == len(row["actor"]) == len(row["policy"]) == 3


def test_queue_of_generators(tmp_path):
    done = run("queue_of_generators.py", str(tmp_path / "run"), "--generators", "2", "--seconds", "0.6")
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path / "run")
    assert len({row["run"] for row in rows}) == 1  # the learner is the generators' parent
    submitted = {row["sample"]: row["version"] for row in rows if row["event"] == "submitted"}
    trained = [row for row in rows if row["event"] == "trained"]
    assert done.stdout == f"{len(trained)} batches.\n"
    assert [row["version"] for row in trained] == list(range(len(trained)))
    assert all(submitted[sample] <= row["version"] for row in trained for sample in row["samples"])
    assert all(len(row["samples"]) == 4 for row in trained)


def test_torch_a3c(tmp_path):
    if importlib.util.find_spec("torch") is None:
        done = run("torch_a3c.py", str(tmp_path / "run"))
        assert done.returncode == 1
        assert done.stderr == "This example needs PyTorch; install it with pip install torch.\n"
        pytest.skip("torch is not installed")
    done = run("torch_a3c.py", str(tmp_path / "run"), "--seconds", "2", "--lock")
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path / "run")
    assert sorted(row["written"] for row in rows) == list(range(len(rows)))
    assert done.stdout == f"{len(rows)} updates by the counter.\n"
