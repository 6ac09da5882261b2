"""What a pipeline's schedule says: its clocks, its throughput and its staleness."""

import numpy as np

from a3cjax.schedules import Schedule
from a3cjax.studies.bound.ranking import PIPELINE


def clocks(schedule: Schedule) -> tuple[np.ndarray, np.ndarray]:
    """Samples trained on and virtual time after 0, 1, …, K messages, [B, K + 1].

    Both are those of the last update by then, for what is gathered for the next has changed nothing yet.
    """
    shape = schedule.delay.shape
    weight = np.ones(shape, int) if schedule.weight is None else np.asarray(schedule.weight)
    commit = weight == 1 if schedule.commit is None else np.asarray(schedule.commit)
    last = np.maximum.accumulate(np.where(commit, np.arange(1, shape[-1] + 1), 0), axis=-1)
    found = []
    for column in (weight.cumsum(-1), np.asarray(schedule.time, np.float64)):
        whole = np.concatenate([np.zeros((shape[0], 1)), column], axis=1)
        found.append(np.concatenate([np.zeros((shape[0], 1)), np.take_along_axis(whole, last, -1)], axis=1))
    return found[0], found[1]


def pipeline_numbers(schedule: Schedule, num_samples: int) -> dict[str, float]:
    """What the pipeline did in a run."""
    cut = Schedule.stack([schedule[:num_samples]])
    samples, times = (float(clock[0, -1]) for clock in clocks(cut))
    trained = np.ones(num_samples, bool) if cut.weight is None else np.asarray(cut.weight)[0] == 1
    took = (schedule.report.finished - schedule.report.started)[:num_samples]
    stale = np.asarray(cut.delay)[0][trained]
    known = {
        "throughput": samples / times, "updates_per_time": int(np.sum(cut.num_updates)) / times,
        "staleness": stale.mean(), "staleness_99": np.quantile(stale, 0.99), "dropped": 1 - trained.mean(),
        "quick": took[trained].mean() / took.mean(),
    }  # fmt: skip
    assert known.keys() == set(PIPELINE)
    return {name: float(value) for name, value in known.items()} | {"last_sample": samples, "last_time": times}
