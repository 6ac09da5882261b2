"""The first figure: its picture holds to the definition of delay, and its numbers are those of ``speedup``."""

import numpy as np
import pytest

from a3cjax.engine import Interrupted
from a3cjax.studies import DemoStudy, StudyInterrupted, demo
from a3cjax.studies.frame import runs


@pytest.fixture(scope="module")
def study():
    return demo(progress=False)


def test_the_delays_in_the_picture_are_the_writes_between_a_read_and_its_write(study):
    drawn = study.drawn
    worker, time = np.asarray(drawn.worker), np.asarray(drawn.time)
    assert set(worker) == {0, 1, 2, 3}
    assert (np.diff(time) > 0).all()
    for k, i in enumerate(worker):
        own = np.flatnonzero(worker[:k] == i)
        read = time[own[-1]] if own.size else 0.0
        assert drawn.delay[k] == (time[:k] > read).sum()


def test_the_picture_is_of_the_first_run_of_four_workers(study):
    curves = study.curves
    every = int(curves.updates[1])
    schedule, _ = runs.draw_runs(0, None, [4], 16, int(curves.updates[-1]), False)
    assert np.asarray(schedule.time[0, : study.drawn.num_updates]).tolist() == np.asarray(study.drawn.time).tolist()
    assert curves.time.sel(workers=4, seed=0)[1] == pytest.approx(float(schedule.time[0, every - 1]))


def test_the_summary_says_what_the_rows_say(study):
    one, *_, sixteen = study.rows
    said = study.summary()
    assert f"They need {sixteen.updates_to_target:,.0f} updates" in said
    assert f"one worker needs {one.updates_to_target:,.0f}" in said
    assert f"meet it {sixteen.speedup:.3g} times as soon" in said
    assert sixteen.speedup_low < sixteen.speedup < sixteen.speedup_high
    assert 14 < float(said.split("that are ")[1].split()[0]) < 16  # N − 1, but for the first updates
    assert "paper" not in study.table()  # it is not the paper's problem


def test_four_files_are_written_and_the_figure_has_three_panels(study, tmp_path):
    assert [path.name for path in study.save(tmp_path)] == ["demo.csv", "demo.nc", "demo.png", "run.json"]
    work, by_updates, by_time = study.figure().axes
    assert [text.get_text() for text in work.texts if text.get_text() == "0"]
    assert by_updates.get_ylabel() == "objective J(θ)"
    assert by_time.get_xscale() == "log"


def test_ctrl_c_keeps_what_was_done_as_a_demo(monkeypatch):
    simulate = runs.simulate

    def stopped(learner, schedule, key, **options):
        raise Interrupted("stopped", simulate(learner, schedule, key, **options))

    monkeypatch.setattr(runs, "simulate", stopped)
    with pytest.raises(StudyInterrupted) as error:
        demo(progress=False)
    assert isinstance(error.value.study, DemoStudy)
    assert error.value.study.interrupted
    assert error.value.study.figure().axes
