import json

import numpy as np
import pytest

from a3cjax import families, studies
from a3cjax.cli.process import main

DELAYS = (0, 1, 2, 3, 7, 15, 31)
LIMITS = [2, 1, 0.618034, 0.445042, 0.209057, 0.101298, 0.049861]  # 2 sin(π/(2(2τ+1)))


@pytest.fixture(scope="module")
def study():
    return studies.critical_step(families.ring(4, num_features=3), delays=DELAYS, resolution=0.02)


def test_measured_steps_are_within_the_grid_of_the_closed_form(study):
    """Half a grid step, for every delay and iteration: the ring history, replayed delay by delay."""
    assert len(study.rows) == 4 * len(DELAYS)
    for row in study.rows:
        assert row.stable < row.closed_form < row.unstable, row
        assert row.unstable / row.stable == pytest.approx(1.02, rel=1e-6)
        assert row.ratio == pytest.approx(1, abs=0.01)


def test_the_closed_forms_are_the_known_numbers(study):
    quadratic, one_state = study.rows[: len(DELAYS)], study.rows[len(DELAYS) : 2 * len(DELAYS)]
    np.testing.assert_allclose([row.closed_form for row in quadratic], LIMITS, rtol=1e-5)
    # One state: λ = 1 − γ = 0.1.
    np.testing.assert_allclose([row.closed_form for row in one_state], 10 * np.array(LIMITS), rtol=1e-5)
    round_a_cycle = study.rows[3 * len(DELAYS) :]
    assert all(row.eigenvalue_imag for row in round_a_cycle)


def test_growth_is_that_of_the_dominant_root(study):
    # Energies grow as |z|² per update, z the largest root of z³² − z³¹ + β; a quarter lasts many periods of 126.
    curves = study.curves.sel(system="gradient descent, H = 1", delay=31)
    quarter = study.curves.attrs["num_updates"] // 4
    near = np.abs(curves.factor.values - 1) < 0.03
    radii = [np.abs(np.roots([1, -1, *[0] * 30, step])).max() for step in curves.step.values[near]]
    # Which part of a period the quarters end in moves their peaks by a period's growth, 3 % a grid step.
    np.testing.assert_allclose(curves.growth.values[near], np.array(radii) ** (2 * quarter), rtol=0.1)


def test_bad_arguments_are_refused():
    ring = families.ring(4)
    with pytest.raises(ValueError, match=r"resolution is 0\.5"):
        studies.critical_step(ring, resolution=0.5)
    with pytest.raises(ValueError, match=r"delays\[0\] is -1"):
        studies.critical_step(ring, delays=(-1,))
    with pytest.raises(ValueError, match=r"delays is \[\]; give one or more, each once"):
        studies.critical_step(ring, delays=())
    with pytest.raises(ValueError, match=r"delays is \[1, 1\]; give one or more, each once"):
        studies.critical_step(ring, delays=(1, 1))


def test_the_command_writes_its_files(tmp_path, capsys):
    options = "critical-step --mdp ring --states 4 --features 3 --delays 0 --resolution 0.1"
    assert main([*options.split(), "--out", str(tmp_path)]) == 0
    assert "times the closed form" in " ".join(capsys.readouterr().out.split())
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "critical-step.csv", "critical-step.nc", "critical-step.png", "run.json",
    ]  # fmt: skip
    assert json.loads((tmp_path / "run.json").read_text())["study"] == "critical-step"
