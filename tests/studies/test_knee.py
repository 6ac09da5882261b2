import math

import numpy as np
import pytest
import xarray as xr

from a3cjax.cli.process import main
from a3cjax.studies import KneeStudy


def fabricate(updates, num_updates=1000):
    """One problem and step with updates to the target [workers 1, 4, 16, seed]."""
    updates = np.asarray(updates, float)[None, None]
    return xr.Dataset(
        {
            "updates_to_target": (("problem", "step", "workers", "seed"), updates),
            "done": (("problem", "step"), np.ones((1, 1), np.int8)),
            "actor_step": (("problem", "step"), [[0.1]]),
            "critic_step": ("problem", [0.2]),
            "relaxation_time": ("problem", [3.0]),
        },
        coords={"problem": ["ring"], "step": [1.0], "workers": [1, 4, 16], "seed": np.arange(updates.shape[-1])},
        attrs={"sampling": "markov", "num_updates": num_updates, "threshold": 0.5, "target_share": 0.8},
    )


def test_the_knee_is_where_the_efficiency_crosses_a_half_in_log_n():
    # Efficiencies 1, 0.75, 0.25: half-way between 4 and 16 on a logarithmic scale.
    (row,) = KneeStudy.of(fabricate([[90] * 3, [120] * 3, [360] * 3])).rows
    assert row.knee == pytest.approx(8)
    assert row.at_largest == pytest.approx(0.25)
    assert row.knee_low == row.knee_high == pytest.approx(8)  # seeds that agree
    (row,) = KneeStudy.of(fabricate([[91] * 3, [117] * 3, [353] * 3])).rows
    assert row.knee_low == row.knee == row.knee_high


def test_an_efficiency_that_stays_up_has_no_knee_yet():
    study = KneeStudy.of(fabricate([[90] * 3, [90] * 3, [150] * 3]))
    assert study.rows[0].knee == math.inf
    assert "> 16" in study.table()
    study.figure()


def test_a_run_that_missed_gives_an_upper_bound():
    # 16 workers: 360, 360 and at least 1000 updates, so at most 90/573 = 0.157; N* at most
    # 4 · 4^((0.75 − 0.5)/(0.75 − 0.157)) = 7.176.
    study = KneeStudy.of(fabricate([[90] * 3, [120] * 3, [360, 360, np.nan]]))
    (row,) = study.rows
    assert row.missed == 1
    assert row.knee == pytest.approx(4 * 4 ** (0.25 / (0.75 - 270 / 1720)))
    assert "at most what is shown" in study.notes()[0]
    assert "≤ 7" in study.table()


def test_without_one_worker_there_is_no_knee():
    study = KneeStudy.of(fabricate([[90, np.nan], [120] * 2, [360] * 2]))
    for part in ("knee", "knee_low", "knee_high", "at_largest"):
        assert math.isnan(getattr(study.rows[0], part))
    assert "one worker did not meet the target with every seed" in study.notes()[0]
    assert "–" in study.table()
    study.figure()


def test_the_interval_covers_the_knee_and_narrows_with_seeds():
    rng = np.random.default_rng(0)

    def width(seeds):
        noise = rng.lognormal(0, 0.3, (3, seeds))
        (row,) = KneeStudy.of(fabricate(np.array([[90], [120], [360]]) * noise)).rows
        assert row.knee_low <= row.knee <= row.knee_high
        return math.log(row.knee_high / row.knee_low)

    # Standard errors fall with the root of the seeds: by √16 = 4; half of that is asked for.
    assert width(20) > 2 * width(320)


def test_the_interval_is_where_the_efficiency_cannot_be_told_from_the_threshold():
    # Only ū(1) varies: 90 ± 9 with one degree of freedom, t = 1 at 50 %, so that e exp(∓0.1) is compared with 1/2. It
    # is (1 − h) 0.75 + h 0.25 between 4 and 16; e exp(∓0.1) = 1/2 where h = 3/2 − exp(±0.1).
    study = KneeStudy.of(fabricate([[81, 99], [120] * 2, [360] * 2]), confidence=0.5)
    (row,) = study.rows
    assert (row.knee_low, row.knee, row.knee_high) == pytest.approx(
        (4 * 4 ** (1.5 - math.exp(0.1)), 8, 4 * 4 ** (1.5 - math.exp(-0.1))), rel=1e-4
    )
    assert study.curves.attrs["intervals"].startswith("50 %, over seeds; of knees Student's t")
    # With t_1 = 12.7 at 95 % e may be a half at 1 < N < 4 and at every N from 16 on.
    (row,) = KneeStudy.of(fabricate([[81, 99], [120] * 2, [360] * 2])).rows
    assert 1 < row.knee_low < 4
    assert row.knee_high == math.inf


def test_an_interval_may_begin_within_what_was_tried_and_end_beyond():
    # Of 16 workers e = 0.6, more than a half but not for sure.
    (row,) = KneeStudy.of(fabricate([[90] * 3, [90] * 3, [100, 150, 200]])).rows
    assert row.knee == row.knee_high == math.inf
    assert 4 < row.knee_low < 16
    # Surely above: e = 0.9 exactly.
    (row,) = KneeStudy.of(fabricate([[90] * 3, [90] * 3, [100] * 3])).rows
    assert (row.knee_low, row.knee_high) == (math.inf, math.inf)
    # Nothing is known from one seed.
    (row,) = KneeStudy.of(fabricate([[90], [120], [360]])).rows
    assert row.knee == pytest.approx(8)
    assert math.isnan(row.knee_low)
    assert math.isnan(row.knee_high)


def test_the_command_writes_its_files(tmp_path, capsys):
    options = (
        "knee --problems dense --states 4 --workers 1 2 --factors 1 --seeds 2 --updates 3000 --actor-step 0.3 "
        "--target 0.3"
    )
    assert main([*options.split(), "--out", str(tmp_path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "dense: N* is " in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["knee.csv", "knee.nc", "knee.png", "run.json"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--workers 2 4", "workers is [2, 4], but must hold 1 and at least one greater number."),
        ("--seeds 1", "seeds is 1, but must be at least 2."),
        ("--factors 1 1", "factors is [1.0, 1.0]; give one or more, each once."),
        ("--states 1", "--states is 1"),
    ],
)
def test_bad_input_is_one_sentence(options, sentence, tmp_path, capsys):
    assert main(["knee", "--out", str(tmp_path), *options.split()]) == 2
    assert sentence in capsys.readouterr().err
