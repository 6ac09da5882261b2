from types import SimpleNamespace

import numpy as np
import pytest

from a3cjax.studies import first_crossing
from a3cjax.studies.frame.target import Target


def test_a_crossing_is_interpolated_between_the_record_below_and_the_record_above():
    # From 0.25 at 100 to 0.75 at 200, so 0.5 is met at 150 and 0.7 at 190.
    curve = [0.0, 0.25, 0.75, 1.0]
    updates = [0, 100, 200, 300]
    assert first_crossing(curve, 0.5).at(updates) == pytest.approx(150)
    assert first_crossing(curve, 0.7).at(updates) == pytest.approx(190)


def test_the_same_crossing_is_found_on_every_axis():
    crossing = first_crossing([[0.0, 1.0, 2.0], [0.0, 3.0, 6.0]], 1.5)
    # Run 0 meets 1.5 halfway through its second interval, run 1 halfway through its first.
    assert crossing.at([0, 10, 20]).tolist() == [15, 5]
    assert crossing.at([[0, 1, 4], [0, 2, 9]]).tolist() == [2.5, 1]


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ([0.0, 0.2, 0.4], np.nan),  # never
        ([0.0, 0.5, 0.4], 10.0),  # at a record exactly, and lost again
        ([0.0, 0.9, 0.1, 0.9], 50 / 9),  # the first of two
        ([0.6, 0.7, 0.8], 0.0),  # from the start
        ([0.0, np.nan, 0.6], 20.0),  # nothing to interpolate from
        ([0.0, 0.4, np.nan], np.nan),  # stopped being finite before
    ],
)
def test_the_first_time_that_a_half_is_met(curve, expected):
    found = first_crossing(curve, 0.5).at(np.arange(len(curve)) * 10.0)
    assert found == pytest.approx(expected, nan_ok=True)


def test_a_target_below_the_start_is_met_on_the_way_down_unless_the_run_was_lost_before():
    values = np.array([[0.75, 0.25, 0.0], [0.75, 0.25, 0.0], [0.25, 0.9, 0.9], [0.9, 0.8, 0.7]], np.float32)
    lost = np.array([-1, 20, 20, -1])  # the second from the record at which it would have met it
    result = SimpleNamespace(updates=np.array([10, 20, 30]), metrics={"distance": values}, nonfinite_from=lost)
    updates, crossing = Target("distance", 1.0, 0.0, 0.5, 0.5).met_by(result)
    np.testing.assert_array_equal(updates, [0, 10, 20, 30])
    np.testing.assert_allclose(crossing.at(updates), [15, np.nan, 20 / 3, np.nan])
    assert values[1, 1] == 0.25  # what was recorded stays
