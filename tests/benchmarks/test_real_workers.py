"""Real processes: what they note down is a schedule, and every update is made once."""

import multiprocessing

import numpy as np
import pytest

import a3cjax
from benchmarks.real_workers import run_workers


@pytest.fixture
def problem():
    """Three states with a feature each, two actions, and every reward 1, so that ω can but grow from zero."""
    rng = np.random.default_rng(0)
    transition = rng.dirichlet(np.ones(3), size=(3, 2)).astype(np.float32)
    return [transition, np.ones((3, 2), np.float32), np.full(3, 1 / 3, np.float32), 0.9, np.eye(3, dtype=np.float32)]


def test_the_trace_is_a_schedule_of_all_updates(problem):
    trace = run_workers(problem, num_workers=2, num_updates=200)

    schedule = a3cjax.Schedule(trace.worker, trace.delay, trace.time, num_workers=2)  # refuses what is not one
    assert schedule.num_updates == 200
    assert set(trace.worker.tolist()) <= {0, 1}
    for worker in (0, 1):
        # Nobody reads again before its last write has landed: k − τ_k is past the worker's update before k.
        own = np.flatnonzero(trace.worker == worker)
        assert (schedule.reads[own][1:] > own[:-1]).all()
    assert (trace.time > 0).all()
    assert trace.updates_per_second == 200 / trace.time[-1]
    assert np.isfinite(trace.theta).all()
    # A score sums to zero over the actions, so each row of θ does; every TD error is about 1 − ω(s) + 0.9 ω(s') > 0.
    np.testing.assert_allclose(trace.theta.sum(1), 0, atol=1e-5)
    assert (trace.omega > 0).all()


def test_a_worker_that_fails_ends_the_others(problem):
    # No stream can be seeded with −1, so neither gets as far as the barrier.
    with pytest.raises(RuntimeError, match=r"worker \d ended with exit code 1 before the work was done"):
        run_workers(problem, num_workers=2, num_updates=200, seed=-1)
    assert not multiprocessing.active_children()
