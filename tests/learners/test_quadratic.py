"""The second learner: delayed gradient descent on a quadratic, with and without noise."""

from typing import Any

import jax
import numpy as np
import pytest

import a3cjax

KEY = jax.random.key(0)
wrong: Any = "steep"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"curvature": [1.0, 0.0]}, r"curvature\[1\] is 0, but must be greater than 0"),
        ({"curvature": 1.0}, r"curvature has shape \(\), but must have shape \(any\)"),
        ({"curvature": wrong}, "curvature must be a number, but is 'steep'"),
        ({"step": 0.0}, "step is 0, but must be greater than 0"),
        ({"step": np.nan}, "step is nan"),
        ({"step": np.ones((2, 2))}, r"step has shape \(2, 2\), but must be one number, or one per run"),
        ({"noise": -1.0}, "noise is -1, but must be at least 0"),
        ({"start": [1.0, 2.0]}, r"start has shape \(2,\), but must have shape \(1\)"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        a3cjax.QuadraticSGD(**{"curvature": [1.0], "step": 0.1} | options)


def test_it_keeps_the_protocol():
    learner = a3cjax.QuadraticSGD(curvature=[1.0, 2.0], step=0.1)
    assert isinstance(learner, a3cjax.Learner)
    assert isinstance(a3cjax.A3C(a3cjax.families.ring(3), actor_step=0.1, critic_step=0.1), a3cjax.Learner)
    assert not isinstance(3, a3cjax.Learner)


def test_metrics_by_hand():
    """h = (1, 4), x_0 = (1, ½), step ½, one update: x_1 = (½, −½), f = ½(¼ + 1) = .625, ‖x‖² = ½."""
    learner = a3cjax.QuadraticSGD(curvature=[1.0, 4.0], step=0.5, start=[1.0, 0.5])
    result = a3cjax.simulate(learner, a3cjax.Schedule.sequential(1), KEY)
    assert result.params.x.tolist() == [0.5, -0.5]
    assert (result.metrics["objective"].tolist(), result.metrics["distance_sq"].tolist()) == ([0.625], [0.5])


def test_noise_is_standard_normal_times_its_size():
    """h = 1, step 1: x_{k+1} = x_k − x_k − σ ξ_k = −σ ξ_k without delay. 3 runs of 4000 updates: mean 0 ± σ/√12000,
    variance σ² (1 ± √(2/12000)), lag-one correlation 0 ± 1/√12000; bounds are 4.5 standard errors."""
    learner = a3cjax.QuadraticSGD(curvature=[1.0], step=1.0, noise=0.5)
    record = a3cjax.Record(every=1, metrics={"x": lambda state: state.x[0]})
    keys = jax.random.split(KEY, 3)
    x = a3cjax.simulate(learner, a3cjax.Schedule.sequential(4000), keys, record=record).metrics["x"] / 0.5
    assert abs(x.mean()) < 4.5 / np.sqrt(12000)
    assert abs(x.var() - 1) < 4.5 * np.sqrt(2 / 12000)
    assert abs((x[:, 1:] * x[:, :-1]).mean()) < 4.5 / np.sqrt(12000)
    assert abs((x[0] * x[1]).mean()) < 4.5 / np.sqrt(4000)


def test_the_stationary_variance_under_noise():
    """Without delay Var x = a² σ² / (1 − (1 − a)²) = a σ² / (2 − a): a = ½, σ = 1 gives 1/3.

    60 runs of 1000 updates after 100: the correlation (1 − a)ᵏ leaves 60 000 · (1 − ¼)/(1 + ¼) = 36 000 effective
    squares, so a standard error of (1/3) √(2/36 000) = .0025.
    """
    learner = a3cjax.QuadraticSGD(curvature=[1.0], step=0.5, noise=1.0)
    record = a3cjax.Record(every=1, metrics={"x": lambda state: state.x[0]})
    keys = jax.random.split(KEY, 60)
    x = a3cjax.simulate(learner, a3cjax.Schedule.sequential(1100), keys, record=record).metrics["x"][:, 100:]
    assert (x**2).mean() == pytest.approx(1 / 3, abs=4.5 * 0.0025)
