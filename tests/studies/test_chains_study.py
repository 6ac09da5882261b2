"""Separate against shared chains: fixed points by closed forms and by hand-written iteration, and a run beside them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import a3cjax
from a3cjax.studies.chains import mean_field
from a3cjax.studies.chains.mean_field import direction_error

wrong: Any = "mdp"
K = 4000  # with four states, three actions and up to eight runs: one program for each kind of chain


def random_mdp(seed, discount, initial=None, features=None):
    rng = np.random.default_rng(seed)
    states, actions = 4, 3
    return a3cjax.FiniteMDP(
        rng.dirichlet(np.ones(states), size=(states, actions)),
        rng.random((states, actions)),
        np.eye(states)[0] if initial is None else initial,
        discount,
        np.eye(states) if features is None else features,
    )


def test_the_fixed_points_are_those_of_a_quadratic():
    """γ = 0, four states that are equally likely, all runs start at the first; there r = 1 for one of three actions.

    The actor at state 0 stands still where ℓ π(1 − π) + (λ/4)(⅓ − π) = 0, with ℓ the probability of state 0: d(0) = 1
    if the chains are separate, μ(0) = ¼ if one is shared. With q = λ/4: π = (ℓ − q + √((ℓ − q)² + 4ℓq/3)) / 2ℓ = J.
    At θ = 0 the mean direction under μ is a quarter as long at state 0, and zero elsewhere: off by three quarters.
    """
    reward = np.zeros((4, 3))
    reward[0, 0] = 1
    mdp = a3cjax.FiniteMDP(np.full((4, 3, 4), 0.25), reward, np.eye(4)[0], 0.0, np.eye(4))
    found = mean_field([mdp, mdp], 0.6, [False, True], [400.0])
    q, share = 0.15, np.array([1.0, 0.25])
    wanted = (share - q + np.sqrt((share - q) ** 2 + 4 / 3 * share * q)) / (2 * share)
    np.testing.assert_allclose(found.objective[:, 0], wanted, rtol=1e-9)
    assert found.speed.max() < 1e-9
    np.testing.assert_allclose(direction_error([mdp]), [0.75], rtol=1e-9)
    study = a3cjax.studies.chains(mdp, discounts=[0.0], weights=[0.6], seeds=8, num_updates=K)
    (row,) = study.rows
    assert row.bias == pytest.approx(wanted[0] - wanted[1], rel=1e-3)
    assert row.bias > 0.02
    # Noise of the actor, of order α, moves both means a little; the interval is over 8 seeds.
    assert row.simulated_low - 0.005 < row.bias < row.simulated_high + 0.005


@pytest.mark.usefixtures("x64")
def test_with_separate_chains_the_mean_motion_ends_where_the_gradient_of_j_lambda_is_zero():
    """Against the oracles: at the end ∇J_λ = 0 to the accuracy of the speed, and J and J_λ are the oracles'."""
    mdp, prior = random_mdp(0, 0.7), a3cjax.Prior.uniform(0.3, 4, 3)
    found = mean_field([mdp], 0.3, [False], [500.0])
    policy = a3cjax.policies.TabularSoftmax(4, 3)
    theta = jnp.zeros((4, 3))
    ascend = jax.jit(lambda theta: theta + 0.5 * a3cjax.exact.policy_gradient(mdp, policy, theta, prior))
    for _ in range(1000):
        theta = ascend(theta)
    pi = policy.probabilities(theta)
    np.testing.assert_allclose(found.objective[0, 0], a3cjax.exact.objective(mdp, pi), rtol=1e-9)
    np.testing.assert_allclose(found.regularized_objective[0, 0], a3cjax.exact.objective(mdp, pi, prior), rtol=1e-9)
    assert found.speed[0] < 1e-6


