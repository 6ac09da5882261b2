"""What calibration and teams refuse, and in which words."""

from typing import Any

import jax
import pytest

import a3cjax

KEY = jax.random.key(0)
calibrate: Any = a3cjax.calibrate
Team: Any = a3cjax.Team


def table(**changes):
    return {
        "worker": [0, 1, 0, 1],
        "read": [0, 0, 1, 2],
        "written": [0, 1, 2, 3],
        "time": [1.0, 2.0, 3.0, 4.0],
    } | changes


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: calibrate(table(), law="normal"), "law is 'normal', but must be one of"),
        (lambda: calibrate(table()), "has 1 whole turns of worker 0, and a law needs 2"),
        (lambda: calibrate({k: v for k, v in table().items() if k != "time"}), "has no times"),
        (lambda: calibrate(table(), done="read"), "done is of a pipeline's samples"),
        (lambda: calibrate(table(), rows=3), "rows is not known; calibrate takes worker, read"),
        (lambda: calibrate(a3cjax.Schedule.sequential(9), run="a"), "run has no effect on a schedule"),
        (lambda: calibrate(a3cjax.Schedule.stack([a3cjax.Schedule.sequential(9)])), "choose one with batch"),
        (lambda: calibrate(a3cjax.Schedule([0] * 4, [0] * 4, range(4), weight=[1, 0, 1, 1])), "averaged or"),
        (lambda: calibrate(a3cjax.Schedule([0] * 4, [0] * 4, [1.0] * 4)), "take no time, so the clock"),
        (lambda: calibrate(_late()), "1 messages of worker 0 landed before they were ready"),
        (lambda: calibrate(table(), cores=0), "cores is 0, but must be at least 1"),
        (lambda: calibrate(table(), time_slice=1), "time_slice has no effect where no cores are shared"),
        (lambda: Team([_law()], time_slice=1), "time_slice has no effect where no cores are shared"),
        (lambda: Team([_law()], wait=-1), "wait is -1, but must be at least 0"),
        (lambda: Team([_law()], names=["a", "b"]), "names has 2 entries, but there are 1 workers"),
        (lambda: Team([]), "must be a list with a law for each worker"),
        (lambda: Team([3.0]), r"compute_times\[0\] is 3.0, which has no mean"),
        (lambda: _team().with_workers(0), "num_workers is 0, but must be at least 1"),
        (lambda: _team().slowed(2, 3), "worker is 2, but must be at most 1"),
        (lambda: _team().slowed("a", 3), "worker is 'a', but the workers are 0, 1"),
        (lambda: _team().slowed(0, 0), "factor is 0, but must be greater than 0"),
        (lambda: _team().with_latency(), "changes nothing without read or write"),
        (lambda: _team().with_latency(read=-1), "read_latency is -1, but must be at least 0"),
        (lambda: _team().resampled(KEY), "needs the turns of a log"),
        (lambda: _team().schedule(KEY, 3, draws="stretches"), "needs the turns of a log"),
        (lambda: _team().schedule(KEY, 3, stretch=3), "stretch has no effect with draws='laws'"),
    ],
)  # fmt: skip
def test_bad_input_is_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


def _law():
    return a3cjax.compute_times.Exponential(1.0)


def _team():
    return Team([_law()] * 2)


def _late():
    log = {"worker": [0] * 4, "read": range(4), "written": range(4), "time": [1.0, 2.0, 3.0, 4.0]}
    return log | {"read_time": [0.0, 1.0, 2.0, 3.0], "ready_time": [0.5, 1.5, 3.5, 3.9]}
