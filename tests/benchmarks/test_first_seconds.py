"""The first seconds: who has a cache, who takes turns, and what a row says."""

import os
from pathlib import Path

import pytest

from benchmarks import first_seconds
from benchmarks.first_seconds import CASES, Case, Seconds, line, measure, timed

HERE, THERE = Path("here"), Path("there")


@pytest.mark.parametrize("warm", [False, True])
def test_builds_take_turns_and_only_a_warm_case_finds_what_was_there(warm, tmp_path, monkeypatch):
    seen = []

    def run(build, case, programs):
        assert case.warm is warm
        seen.append((build, programs.exists() and any(programs.iterdir())))
        programs.mkdir(exist_ok=True)
        (programs / "program").touch()
        return Seconds(len(seen), 0)

    monkeypatch.setattr(first_seconds, "timed", run)
    found = measure([HERE, THERE], Case("", "", warm=warm), rounds=2)
    before = [(HERE, False), (THERE, False)] if warm else []
    assert seen == before + [(HERE, warm), (THERE, warm)] * 2
    first = len(before) + 1
    assert [[one.clock for one in seconds] for seconds in found] == [[first, first + 2], [first + 1, first + 3]]


def test_a_row_has_medians_and_the_median_ratio():
    here = [Seconds(1, 10), Seconds(2, 10), Seconds(9, 10)]
    there = [Seconds(2, 20), Seconds(2, 40), Seconds(36, 10)]
    assert line(Case("an import", ""), [here]).split() == ["an", "import", "2.00", "10.00"]
    row = line(Case("an import", ""), [here, there]).split()[2:]
    assert row == ["2.00", "10.00", "2.00", "20.00", "0.50", "0.50"]


def test_a_process_is_timed_with_the_build_and_the_folder_it_is_given(tmp_path):
    (tmp_path / "a3cjax.py").write_text("import os; open(os.environ['A3CJAX_CACHE'], 'w').write('seen')")
    took = timed(tmp_path, Case("", "import a3cjax"), tmp_path / "programs")
    assert (tmp_path / "programs").read_text() == "seen"
    assert 0 < took.processor < took.clock * (os.cpu_count() or 1) + 1
    with pytest.raises(RuntimeError, match=r"broken with .* ended with 3"):
        timed(tmp_path, Case("broken", "raise SystemExit(3)"), tmp_path / "programs")


def test_titles_fit_their_column():
    assert max(len(case.title) for case in CASES.values()) < 52
