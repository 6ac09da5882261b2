"""The forecast: equal workers whose rate and delays are closed forms, times beside plain NumPy, and its intervals."""

import math
from typing import Any, get_type_hints

import jax
import numpy as np
import pytest

import a3cjax
from a3cjax.cli.forecasts import ForecastOptions
from a3cjax.schedules.compute_times import Deterministic
from a3cjax.studies import REMEDIES, StudyInterrupted, forecast
from a3cjax.studies.forecast.cases import discard
from a3cjax.studies.forecast.ranking import ForecastRow, of_a_run, sentences

STEP, TARGET, UPDATES = 0.03, 0.02, 300
LEARNER = a3cjax.QuadraticSGD([1.0], step=STEP)
FEW: dict[str, Any] = dict(workers=(1, 4), num_updates=UPDATES, records=UPDATES, target_value=TARGET, seeds=2)
fore: Any = forecast


@pytest.fixture(scope="module")
def study():
    return fore(a3cjax.Team([Deterministic(2.0)] * 2), LEARNER, **FEW)


def by_hand(delays, times, weights, step=lambda delay: STEP):
    """Updates and time until ½ x² first meets the target."""
    x, before, at = [1.0], 0.5, (0.0, 0.0)
    for delay, time, weight in zip(delays, times, weights, strict=True):
        if weight:
            x.append(x[-1] - step(delay) * x[len(x) - 1 - delay])
        value, then = 0.5 * x[-1] ** 2, (float(len(x) - 1), time)
        if value <= TARGET:
            share = (before - TARGET) / (before - value)
            return tuple(a + (b - a) * share for a, b in zip(at, then, strict=True))
        before, at = value, then
    raise AssertionError


def rounds(workers, slow=None):
    """Who lands when, one after the other: workers that take 2, and one that takes 10."""
    landings = [(2.0 * t * (5 if i == slow else 1), i) for i in range(workers) for t in range(1, UPDATES + 1)]
    landings = sorted(landings)[:UPDATES]
    last, delays = dict.fromkeys(range(workers), -1), []
    for k, (_, i) in enumerate(landings):
        delays.append(k - 1 - last[i])
        last[i] = k
    return delays, [time for time, _ in landings]


def test_rates_delays_and_times_of_equal_workers(study):
    rows = {(row.workers, row.case): row for row in study.rows}
    assert list(rows) == [(1, "as it is"), *((4, case) for case in ("as it is", "one slower", "bounded"))]
    for n in (1, 4):
        row = rows[n, "as it is"]
        delays, times = rounds(n)
        assert row.rate == pytest.approx(n / 2)
        assert row.mean_delay == pytest.approx(np.mean(delays))
        assert row.p99_delay == n - 1
        found = row.updates_to_target, row.time_to_target
        assert found == pytest.approx(by_hand(delays, times, [1] * UPDATES), rel=1e-4)
        assert row.time_low == pytest.approx(row.time_to_target)  # nothing is random
    slow = rows[4, "one slower"]
    delays, times = rounds(4, slow=0)
    assert slow.rate == pytest.approx(UPDATES / times[-1])
    assert slow.mean_delay == pytest.approx(np.mean(delays))
    expected = by_hand(delays, times, [1] * UPDATES)
    assert slow.time_to_target == pytest.approx(expected[1], rel=1e-4)
    assert slow.to_team == pytest.approx(expected[1] / by_hand(*rounds(4), [1] * UPDATES)[1], rel=1e-4)
    saved = math.log(rows[1, "as it is"].time_to_target / rows[4, "as it is"].time_to_target) / math.log(4)
    assert rows[4, "as it is"].gain == pytest.approx(saved)
    assert rows[4, "bounded"].discarded == 0  # delays of 3 do not reach 8
    assert "Up to 4 workers another is worth it" in study.summary()


def test_a_remedy_is_part_of_a_learner_that_is_given_as_a_function():
    team = a3cjax.Team([Deterministic(2.0)] * 2)
    found = fore(team, lambda chain: a3cjax.QuadraticSGD([1.0], optimizer=chain(STEP)), remedy="inverse",
                 **{**FEW, "workers": (2,)})  # fmt: skip
    delays, times = rounds(2)
    expected = by_hand(delays, times, [1] * UPDATES, lambda delay: STEP / max(delay, 1))
    assert found.rows[0].time_to_target == pytest.approx(expected[1], rel=1e-4)
    slow = rounds(2, slow=0)
    expected = by_hand(*slow, [1] * UPDATES, lambda delay: STEP / max(delay, 1))
    assert found.rows[1].time_to_target == pytest.approx(expected[1], rel=1e-4)


def test_what_is_thrown_away_is_what_ringmaster_throws_away():
    laws = [Deterministic(1.0), Deterministic(1.3), Deterministic(0.7), Deterministic(7.9)]
    whole = a3cjax.Schedule.from_workers(jax.random.key(0), laws, UPDATES)
    for threshold in (3, 4):
        theirs = a3cjax.Schedule.ringmaster(jax.random.key(0), laws, 150, threshold=threshold)
        ours = discard(whole, threshold)[: len(theirs)]
        assert ours.weight is not None
        assert (ours.delay[ours.weight == 0] == threshold).any()  # what just reaches it goes too
        for name in ("worker", "delay", "weight", "time"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name)


