"""The two sides of the benchmark do the same work."""

from typing import Any

import numpy as np
import pytest

import a3cjax
from a3cjax.studies.sweep.grid import Grid, draw_schedules
from benchmarks.delay_sweep import Times, numpy_runs, report


def test_the_numpy_loop_replays_the_sweeps_schedules():
    # One state, reward 1: nothing is random but the delays, and the critic's gap tells whether they are the same.
    one = a3cjax.FiniteMDP(np.ones((1, 1, 1)), np.ones((1, 1)), [1.0], 0.9, np.ones((1, 1)))
    learner = a3cjax.A3C(one, actor_step=0.1, critic_step=0.3, radius=1000.0)
    grid = Grid(("constant", "geometric"), (0, 4), "mean", (1.0,), "both", 2)
    options: Any = dict(laws=grid.laws, delays=grid.delays, factors=grid.factors, seeds=grid.seeds, num_updates=40)
    study = a3cjax.studies.sweep(learner, **options)
    runs = numpy_runs(learner, draw_schedules(grid, 40, seed=0), list(range(8)))
    gaps = np.array([(run.omega[0] - 10) ** 2 for run in runs])  # ω* = 1/(1 − γ)
    np.testing.assert_allclose(study.curves.critic_error_sq.values[..., -1].reshape(-1), gaps, rtol=1e-4)
    assert len({float(gap) for gap in gaps.round(6)}) == 4  # the constant ones, twice each, and two geometric ones ...
    assert gaps[4] == gaps[5] == gaps[0]  # ... for without delay all are the same
    assert gaps[6] != gaps[7]


def test_the_table_has_the_ratio():
    said = report(Times(figure=10.0, simulation=8.0, first=20.0, numpy=400.0, runs=80), 1000)
    assert "40.0" in said
    assert "10.0" in said  # runs per second
    assert pytest.approx(80 / 400) == 0.2
