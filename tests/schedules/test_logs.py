"""Schedules from logs: the delays of real runs, by plain transcriptions, and what is left open by a log."""

import csv
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from a3cjax import Schedule
from a3cjax.schedules.logs import LogError, ordering, tables, text
from a3cjax.schedules.logs.presets import PRESETS

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


def test_described():
    """Two workers in turn, each with the other's update in between; the moments by hand."""
    schedule = Schedule([0, 1, 0, 1, 0, 1], [0, 1, 1, 1, 2, 0], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    described = schedule.describe()
    assert (described.rows, described.updates, described.rate) == (6, 6, 1.0)
    assert described.mean == pytest.approx(5 / 6)
    assert described.variance == pytest.approx(7 / 6 - 25 / 36)
    assert described.quantiles == {0.5: 1, 0.9: 2, 0.99: 2, 1.0: 2}
    # Versions left by the own write before: 1, 2, 3, 4; read: 1, 2, 2, 5.
    assert described.own_reads == 0.5
    assert described.between == pytest.approx((0 + 0 - 1 + 1) / 4)
    centred = np.array([0, 1, 1, 1, 2, 0]) - 5 / 6
    for lag, value in enumerate(described.autocorrelation, start=1):
        assert value == pytest.approx((centred[:-lag] * centred[lag:]).sum() / (centred**2).sum())
    first, second = described.workers
    assert (first.updates, first.mean, first.median, first.most, first.own_reads) == (3, 1.0, 1, 2, 0.5)
    assert (second.updates, second.mean, second.most, second.own_reads) == (3, 2 / 3, 1, 0.5)
    batch = Schedule.stack([schedule, schedule])
    with pytest.raises(ValueError, match="describe is of one schedule whose values are known"):
        batch.describe()


@pytest.mark.parametrize(
    ("draw", "law"),
    [
        (lambda rng: rng.geometric(1 / 5, 4000) - 1, "Geometric"),
        (lambda rng: rng.poisson(4.0, 4000), "Poisson"),
        (lambda rng: rng.integers(0, 9, 4000), "Uniform"),
        (lambda rng: np.full(4000, 4), "Constant"),
    ],
)
def test_the_nearest_law(draw, law):
    k = np.arange(4000)
    schedule = Schedule(k % 2, np.minimum(draw(np.random.default_rng(0)), k), 1.0 * k)
    described = schedule.describe()
    assert described.law.startswith(f"They look like {law}(")
    assert abs(described.autocorrelation[0]) < 0.1 or law == "Constant"


def test_a_real_run_described():
    """Against real-time facts of the log itself: reads by their times, not by their versions."""
    described = Schedule.from_log(DATA / "a3c_lock_n4.csv").describe()
    last: dict[str, int] = {}
    own = []
    for k, row in enumerate(LOCK):
        if row["worker"] in last:
            after = last[row["worker"]]
            between = [other for other in LOCK[after + 1 : k] if float(other["t_write"]) <= float(row["t_read"])]
            own.append(len(between))
        last[row["worker"]] = k
    assert described.own_reads == pytest.approx(np.mean([count == 0 for count in own]))
    assert described.between == pytest.approx(np.mean(own))
    assert [one.idle for one in described.workers] == pytest.approx(
        list(Schedule.from_log(DATA / "a3c_lock_n4.csv").report.idle)
    )
    assert "own reads" in str(described)


REPORTS = {"step": [1, 2, 3, 4], "diff_num_grad_updates_vs_sampler_policy": [1.0, 2.4, "", 3.6]}


def test_reported_averages_become_delays_only_if_asked():
    with pytest.raises(LogError, match="of RLlib counts update calls from 1 and is an average over a batch, and again"):
        Schedule.from_log(REPORTS, preset="rllib")
    schedule = Schedule.from_log(REPORTS, preset="rllib", averages="as delays")
    assert schedule.delay.tolist() == [0, 1, 2]  # 1 taken off, rounded to 0, 1, 3; the third has two updates ahead
    told = str(schedule.report)
    assert "each report became one update, its delay rounded" in told
    assert "1 reports at the start were more than the updates before them" in told
    assert "1 rows had no diff_num_grad_updates_vs_sampler_policy and were left out" in told
    named = {"lag": [0.0, 1.0]}
    assert Schedule.from_log(named, preset="skyrl", written="lag", averages="as delays").delay.tolist() == [0, 1]


@pytest.mark.parametrize("preset", ["areal", "prime-rl", "verl", "skyrl", "open-instruct", "rllib", "sample-factory"])
def test_no_preset_makes_delays_of_averages_silently(preset):
    name = PRESETS[preset].columns[0]
    with pytest.raises(LogError, match="the delays of single updates, and so their spread, are not in it"):
        Schedule.from_log({name: [2.0, 2.0]}, preset=preset)


def test_bad_presets():
    with pytest.raises(ValueError, match="preset is 'ray', but must be one of 'areal'"):
        Schedule.from_log(REPORTS, preset="ray")
    with pytest.raises(ValueError, match="averages has no effect without a preset"):
        Schedule.from_log(REPORTS, averages="as delays")
    with pytest.raises(ValueError, match="gaps has no effect with a preset"):
        Schedule.from_log(REPORTS, preset="rllib", gaps="fill")
    with pytest.raises(ValueError, match="worker has no effect with a preset"):
        Schedule.from_log(REPORTS, preset="rllib", worker="step")
    with pytest.raises(ValueError, match="has no column async/staleness_mean, under which SkyRL reports"):
        Schedule.from_log(REPORTS, preset="skyrl")
    below = {"diff_num_grad_updates_vs_sampler_policy": [0.2]}
    with pytest.raises(ValueError, match=r"is 0\.2, but RLlib counts from 1"):
        Schedule.from_log(below, preset="rllib", averages="as delays")
