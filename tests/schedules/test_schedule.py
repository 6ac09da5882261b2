"""The schedule itself: what it says, what it refuses, files and figures."""

import tracemalloc
import zipfile
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import pyplot as plt

import a3cjax

mpl.use("Agg")
Schedule = a3cjax.Schedule
ct = a3cjax.compute_times
KEY = jax.random.key(0)
wrong: Any = 3


@st.composite
def valid(draw):
    size = draw(st.integers(1, 12))
    worker = draw(st.lists(st.integers(0, 3), min_size=size, max_size=size))
    delay = [draw(st.integers(0, k)) for k in range(size)]
    time = sorted(draw(st.lists(st.floats(-10, 10), min_size=size, max_size=size)))
    return Schedule(worker, delay, time, num_workers=4)


# ------------------------------------------------------------------------------------------------------ what it says


@settings(deadline=None)
@given(schedule=valid())
def test_derived_columns_are_their_definitions(schedule):
    worker, delay = schedule.worker.tolist(), schedule.delay.tolist()
    earlier = [[j for j in range(k) if worker[j] == worker[k]] for k in range(len(worker))]
    assert schedule.ranks().tolist() == [len(before) for before in earlier]
    assert schedule.reads.tolist() == [k - delay[k] for k in range(len(delay))]
    own = all(delay[k] == k - 1 - (before[-1] if before else -1) for k, before in enumerate(earlier))
    assert schedule.own_reads is own
    assert (schedule.max_delay, schedule.mean_delay) == (max(delay), pytest.approx(sum(delay) / len(delay)))
    assert isinstance(schedule.max_delay, int)
    assert isinstance(schedule.mean_delay, float)


@settings(deadline=None)
@given(schedule=valid(), data=st.data())
def test_a_prefix_of_a_schedule_is_a_schedule(schedule, data):
    n = data.draw(st.integers(1, len(schedule)))
    prefix = schedule[:n]
    again = Schedule(prefix.worker, prefix.delay, prefix.time, num_workers=4)
    assert len(again) == n
    assert prefix.num_workers == 4
    np.testing.assert_array_equal(again.time, schedule.time[:n])


def test_values_are_kept_as_numpy():
    schedule = Schedule(jnp.array([0, 2]), [0.0, 1.0], [1, 2])
    assert [type(column) for column in (schedule.worker, schedule.delay, schedule.time)] == [np.ndarray] * 3
    assert [str(column.dtype) for column in (schedule.worker, schedule.delay, schedule.time)] == [
        "int32",
        "int32",
        "float64",
    ]
    assert schedule.num_workers == 3


def test_traced_columns_say_the_same():
    schedule = Schedule.from_workers(KEY, [ct.Exponential(1.0)] * 3, 50)

    @jax.jit
    def derive(schedule):
        return schedule.ranks(), schedule.reads, schedule.own_reads, schedule.max_delay, schedule.mean_delay

    ranks, reads, own, most, mean = derive(schedule)
    np.testing.assert_array_equal(ranks, schedule.ranks())
    np.testing.assert_array_equal(reads, schedule.reads)
    assert (bool(own), int(most), float(mean)) == (True, schedule.max_delay, pytest.approx(schedule.mean_delay))


def test_batches_come_from_stack_and_from_vmap():
    def draw(key):
        return Schedule.from_workers(key, [ct.Exponential(1.0)] * 3, 40)

    keys = jax.random.split(KEY, 2)
    singles = [draw(key) for key in keys]
    for batch in (Schedule.stack(singles), jax.vmap(draw)(keys)):
        assert batch.batch_shape == (2,)
        assert repr(batch) == "Schedule(2 × 40 updates by 3 workers)"
        assert batch.num_updates == len(batch) == 40
        assert batch.num_workers == 3
        np.testing.assert_array_equal(batch.own_reads, [True, True])
        np.testing.assert_array_equal(batch.max_delay, [s.max_delay for s in singles])
        np.testing.assert_allclose(batch.mean_delay, [s.mean_delay for s in singles], rtol=1e-6)
        np.testing.assert_array_equal(batch.ranks(), [s.ranks() for s in singles])
        np.testing.assert_array_equal(batch[:7][1].delay, singles[1].delay[:7])
        for one, single in zip(batch, singles, strict=True):
            np.testing.assert_array_equal(one.worker, single.worker)
    mixed = Schedule.stack([singles[0], Schedule.from_law(KEY, a3cjax.delays.Constant(2), 40)])
    np.testing.assert_array_equal(mixed.own_reads, [True, False])


