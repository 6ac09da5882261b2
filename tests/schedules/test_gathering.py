"""Schedules whose messages are averaged: the commit column, the barrier and the buffer."""

import heapq
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest

import a3cjax

matplotlib.use("agg")
from matplotlib import pyplot as plt

ct = a3cjax.compute_times
Schedule = a3cjax.Schedule
KEY = jax.random.key(3)
LAWS = [ct.Exponential(1.0), ct.Lognormal(0.5, cv=0.4), ct.Exponential(3.0), ct.Uniform(0.5, 1.5)]


def draws(laws, count):
    """c(i, t) as the documentation defines it, [N, count]."""

    def of_worker(law, i):
        own = jax.random.fold_in(KEY, i)
        return jax.vmap(lambda t: law.sample(jax.random.fold_in(own, t)))(jnp.arange(count))

    return np.array([of_worker(law, i) for i, law in enumerate(laws)], np.float64)


# ------------------------------------------------------------------------------------------------------------- barrier


def test_the_barrier_waits_for_the_slowest():
    """A transcription in plain Python: in each round the arrivals sorted, the round's time the greatest of them."""
    c = draws(LAWS, 30)
    schedule = Schedule.barrier(KEY, LAWS, 30)
    start, worker, time = 0.0, [], []
    for n in range(30):
        for took, i in sorted((c[i, n], i) for i in range(4)):
            worker.append(i)
            time.append(start + took)
        start += c[:, n].max()
    np.testing.assert_array_equal(schedule.worker, worker)
    np.testing.assert_allclose(schedule.time, time, rtol=1e-6)
    np.testing.assert_array_equal(schedule.delay, 0)
    np.testing.assert_array_equal(schedule.commit, np.arange(120) % 4 == 3)
    np.testing.assert_array_equal(schedule.versions, np.arange(120) // 4)
    assert (schedule.num_messages, schedule.num_updates, len(schedule)) == (120, 30, 120)
    np.testing.assert_allclose(np.diff(schedule.time[3::4]), c[:, 1:30].max(0), rtol=1e-5)  # T_{n+1} − T_n


def test_the_barrier_has_the_compute_times_of_always_busy_workers():
    """Worker i lands at c(i,0), c(i,0) + c(i,1), … without a barrier, and at c(i,n) into round n with it."""
    free, barrier = Schedule.from_workers(KEY, LAWS, 200), Schedule.barrier(KEY, LAWS, 20)
    starts = np.concatenate([[0], barrier.time[3::4][:-1]])
    for i in range(4):
        one = np.diff(free.time[free.worker == i], prepend=0)[:20]
        other = (barrier.time[barrier.worker == i] - starts)[: len(one)]
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)
        assert len(one) >= 10


def test_a_round_of_exponentials_lasts_a_harmonic_number():
    """E max of N exponentials is H_N, variance Σ 1/i²: N = 4, H_4 = 25/12; 4000 rounds, five standard errors."""
    schedule = Schedule.barrier(KEY, [ct.Exponential(1.0)] * 4, 4000)
    error = np.sqrt(sum(1 / i**2 for i in range(1, 5)) / 4000)
    assert abs(schedule.time[-1] / 4000 - 25 / 12) < 5 * error


def test_ties_go_to_the_lowest_index():
    schedule = Schedule.barrier(KEY, [ct.Deterministic(1.0)] * 3, 2)
    assert schedule.worker.tolist() == [0, 1, 2, 0, 1, 2]
    assert schedule.time.tolist() == [1, 1, 1, 2, 2, 2]


def test_one_worker_waits_for_nobody():
    """Nothing is averaged: the column is not kept, and the schedule is that of a worker who is always busy."""
    barrier, free = Schedule.barrier(KEY, LAWS[:1], 30), Schedule.from_workers(KEY, LAWS[:1], 30)
    assert barrier.commit is None
    assert barrier.own_reads
    np.testing.assert_array_equal(barrier.delay, free.delay)
    np.testing.assert_allclose(barrier.time, free.time, rtol=1e-6)


def test_the_barrier_drawn_together_is_that_drawn_alone():
    keys = jax.random.split(KEY, 3)
    together = jax.vmap(lambda key: Schedule.barrier(key, LAWS, 50))(keys)
    assert together.num_updates.tolist() == [50] * 3
    for b in range(3):
        alone = Schedule.barrier(keys[b], LAWS, 50)
        np.testing.assert_array_equal(together.worker[b], alone.worker)
        np.testing.assert_array_equal(together.versions[b], alone.versions)
        np.testing.assert_allclose(together.time[b], alone.time, rtol=1e-6)
        assert (np.diff(together.time[b]) >= 0).all()


# -------------------------------------------------------------------------------------------------------------- buffer


