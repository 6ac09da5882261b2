"""Two builds in turn: which process is timed when, what is told apart in a row, and what a revision is."""

import subprocess
from pathlib import Path

import pytest

from benchmarks import builds, revision
from benchmarks.builds import Build, line, main, measure
from benchmarks.engine import Case

HERE, THERE = Path("here"), Path("there")


@pytest.fixture
def said(monkeypatch):
    """What was asked of processes, each of which takes one nanosecond more than the one before."""
    seen = []

    class Process:
        def __init__(self, build, index):
            self.build = build
            seen.append(("begun", build, index))
            if build == Path("broken"):
                raise RuntimeError("ended with 1")

        def nanoseconds(self):
            seen.append(("timed", self.build))
            return float(len(seen))

        def end(self):
            seen.append(("ended", self.build))

    monkeypatch.setattr(builds, "Build", Process)
    return seen


def test_builds_take_turns(said):
    found = measure([HERE, THERE], 7, rounds=2)
    assert said == [
        ("begun", HERE, 7), ("begun", THERE, 7),
        ("timed", HERE), ("timed", THERE), ("timed", HERE), ("timed", THERE),
        ("ended", HERE), ("ended", THERE),
    ]  # fmt: skip
    assert found == [[3.0, 5.0], [4.0, 6.0]]


def test_no_process_is_left_where_another_does_not_begin(said):
    with pytest.raises(RuntimeError):
        measure([HERE, Path("broken")], 0, rounds=1)
    assert said[-1] == ("ended", HERE)


def test_a_row_has_medians_and_the_span_of_pairs():
    pairs = [[[1.0, 2.0, 9.0], [2.0, 4.0, 9.0]], [[6.0, 6.0, 6.0], [4.0, 3.0, 6.0]]]
    row = line(Case("ring", 256, 16, "i.i.d."), pairs).split()
    assert row == ["ring", "256", "16", "6.0", "ns", "4.0", "ns", "1.000", "(0.500", "to", "1.500)", "i.i.d."]


def test_a_process_simulates_what_it_is_told_with_its_build(tmp_path):
    """A package of that name stands for the build, so that a turn takes no time."""
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "builds.py").write_text(
        "import sys, a3cjax\n"
        "print(0.0, flush=True)\n"
        "for _ in sys.stdin: print(a3cjax.NS + int(sys.argv[2]), flush=True)\n"
    )
    (tmp_path / "a3cjax.py").write_text("NS = 0.5")
    build = Build(tmp_path, 3)
    assert [build.nanoseconds(), build.nanoseconds()] == [3.5, 3.5]
    build.end()
    (tmp_path / "a3cjax.py").write_text("raise SystemExit(3)")
    with pytest.raises(RuntimeError, match="ended with 3"):
        Build(tmp_path, 3)


def test_a_revision_is_there_for_as_long_as_it_is_needed(tmp_path, monkeypatch):
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    for text in ("first", "second"):
        (tmp_path / "file").write_text(text)
        subprocess.run([*git, "add", "."], check=True)
        subprocess.run([*git, "commit", "-q", "-m", text], check=True)
    monkeypatch.setattr(revision, "ROOT", tmp_path)
    with revision.revision("HEAD~1") as tree:
        assert (tree / "file").read_text() == "first"
    assert not tree.exists()


def test_the_other_build_has_to_be_said(capsys):
    with pytest.raises(SystemExit):
        main([])
    assert "--against REVISION says which build" in capsys.readouterr().err