# --------------------------------------------------------------------------------------------------- ways to make one


def test_sequential_is_one_worker_without_delay():
    schedule = Schedule.sequential(4)
    np.testing.assert_array_equal(schedule.delay, 0)
    np.testing.assert_array_equal(schedule.time, [1, 2, 3, 4])
    assert (schedule.num_workers, schedule.own_reads) == (1, True)


def test_from_law_cuts_delays_at_the_start_and_spreads_the_workers():
    schedule = Schedule.from_law(KEY, a3cjax.delays.Cyclic([0, 9, 3]), 30_000, num_workers=3)
    k = np.arange(30_000)
    np.testing.assert_array_equal(schedule.delay, np.minimum(np.array([0, 9, 3])[k % 3], k))
    np.testing.assert_array_equal(schedule.time, k + 1.0)
    # Each worker has a third of the updates: four standard deviations are 4 √(30 000 · 2/9) = 327.
    assert np.abs(np.bincount(schedule.worker) - 10_000).max() < 327


def test_from_law_is_the_same_drawn_together():
    draw = jax.jit(jax.vmap(lambda key, mean: Schedule.from_law(key, a3cjax.delays.Geometric(mean), 200, 4)))
    keys, means = jax.random.split(KEY, 3), jnp.array([0.5, 3.0, 20.0])
    together = draw(keys, means)
    for b in range(3):
        alone = Schedule.from_law(keys[b], a3cjax.delays.Geometric(means[b]), 200, 4)
        np.testing.assert_array_equal(together.delay[b], alone.delay)
        np.testing.assert_array_equal(together.worker[b], alone.worker)


