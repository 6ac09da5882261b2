"""The weight column: what it says, what it refuses, and that it is kept."""

import jax
import matplotlib.pyplot as plt
import numpy as np
import pytest

from a3cjax import Schedule


def listed(column):
    return np.asarray(column).tolist()


def simple(**options):
    return Schedule(**({"worker": [0, 1, 0, 1, 1], "delay": [0, 0, 1, 0, 2], "time": range(5)} | options))


def test_versions_count_what_is_applied():
    """Rows 0, 2 and 4 count: before the rows there are 0, 1, 1, 2, 2 versions."""
    schedule = simple(weight=[1, 0, 1, 0, 1])
    assert schedule.versions.tolist() == [0, 1, 1, 2, 2]
    assert schedule.reads.tolist() == [0, 1, 0, 2, 0]
    assert (schedule.num_updates, schedule.num_messages, len(schedule)) == (3, 5, 5)
    assert (schedule.mean_delay, schedule.max_delay) == (1.0, 2)
    assert repr(schedule) == "Schedule(5 messages by 2 workers)"
    averaged = simple(delay=[0, 0, 0, 1, 1], commit=[0, 0, 1, 0, 1], weight=[1, 0, 1, 0, 1])
    assert averaged.versions.tolist() == [0, 0, 0, 1, 1]
    assert averaged.num_updates == 2
    assert simple(delay=[0] * 5, commit=[0, 1, 0, 0, 1], weight=[1, 0, 1, 0, 1]).num_updates == 2  # row 1 ends row 0's


def test_columns_that_say_nothing_are_none():
    assert simple(weight=[1] * 5).weight is None
    assert simple(weight=[1, 0, 1, 0, 1], commit=[1, 0, 1, 0, 1]).commit is None
    assert simple(weight=[1] * 5, commit=[True] * 5).commit is None
    whole = simple(weight=[1.0, 0, 1, 0, True])
    assert whole.weight is not None
    assert whole.weight.dtype == np.int32
    assert np.isnan(simple(delay=[0] * 5, weight=[0] * 5).mean_delay)


def test_a_worker_reads_after_its_own_message_even_if_nobody_applied_that():
    """Worker 1's first is discarded when there is 1 version, and its second read that one, of 2: delay 1."""
    assert Schedule([0, 1, 0, 1], [0, 1, 0, 1], range(4), weight=[1, 0, 1, 1]).own_reads is True
    assert Schedule([0, 1, 0, 1], [0, 1, 0, 2], range(4), weight=[1, 0, 1, 1]).own_reads is False


def test_files_batches_cuts_and_traces_keep_it(tmp_path):
    schedule = simple(weight=[1, 0, 1, 0, 1])
    schedule.save(tmp_path / "schedule.npz")
    again = Schedule.load(tmp_path / "schedule.npz")
    np.testing.assert_array_equal(again.weight, schedule.weight)
    other = Schedule([0] * 5, [0] * 5, range(5), commit=[0, 1, 0, 1, 1])
    batch = Schedule.stack([schedule, other, Schedule.sequential(5)])
    assert listed(batch.weight) == [[1, 0, 1, 0, 1], [1] * 5, [1] * 5]
    assert listed(batch.commit) == [[1, 0, 1, 0, 1], [0, 1, 0, 1, 1], [1] * 5]
    assert batch.num_updates.tolist() == [3, 3, 5]
    np.testing.assert_array_equal(batch[0].reads, schedule.reads)
    assert listed(schedule[:4].weight) == [1, 0, 1, 0]
    found = jax.jit(lambda s: (s.versions, s.mean_delay, s.own_reads, s.num_updates))(schedule)
    expected = schedule.versions, schedule.mean_delay, schedule.own_reads, schedule.num_updates
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs)


def test_discarded_messages_are_drawn_apart():
    figure = simple(weight=[1, 0, 1, 0, 1]).plot()
    over_run, histogram, _ = figure.axes
    assert [listed(line.get_xdata()) for line in over_run.lines] == [[0, 2, 4], [1, 3]]
    assert histogram.texts[0].get_text() == "mean 1"
    plt.close(figure)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"weight": [1, 0.5, 1, 1, 1]},
            r"weight\[1\] is 0.5, but must be 1, or 0 for a message that is discarded; a me",
        ),
        ({"weight": [1, np.nan, 1, 1, 1]}, r"weight\[1\] is nan, but must be 1"),
        ({"weight": ["a"] * 5}, "weight must hold 0 and 1"),
        ({"weight": [1, 0]}, r"weight has shape \(2,\), but must have that of delay, \(5,\)"),
        (
            {"delay": [0] * 5, "commit": [1, 0, 1, 1, 0], "weight": [1, 1, 1, 0, 1]},
            r"commit\[3\] is True, but every message since the commit before has weight 0, so that there is nothing",
        ),
        ({"delay": [0] * 5, "commit": [1, 0, 0, 0, 0], "weight": [0, 1, 1, 1, 1]}, r"commit\[0\] is True, but every"),
        (
            {"delay": [0, 0, 2, 0, 0], "weight": [1, 0, 1, 0, 1]},
            r"delay\[2\] is 2, but only 1 messages of weight 1 come before it; a delay is .*: Schedule.from_log",
        ),
    ],
)
def test_what_means_nothing_is_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        simple(**options)
