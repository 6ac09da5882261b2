"""The linear-quadratic regulator: what it accepts, its families, its policy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import a3cjax
from a3cjax import families

EYE = np.eye(2)
GOOD = {
    "state_matrix": 0.5 * EYE,
    "input_matrix": [[1.0], [0.0]],
    "noise_covariance": EYE,
    "state_cost": EYE,
    "action_cost": [[1.0]],
}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"state_matrix": [[1.0, 2.0]]}, r"state_matrix has shape \(1, 2\), but must be square"),
        ({"state_matrix": [[np.nan, 0.0], [0.0, 1.0]]}, r"state_matrix\[0, 0\] is nan; every entry must be a finite"),
        ({"input_matrix": [[1.0]]}, r"input_matrix has shape \(1, 1\), but must have shape \(2, any\)"),
        ({"input_matrix": np.zeros((2, 0))}, r"input_matrix has shape \(2, 0\); give at least one column"),
        ({"noise_covariance": [[1.0, 0.5], [0.0, 1.0]]}, r"noise_covariance\[0, 1\] is 0.5 but .*symmetric"),
        (
            {"noise_covariance": [[1.0, 2.0], [2.0, 1.0]]},
            "noise_covariance has the eigenvalue -1, but must be positive",
        ),
        ({"state_cost": -EYE}, "state_cost has the eigenvalue -1, but must be positive semidefinite"),
        ({"action_cost": [[0.0]]}, "action_cost has the eigenvalue 0, but must be positive definite"),
        ({"initial_covariance": -EYE}, "initial_covariance has the eigenvalue -1"),
        ({"initial_mean": [1.0]}, r"initial_mean has shape \(1,\), but must have shape \(2\)"),
        ({"discount": 1.0}, "discount is 1, but must be less than 1"),
        ({"feature_scale": [1.0, 0.0]}, r"feature_scale\[1\] is 0, but must be greater than 0"),
        # the second mode is not reached and √.9·1.1 = 1.04 > 1
        (
            {"state_matrix": np.diag([0.5, 1.1])},
            r"no best gain θ exists: input_matrix must reach, .* 1/√γ = 1.054 .* does not reach the one of modulus 1.1",
        ),
        # √.81·(1/.9) = 1, unseen by a cost of zero: not acting costs nothing, and V of any other gain is a difference
        # of two infinities
        (
            {
                "state_matrix": [[1 / 0.9]],
                "input_matrix": [[1.0]],
                "noise_covariance": [[1.0]],
                "state_cost": [[0.0]],
                "discount": 0.81,
            },
            r"state_cost must see, .* but state_cost does not see the one of modulus 1\.111; give it a cost",
        ),
        # the same of modulus 2, beside a mode that is seen; and a pair of modes on the circle that turn
        (
            {
                "state_matrix": np.diag([0.5, 2.0]),
                "input_matrix": EYE,
                "action_cost": EYE,
                "state_cost": np.diag([1.0, 0]),
            },
            "state_cost does not see the one of modulus 2",
        ),
        (
            {"state_matrix": np.array([[0, 1], [-1, 0]]) / 0.9, "state_cost": 0 * EYE, "discount": 0.81},
            "state_cost does not see the one of modulus 1.111",
        ),
        # seen by 1e-9 of the other mode's cost; reached with 1e-9 of the other's input
        (
            {
                "state_matrix": np.diag([0.5, 2.0]),
                "input_matrix": EYE,
                "action_cost": EYE,
                "state_cost": np.diag([1.0, 1e-9]),
            },
            "state_cost does not see the one of modulus 2",
        ),
        (
            {"state_matrix": np.diag([0.5, 2.0]), "input_matrix": np.diag([1.0, 1e-9]), "action_cost": EYE},
            "input_matrix does not reach the one of modulus 2",
        ),
    ],
)
def test_bad_input_is_told_in_a_sentence(options, words):
    with pytest.raises(ValueError, match=words):
        a3cjax.LQR(**(GOOD | options))


def test_what_discounting_forgives_is_accepted():
    """√.9·1.04 = .987 < 1: the unreached mode grows, but slower than the discount shrinks it."""
    lqr = a3cjax.LQR(**(GOOD | {"state_matrix": np.diag([0.5, 1.04])}))
    assert np.isfinite(lqr.optimal_objective(a3cjax.policies.LinearGaussian(2, 1)))


def test_a_mode_too_near_the_circle_for_single_precision_is_refused(x32):
    """A = .9999/√γ, not reached: the closed loop has √γ·ρ = .9999, nearer one than the root of an eps, 3.5e-4."""
    wide = GOOD | {"state_matrix": np.diag([0.5, 0.9999 / 0.9]), "discount": 0.81}
    with pytest.raises(
        ValueError, match=r"cannot be solved in float32: .* at 0\.9999, which must be at most 1 − 0\.0003"
    ):
        a3cjax.LQR(**wide)
    with jax.enable_x64(True):
        assert a3cjax.LQR(**wide).discount == 0.81


@pytest.mark.parametrize("seen", [1e-4, 1e-2])
def test_what_is_accepted_at_the_margin_has_the_right_gain(seen, x32):
    """A mode of modulus 2 with a small cost q, √γ = .9, a = 1.8, b = .9: p solves p = q + a²p/(1 + b²p), by hand
    b²p² + (1 − a² − b²q)p − q = 0, and θ = −abp/(1 + b²p)."""
    lqr = a3cjax.LQR([[2.0]], [[1.0]], [[1.0]], [[seen]], [[1.0]], discount=0.81)
    p = np.roots([0.81, 1 - 1.8**2 - 0.81 * seen, -seen]).max()
    np.testing.assert_allclose(lqr.optimal_gain(), [[-1.8 * 0.9 * p / (1 + 0.81 * p)]], rtol=1e-5)
    free = a3cjax.LQR([[0.5]], [[1.0]], [[1.0]], [[0.0]], [[1.0]], discount=0.81)  # stable, unseen: do nothing
    assert abs(float(free.optimal_gain()[0, 0])) == 0
    assert np.isfinite(free.optimal_objective(a3cjax.policies.LinearGaussian(1, 1)))


def test_reward_and_features_by_hand():
    lqr = a3cjax.LQR(**(GOOD | {"state_cost": [[2.0, 0.5], [0.5, 1.0]], "feature_scale": [1.0, 2.0]}))
    state, action = jnp.array([1.0, 4.0]), jnp.array([3.0])
    assert float(lqr.reward_at(state, action)) == -(2 + 2 * 0.5 * 4 + 16 + 9)
    np.testing.assert_allclose(lqr.features_at(state), np.array([1, 1, 2, 4]) / 2)  # z = (1, 2), d = 4
    assert (lqr.state_dim, lqr.action_dim, lqr.num_features) == (2, 1, 4)


def test_a_random_system_has_the_scale_it_promises():
    """ρ(A) = .8, columns of B of length one, and without actions the stationary covariance is I."""
    lqr = families.random_lqr(jax.random.key(3), 4, 2, spectral_radius=0.8)
    np.testing.assert_allclose(np.abs(np.linalg.eigvals(lqr.state_matrix)), 0.8, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(lqr.input_matrix, axis=0), 1, rtol=1e-5)
    quiet = lqr.evaluate(a3cjax.policies.LinearGaussian(4, 2, std=1e-6), np.zeros((2, 4)))
    np.testing.assert_allclose(quiet.stationary_covariance, np.eye(4), atol=1e-5)


def test_families_are_drawn_under_jit_and_vmap():
    keys = jax.random.split(jax.random.key(0), 2)
    batch = jax.jit(jax.vmap(lambda key: families.random_lqr(key)))(keys)
    np.testing.assert_allclose(batch.state_matrix[1], families.random_lqr(keys[1]).state_matrix, atol=1e-6)


@pytest.mark.parametrize(("maker", "words"), [
    (lambda: families.random_lqr(jax.random.key(0), spectral_radius=1.0), "spectral_radius is 1, but must be less"),
    (lambda: families.double_integrator(0.0), "step is 0, but must be greater than 0"),
    (lambda: a3cjax.policies.LinearGaussian(2, 1, std=0.0), "std is 0, but must be greater than 0"),
    (lambda: a3cjax.policies.LinearGaussian(0, 1), "state_dim is 0, but must be at least 1"),
])  # fmt: skip
def test_families_and_the_policy_refuse_bad_sizes(maker, words):
    with pytest.raises(ValueError, match=words):
        maker()


@pytest.mark.usefixtures("x64")
def test_the_score_is_the_gradient_of_the_log_density():
    """ψ_θ(s,a) = ∇_θ log N(a; θs, σ²I), by automatic differentiation of the density; two directions add up."""
    rng = np.random.default_rng(0)
    theta, state, action = rng.standard_normal((2, 3)), rng.standard_normal(3), rng.standard_normal(2)
    policy = a3cjax.policies.LinearGaussian(3, 2, std=0.7)

    def log_density(theta):
        return jax.scipy.stats.norm.logpdf(action, theta @ state, 0.7).sum()

    found = policy.score(
        jnp.asarray(state), jnp.asarray(action), policy.mean(jnp.asarray(theta), jnp.asarray(state)), jnp.asarray(0.5)
    )
    np.testing.assert_allclose(found, 0.5 * jax.grad(log_density)(jnp.asarray(theta)), atol=1e-13)
    np.testing.assert_allclose(policy.merge(jnp.stack([found] * 3)), 3 * found, rtol=1e-14)
    np.testing.assert_allclose(policy.merge(jnp.stack([found] * 20)), 20 * found, rtol=1e-13)
    np.testing.assert_allclose(
        policy.ascend(jnp.asarray(theta), found, jnp.asarray(0.1)), theta + 0.1 * found, rtol=1e-14
    )
    assert stats.norm.logpdf(action, theta @ state, 0.7).sum() == pytest.approx(float(log_density(theta)))
