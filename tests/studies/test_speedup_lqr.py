"""The speedup study on a linear-quadratic regulator."""

import jax
import numpy as np
import pytest
import scipy.linalg

from a3cjax import families, studies
from a3cjax.cli.commands import COMMANDS, LQRSpeedupOptions


def test_two_workers_halve_the_samples_on_a_regulator():
    """J* is that of SciPy's Riccati gain; K = 3000 reaches half the gap in every run; the paper's figures are absent.

    Updates to the target hardly depend on N at these steps, so the speedup is about two: within .5 at 8 seeds.
    """
    learner = LQRSpeedupOptions(actor_step=1e-4).build_learner()
    study = studies.speedup(
        learner, workers=(1, 2), sampling=["markov"], seeds=8, num_updates=3000, record_every=50, target=0.5
    )
    lqr, root = learner.mdp, 0.9**0.5
    a, b, q, r = (np.asarray(x, float) for x in (lqr.state_matrix, lqr.input_matrix, lqr.state_cost, lqr.action_cost))
    value = scipy.linalg.solve_discrete_are(root * a, root * b, q, r)
    noise = np.asarray(lqr.noise_covariance, float) + 0.25 * b @ b.T
    # J = −(1−γ)(tr PΣ_0 + c), c = (σ² tr R + γ tr PW') / (1−γ), Σ_0 = I, σ = ½
    best = -(0.1 * np.trace(value) + 0.25 * 0.1 + 0.9 * np.trace(value @ noise))
    assert study.curves.attrs["optimal_objective"] == pytest.approx(best, rel=1e-4)
    assert study.reached == (8, 8)
    assert 1.5 < study.rows[1].speedup < 2.5
    assert study.rows[1].speedup_low < study.rows[1].speedup < study.rows[1].speedup_high
    assert "paper" not in study.table()
    legend = study.figure().axes[2].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["ideal: N", "Markovian, with 95 % interval"]


def test_the_command_builds_what_it_says():
    assert COMMANDS["speedup-lqr"] is LQRSpeedupOptions
    learner = LQRSpeedupOptions(state_dim=3, action_dim=2, std=0.3, radius=9.0, lqr_seed=5).build_learner()
    wanted = families.random_lqr(jax.random.key(5), 3, 2, action_cost=0.1)
    np.testing.assert_array_equal(learner.mdp.state_matrix, wanted.state_matrix)
    assert (learner.policy.shape, learner.radius) == ((2, 3), 9.0)
    with pytest.raises(ValueError, match="--lqr-seed is -1, but must be at least 0"):
        LQRSpeedupOptions(lqr_seed=-1).build_learner()
