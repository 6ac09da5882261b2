"""The benchmark's processes make a log that can be calibrated, and its table says what is within what is allowed."""

import math

import a3cjax
from benchmarks.forecast import ALLOWED_COMPUTING, Numbers, line, pipeline_times, record, record_pipeline, seen


def test_workers_without_a_lock_make_a_log(tmp_path):
    team = a3cjax.calibrate(record("exponential", 2, False, 0.6, tmp_path, seed=0))
    assert team.num_workers == 2
    assert team.calibration is not None
    for turns in team.calibration.turns:
        assert (turns.computing > 0).all()
    assert team.calibration.seen.updates > 10


def test_a_pipeline_makes_a_log_and_its_times_are_those_of_its_sleeps(tmp_path):
    path = record_pipeline(2, 2, 0.5, tmp_path, seed=0)
    schedule = a3cjax.Schedule.from_log(path)
    assert schedule.num_updates >= 2
    generations, trainings = pipeline_times(path)
    assert (generations > 0.004).all()  # no Pareto time is shorter than a third of 12 ms
    assert (trainings > 0.01).all()
    assert len(trainings) == schedule.num_updates


def test_the_table_marks_what_is_too_far_off():
    real = Numbers(100.0, 7.0, 20.0, 10.0)
    text, good, all_of = line("run", 8, real, Numbers(114.0, 8.0, 20.0, 16.0), ALLOWED_COMPUTING, "")
    assert (good, all_of) == (2, 4)  # 1.14 of 1.15, 1.14 of 1.10, 1.00, 1.6 of 1.5
    assert text.split() == ["run", "8", "100.0", "1.14", "7.00", "1.14*", "20", "1.00", "10.0", "1.60*"]
    workers, known = seen("16:-:15.0:70")
    assert (workers, known.mean, known.p99) == (16, 15.0, 70.0)
    assert math.isnan(known.rate)
