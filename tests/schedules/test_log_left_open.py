"""What a log leaves open is refused or closed by the caller: gaps, repetitions, counts, clocks, names."""

import numpy as np
import pytest

from a3cjax import Schedule
from a3cjax.schedules.logs import LogError, ordering

GAPPED = {"worker": ["a", "b", "a"], "read": [0, 0, 3], "written": [0, 1, 4], "time": [1.0, 2.0, 5.0]}


def test_missing_updates():
    with pytest.raises(ValueError, match=r"the table, row 2: no row wrote version 2 before this one; 2 are missing"):
        Schedule.from_log(GAPPED)
    schedule = Schedule.from_log(GAPPED, gaps="fill")
    assert schedule.worker.tolist() == [0, 1, 2, 2, 0]
    assert schedule.delay.tolist() == [0, 1, 0, 0, 1]
    assert schedule.time.tolist() == [1.0, 2.0, 5.0, 5.0, 5.0]
    assert (schedule.report.missing, schedule.report.filled) == (2, 2)
    assert schedule.report.workers == ("a", "b", "(missing)")
    described = schedule.describe()
    assert (described.rows, described.mean, len(described.workers)) == (3, 2 / 3, 2)
    late = {name: values[1:] for name, values in GAPPED.items()}
    with pytest.raises(ValueError, match="row 0: no row wrote version 0 before this one; 3 are missing"):
        Schedule.from_log(late, first_version=0, counts_from=0)
    assert Schedule.from_log(late, first_version=0, counts_from=0, gaps="fill").worker.tolist() == [2, 1, 2, 2, 0]


def test_duplicates():
    twice = {name: [*values[:2], values[1]] for name, values in GAPPED.items()}
    with pytest.raises(ValueError, match="row 2 repeats a row ahead of it in every column, as 1 rows do"):
        Schedule.from_log(twice)
    schedule = Schedule.from_log(twice, duplicates="drop")
    assert schedule.delay.tolist() == [0, 1]
    assert schedule.report.duplicates == 1


def test_several_writes_of_a_version():
    """Rows of one version that are no repetition: refused, averaged, or, with times of reading, ordered by them."""
    log = {"worker": [0, 1, 0, 1], "read": [0, 0, 0, 1], "written": [0, 0, 1, 1], "time": [1.0, 2.0, 3.0, 4.0]}
    with pytest.raises(ValueError, match=r"2 rows that wrote a version .* give read_time, .* or shared='average'"):
        Schedule.from_log(log)
    averaged = Schedule.from_log(log, shared="average")
    assert np.asarray(averaged.commit).tolist() == [False, True, False, True]
    assert averaged.delay.tolist() == [0, 0, 1, 0]
    clocked = Schedule.from_log(log | {"read_time": [0.0, 1.0, 1.5, 3.5]})
    # A read at the moment of a write has seen it.
    assert clocked.delay.tolist() == [0, 0, 1, 0]
    assert clocked.report.order == "clock"


def test_negative_counts():
    """A counter that jumped back; by the clock every update was fresh."""
    log = {"worker": [0, 1, 0], "read": [0, 3, 2], "written": [0, 1, 2], "time": [1.0, 2.0, 3.0]}
    with pytest.raises(ValueError, match="has 1 rows with written before read, as without a lock"):
        Schedule.from_log(log)
    schedule = Schedule.from_log(log | {"read_time": [0.5, 1.5, 2.5]})
    assert schedule.delay.tolist() == [0, 0, 0]
    assert schedule.report.negative == 1


def test_without_a_counter():
    log = {"worker": [0, 1, 0], "time": [1.0, 2.0, 3.0], "read_time": [0.0, 0.0, 1.0]}
    schedule = Schedule.from_log(log)
    assert schedule.delay.tolist() == [0, 1, 1]
    assert "it cannot be told whether the log begins in mid-run" in str(schedule.report)
    with pytest.raises(ValueError, match="first_version and counts_from have no effect"):
        Schedule.from_log(log, first_version=1)
    with pytest.raises(ValueError, match="gaps is 'fill', which has no effect when the clock orders"):
        Schedule.from_log(log, gaps="fill")
    with pytest.raises(ValueError, match=r"row 1: the update was written at 2, before it was read at 2\.5"):
        Schedule.from_log(log | {"read_time": [0.0, 2.5, 1.0]})
    # A tie with its own write is no update that came before it.
    assert Schedule.from_log(log | {"read_time": [0.0, 2.0, 1.0]}).delay.tolist() == [0, 0, 1]


def test_clocks_that_disagree():
    log = {"worker": [0, 1, 0], "read": [0, 0, 1], "written": [0, 1, 2], "time": [5.0, 3.5, 6.0]}
    with pytest.raises(ValueError, match=r"time of update 1, 3\.5, is before .* as 1 are, by up to 1\.5: the workers'"):
        Schedule.from_log(log)
    schedule = Schedule.from_log(log, clocks="hold")
    assert schedule.time.tolist() == [5.0, 5.0, 6.0]
    assert (schedule.report.back, schedule.report.back_most) == (1, 1.5)
    del log["time"]
    untimed = Schedule.from_log(log)
    assert untimed.time.tolist() == [1.0, 2.0, 3.0]
    assert "There are no times; update k lands at time k + 1." in str(untimed.report)


def test_a_clock_that_stays_behind(monkeypatch):
    """Held at the latest landing ahead, however far back that is, and whatever is looked at together."""
    k = np.arange(9)
    log = {"worker": k % 2, "read": k, "written": k, "time": [0.0, 9.0, *k[2:7], 9.5, 8.0]}
    for part in (2, 3, 100):
        monkeypatch.setattr(ordering, "_PART", part)
        schedule = Schedule.from_log(log, clocks="hold")
        assert schedule.time.tolist() == [0.0, *[9.0] * 6, 9.5, 9.5]
        assert (schedule.report.back, schedule.report.back_most) == (6, 7.0)


@pytest.mark.parametrize(
    ("names", "ordered"),
    [
        ([7, 3, 10], (3, 7, 10)),
        (["7", "3", "10"], (3, 7, 10)),
        ([7.0, 3.0, 10.0], (3, 7, 10)),
        (["gpu10", "gpu9", "cpu"], ("cpu", "gpu9", "gpu10")),
        (["b", "a", "3"], ("3", "a", "b")),
    ],
)
def test_names_of_workers(names, ordered):
    log = {"worker": names, "read": [0, 0, 0], "written": [0, 1, 2], "time": [1.0, 2.0, 3.0]}
    schedule = Schedule.from_log(log)
    assert schedule.report.workers == ordered
    asked = [int(name) if isinstance(ordered[0], int) else name for name in names]
    assert [schedule.report.workers[i] for i in schedule.worker] == asked


def test_times_of_iso_8601():
    times = ["2026-01-02T03:04:05Z", "2026-01-02T03:04:06.5Z", "2026-01-02T04:04:07+01:00"]
    log = {"worker": [0, 0, 0], "read": [0, 1, 2], "written": [0, 1, 2], "timestamp": times}
    time = Schedule.from_log(log).time
    assert (time - time[0]).tolist() == [0.0, 1.5, 2.0]


def test_errors_carry_the_report():
    with pytest.raises(LogError) as refused:
        Schedule.from_log(GAPPED)
    report = refused.value.report
    assert (report.num_rows, report.workers, report.missing, report.num_updates) == (3, ("a", "b"), 2, 0)
    assert "2 versions are written by no row." in str(report)