def test_the_calibration_widens_intervals():
    """n exponential turns tell their mean up to 1/√n, and K of a run vary by 1/√K: both add up in log rates."""
    turns = 60
    rng = np.random.default_rng(0)
    landed = np.sort(rng.exponential(size=turns)[None].cumsum(1), axis=1)[0]
    log = {"worker": [0] * turns, "read": range(turns), "written": range(turns), "time": landed}
    team = a3cjax.calibrate(log, law="exponential")
    found = fore(team, LEARNER, **{**FEW, "workers": (1,), "seeds": 60, "draws": "stretches"})
    spread = np.log(found.curves.rate.values[0, 0]).std()
    assert spread == pytest.approx(math.sqrt(1 / turns + 1 / UPDATES), rel=0.3)
    assert spread > 1.5 / math.sqrt(UPDATES)
    row = found.rows[0]
    reach = 2.001 * spread * math.sqrt(60 / 59) * math.sqrt(1 + 1 / 60)  # Student's t of 59
    assert math.log(row.rate_high / row.rate_low) == pytest.approx(2 * reach, rel=1e-3)
    assert any("Calibrated from" in note for note in found.notes())
    assert found.facts()["log_rate"] == pytest.approx((turns - 1) / (landed[-1] - landed[0]))


def test_an_interval_of_a_run_holds_so_many_runs():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(2000):
        *sample, one = np.exp(rng.normal(size=6))
        found = of_a_run(np.array(sample), 0.9, logarithms=True)
        inside += found.low <= one <= found.high
    assert inside / 2000 == pytest.approx(0.9, abs=4 * math.sqrt(0.09 / 2000))


def row(workers, gain, low, high, case="as it is", to_team=(1.0, 1.0, 1.0)):
    known: dict[str, Any] = dict.fromkeys(get_type_hints(ForecastRow), 1.0)
    known |= {"workers": workers, "case": case, "gain": gain, "gain_low": low, "gain_high": high}
    known |= dict(zip(("to_team", "to_team_low", "to_team_high"), to_team, strict=True))
    return ForecastRow(**known)


def test_until_when_another_worker_is_worth_it():
    first = row(1, math.nan, math.nan, math.nan)
    for last, said in (
        (row(4, 0.2, 0.1, 0.3), "After 2 workers another is not worth it: from 2 to 4 the gain is 0.20 (0.10 to 0.30)"),
        (row(4, 0.4, 0.1, 0.7), "After 2 workers another is probably not worth it, but that is not certain"),
        (row(4, 0.6, 0.4, 0.7), "Up to 4 workers another is probably worth it"),
        (row(4, 0.6, 0.5, 0.7), "Up to 4 workers another is worth it"),
    ):
        assert said in sentences([first, row(2, 1.0, 0.9, 1.1), last], 0.5, 5.0, 2.0)[0]
    beside = [first, row(2, 1.0, 0.9, 1.1), row(2, 1, 1, 1, "one slower", (1.5, 1.4, 1.6)),
              row(2, 1, 1, 1, "bounded", (0.9, 0.7, 1.2))]  # fmt: skip
    assert sentences(beside, 0.5, 5.0, 2.0)[1:] == [
        "One of 2 workers 5 times slower takes 1.50 times the time to the target (1.40 to 1.60).",
        "Throwing away what is 4 updates old or older, with 2 workers, takes 0.90 times the time to the target (0.70 "
        "to 1.20): no difference can be told.",
    ]


def test_files_and_an_interruption(study, tmp_path, monkeypatch):
    import xarray as xr

    paths = study.save(tmp_path, {"file": "a"})
    assert [path.name for path in paths] == ["forecast.csv", "forecast.nc", "forecast.png", "run.json"]
    with xr.open_dataset(tmp_path / "forecast.nc", engine="h5netcdf") as curves:
        assert curves.time.dims == ("workers", "case", "seed")

    def stop(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("a3cjax.studies.frame.runs.simulate", stop)
    with pytest.raises(StudyInterrupted) as caught:
        fore(a3cjax.Team([Deterministic(2.0)] * 2), LEARNER, **FEW)
    assert caught.value.study.rows[0].rate == pytest.approx(0.5)
    assert math.isnan(caught.value.study.rows[0].time_to_target)


def test_the_commands_remedies_are_all_that_there_are():
    assert set(get_type_hints(ForecastOptions)["remedy"].__args__) == set(REMEDIES)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"seeds": 1}, "seeds is 1, but must be at least 2"),
        ({"workers": (2, 2)}, "give one or more, each once"),
        ({"slower": 1.0}, "slower is 1, but must be greater than 1"),
        ({"bound": 0}, "bound is 0, but must be greater than 0"),
        ({"draws": "blocks"}, "draws is 'blocks', but must be one of"),
        ({"remedy": "inverse"}, "give learner as a function from a Chain"),
        ({"remedy": "patience"}, "remedy is 'patience', but must be one of"),
        ({"records": 900}, "num_updates is 300, but must be at least 900"),
        ({"draws": "stretches"}, "needs the turns of a log"),
    ],
)
def test_bad_input_is_a_sentence(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        fore(a3cjax.Team([Deterministic(2.0)] * 2), LEARNER, **{**FEW, **options})


def test_what_is_no_team_is_refused():
    with pytest.raises(ValueError, match="team is a list, but must be a Team"):
        fore([Deterministic(2.0)], LEARNER, **FEW)
    with pytest.raises(ValueError, match="There is no log to forecast from"):
        ForecastOptions().made()
