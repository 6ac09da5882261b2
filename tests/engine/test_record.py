"""What is recorded and when, what a result says of itself, and runs that stop being finite."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import a3cjax

KEY = jax.random.key(0)
Record = a3cjax.Record
HALVING = a3cjax.QuadraticSGD(curvature=[1.0], step=0.5)  # x_k = 2⁻ᵏ, exactly
wrong: Any = 2.5


def largest(state):
    return jnp.abs(state.x).max()


def halving(num_updates, record=None, **options):
    return a3cjax.simulate(HALVING, a3cjax.Schedule.sequential(num_updates), KEY, record=record, **options)


# ------------------------------------------------------------------------------------------------------------ records


def test_records_are_of_the_state_after_every_n_updates():
    """x_k = 2⁻ᵏ and f = x²/2, at 3, 6 and 9 of 10 updates; the n-th update lands at time n."""
    metrics = {"x": lambda state: state.x, "f": "objective", "big": largest, "d": "distance_sq"}
    result = halving(10, Record(every=3, metrics=metrics))
    assert list(result.metrics) == ["x", "f", "big", "d"]
    assert (result.updates.tolist(), result.time.tolist()) == ([3, 6, 9], [3.0, 6.0, 9.0])
    x = 2.0 ** -np.array([3, 6, 9])
    for name, value in {"x": x[:, None], "f": x**2 / 2, "big": x, "d": x**2}.items():
        np.testing.assert_array_equal(result.metrics[name], value)
    assert float(result.params.x[0]) == 2.0**-10


def test_a_metric_may_have_any_shape_and_type():
    metrics = {"m": lambda state: jnp.ones((2, 3)) * state.x[0], "whole": lambda state: 7, "sign": lambda s: s.x[0] > 0}
    result = halving(4, Record(every=2, metrics=metrics))
    assert {name: (value.shape, value.dtype.kind) for name, value in result.metrics.items()} == {
        "m": ((2, 2, 3), "f"),
        "whole": ((2,), "i"),
        "sign": ((2,), "b"),
    }
    np.testing.assert_array_equal(result.metrics["m"], np.full((2, 2, 3), [[[2.0**-2]], [[2.0**-4]]]))


def test_functions_go_by_their_name():
    result = halving(4, Record(every=4, metrics=[largest, "objective"]))
    assert list(result.metrics) == ["largest", "objective"]


def test_delays_are_recorded_over_the_updates_since_the_last_record():
    """Delays 0, 1, 2, 0 | 1, 2, 0, 1 | 2, 0: means .75 and 1, maxima 2 and 2, and the end goes unrecorded."""
    law = a3cjax.delays.Cyclic([0, 1, 2])
    schedule = a3cjax.Schedule.from_law(KEY, law, 10)
    record = Record(every=4, metrics=["mean_delay", "max_delay"])
    result = a3cjax.simulate(HALVING, schedule, KEY, record=record)
    assert schedule.delay.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    assert (result.metrics["mean_delay"].tolist(), result.metrics["max_delay"].tolist()) == ([0.75, 1.0], [2, 2])


def test_by_default_what_the_learner_offers_about_a_hundred_times():
    result = halving(1050)
    assert set(result.metrics) == {"objective", "distance_sq", "mean_delay"}
    assert result.updates.tolist() == list(range(10, 1051, 10))
    assert halving(7).updates.tolist() == [1, 2, 3, 4, 5, 6, 7]


def test_memory_does_not_grow_with_the_number_of_updates():
    """Ten records of everything: the result of 4000 updates is as large as that of 400."""

    def size(result):
        return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(result))

    short, long = (halving(n, Record(every=n // 10)) for n in (400, 4000))
    assert size(short) == size(long)
    assert long.updates.size == 10


def test_no_metrics_is_a_choice():
    result = halving(4, Record(every=4, metrics=()))
    assert (result.metrics, result.updates.tolist()) == ({}, [4])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, r"every is 0, but must be at least 1\."),
        ({"every": wrong}, "every must be a whole number, but is 2.5"),
        ({"metrics": "objective"}, r"metrics is the string 'objective'; give a sequence .*\['objective'\]"),
    ],
)
def test_a_record_that_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Record(**options)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (
            Record(every=11),
            "every is 11, but the schedule has 10 updates, so nothing would be recorded; use at most 10",
        ),
        (Record(metrics=["reward"]), "metrics names 'reward', which this learner does not have; it has objective, dis"),
        (Record(metrics={"y": wrong}), r"metrics\['y'\] is 2.5, but must be a metric's name or a function"),
        (Record(metrics=[wrong]), r"metrics\[0\] has no __name__; give a mapping"),
        (Record(metrics=["objective", "objective"]), r"metrics\[1\] is 'objective' a second time"),
    ],
)
def test_a_record_that_does_not_fit_the_run_is_refused(record, message):
    with pytest.raises(ValueError, match=message):
        halving(10, record)


# ------------------------------------------------------------------------------------------------- what a result says


def test_a_result_prints_shapes_and_sizes():
    """1 float of x, 2 int32 counts, 2 float64 times, 2 floats of f: 4, 8, 16 and 8 bytes."""
    text = repr(halving(4, Record(every=2, metrics=["objective"])))
    assert text.startswith("Result of 4 updates, ")
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines()[1:]}
    assert rows == {
        "params.x": ["float32[1]", "4", "B"],
        "updates": ["int32[2]", "8", "B"],
        "time": ["float64[2]", "16", "B"],
        "metrics['objective']": ["float32[2]", "8", "B"],
    }


# --------------------------------------------------------------------------------------------------------- divergence

TRIPLE = a3cjax.QuadraticSGD(curvature=[1.0], step=3.0)  # x_k = (1 − 3)ᵏ = (−2)ᵏ: the first to overflow is x_128


@pytest.mark.parametrize(("every", "num_updates", "found"), [(1, 200, 128), (10, 200, 130), (64, 200, 128)])
def test_the_record_after_an_overflow_is_named(every, num_updates, found):
    """2¹²⁷ is a float32 and 2¹²⁸ is not; the exception carries everything that was computed."""
    with pytest.raises(a3cjax.Diverged, match=rf"not finite at the record after update {found}; take smaller") as error:
        a3cjax.simulate(TRIPLE, a3cjax.Schedule.sequential(num_updates), KEY, record=Record(every=every))
    result = error.value.result
    assert int(result.nonfinite_from) == found
    assert result.updates.size == num_updates // every
    distance = result.metrics["distance_sq"][result.updates < 64]  # x² overflows as a metric, from update 64 on
    np.testing.assert_array_equal(distance, 4.0 ** result.updates[result.updates < 64])


def test_an_overflow_after_the_last_record_is_not_missed():
    """Records at 100 only; after 127 updates all is well, after 128 the end is named."""
    record = Record(every=100)
    fine = a3cjax.simulate(TRIPLE, a3cjax.Schedule.sequential(127), KEY, record=record)
    assert (int(fine.nonfinite_from), float(fine.params.x[0])) == (-1, -(2.0**127))
    lost = a3cjax.simulate(TRIPLE, a3cjax.Schedule.sequential(128), KEY, record=record, throw=False)
    assert int(lost.nonfinite_from) == 128


def test_without_throw_the_other_runs_stay():
    learner = a3cjax.QuadraticSGD(curvature=[1.0], step=np.array([0.5, 3.0, 1.0, 5.0]))
    schedule = a3cjax.Schedule.sequential(140)
    result = a3cjax.simulate(learner, schedule, KEY, record=Record(every=20), throw=False)
    # (−4)ᵏ = 2²ᵏ overflows at k = 64, so it is seen at 80.
    assert result.nonfinite_from.tolist() == [-1, 140, -1, 80]
    assert "not finite: 2 of 4 runs, from update 80" in repr(result)
    with pytest.raises(a3cjax.Diverged, match=r"2 of 4 runs \(the first is run 1\) were not finite .* update 140"):
        a3cjax.simulate(learner, schedule, KEY, record=Record(every=20))