@pytest.mark.parametrize("size", [1, 3, 7])
def test_the_buffer_against_an_independent_simulation(size):
    """A heap of landings; a count of commits; what every worker saw of it at its own last landing."""
    c = draws(LAWS, 84)
    heap = [(c[i, 0], i, 0) for i in range(4)]
    heapq.heapify(heap)
    seen, commits, waiting = [0] * 4, 0, 0
    worker, delay = [], []
    for _ in range(84 // size * size):
        now, i, t = heapq.heappop(heap)
        worker.append(i)
        delay.append(commits - seen[i])
        waiting += 1
        if waiting == size:
            commits, waiting = commits + 1, 0
        seen[i] = commits
        heapq.heappush(heap, (now + c[i, t + 1], i, t + 1))
    schedule = Schedule.buffered(KEY, LAWS, 84 // size, size)
    np.testing.assert_array_equal(schedule.worker, worker)
    np.testing.assert_array_equal(schedule.delay, delay)
    assert schedule.max_delay > 0
    assert schedule.num_updates == 84 // size
    if size == 1:
        assert schedule.commit is None


# -------------------------------------------------------------------------------------------------------------- column

COLUMNS: Any = {"worker": [0, 1, 0, 1, 0], "delay": [0, 0, 1, 0, 2], "time": [1, 2, 3, 4, 5]}
COMMIT = [False, True, True, False, True]


def test_versions_count_commits():
    """Commits after rows 1, 2 and 4: v = 0, 0, 1, 2, 2, and reads are v − delay."""
    schedule = Schedule(**COLUMNS, commit=COMMIT)
    assert schedule.versions.tolist() == [0, 0, 1, 2, 2]
    assert schedule.reads.tolist() == [0, 0, 0, 2, 0]
    assert (schedule.num_messages, schedule.num_updates, schedule.mean_delay) == (5, 3, 0.6)
    assert not schedule.own_reads
    assert schedule.ranks().tolist() == [0, 0, 1, 1, 2]
    assert repr(schedule) == "Schedule(5 messages by 2 workers)"
    cut = schedule[:4]
    assert cut.commit is not None
    assert (cut.commit.tolist(), cut.num_updates) == (COMMIT[:4], 2)


def test_true_everywhere_is_no_column():
    schedule = Schedule(**COLUMNS, commit=np.ones(5))
    assert schedule.commit is None
    assert schedule.num_updates == 5


def test_a_batch_has_the_column_if_one_of_it_has():
    plain, gathers = Schedule(**COLUMNS), Schedule(**COLUMNS, commit=COMMIT)
    batch = Schedule.stack([plain, gathers])
    np.testing.assert_array_equal(np.asarray(batch.commit), [[True] * 5, COMMIT])
    assert batch.num_updates.tolist() == [5, 3]
    assert batch.own_reads.tolist() == [False, False]
    assert batch[1].reads.tolist() == gathers.reads.tolist()
    assert Schedule.stack([plain, plain]).commit is None


def test_a_file_keeps_the_column(tmp_path):
    for commit in (None, COMMIT):
        schedule = Schedule(**COLUMNS, commit=commit)
        schedule.save(tmp_path / "schedule.npz")
        again = Schedule.load(tmp_path / "schedule.npz")
        np.testing.assert_array_equal(again.reads, schedule.reads)
        assert (again.commit is None) == (commit is None)
        with np.load(tmp_path / "schedule.npz") as archive:
            assert ("commit" in archive) == (commit is not None)


def test_traced_columns_say_the_same():
    schedule = Schedule(**COLUMNS, commit=COMMIT)

    @jax.jit
    def derive(schedule):
        return schedule.versions, schedule.reads, schedule.num_updates, schedule.own_reads

    versions, reads, updates, own = derive(schedule)
    np.testing.assert_array_equal(versions, schedule.versions)
    np.testing.assert_array_equal(reads, schedule.reads)
    assert (int(updates), bool(own)) == (3, False)


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (
            lambda: Schedule(**COLUMNS, commit=[True, False]),
            r"commit has shape \(2,\), but must have that of delay, \(",
        ),
        (lambda: Schedule(**COLUMNS, commit=[0, 1, 2, 0, 1]), r"commit\[2\] is 2, but must be True or False"),
        (lambda: Schedule(**COLUMNS, commit=list("abcde")), "commit must hold True and False, but is"),
        (
            lambda: Schedule(**COLUMNS | {"delay": [0, 1, 0, 0, 0]}, commit=COMMIT),
            r"delay\[1\] is 1, but only 0 commits come before it; a delay is .*: Schedule.from_log takes",
        ),
        (lambda: Schedule.barrier(KEY, LAWS, 0), "num_updates is 0, but must be at least 1"),
        (lambda: Schedule.barrier(KEY, [], 1), "compute_times is empty"),
        (lambda: Schedule.buffered(KEY, LAWS, 3, 0), "size is 0, but must be at least 1"),
    ],
)
def test_bad_requests_are_refused(build, sentence):
    with pytest.raises(ValueError, match=sentence):
        build()


def test_plot_speaks_of_messages_and_marks_commits():
    figure = Schedule.barrier(KEY, LAWS, 20).plot()
    assert [ax.get_xlabel().split(" (")[0] for ax in figure.axes] == ["message k", "share of messages", "time"]
    assert figure.axes[2].get_xlabel().endswith("a line at every commit")
    figure.canvas.draw()
    plt.close(figure)