def test_with_one_chain_it_ends_where_the_joint_recursion_does():
    """θ and ω together by expected TD(0) and actor steps under μ, state by state in plain loops, with two features."""
    rng = np.random.default_rng(1)
    phi = rng.standard_normal((4, 2)) / 4
    mdp = random_mdp(1, 0.6, features=phi)
    transition, reward, phi = (np.asarray(x, np.float64) for x in (mdp.transition, mdp.reward, mdp.features))
    theta, omega, law = np.zeros((4, 3)), np.zeros(2), np.full(4, 0.25)
    for _ in range(8000):
        policy = np.exp(theta) / np.exp(theta).sum(-1, keepdims=True)
        law = law @ np.einsum("sa,sat->st", policy, transition)  # θ moves slowly, and the law is that of its limit
        actor, critic = 0.3 / 4 * (1 / 3 - policy), np.zeros(2)
        for s in range(4):
            for a in range(3):
                delta = reward[s, a] + 0.6 * transition[s, a] @ phi @ omega - phi[s] @ omega
                critic += law[s] * policy[s, a] * delta * phi[s]
                actor[s] += law[s] * policy[s, a] * delta * (np.eye(3)[a] - policy[s])
        theta, omega = theta + 0.5 * actor, omega + 5 * critic
    policy = np.exp(theta) / np.exp(theta).sum(-1, keepdims=True)
    kernel = np.einsum("sa,sat->st", policy, transition)
    values = np.linalg.solve(np.eye(4) - 0.6 * kernel, (policy * reward).sum(-1))
    found = mean_field([mdp], 0.3, [True], [4000.0])
    assert found.objective[0, 0] == pytest.approx(0.4 * values[0], rel=1e-6)
    assert float(a3cjax.exact.approximation_error(mdp, policy)[0]) > 0.05  # the critic is not exact here


def test_where_d_is_mu_there_is_no_bias():
    """Kernels that are doubly stochastic under every policy have μ uniform, and with η uniform d is uniform too."""
    shifts = np.stack([np.roll(np.eye(4), k, axis=1) for k in (1, 2, 3)])
    rng = np.random.default_rng(2)
    rows = np.broadcast_to(np.einsum("k,kst->st", rng.dirichlet(np.ones(3)), shifts)[:, None], (4, 3, 4))
    mdp = a3cjax.FiniteMDP(rows, rng.random((4, 3)), np.full(4, 0.25), 0.8, np.eye(4))
    found = mean_field([mdp, mdp], [0.3, 0.3], [False, True], [50.0])
    np.testing.assert_allclose(found.objective[0], found.objective[1], rtol=1e-7)
    np.testing.assert_allclose(direction_error([mdp]), [0.0], atol=1e-6)


def test_the_study_keeps_each_cell_in_its_place(tmp_path):
    """Two MDPs, two γ, two λ: the rows' numbers come back from the curves, and the files are written."""
    mdps = [random_mdp(seed, 0.5) for seed in (3, 4)]
    study = a3cjax.studies.chains(mdps, discounts=[0.2, 0.8], weights=[0.3, 0.0], seeds=3, num_updates=K)
    assert [(row.weight, row.discount) for row in study.rows] == [(0.3, 0.2), (0.3, 0.8), (0.0, 0.2), (0.0, 0.8)]
    curves = study.curves
    assert dict(curves.objective.sizes) == {
        "weight": 2, "discount": 2, "mdp": 2, "chain": 2, "seed": 3, "record": 40,
    }  # fmt: skip
    one = a3cjax.FiniteMDP(mdps[1].transition, mdps[1].reward, mdps[1].initial, 0.8, np.eye(4))
    alone = mean_field([one], 0.3, [True], 0.06 * curves.updates.values)
    np.testing.assert_allclose(curves.mean_objective.values[0, 1, 1, 1], alone.objective[0], rtol=1e-9)
    # Every run is near its cell's mean motion: a tenth of the objective's range would be another cell.
    gap = curves.objective.values[..., -4:].mean((-1, -2)) - curves.mean_objective.values[..., -4:].mean(-1)
    assert np.abs(gap).max() < 0.03
    assert any("λ = 0 is the control" in note for note in study.notes())
    assert "intervals" in study.notes()[0].lower()
    assert len(study.table().splitlines()) == 2 + 4 + 1
    assert {path.name for path in study.save(tmp_path)} == {"chains.csv", "chains.nc", "chains.png", "run.json"}


@pytest.mark.parametrize(
    ("mdps", "options", "message"),
    [
        ([], {}, "mdps is empty"),
        ([wrong], {}, r"mdps\[0\] must be an a3cjax.FiniteMDP, but is a str"),
        ([random_mdp(0, 0.5), a3cjax.families.ring(4)], {}, r"mdps\[1\] has \(S, A, d\) = \(4, 2, 4\), but mdps\[0\]"),
        (random_mdp(0, 0.5), {"discounts": [1.0]}, "discounts.* is 1, but must be less than 1"),
        (random_mdp(0, 0.5), {"weights": [0.1, 0.1]}, r"weights is \[0.1, 0.1\]; give one or more numbers, each once"),
        (random_mdp(0, 0.5), {"actor_step": 0.0}, "actor_step is 0, but must be greater than 0"),
        (random_mdp(0, 0.5), {"seeds": 0}, "seeds is 0, but must be at least 1"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(mdps, options, message):
    with pytest.raises(ValueError, match=message):
        a3cjax.studies.chains(mdps, **options)
