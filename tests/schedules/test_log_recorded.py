"""The recorder's files are put together, cut at any byte or not, and what cannot be one run is told."""

import numpy as np
import pytest

from a3cjax import Schedule, recorder
from a3cjax.recorder import Recorder
from a3cjax.schedules.logs import recorded

LOG = {"worker": ["b", "a", "b", "a"], "read": [0, 0, 1, 2], "written": [0, 1, 2, 3], "time": [0.5, 1.25, 2.0, 3.5]}
DELAY, WORKER = [0, 1, 1, 1], [1, 0, 1, 0]


def check(schedule, rows=4):
    assert schedule.worker.tolist() == WORKER[:rows]
    assert schedule.delay.tolist() == DELAY[:rows]
    assert schedule.time.tolist() == LOG["time"][:rows]
    return schedule.report


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets, in seconds."""
    now = [0]
    monkeypatch.setattr(recorder.time, "monotonic_ns", lambda: now[0])
    monkeypatch.setattr(recorder, "_clock", lambda: "this boot")

    def at(seconds):
        now[0] = round(1e9 * seconds)

    return at


def record(folder, clock, times=LOG["time"], run="r"):
    """The four updates by two recorders, as they would come."""
    made = {}
    for name in ("a", "b"):
        clock(0)
        made[name] = Recorder(folder, name, run=run)
    events = [(written, "write", i) for i, written in enumerate(times)]
    events += [(0.125 if i < 2 else times[i] - 0.25, "read", i) for i in range(4)]
    for moment, what, i in sorted(events):
        clock(moment)
        if what == "read":
            made[LOG["worker"][i]].read(LOG["read"][i])
        else:
            made[LOG["worker"][i]].write(LOG["written"][i])
    for one in made.values():
        one.close()


def test_a_folder_or_one_file_in_pieces_of_any_size(tmp_path, clock, monkeypatch):
    record(tmp_path / "folder", clock)
    record(tmp_path / "one.jsonl", clock)
    assert check(Schedule.from_log(tmp_path / "folder")).run == "r"
    for rows in (1, 3, recorded.ROWS):
        monkeypatch.setattr(recorded, "ROWS", rows)
        check(Schedule.from_log(tmp_path / "folder"))
        check(Schedule.from_log(tmp_path / "one.jsonl"))


def test_the_recorders_file_cut_at_any_byte(tmp_path, clock):
    """As a kill may leave it: every whole line counts, and the cut one is told."""
    record(tmp_path / "log.jsonl", clock)
    whole = (tmp_path / "log.jsonl").read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    path = tmp_path / "cut.jsonl"
    for end in range(ends[3], len(whole)):
        path.write_bytes(whole[:end])
        complete = sum(at <= end for at in ends)
        said = complete + (end + 1 in ends)  # without its end an object is whole all the same
        report = check(Schedule.from_log(path), rows=said - 2)
        assert report.partial == (() if end in ends or end + 1 in ends else (f"{path}, line {complete + 1}",))


def test_a_line_cut_where_others_append(tmp_path, clock):
    """What was cut is left out, and the line that follows on it without an end of line is not."""
    record(tmp_path / "log.jsonl", clock)
    rows = (tmp_path / "log.jsonl").read_text().splitlines(keepends=True)
    path = tmp_path / "cut.jsonl"
    path.write_text("".join([*rows[:3], rows[5][:40], *rows[3:]]))
    assert check(Schedule.from_log(path)).partial == (f"{path}, line 4",)
    # What was handed over may look like the beginning of a line, in the one that was cut and in the one that follows.
    cut, follows = rows[5][:40] + '{"run": "q", ', rows[3].replace("}\n", ', "from": {"run": "q"}}\n')
    assert rows[3] != follows
    path.write_text("".join([*rows[:3], cut, follows, *rows[4:]]))
    assert check(Schedule.from_log(path)).partial == (f"{path}, line 4",)


def test_killed_before_the_first_line(tmp_path, clock):
    record(tmp_path, clock)
    (tmp_path / "c.jsonl").write_text("")
    (tmp_path / "d.jsonl").write_text('{"a3cjax_log": 1, "ru')
    assert check(Schedule.from_log(tmp_path)).partial == (f"{tmp_path}/c.jsonl, line 1", f"{tmp_path}/d.jsonl, line 1")


def test_two_runs_in_one_folder(tmp_path, clock):
    record(tmp_path, clock, run="first")
    record(tmp_path, clock, run="second", times=[t + 10 for t in LOG["time"]])
    with pytest.raises(
        ValueError, match=r"There are logs of 2 runs here: first \(.*line 1\); second .*choose one with"
    ):
        Schedule.from_log(tmp_path)
    check(Schedule.from_log(tmp_path, run="first"))
    assert Schedule.from_log(tmp_path, run="second").time.tolist() == [10.5, 11.25, 12.0, 13.5]
    with pytest.raises(ValueError, match="run is 'third', but there is first, second"):
        Schedule.from_log(tmp_path, run="third")
    with pytest.raises(ValueError, match="run has no effect on the table"):
        Schedule.from_log(LOG, run="first")


def test_two_runs_in_one_file(tmp_path, clock):
    """The second begins far behind the lines that are looked at first."""
    with Recorder(tmp_path / "log.jsonl", 0, run="first") as one:
        for k in range(100):
            clock(k + 1)
            one.read(k)
            one.write(k)
    record(tmp_path / "log.jsonl", clock, run="second")
    with pytest.raises(ValueError, match="line 102 is of the run second, others of first; choose one with run="):
        Schedule.from_log(tmp_path / "log.jsonl")
    assert len(Schedule.from_log(tmp_path / "log.jsonl", run="first")) == 100


def test_two_runs_of_one_name(tmp_path, clock):
    """The same worker twice: it began again if its versions go on, and else these are two runs."""

    def updates(first, moment):
        clock(moment)
        with Recorder(tmp_path, 0, run="r") as one:
            for k in range(first, first + 3):
                moment += 1
                clock(moment)
                one.read(k)
                one.write(k)

    updates(0, 0)
    updates(3, 10)
    schedule = Schedule.from_log(tmp_path)
    assert schedule.delay.tolist() == [0] * 6
    assert any("Worker 0 began again" in note for note in schedule.report.notes)
    updates(0, 20)
    with pytest.raises(ValueError, match=r"worker 0 began again and reads version 0, but had read 5 before: these are"):
        Schedule.from_log(tmp_path)


def test_two_processes_of_one_name(tmp_path, clock):
    ones = [Recorder(tmp_path, 0, run="r") for _ in range(2)]
    for k in range(4):
        clock(k + 1)
        ones[k % 2].read(k)
        ones[k % 2].write(k)
    for one in ones:
        one.close()
    with pytest.raises(ValueError, match="two processes are worker 0 at once"):
        Schedule.from_log(tmp_path)


def test_two_machines(tmp_path, clock, monkeypatch):
    """Their times are put on the wall's clock, and tell no order."""
    monkeypatch.setattr(recorder.time, "time_ns", lambda: 10**18)
    for machine, k in (("x", 0), ("y", 1)):
        monkeypatch.setattr(recorder, "_clock", lambda machine=machine: machine)
        clock(100 * k)
        with Recorder(tmp_path, machine, run="r") as one:
            clock(100 * k + 1 + k)
            one.read(0)
            one.write(k)
    schedule = Schedule.from_log(tmp_path)
    assert schedule.delay.tolist() == [0, 1]
    assert (schedule.time - 1e9).tolist() == [1.0, 2.0]
    assert any("of 2 machines" in note for note in schedule.report.notes)
    with pytest.raises(ValueError, match="has times of 2 machines, which tell no order; use order='counter'"):
        Schedule.from_log(tmp_path, order="clock")