# ---------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        (([], [], []), r"the schedule has shape \(0,\); give at least one update"),
        ((0, 0, 0.0), r"the schedule has shape \(\); give at least one update"),
        (([0, 0], [0], [1.0]), r"worker, delay and time have shapes \(2,\), \(1,\) and \(1,\), but must have the same"),
        (
            ([0, 0], [0, 2], [1, 2]),
            r"delay\[1\] is 2, but only 1 updates come before it; a delay is .*: Schedule.from_log takes",
        ),
        (([[0], [0]], [[0], [1]], [[1], [2]]), r"delay\[1, 0\] is 1, but only 0 updates come before it"),
        (([0, 0], [0, -1], [1, 2]), r"delay\[1\] is -1, but must be at least 0"),
        (([0, 0], [0, 0.5], [1, 2]), r"delay\[1\] is 0.5, but must be a whole number"),
        (([0, -1], [0, 0], [1, 2]), r"worker\[1\] is -1, but must be at least 0"),
        (([0, 1.5], [0, 0], [1, 2]), r"worker\[1\] is 1.5, but must be a whole number"),
        (([0, 0], [0, "x"], [1, 2]), r"delay must hold whole numbers"),
        (([0, 0], [0, 0], [1, float("nan")]), r"time\[1\] is nan; every entry must be a finite number"),
        (([0, 0, 0], [0, 0, 0], [1, 3, 2]), r"time\[2\] is 2, before the update ahead of it at 3; sort the updates"),
        (([0, 0], [0, 0], ["now", 1]), r"time must hold numbers"),
    ],
)
def test_bad_columns_are_refused(columns, sentence):
    with pytest.raises(ValueError, match=sentence):
        Schedule(*columns)


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: Schedule([0, 2], [0, 0], [1, 2], num_workers=2), r"worker\[1\] is 2, but num_workers is 2; .* 0 to 1"),
        (lambda: Schedule([0], [0], [1], num_workers=0), "num_workers is 0, but must be at least 1"),
        (lambda: Schedule.sequential(0), "num_updates is 0, but must be at least 1"),
        (lambda: Schedule.stack([]), "schedules is empty"),
        (
            lambda: Schedule.stack([Schedule.sequential(2), Schedule.sequential(3)]),
            r"schedules\[1\] has shape \(3,\), but schedules\[0\] has \(2,\); cut both",
        ),
        (lambda: Schedule.from_law(KEY, wrong, 10), r"law is 3, but must have a mean and a sample\(key, num_updates\)"),
        (lambda: Schedule.from_law(wrong, a3cjax.delays.Constant(1), 10), "key must be a JAX random key"),
        (
            lambda: Schedule.from_law(KEY, a3cjax.delays.Constant(1), 10, num_workers=0),
            "num_workers is 0, but must be at least 1",
        ),
        (lambda: Schedule.sequential(3)[1:], r"cut at its end only, as in schedule\[:n\]"),
        (lambda: Schedule.sequential(3)[:0], r"schedule\[:0\] is empty; keep at least one of 3 updates"),
        (lambda: Schedule.sequential(3)[1], "one schedule cannot be indexed by update"),
        (lambda: list(Schedule.sequential(3)), "one schedule cannot be iterated over"),
        (lambda: Schedule.stack([Schedule.sequential(3)]).plot(), "plot draws one schedule, and this is a batch"),
    ],
)
def test_bad_requests_are_refused(build, sentence):
    with pytest.raises(ValueError, match=sentence):
        build()


def test_an_index_beyond_the_batch_is_refused():
    with pytest.raises(IndexError, match="schedule 2 was asked for, but the batch has 1"):
        Schedule.stack([Schedule.sequential(3)])[2]


def test_traced_values_need_the_number_of_workers():
    with pytest.raises(ValueError, match="num_workers must be given when the schedule's values are traced"):
        jax.jit(lambda delay: Schedule(jnp.zeros_like(delay), delay, delay).delay)(jnp.arange(3))
    with pytest.raises(ValueError, match="worker, delay and time have shapes"):
        jax.jit(lambda delay: Schedule(delay[:2], delay, delay, num_workers=1).delay)(jnp.arange(3))


# ------------------------------------------------------------------------------------------------- files and figures


