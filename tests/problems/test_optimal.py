import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import a3cjax
from a3cjax import exact, families
from a3cjax.problems.optimal import policy_iteration


def value_iteration(mdp, sweeps=5000):
    """J* by plain value iteration in double precision; the error is at most γ^sweeps r_max / (1 − γ)."""
    transition, gamma = np.asarray(mdp.transition, np.float64), float(mdp.discount)
    reward = np.asarray(mdp.expected_reward(), np.float64)
    values = np.zeros(mdp.num_states)
    for _ in range(sweeps):
        values = (reward + gamma * transition @ values).max(1)
    return (1 - gamma) * np.asarray(mdp.initial, np.float64) @ values


@pytest.mark.parametrize(("height", "width", "discount"), [(2, 2, 0.5), (3, 5, 0.9), (1, 4, 0.99), (1, 1, 0.9)])
def test_a_room_by_hand(height, width, discount):
    # The goal is reached after D steps, and again every D + 1: J* = (1−γ)(γᴰ + γ²ᴰ⁺¹ + ...) = (1−γ) γᴰ / (1 − γᴰ⁺¹).
    steps = height + width - 2
    expected = (1 - discount) * discount**steps / (1 - discount ** (steps + 1))
    mdp = families.gridworld(height, width, slip=0.0, discount=discount)
    np.testing.assert_allclose(exact.optimal_objective(mdp), expected, rtol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_no_deterministic_policy_is_better(seed, x64, random_mdp):
    mdp = random_mdp(seed, states=4, branching=2, discount=0.8)
    tables = np.eye(3)[np.array(list(itertools.product(range(3), repeat=4)))]
    objectives = jax.vmap(exact.objective, (None, 0))(mdp, jnp.asarray(tables))
    assert len(objectives) == 81
    np.testing.assert_allclose(exact.optimal_objective(mdp), objectives.max(), rtol=1e-12)


@pytest.mark.parametrize("discount", [0.0, 0.9, 0.99])
def test_value_iteration_agrees(discount, random_mdp):
    mdp = random_mdp(5, states=30, actions=4, branching=3, discount=discount)
    np.testing.assert_allclose(exact.optimal_objective(mdp), value_iteration(mdp), rtol=1e-5)


def test_a_slow_problem_in_single_precision():
    # γ = 0.999 and a chain that stays for 20 steps at a time: conditioning 2/(1−γ) = 2000, so 2000 · 6e−8 = 1e−4.
    mdp = families.lazy(families.gridworld(4, 4, slip=0.2, discount=0.999), 0.95)
    np.testing.assert_allclose(exact.optimal_objective(mdp), value_iteration(mdp, 30_000), rtol=2e-4)


def test_ties_everywhere_end_at_once(random_mdp):
    mdp = random_mdp(6, branching=3)
    flat = a3cjax.FiniteMDP(mdp.transition, np.full((7, 3), 0.3), mdp.initial, 0.97, mdp.features)
    np.testing.assert_allclose(exact.optimal_objective(flat), 0.3, rtol=1e-5)
    assert policy_iteration(flat)[1] == 1


def test_identical_actions_do_not_go_round_in_circles(random_mdp):
    mdp = random_mdp(7, branching=3)
    twice = a3cjax.FiniteMDP(
        jnp.tile(mdp.transition, (1, 2, 1)), jnp.tile(mdp.reward, (1, 2)), mdp.initial, 0.9, mdp.features
    )
    np.testing.assert_allclose(exact.optimal_objective(twice), exact.optimal_objective(mdp), rtol=1e-6)
    assert policy_iteration(twice)[1] <= 5


def test_the_optimal_policy_is_deterministic_and_has_no_better_action(random_mdp):
    mdp = random_mdp(8, discount=0.95, reward_on="transition")
    pi = exact.optimal_policy(mdp)
    assert (pi.max(1) == 1).all()
    assert (pi.sum(1) == 1).all()
    assert exact.evaluate(mdp, pi).advantage.max() < 1e-5


def test_random_policies_are_below_the_optimum(random_mdp):
    mdp = random_mdp(9)
    policies = jnp.asarray(np.random.default_rng(0).dirichlet(np.ones(3), size=(50, 7)))
    assert (jax.vmap(exact.objective, (None, 0))(mdp, policies) < exact.optimal_objective(mdp)).all()


def test_batches_of_problems(random_mdp):
    mdps = [random_mdp(seed, branching=2) for seed in range(4)]
    batch = jax.jit(jax.vmap(exact.optimal_objective))(jax.tree.map(lambda *leaves: jnp.stack(leaves), *mdps))
    np.testing.assert_allclose(batch, [exact.optimal_objective(mdp) for mdp in mdps], rtol=1e-5)