def events(path, *said, clock=None):
    for i, (worker, kind, about) in enumerate(said):
        if clock:
            clock(i + 1)
        with Recorder(path, worker, run="r") as one:
            one.event(kind, **about)


def test_a_pipelines_events(tmp_path, clock):
    path = tmp_path / "log.jsonl"
    events(
        path,
        ("g1", "submitted", {"sample": 1, "version": 0}),
        ("g0", "submitted", {"sample": 2, "version": 0}),
        ("g0", "done", {"sample": 2, "version": 0}),
        ("g1", "done", {"sample": 1, "version": 0}),
        ("g0", "submitted", {"sample": "x", "version": 0}),
        ("learner", "trained", {"samples": [1, 2], "version": 0}),
        ("learner", "published", {"version": 1}),
        ("g0", "done", {"sample": "x", "version": 1}),
        ("g1", "submitted", {"sample": 4, "version": 1}),
        ("learner", "saved", {"file": "c.pt"}),
        ("g1", "done", {"sample": 4, "version": 1}),
        ("learner", "dropped", {"sample": 4, "version": 1}),
        ("learner", "trained", {"sample": "x", "version": 1}),
        clock=clock,
    )
    schedule = Schedule.from_log(path)
    report = schedule.report
    assert schedule.worker.tolist() == [1, 0, 1, 0]
    assert schedule.delay.tolist() == [0, 0, 0, 1]
    assert np.asarray(schedule.commit).tolist() == [False, True, False, True]
    assert np.asarray(schedule.weight).tolist() == [1, 1, 0, 1]
    assert schedule.time.tolist() == [6.0, 6.0, 12.0, 13.0]
    assert (report.dropped, report.in_flight, report.in_queue) == (1, 1 / 3, 0.0)
    assert report.workers == ("g0", "g1")


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ([("l", "trained", {"sample": 1, "version": 0})], "names the sample 1, which no line before submitted"),
        ([("g", "submitted", {"version": 0})], "submitted names no sample; give sample="),
        ([("l", "trained", {"version": 0})], "trained names no samples; give sample= or samples="),
        ([("g", "submitted", {"sample": 1}), ("l", "trained", {"sample": 1, "version": 0})], "read is missing"),
    ],
)
def test_events_that_do_not_fit(tmp_path, said, match):
    events(tmp_path / "log.jsonl", *said)
    with pytest.raises(ValueError, match=match):
        Schedule.from_log(tmp_path / "log.jsonl")
