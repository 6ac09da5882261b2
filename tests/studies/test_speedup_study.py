import json
import math
from typing import Any

import numpy as np
import pytest
import xarray as xr

from a3cjax.studies import SpeedupStudy, first_crossing

WORKERS = (1, 2, 4)
UPDATES = np.arange(0, 1001, 10)


def fabricate(slopes, minibatch=1, time_per_update=None):
    """A study of straight lines: run (i, j, s) has J = slopes[i, j, s] · updates, and the target is J = 0.8."""
    slopes = np.asarray(slopes, float)
    shape = slopes.shape
    workers = np.array(WORKERS[: shape[1]])
    pace = 1 / workers if time_per_update is None else np.asarray(time_per_update)
    return xr.Dataset(
        {
            "objective": (("sampling", "workers", "seed", "record"), slopes[..., None] * UPDATES),
            "critic_error_sq": (("sampling", "workers", "seed", "record"), np.ones((*shape, UPDATES.size))),
            "time": (("workers", "seed", "record"), np.tile(pace[:, None, None] * UPDATES, (1, shape[2], 1))),
            "samples_per_worker": (("workers", "record"), minibatch * UPDATES / workers[:, None]),
            "nonfinite_from": (("sampling", "workers", "seed"), np.full(shape, -1)),
            "updates_done": ("sampling", np.full(shape[0], UPDATES[-1])),
        },
        coords={
            "sampling": ["iid", "markov"][: shape[0]],
            "workers": workers,
            "seed": np.arange(shape[2]),
            "updates": ("record", UPDATES),
        },
        attrs={
            "initial_objective": 0.0,
            "optimal_objective": 1.0,
            "target_objective": 0.8,
            "target_share": 0.8,
            "minibatch": minibatch,
            "num_updates": UPDATES[-1],
        },
    )


def test_if_delay_costs_nothing_the_speedup_is_exactly_the_number_of_workers():
    study = SpeedupStudy.of(fabricate(np.full((2, 3, 5), 0.002)))
    for row in study.rows:
        assert row.updates_to_target == pytest.approx(400)  # 0.8 / 0.002
        assert row.samples_per_worker == pytest.approx(400 / row.workers)
        assert (row.speedup, row.speedup_low, row.speedup_high) == pytest.approx((row.workers,) * 3)
        assert row.time_to_target == pytest.approx(400 / row.workers)
        assert row.time_speedup == pytest.approx(row.workers)
        assert row.efficiency == pytest.approx(1)
    assert study.reached == (5,) * 6
    assert study.notes() == []


def test_eq_1_is_a_ratio_of_means_over_seeds():
    # To the target: 400 and 800 updates with one worker, mean 600; 500 and 1000 with two, mean 750.
    # Speedup 600 / (750 / 2) = 1.6; the mean of ratios would be different for other pairings.
    slopes = [[[0.8 / 400, 0.8 / 800], [0.8 / 500, 0.8 / 1000]]]
    one, two = SpeedupStudy.of(fabricate(slopes)).rows
    assert (one.speedup, one.speedup_low, one.speedup_high) == (1, 1, 1)
    assert two.speedup == pytest.approx(1.6)
    assert two.efficiency == pytest.approx(0.8)
    assert two.speedup_low < 1.6 < two.speedup_high


def test_a_minibatch_multiplies_samples_and_leaves_speedups_alone():
    slopes = np.full((1, 2, 3), 0.002)
    single, double = SpeedupStudy.of(fabricate(slopes)), SpeedupStudy.of(fabricate(slopes, minibatch=2))
    for a, b in zip(single.rows, double.rows, strict=True):
        assert b.samples_per_worker == 2 * a.samples_per_worker
        assert b.speedup == a.speedup


def test_time_speedup_is_of_virtual_time():
    # Two workers, one of them idle half of the time: 1.5 updates per unit of time.
    study = SpeedupStudy.of(fabricate(np.full((1, 2, 3), 0.002), time_per_update=[1, 1 / 1.5]))
    assert study.rows[1].speedup == pytest.approx(2)
    assert study.rows[1].time_speedup == pytest.approx(1.5)


def test_a_seed_that_never_meets_the_target_makes_the_mean_unknown_and_is_told():
    slopes = np.full((1, 3, 4), 0.002)
    slopes[0, 2, 1] = 0.0005  # 0.5 after all 1000 updates
    study = SpeedupStudy.of(fabricate(slopes))
    one, two, four = study.rows
    assert two.speedup == pytest.approx(2)
    for name in ("updates_to_target", "samples_per_worker", "speedup", "time_to_target", "time_speedup", "efficiency"):
        assert math.isnan(getattr(four, name))
    assert study.reached == (4, 4, 3)
    # At least (3 · 400 + 1000) / 4 = 550 updates, so a speedup of at most 4 · 400 / 550 = 2.91.
    (note,) = study.notes()
    assert "iid, 4 workers: 1 of 4 runs did not meet the target in 1,000 updates" in note
    assert "at least 550 updates, and the speedup at most 2.91" in note
    assert "3 of 4" in study.table()
    assert one.speedup == 1


