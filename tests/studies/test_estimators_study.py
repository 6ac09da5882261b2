"""Exact moments of directions: by hand, by enumeration, and against the directions that the learner draws."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import a3cjax
from a3cjax.learners.a3c.messages import Params
from a3cjax.learners.sampling.markov import Chains
from a3cjax.studies.estimators import direction_moments
from a3cjax.studies.estimators.moments import moments_at

S, A = 3, 2
NAMES = ("td", "advantage", "q", "reinforce")


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    mdp = a3cjax.FiniteMDP(
        rng.dirichlet(np.ones(S), size=(S, A)), rng.random((S, A, S)), rng.dirichlet(np.ones(S)), 0.5, np.eye(S)
    )
    return mdp, rng.standard_normal((S, A)), rng.random(S), rng.random(S)  # θ, ω, B


def test_moments_of_a_coin():
    """One state, γ = 0, r(a) = 2, 0, π = (½, ½), so V = 1 and ψ = ±(½, −½) with ‖ψ‖² = ½.

    w = r is 2 or 0: E‖wψ‖² = ½·4·½ = 1, mean (½, −½), so the variance is 1 − ½ = ½. w = r − 1 is ±1: every direction is
    (½, −½), and the variance is zero. The gradient is the mean, so there is no bias.
    """
    mdp = a3cjax.FiniteMDP([[[1.0], [1.0]]], [[2.0, 0.0]], [1.0], 0.0, [[1.0]])
    theta = np.zeros((1, 2))
    for name in ("q", "reinforce"):
        plain, less = (direction_moments(mdp, theta, [1.0], name, baseline) for baseline in (None, [1.0]))
        np.testing.assert_allclose([plain.variance, less.variance], [0.5, 0.0], atol=1e-12)
        np.testing.assert_allclose(plain.mean, [[0.5, -0.5]])
    for name in ("td", "advantage"):
        np.testing.assert_allclose(direction_moments(mdp, theta, [1.0], name).variance, 0.0, atol=1e-12)
        # A critic that is off by one: w is r again.
        np.testing.assert_allclose(direction_moments(mdp, theta, [0.0], name).variance, 0.5)
        assert direction_moments(mdp, theta, [0.0], name).bias < 1e-12


def test_moments_of_returns_are_those_of_all_paths(problem):
    """Every path of three steps with its probability, one after the other: mean and variance of (G − B) ψ."""
    mdp, theta, _, baseline = problem
    transition, reward = np.asarray(mdp.transition, np.float64), np.asarray(mdp.reward, np.float64)
    policy = np.exp(theta) / np.exp(theta).sum(-1, keepdims=True)
    system = np.eye(S) - 0.5 * np.einsum("sa,sat->st", policy, transition)
    visitation = np.linalg.solve(system.T, 0.5 * np.asarray(mdp.initial, np.float64))
    mean, square = np.zeros((S, A)), 0.0
    for path in itertools.product(range(S), range(A), range(S), range(A), range(S), range(A), range(S)):
        s, actions, states = path[0], path[1::2], path[0::2]
        chance, total = visitation[s], -baseline[s]
        for t, (state, action, after) in enumerate(zip(states, actions, states[1:], strict=False)):
            chance *= policy[state, action] * transition[state, action, after]
            total += 0.5**t * reward[state, action, after]
        direction = np.zeros((S, A))
        direction[s] = total * (np.eye(A)[actions[0]] - policy[s])
        mean += chance * direction
        square += chance * (direction**2).sum()
    found = direction_moments(mdp, theta, np.zeros(S), "reinforce", baseline, horizon=3)
    np.testing.assert_allclose(found.mean, mean, atol=1e-7)  # the MDP is stored in single precision
    assert found.variance == pytest.approx(square - (mean**2).sum(), rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_learner_draws_directions_with_these_moments(name, problem):
    """40 000 directions whose first state is drawn from d: mean and variance within 5 standard errors."""
    mdp, theta, omega, baseline = problem
    learner = a3cjax.A3C(mdp, 0.1, 0.1, estimator=name, baseline=baseline)
    wanted = direction_moments(mdp, theta, omega, name, baseline)
    count = 40_000
    law = np.asarray(a3cjax.exact.discounted_visitation(mdp, learner.policy.probabilities(jnp.asarray(theta))))
    states = np.random.default_rng(1).choice(S, size=count, p=law / law.sum())
    words = jax.random.bits(jax.random.key(2), (count, learner.num_words), jnp.uint32)
    params = Params(jnp.asarray(theta, float), jnp.asarray(omega, float))
    draw = jax.jit(jax.vmap(lambda s, w: learner.propose(params, Chains(jnp.int32(0), s), w)[0].direction))
    direction = jax.tree.map(np.asarray, draw(jnp.asarray(states, jnp.int32), words))
    table = np.zeros((count, S, A))
    table[np.arange(count), direction.state[:, 0]] = direction.change[:, 0]
    error = table.std(0) / np.sqrt(count)
    assert np.abs((table.mean(0) - wanted.mean) / error).max() < 5
    squares = ((table - wanted.mean) ** 2).sum((1, 2))
    assert abs(squares.mean() - wanted.variance) < 5 * squares.std() / np.sqrt(count)
    assert squares.std() / np.sqrt(count) < 0.03 * wanted.variance  # the statement has content


def test_with_an_exact_critic_averaging_takes_variance_away(problem):
    """At θ_0 with V̂ = V: the advantage is the mean of td over s', and of G − V over all that follows."""
    found = {kind: m.variance for kind, m in moments_at(problem[0], np.zeros((S, A))).items()}
    assert found["advantage"] < found["td"] < found["reinforce+baseline"] < found["reinforce"]
    assert found["q+baseline"] == pytest.approx(found["advantage"], rel=1e-4)
    assert found["advantage"] < found["q"] < found["reinforce"]


