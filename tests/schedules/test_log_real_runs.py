"""Schedules from logs of real runs: their delays by plain transcriptions, whole, mixed, from their middle on."""

import csv
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from a3cjax import Schedule
from a3cjax.schedules.logs import LogError, ordering, tables, text

DATA = Path(__file__).parents[1] / "data"


def rows_of(name):
    with (DATA / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


LOCK, NO_LOCK, QUEUE = (rows_of(name) for name in ("a3c_lock_n4", "a3c_nolock_n8", "queue_starved_b16_s2"))


def by_order(rows):
    """Each update's delay in words: how many that landed before it had not landed when it was read."""
    rows = sorted(rows, key=lambda row: float(row["t_write"]))
    return [sum(float(other["t_write"]) > float(row["t_read"]) for other in rows[:k]) for k, row in enumerate(rows)]


def table(rows):
    """Four columns by their plain names."""
    names = {"worker": "worker", "read": "version_read", "written": "version_write", "time": "t_write"}
    return {ours: [float(row[theirs]) for row in rows] for ours, theirs in names.items()}


def same(schedule, other):
    for name in ("worker", "delay", "time", "commit", "weight"):
        np.testing.assert_array_equal(getattr(schedule, name), getattr(other, name))


def test_a_run_with_a_lock():
    schedule = Schedule.from_log(DATA / "a3c_lock_n4.csv")
    assert schedule.worker.tolist() == [int(row["worker"]) for row in LOCK]
    assert schedule.delay.tolist() == [int(row["version_write"]) - int(row["version_read"]) for row in LOCK]
    assert schedule.delay.tolist() == by_order(LOCK)  # read and written under the lock, both orders are one
    assert schedule.time.tolist() == [float(row["t_write"]) for row in LOCK]
    report = schedule.report
    assert (report.order, report.num_rows, report.num_updates, report.workers) == ("counter", 300, 300, (0, 1, 2, 3))
    assert (report.moved, report.missing, report.lost, report.back, report.first_version) == (0, 0, 0, 0, 0)
    assert schedule.delay.dtype == schedule.worker.dtype == np.int32
    same(Schedule(schedule.worker, schedule.delay, schedule.time, num_workers=4), schedule)


def test_idle_and_waiting_time():
    """Of each worker, by hand: from its first read to its last write."""
    report = Schedule.from_log(DATA / "a3c_lock_n4.csv").report
    for worker in range(4):
        mine = [row for row in LOCK if row["worker"] == str(worker)]
        span = float(mine[-1]["t_write"]) - float(mine[0]["t_read"])
        idle = sum(float(b["t_read"]) - float(a["t_write"]) for a, b in itertools.pairwise(mine))
        waiting = sum(float(row["t_write"]) - float(row["t_grad"]) for row in mine)
        assert report.idle[worker] == pytest.approx(idle / span, rel=1e-9)
        assert report.waiting[worker] == pytest.approx(waiting / span, rel=1e-9)


def test_a_run_without_a_lock_is_ordered_by_the_clock():
    with pytest.raises(LogError, match=r"begins in mid-run, at version 1650, and \d+ of its updates") as refused:
        Schedule.from_log(DATA / "a3c_nolock_n8.csv")
    assert refused.value.report.num_rows == 300
    schedule = Schedule.from_log(DATA / "a3c_nolock_n8.csv", first_version=1650)
    assert schedule.delay.tolist() == by_order(NO_LOCK)
    report = schedule.report
    assert (report.order, report.shared, report.lost, report.first_version) == ("clock", 2, 2, 1650)
    early = [row for row in NO_LOCK if int(row["version_read"]) < 1650]
    assert report.read_before == len(early) > 0
    assert "2 updates not counted by the counter, as without a lock." in str(report)
    by_counter = [int(row["version_write"]) - int(row["version_read"]) for row in NO_LOCK]
    assert schedule.delay[20:].tolist() != by_counter[20:]
    with pytest.raises(ValueError, match=r"order is 'counter', but .* has 2 rows that wrote a version that another"):
        Schedule.from_log(DATA / "a3c_nolock_n8.csv", order="counter")


def test_samples_of_a_queue():
    """Groups of one trained version, counted by hand; the dropped in front of theirs, and those left over nowhere."""
    schedule = Schedule.from_log(DATA / "queue_starved_b16_s2.csv")
    kept = [row for row in QUEUE if row["version_consumed"] or row["dropped"] == "1"]
    now = [int(row["version_consumed"] or row["version_got"]) for row in kept]
    order = sorted(range(len(kept)), key=lambda i: (now[i], kept[i]["dropped"] != "1", float(kept[i]["t_got"])))
    rows, now = [kept[i] for i in order], [now[i] for i in order]
    assert schedule.worker.tolist() == [int(row["generator"]) for row in rows]
    assert schedule.delay.tolist() == [v - int(row["version_start"]) for v, row in zip(now, rows, strict=True)]
    assert schedule.versions.tolist() == now
    weight, commit = np.asarray(schedule.weight), np.asarray(schedule.commit)
    assert weight.tolist() == [int(row["dropped"] != "1") for row in rows]
    assert commit.tolist() == [a != b for a, b in itertools.pairwise(now)] + [True]
    assert schedule.time.tolist() == [float(row["t_consumed"] or row["t_got"]) for row in rows]
    report = schedule.report
    assert report.dropped == (weight == 0).sum() > 0
    assert report.unused == len(QUEUE) - len(rows)
    used = [row for row in rows if row["version_consumed"]]
    flights = [int(row["version_end"]) - int(row["version_start"]) for row in used]
    assert report.in_flight == pytest.approx(np.mean(flights))
    assert report.in_flight + report.in_queue == pytest.approx(schedule.delay[weight == 1].mean())
    again = Schedule(schedule.worker, schedule.delay, schedule.time, commit=commit, weight=weight)  # is valid
    same(again, schedule)
    blind = {name: [row[name] for row in QUEUE] for name in QUEUE[0] if name not in ("version_got", "t_got")}
    told = Schedule.from_log(blind)
    assert told.weight is None
    assert told.num_messages == len(used)
    assert "Dropped samples are not in the schedule" in str(told.report)


@pytest.mark.parametrize("name", ["a3c_lock_n4", "a3c_nolock_n8", "queue_starved_b16_s2"])
def test_rows_in_any_order_and_pieces_of_any_size(name, tmp_path, monkeypatch):
    known: Any = {"first_version": 1650} if name == "a3c_nolock_n8" else {}
    schedule = Schedule.from_log(DATA / f"{name}.csv", **known)
    heading, *lines = (DATA / f"{name}.csv").read_text().splitlines(keepends=True)
    np.random.default_rng(0).shuffle(lines)
    (tmp_path / "mixed.csv").write_text(heading + "".join(lines))
    for module in (text, tables):
        monkeypatch.setattr(module, "ROWS", 7)
    monkeypatch.setattr(ordering, "_PART", 11)
    mixed = Schedule.from_log(tmp_path / "mixed.csv", **known)
    same(mixed, schedule)
    assert mixed.report.moved > 100
    assert mixed.report.idle is None  # rows out of order do not tell it
    again = Schedule.from_log(DATA / f"{name}.csv", **known)
    same(again, schedule)
    assert again.report.idle == (None if schedule.commit is not None else pytest.approx(schedule.report.idle))


def test_a_counter_that_is_raised_first_is_recognised():
    log, plain = table(LOCK), Schedule.from_log(table(LOCK))
    raised = log | {"written": [v + 1 for v in log["written"]]}
    schedule = Schedule.from_log(raised)
    same(schedule, plain)
    assert (schedule.report.counts_from, plain.report.counts_from) == (1, 0)
    assert "written − read counts from 1 in this log; 1 was taken off." in str(schedule.report)
    same(Schedule.from_log(raised, counts_from=1), plain)
    with pytest.raises(ValueError, match="counts_from is 1, but the table, row 0 has read 0 and written 0"):
        Schedule.from_log(log, counts_from=1)


def test_in_mid_run_the_clock_tells_where_a_counter_counts_from():
    """A constant delay of 2, so that written − read is at least 2, or 3 where the counter is raised first."""
    k = np.arange(100, 160)
    log = {"worker": k % 3, "read": k - 2, "written": k, "time": 1.0 * k, "read_time": k - 2.5}
    for base in (0, 1):
        moved = log | {"written": k + base}
        schedule = Schedule.from_log(moved, first_version=100)
        assert schedule.report.counts_from == base
        assert schedule.delay.tolist() == [0, 1] + [2] * 58
        del moved["read_time"]
        with pytest.raises(ValueError, match="does not tell whether written was noted before or after the counter"):
            Schedule.from_log(moved, first_version=100)
        same(Schedule.from_log(moved, first_version=100, counts_from=base), schedule)


def test_mid_run():
    """From update 100 on; what was computed from before is computed from there, if the caller says so."""
    cut = table(LOCK[100:])
    early = sum(int(row["version_read"]) < 100 for row in LOCK[100:])
    with pytest.raises(ValueError, match=rf"mid-run, at version 100, and {early} of its updates .*first_version=100"):
        Schedule.from_log(cut)
    schedule = Schedule.from_log(cut, first_version=100)
    expected = [int(row["version_write"]) - max(int(row["version_read"]), 100) for row in LOCK[100:]]
    assert schedule.delay.tolist() == expected
    assert (schedule.report.first_version, schedule.report.read_before, schedule.report.cut) == (100, early, 0)
    later = Schedule.from_log(table(LOCK), first_version=100)
    same(later, schedule)
    assert later.report.cut == 100
    # A run that went on from version 500 reads nothing from before, so nothing is to be said.
    resumed = table(LOCK) | {name: [v + 500 for v in table(LOCK)[name]] for name in ("read", "written")}
    same(Schedule.from_log(resumed), Schedule.from_log(table(LOCK)))
    assert Schedule.from_log(resumed).report.first_version == 500
    with pytest.raises(ValueError, match="first_version is 900, but the last written is 799"):
        Schedule.from_log(resumed, first_version=900)
