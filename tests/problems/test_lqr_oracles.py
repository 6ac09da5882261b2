"""Exact quantities of linear policies, against SciPy, plain recursions, automatic gradients and long simulation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

import a3cjax
from a3cjax.problems import matrix_equations

STD = 0.4


def case(seed=0, n=3, m=2, discount=0.85):
    """A regulator without any symmetry, a gain that stabilises it, and the policy."""
    rng = np.random.default_rng(seed)

    def covariance(k, least=0.1):
        root = rng.standard_normal((k, k))
        return root @ root.T / k + least * np.eye(k)

    state = rng.standard_normal((n, n))
    control = rng.standard_normal((n, m))
    lqr = a3cjax.LQR(
        state_matrix=0.8 * state / np.abs(np.linalg.eigvals(state)).max(),
        input_matrix=control,
        noise_covariance=covariance(n),
        state_cost=covariance(n),
        action_cost=covariance(m),
        initial_mean=rng.standard_normal(n),
        initial_covariance=covariance(n),
        discount=discount,
        feature_scale=rng.uniform(0.5, 2, n),
    )
    gain = -0.05 * rng.standard_normal((m, n))
    assert np.abs(np.linalg.eigvals(np.asarray(lqr.state_matrix) + control @ gain)).max() < 0.95
    return lqr, gain, a3cjax.policies.LinearGaussian(n, m, STD)


def arrays(lqr):
    """The problem as NumPy arrays: A, B, W, Q, R, m_0, Σ_0, γ."""
    names = "state_matrix input_matrix noise_covariance state_cost action_cost initial_mean initial_covariance discount"
    return [np.asarray(getattr(lqr, name), np.float64) for name in names.split()]


@pytest.mark.usefixtures("x64")
def test_laws_and_values_solve_their_recursions():
    """1000 steps of each defining recursion in NumPy (.95¹⁰⁰⁰ = 5e-23 where the discount does not help)."""
    lqr, gain, policy = case()
    A, B, W, Q, R, mean, spread, discount = arrays(lqr)
    found = lqr.evaluate(policy, gain)
    M, noise = A + B @ gain, W + STD**2 * B @ B.T
    law, value, constant = np.zeros((3, 3)), np.zeros((3, 3)), 0.0
    at, moment, visited, visited_mean, weight = mean, spread + np.outer(mean, mean), 0.0, 0.0, 1 - discount
    for _ in range(1000):
        law = M @ law @ M.T + noise
        # V ← the Bellman operator of the policy: E[r(s, a) + γ V(s')]
        constant = STD**2 * np.trace(R) + discount * (np.trace(value @ noise) + constant)
        value = Q + gain.T @ R @ gain + discount * M.T @ value @ M
        visited, visited_mean, weight = visited + weight * moment, visited_mean + weight * at, weight * discount
        at, moment = M @ at, M @ moment @ M.T + noise
    np.testing.assert_allclose(found.stationary_covariance, law, rtol=1e-10)
    np.testing.assert_allclose(found.value_matrix, value, rtol=1e-10)
    np.testing.assert_allclose(found.value_constant, constant, rtol=1e-10)
    np.testing.assert_allclose(found.visitation_moment, visited, rtol=1e-10)
    np.testing.assert_allclose(found.visitation_mean, visited_mean, rtol=1e-10)
    state = np.array([1.0, -2.0, 0.5])
    np.testing.assert_allclose(found.value(jnp.asarray(state)), -(state @ value @ state + constant), rtol=1e-10)
    np.testing.assert_allclose(
        lqr.features_at(jnp.asarray(state)) @ found.critic_optimum, found.value(jnp.asarray(state))
    )
    # J is the mean reward under d, too.
    reward = -(np.trace((Q + gain.T @ R @ gain) @ visited) + STD**2 * np.trace(R))
    np.testing.assert_allclose(found.objective, reward, rtol=1e-10)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("n", "m"), [(1, 1), (3, 2), (5, 1)])
def test_scipy_solves_the_same_equations(n, m):
    lqr, gain, policy = case(1, n, m)
    A, B, W, Q, R, _, _, discount = arrays(lqr)
    M, root = A + B @ gain, np.sqrt(discount)
    found = lqr.evaluate(policy, gain)
    law = scipy.linalg.solve_discrete_lyapunov(M, W + STD**2 * B @ B.T)
    value = scipy.linalg.solve_discrete_lyapunov(root * M.T, Q + gain.T @ R @ gain)
    np.testing.assert_allclose(found.stationary_covariance, law, rtol=1e-8)
    np.testing.assert_allclose(found.value_matrix, value, rtol=1e-8)
    best = scipy.linalg.solve_discrete_are(root * A, root * B, Q, R)
    optimal = -discount * np.linalg.solve(R + discount * B.T @ best @ B, B.T @ best @ A)
    np.testing.assert_allclose(lqr.optimal_gain(), optimal, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(lqr.evaluate(policy, optimal).value_matrix, best, rtol=1e-8, atol=1e-12)


def test_riccati_near_the_edge_of_stability():
    """A mode with eigenvalue 1 that is hardly reached, in single precision: SciPy in double gives the same to 1 %."""
    state, control = np.diag([1.0, 0.5]), np.array([[0.01], [1.0]])
    found = matrix_equations.riccati(jnp.asarray(state), jnp.asarray(control), jnp.eye(2), jnp.eye(1))
    expected = scipy.linalg.solve_discrete_are(state, control, np.eye(2), np.eye(1))
    np.testing.assert_allclose(found, expected, rtol=0.01, atol=0.01)


@pytest.mark.usefixtures("x64")
def test_the_gradient_is_that_of_the_objective():
    """The closed form, jax.grad through the Lyapunov solve, and central differences."""
    lqr, gain, policy = case(2)

    @jax.jit
    def objective(theta):
        return lqr.evaluate(policy, theta).objective

    found = lqr.evaluate(policy, gain).policy_gradient(policy, gain)
    np.testing.assert_allclose(found, jax.grad(objective)(jnp.asarray(gain)), rtol=1e-9)
    bump = np.zeros_like(gain)
    bump[1, 2] = 1e-5
    np.testing.assert_allclose(found[1, 2], (objective(gain + bump) - objective(gain - bump)) / 2e-5, rtol=1e-6)


@pytest.mark.usefixtures("x64")
def test_the_riccati_gain_is_the_best():
    """Zero gradient there, whatever η and σ; no other gain does better, and the gap is quadratic near it."""
    lqr, gain, policy = case(3)
    best = lqr.optimal_gain()
    top = lqr.optimal_objective(policy)
    scale = np.abs(lqr.evaluate(policy, gain).policy_gradient()).max()
    assert np.abs(lqr.evaluate(policy, best).policy_gradient()).max() < 1e-10 * scale
    steps = jnp.asarray(np.random.default_rng(0).standard_normal((200, *gain.shape)))
    objective = jax.jit(jax.vmap(lambda theta: lqr.evaluate(policy, theta).objective))
    gaps = {size: top - objective(best + size * steps) for size in (0.01, 0.02)}
    assert (gaps[0.01] > 0).all()
    np.testing.assert_allclose(gaps[0.02] / gaps[0.01], 4, rtol=0.4)  # a cubic term remains


def test_a_long_simulation_agrees():
    """20 000 trajectories of 120 steps, drawn with NumPy: J, d and μ within 4.5 standard errors.

    The horizon cuts off .85¹²⁰ = 3e-9 of J; the law after 120 steps is μ up to .95²⁴⁰ = 5e-6.
    """
    lqr, gain, policy = case(4)
    A, B, W, Q, R, mean, spread, discount = arrays(lqr)
    rng = np.random.default_rng(1)
    runs = 20_000
    state = rng.multivariate_normal(mean, spread, runs)
    root = np.linalg.cholesky(W)
    total, visits, weight = np.zeros(runs), np.zeros((runs, 3, 3)), 1 - discount
    for _ in range(120):
        action = state @ gain.T + STD * rng.standard_normal((runs, 2))
        reward = -((state @ Q) * state).sum(1) - ((action @ R) * action).sum(1)
        total += weight * reward
        visits += weight * state[:, :, None] * state[:, None, :]
        weight *= discount
        state = state @ A.T + action @ B.T + rng.standard_normal((runs, 3)) @ root.T
    found = lqr.evaluate(policy, gain)
    settled = state[:, :, None] * state[:, None, :]
    for sample, exact in (
        (total, found.objective),
        (visits, found.visitation_moment),
        (settled, found.stationary_covariance),
    ):
        error = sample.std(axis=0) / np.sqrt(runs)
        assert (error < 0.05 * np.abs(exact).max()).all()  # the statement has content
        assert (np.abs(sample.mean(axis=0) - exact) < 4.5 * error).all()


def test_the_critics_system_is_the_mean_of_its_samples():
    """A_θ and b_θ over 100 000 transitions from μ, drawn with NumPy, within 4.5 standard errors; ω* solves it."""
    lqr, gain, policy = case(5, n=2, m=1)
    A, B, W, Q, R, _, _, discount = arrays(lqr)
    found = lqr.evaluate(policy, gain)
    rng = np.random.default_rng(2)
    runs = 100_000
    state = rng.multivariate_normal(np.zeros(2), found.stationary_covariance, runs)
    action = state @ gain.T + STD * rng.standard_normal((runs, 1))
    ahead = state @ A.T + action @ B.T + rng.standard_normal((runs, 2)) @ np.linalg.cholesky(W).T
    reward = -((state @ Q) * state).sum(1) - ((action @ R) * action).sum(1)

    def phi(s):
        z = s / np.asarray(lqr.feature_scale)
        return np.stack([np.ones(len(z)), z[:, 0] ** 2, z[:, 0] * z[:, 1], z[:, 1] ** 2], axis=1) / 2

    matrix, right = found.critic_system
    change = discount * phi(ahead) - phi(state)
    for sample, exact in ((phi(state)[:, :, None] * change[:, None, :], matrix), (reward[:, None] * phi(state), right)):
        error = sample.std(axis=0) / np.sqrt(runs)
        assert (np.abs(sample.mean(axis=0) - exact) < 4.5 * error + 1e-6).all()
    np.testing.assert_allclose(matrix @ found.critic_optimum, -right, rtol=1e-3)
    assert np.linalg.eigvalsh(matrix + matrix.T).max() < 0  # TD(0) is stable under μ


def test_what_diverges_is_nan():
    """M = 1.02: discounted sums converge (.9·1.02² = .936), there is no stationary law. M = 1.2: nothing converges."""
    lqr = a3cjax.LQR([[0.5]], [[1.0]], [[1.0]], [[1.0]], [[1.0]])
    policy = a3cjax.policies.LinearGaussian(1, 1)
    slow, fast = (lqr.evaluate(policy, [[gain]]) for gain in (0.52, 0.7))
    assert np.isnan(slow.stationary_covariance).all()
    np.testing.assert_allclose(slow.value_matrix, (1 + 0.52**2) / (1 - 0.9 * 1.02**2), rtol=1e-4)
    for value in (fast.objective, fast.value_matrix, fast.visitation_mean, fast.policy_gradient(), fast.critic_optimum):
        assert np.isnan(value).all()


def test_oracles_go_through_jit_and_vmap():
    lqr, gain, policy = case(6)
    gains = jnp.asarray(gain) * jnp.array([0.5, 1.0])[:, None, None]

    def all_of(theta):
        found = lqr.evaluate(policy, theta)
        return found.objective, found.policy_gradient(), found.critic_optimum, found.stationary_covariance

    batch = jax.jit(jax.vmap(all_of))(gains)
    for j in range(2):
        for ours, alone in zip(batch, all_of(gains[j]), strict=True):
            np.testing.assert_allclose(ours[j], alone, rtol=2e-3, atol=1e-4)