def test_the_study_keeps_its_places(problem, tmp_path):
    """Rows beside the moments themselves, a start that is the start, and the files."""
    learner = a3cjax.A3C(problem[0], actor_step=0.2, critic_step=0.1)
    kinds = ["q+baseline", "td"]
    study = a3cjax.studies.estimators(learner, kinds=kinds, workers=[1, 3], seeds=2, num_updates=200)
    assert [(row.workers, row.kind) for row in study.rows] == [(n, kind) for n in (1, 3) for kind in kinds]
    wanted = moments_at(problem[0], np.zeros((S, A)))
    for row in study.rows:
        assert row.variance_start == wanted[row.kind].variance
        assert row.bias_start < 1e-6  # tabular features
        assert row.objective_low <= row.objective <= row.objective_high
    start = float(a3cjax.exact.objective(problem[0], np.full((S, A), 0.5)))
    np.testing.assert_allclose(study.curves.objective.values[..., 0], start)
    assert np.isfinite(study.curves.objective.values).all()
    assert {path.name for path in study.save(tmp_path)} == {
        "estimators.csv", "estimators.nc", "estimators.png", "run.json",
    }  # fmt: skip
    study.curves["variance"].values[...] = np.nan  # as of features that no critic can be told apart by
    study.save(tmp_path)


def test_bad_input_is_refused_in_a_sentence(problem):
    mdp: Any = problem[0]
    linear = a3cjax.A3C(mdp, 0.1, 0.1, policy=a3cjax.policies.LinearSoftmax(np.zeros((S, A, 2))))
    with pytest.raises(
        ValueError, match="learner has a LinearSoftmax policy, but the variances are for a tabular soft"
    ):
        a3cjax.studies.estimators(linear)
    with pytest.raises(ValueError, match=r"workers is \[2, 2\]; give one or more numbers of workers, each once"):
        a3cjax.studies.estimators(a3cjax.A3C(mdp, 0.1, 0.1), workers=[2, 2])
    with pytest.raises(ValueError, match=r"kinds\[0\] is 'sarsa', but must be one of 'advantage', 'td'"):
        a3cjax.studies.estimators(a3cjax.A3C(mdp, 0.1, 0.1), kinds=["sarsa"])