def test_a_file_gives_the_schedule_back(tmp_path):
    schedule = Schedule.from_workers(KEY, [ct.Lognormal(1.0, cv=0.3)] * 4, 100)[:2]
    path = tmp_path / "run.schedule"  # kept exactly, without .npz put behind it
    schedule.save(path)
    again = Schedule.load(str(path))
    for name in ("worker", "delay", "time"):
        np.testing.assert_array_equal(getattr(again, name), getattr(schedule, name))
    assert again.num_workers == 4
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.schedule"]  # nothing left over


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "schedule.npz"
    Schedule.sequential(3).save(path)
    monkeypatch.setattr(np, "savez", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        Schedule.sequential(5).save(path)
    assert len(Schedule.load(path)) == 3
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("kind", ["text", "empty", "array", "other archive"])
def test_a_wrong_file_is_refused(tmp_path, kind):
    path = tmp_path / "wrong.npz"
    if kind == "text":
        path.write_text("worker,delay,time\n")
    elif kind == "empty":
        path.write_bytes(b"")
    else:
        with path.open("wb") as file:
            np.save(file, np.arange(3)) if kind == "array" else np.savez(file, delay=np.arange(3))
    with pytest.raises(
        ValueError, match=r"wrong.npz is not a schedule \(it .*\); give a file written by Schedule.save"
    ):
        Schedule.load(path)


def npy(header: str, body: bytes = b"", version: int = 1) -> bytes:
    """A .npy file by hand: magic, version, the header's length in two bytes, header, data."""
    text = header.encode()
    return b"\x93NUMPY" + bytes([version, 0]) + len(text).to_bytes(2, "little") + text + body


def columns_header(rows: object, kind: str = "<i4") -> str:
    return f"{{'descr': '{kind}', 'fortran_order': False, 'shape': ({rows},), }}"


@pytest.mark.parametrize(
    ("member", "content", "why"),
    [
        (
            "delay.npy",
            npy(columns_header(400_000_000)),
            r"says that it has shape \(400000000,\) of int32, but has 0 bytes",
        ),
        ("delay.npy", npy(columns_header(-1)), r"shape \(-1,\) of int32, but has 0 bytes"),
        ("delay.npy", npy(columns_header(2), bytes(12)), r"shape \(2,\) of int32, but has 12 bytes"),
        ("delay.npy", npy(columns_header(1), bytes(4)), r"different shapes, worker \(2,\), delay \(1,\), time \(2,\)"),
        ("delay.npy", npy(columns_header(2, "|O"), bytes(16)), "holds object, not numbers"),
        ("delay.npy", npy(columns_header(2), bytes(8), version=2), "a header that a3cjax does not write"),
        ("delay.npy", b"", "EOF: reading magic string.*"),
        ("delay.npy", npy("("), "delay.npy has a header that cannot be read"),
        ("delay.npy", npy("None"), "delay.npy has a header that cannot be read"),
        ("delay.npy", npy(columns_header(2, "<U1"), bytes(8)), "delay holds <U1, not numbers"),
        ("num_workers.npy", npy(columns_header(2, "<i8"), bytes(16)), "num_workers is not one number"),
        ("commit.npy", npy(columns_header(3, "|b1"), bytes(3)), r"commit \(3,\)"),
    ],
)
def test_headers_are_looked_at_before_anything_is_read(tmp_path, monkeypatch, member, content, why):
    """Files of a few hundred bytes; nothing is made of the sizes that they claim."""
    good, path = tmp_path / "good", tmp_path / "made.npz"
    Schedule.sequential(2).save(good)
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(path, "w") as new:
        for name in {*old.namelist(), member}:
            new.writestr(name, content if name == member else old.read(name))
    monkeypatch.setattr(np.lib.format, "read_array", None)  # is never come to
    with pytest.raises(ValueError, match=rf"made.npz is not a schedule \(.*{why}\); give a file"):
        Schedule.load(path)


def test_a_compressed_file_is_refused_before_it_is_inflated(tmp_path):
    """A thousandth of what it would become. What is stored as it is cannot become more than the file."""
    path = tmp_path / "small.npz"
    rows = 4_000_000
    np.savez_compressed(
        path, worker=np.zeros(rows, np.int8), delay=np.zeros(rows, np.int8), time=np.zeros(rows), num_workers=1
    )
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"worker.npy is compressed, and a3cjax does not compress"):
        Schedule.load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