def test_without_one_worker_there_is_no_speedup():
    slopes = np.full((1, 2, 3), 0.002)
    slopes[0, 0, 0] = 0.0
    study = SpeedupStudy.of(fabricate(slopes))
    assert all(math.isnan(row.speedup) for row in study.rows)
    assert study.rows[1].updates_to_target == pytest.approx(400)
    assert any("without the mean for one worker there is no speedup" in note for note in study.notes())


def test_a_diverged_run_is_told():
    curves = fabricate(np.full((1, 2, 3), 0.002))
    curves.nonfinite_from.values[0, 1, 2] = 30
    curves.objective.values[0, 1, 2, 3:] = np.nan
    study = SpeedupStudy.of(curves)
    assert study.reached == (3, 2)
    assert "iid, 2 workers: 1 of 3 runs stopped being finite, the first by update 30" in study.notes()[0]


def test_the_share_closed_is_that_of_the_last_record():
    slopes = np.full((1, 2, 2), 0.0009)
    assert SpeedupStudy.of(fabricate(slopes)).share_closed == pytest.approx(np.full((1, 2, 2), 0.9))


def test_the_files_hold_what_the_study_says(tmp_path):
    slopes = np.full((2, 3, 4), 0.002) * np.linspace(0.9, 1.1, 4)
    study = SpeedupStudy.of(fabricate(slopes))
    names = sorted(path.name for path in study.save(tmp_path / "new", {"seed": 3}))
    assert names == ["run.json", "speedup.csv", "speedup.nc", "speedup.png"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == names
    header, *lines = (tmp_path / "new" / "speedup.csv").read_text().splitlines()
    assert header == (
        "sampling,workers,updates_to_target,samples_per_worker,speedup,speedup_low,speedup_high,time_to_target,"
        "time_speedup,efficiency"
    )
    assert len(lines) == 6
    assert float(lines[1].split(",")[4]) == study.rows[1].speedup
    run = json.loads((tmp_path / "new" / "run.json").read_text())
    assert run["options"] == {"seed": 3}
    assert run["versions"]["a3cjax"]
    assert run["intervals"].startswith("95 %, over seeds; of ratios of means Student's t")
    with xr.open_dataset(tmp_path / "new" / "speedup.nc", engine="h5netcdf") as saved:
        assert dict(saved.sizes) == {"sampling": 2, "workers": 3, "seed": 4, "record": 101}
        xr.testing.assert_equal(saved.load(), study.curves)
        assert saved.attrs["intervals"] == run["intervals"]
        crossing = first_crossing(saved.objective.values, saved.attrs["target_objective"])
        assert np.array_equal(crossing.at(saved.updates.values), saved.updates_to_target.values)
    with (tmp_path / "new" / "speedup.png").open("rb") as picture:
        assert picture.read(8) == b"\x89PNG\r\n\x1a\n"


def test_a_study_where_nothing_was_met_can_still_be_printed_and_saved(tmp_path):
    study = SpeedupStudy.of(fabricate(np.zeros((2, 3, 2))))
    assert "0 of 2" in study.table()
    study.save(tmp_path)
    assert "nan" in (tmp_path / "speedup.csv").read_text()


def test_the_figure_has_the_three_panels():
    single = SpeedupStudy.of(fabricate(np.full((1, 3, 4), 0.002))).figure()
    assert [ax.get_xlabel() for ax in single.axes] == ["virtual time", "samples per worker", "workers N"]
    double = SpeedupStudy.of(fabricate(np.full((2, 3, 4), 0.002))).figure()
    assert len(double.axes) == 5  # the first two panels once for each sampling
    assert double.axes[0].get_yscale() == "log"


def test_the_legend_promises_no_interval_where_none_was_measured():
    # i.i.d. runs meet the target after 400 updates; Markovian ones stay where they begin.
    slopes = np.stack([np.full((3, 4), 0.002), np.zeros((3, 4))])
    legend: Any = SpeedupStudy.of(fabricate(slopes)).figure().axes[-1].get_legend()
    told = [text.get_text() for text in legend.get_texts()]
    assert told == ["ideal: N", "i.i.d., with 95 % interval", "i.i.d., the paper's figure", "Markovian: target not met",
                    "Markovian, the paper's figure"]  # fmt: skip
    # One seed has a speedup, but no interval.
    legend = SpeedupStudy.of(fabricate(np.full((1, 3, 1), 0.002))).figure().axes[-1].get_legend()
    assert [text.get_text() for text in legend.get_texts()][1] == "i.i.d."
