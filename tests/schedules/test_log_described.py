"""What is said of a schedule's delays, and what other systems' averages are taken for."""

import csv
from pathlib import Path

import numpy as np
import pytest

from a3cjax import Schedule
from a3cjax.schedules.logs import LogError
from a3cjax.schedules.logs.presets import PRESETS

DATA = Path(__file__).parents[1] / "data"


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
    with (DATA / "a3c_lock_n4.csv").open() as file:
        rows = list(csv.DictReader(file))
    last: dict[str, int] = {}
    own = []
    for k, row in enumerate(rows):
        if row["worker"] in last:
            after = last[row["worker"]]
            between = [other for other in rows[after + 1 : k] if float(other["t_write"]) <= float(row["t_read"])]
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