TOO_MANY = r"is 2,147,483,648, but a schedule has at most 2,147,483,647 rows"


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda n: Schedule.sequential(n), f"num_updates {TOO_MANY}"),
        (lambda n: Schedule.from_law(KEY, a3cjax.delays.Constant(1), n), f"num_updates {TOO_MANY}"),
        (lambda n: Schedule.from_workers(KEY, [ct.Exponential(1.0)], n), f"num_updates {TOO_MANY}"),
        (lambda n: Schedule.from_workers(KEY, [ct.Exponential(1.0)], n, write_time=0.1), f"num_updates {TOO_MANY}"),
        (lambda n: Schedule.barrier(KEY, [ct.Exponential(1.0)] * 4, n // 4), f"times the number of workers {TOO_MANY}"),
        (lambda n: Schedule.buffered(KEY, [ct.Exponential(1.0)], n // 2, size=2), f"num_updates times size {TOO_MANY}"),
        (lambda n: Schedule(*[np.broadcast_to(np.int8(0), n)] * 3), f"the length of worker {TOO_MANY}"),
        (lambda n: Schedule([0], [0], np.broadcast_to(np.float32(0), (2, n))), f"the length of time {TOO_MANY}"),
        (
            lambda n: Schedule([0], [0], [1.0], num_workers=n),
            "num_workers is 2147483648, but must be at most 2147483647",
        ),
        (lambda n: Schedule([n - 1], [0], [1.0]), "num_workers is 2147483648, but must be at most 2147483647"),
        (
            lambda n: Schedule.from_law(KEY, a3cjax.delays.Constant(1), 9, n),
            "num_workers is 2147483648, but must be at",
        ),
    ],
)
def test_more_than_can_be_counted_is_refused_at_once(build, sentence):
    """2³¹ rows, none of which is made: the columns given here are views of one byte."""
    tracemalloc.start()
    with pytest.raises(ValueError, match=sentence):
        build(2**31)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


def test_an_invalid_schedule_in_a_file_is_refused(tmp_path):
    path = tmp_path / "edited.npz"
    np.savez(path, worker=[0, 0], delay=[0, 5], time=[1.0, 2.0], num_workers=1)
    with pytest.raises(ValueError, match=r"delay\[1\] is 5, but only 1 updates come before it"):
        Schedule.load(path)


@pytest.mark.parametrize("num_updates", [1, 50, 5000])
def test_plot_labels_its_panels(num_updates):
    figure = Schedule.from_workers(KEY, [ct.Exponential(1.0)] * 3, num_updates).plot()
    labels = [(ax.get_xlabel().split(" (")[0], ax.get_ylabel()) for ax in figure.axes]
    assert labels == [("update k", "delay τ (updates)"), ("share of updates", ""), ("time", "worker")]
    figure.canvas.draw()  # warnings, such as of glyphs or layouts, are errors
    plt.close(figure)


@pytest.mark.parametrize(
    ("start", "after", "origin"),
    [
        (0.0, "", 0.0),
        (5.0, "", 0.0),
        (1.7e9, " after 1,700,000,000", 1.7e9),
        (1.7e9 + 123, " after 1,700,000,120", 1.7e9 + 120),
    ],
)
def test_plot_tells_times_far_from_zero_from_a_round_one(start, after, origin):
    """Landings every half a second: 50 of 2 workers span 24.5 s, so the origin is a multiple of 10 s."""
    times = start + 0.5 * np.arange(1, 61)
    figure = Schedule(np.arange(60) % 2, np.minimum(np.arange(60), 1), times).plot()
    ax: Any = figure.axes[-1]
    figure.canvas.draw()
    assert ax.get_xlabel() == f"time{after} (unit of the schedule), first 50 landings"
    assert ax.get_xlim() == pytest.approx((0, start + 25 - origin))
    marks = np.sort(np.concatenate([lines.get_segments() for lines in ax.collections])[:, 0, 0])
    assert marks == pytest.approx(times[:50] - origin)
    assert ax.xaxis.get_offset_text().get_text() == ""
    assert all(float(label.get_text()) < 150 for label in ax.get_xticklabels())
    plt.close(figure)


def test_plot_draws_on_axes_it_is_given():
    figure, ax = plt.subplots()
    assert Schedule.from_law(KEY, a3cjax.delays.Poisson(3.0), 100, 64).plot(ax) is figure
    assert ax.get_xlabel() == "update k"
    plt.close(figure)
    many = Schedule.from_law(KEY, a3cjax.delays.Poisson(3.0), 100, 64).plot()
    assert len(many.axes) == 2  # 64 workers would not be told apart
    plt.close(many)
