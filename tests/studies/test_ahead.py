"""Programs of later batches are there before they are asked for, and none is compiled twice."""

from typing import Any

import jax
import numpy as np
import pytest

import a3cjax
from a3cjax._xla.cpu_kernel import CPU_KERNEL
from a3cjax.engine import apart, driver
from a3cjax.studies.frame import ahead, runs

RECORD = a3cjax.Record(every=5, metrics=["distance_sq"])
KEYS = jax.random.split(jax.random.key(0), 2)


def call(dimension, updates=10):
    learner = a3cjax.QuadraticSGD(curvature=np.ones(dimension), step=0.25, noise=1.0)
    return learner, a3cjax.Schedule.sequential(updates), KEYS


def programs():
    points: tuple[Any, ...] = (*driver.programs(CPU_KERNEL), apart.program(CPU_KERNEL))
    return [point._cache_size() for point in points]


def test_the_programs_of_other_learners_are_compiled_ahead(monkeypatch):
    monkeypatch.setattr(ahead, "cores_to_use", lambda: 2)
    seen, compile_ahead = [], ahead.compile_ahead
    monkeypatch.setattr(ahead, "compile_ahead", lambda *given: (seen.append(given[0]), compile_ahead(*given)))
    calls = [call(7), call(8), call(8), call(7)]
    a3cjax.simulate(*calls[0], record=RECORD)
    before = programs()
    with ahead.compiled_ahead(calls, RECORD) as ready:
        for i in range(len(calls)):
            ready(i)
        assert programs() == [count + 1 for count in before]  # start, loop and metrics
        results = [a3cjax.simulate(*each, record=RECORD) for each in calls]
    assert programs() == [count + 1 for count in before]
    assert [np.size(learner.curvature) for learner in seen] == [8]
    np.testing.assert_array_equal(results[1].params.x, results[2].params.x)


def test_alike_calls_and_one_core_compile_nothing_ahead(monkeypatch):
    monkeypatch.setattr(ahead, "compile_ahead", None)
    monkeypatch.setattr(ahead, "cores_to_use", lambda: 2)
    with ahead.compiled_ahead([call(3), call(3)], RECORD) as ready:
        ready(1)
    monkeypatch.setattr(ahead, "cores_to_use", lambda: 1)
    with ahead.compiled_ahead([call(3), call(4)], RECORD) as ready:
        ready(1)


def test_an_error_is_the_calls_own(monkeypatch):
    """A record that does not fit its schedule is refused by simulate, and by nobody before."""
    monkeypatch.setattr(ahead, "cores_to_use", lambda: 2)
    with ahead.compiled_ahead([call(3), call(4, updates=2)], RECORD) as ready:
        ready(1)


def test_what_is_compiled_while_schedules_are_drawn_is_what_their_simulations_need(monkeypatch):
    """Two learners, three numbers of workers, two seeds: start, loop and metrics of each, and nothing after that."""
    monkeypatch.setattr(ahead, "cores_to_use", lambda: 2)
    learners = [call(9)[0], call(10)[0]]
    before = programs()
    with runs.drawn_runs(learners, RECORD, 0, None, (1, 2, 5), 2, 20, False) as (schedule, keys, ready):
        for i in range(2):
            ready(i)
        there = programs()
        for learner in learners:
            a3cjax.simulate(learner, schedule, keys, record=RECORD)
    assert there == [count + 2 for count in before]
    assert programs() == there
    drawn, same_keys = runs.draw_runs(0, None, (1, 2, 5), 2, 20, False)
    np.testing.assert_array_equal(drawn.worker, schedule.worker)
    np.testing.assert_array_equal(drawn.time, schedule.time)
    np.testing.assert_array_equal(jax.random.key_data(same_keys), jax.random.key_data(keys))


def test_one_core_and_blocks_compile_nothing_while_schedules_are_drawn(monkeypatch):
    compiled: list[Any] = []
    monkeypatch.setattr(ahead, "compile_ahead", lambda *given: compiled.append(given))
    learners = [call(3)[0], call(4)[0]]
    monkeypatch.setattr(ahead, "cores_to_use", lambda: 1)
    with runs.drawn_runs(learners, RECORD, 0, None, (1,), 1, 5, False) as (_, _, ready):
        ready(1)
    monkeypatch.setattr(ahead, "cores_to_use", lambda: 2)
    monkeypatch.setattr(runs, "asked_for", lambda: object())
    with runs.drawn_runs(learners, RECORD, 0, None, (1,), 1, 5, False) as (_, _, ready):
        ready(1)
    assert compiled == []


def test_a_schedule_of_too_many_updates_is_refused_before_anything_like_it_is_made():
    updates = 3_000_000_000_000
    with (
        pytest.raises(ValueError, match="num_updates is 3,000,000,000,000, but a schedule has at most"),
        runs.drawn_runs([call(3)[0]], RECORD, 0, None, (1,), 1, updates, False),
    ):
        pass
