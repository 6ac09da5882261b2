import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import a3cjax


def test_regularizer_is_minus_the_mean_divergence():
    prior = a3cjax.Prior(0.3, [0.25, 0.75], [[0.5, 0.5], [0.5, 0.5]])
    pi = jnp.array([[0.5, 0.5], [0.9, 0.1]])
    # KL((½,½) ‖ (0.9,0.1)) = ½ log(0.5/0.9) + ½ log(0.5/0.1) = −½ log 0.36; the first state agrees with the prior.
    np.testing.assert_allclose(prior.regularizer(pi), 0.75 * 0.5 * math.log(0.36), rtol=1e-6)


def test_an_action_the_prior_never_takes_adds_nothing():
    prior = a3cjax.Prior(1.0, [1.0], [[1.0, 0.0]])
    # KL((1,0) ‖ (¼,¾)) = log 4, and KL((1,0) ‖ (1,0)) = 0 although 0 log(0/0) stands in it.
    np.testing.assert_allclose(prior.regularizer(jnp.array([[0.25, 0.75]])), -math.log(4), rtol=1e-6)
    assert prior.regularizer(jnp.array([[1.0, 0.0]])) == 0


def test_a_wanted_action_never_taken_costs_infinitely_much_unless_its_state_has_no_weight():
    policy = [[0.5, 0.5], [0.5, 0.5]]
    pi = jnp.array([[1.0, 0.0], [0.5, 0.5]])
    assert a3cjax.Prior(1.0, [0.5, 0.5], policy).regularizer(pi) == -jnp.inf
    assert a3cjax.Prior(1.0, [0.0, 1.0], policy).regularizer(pi) == 0


def test_laws_off_by_more_than_rounding_are_divided_by_their_sums():
    prior = a3cjax.Prior(1.0, [0.500009, 0.5], [[0.25, 0.750009], [0.5, 0.5]])
    np.testing.assert_allclose(prior.states, np.array([0.500009, 0.5]) / 1.000009, rtol=1e-7)
    np.testing.assert_allclose(prior.policy[0], np.array([0.25, 0.750009]) / 1.000009, rtol=1e-7)
    assert prior.policy[1].tolist() == [0.5, 0.5]
    # A divergence is not negative: with the row as given, KL(π_p ‖ π_p/Σ) would be −9e-6 off.
    assert float(prior.regularizer(prior.policy)) == 0


def test_uniform_prior_is_equation_23():
    weight, pi = 0.7, np.random.default_rng(0).dirichlet(np.ones(4), size=3)
    prior = a3cjax.Prior.uniform(weight, 3, 4)
    # λR = λ/(SA) Σ log π(a|s) + λ log A
    expected = weight / 12 * np.log(pi).sum() + weight * math.log(4)
    np.testing.assert_allclose(prior.weight * prior.regularizer(jnp.asarray(pi)), expected, rtol=1e-5)


def test_priors_are_pytrees_and_build_under_vmap():
    priors = jax.vmap(lambda weight: a3cjax.Prior.uniform(weight, 2, 2))(jnp.array([0.0, 0.5]))
    assert priors.weight.shape == (2,)
    assert priors.policy.shape == (2, 2, 2)


@pytest.mark.parametrize(
    ("weight", "states", "policy", "sentence"),
    [
        (-0.1, [1.0], [[0.5, 0.5]], r"weight is -0\.1, but must be at least 0"),
        (np.inf, [1.0], [[0.5, 0.5]], r"weight is inf"),
        ([[0.1, 0.2]], [1.0], [[0.5, 0.5]], r"weight has shape \(1, 2\), but must be one number, or one per run"),
        (0.1, [0.5, 0.4], [[0.5, 0.5], [0.5, 0.5]], r"states sums to 0\.9, not 1; divide it by its sum"),
        (0.1, [1.5, -0.5], [[0.5, 0.5], [0.5, 0.5]], r"states\[1\] is -0\.5"),
        (0.1, [1.0], [[0.5, 0.6]], r"policy\[0\] sums to 1\.1, not 1"),
        (0.1, [1.0], [[0.5, np.nan]], r"policy\[0, 1\] is nan"),
        (0.1, [0.5, 0.5], [[0.5, 0.5]], r"policy has shape \(1, 2\), but must have shape \(2, any\)"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(weight, states, policy, sentence):
    with pytest.raises(ValueError, match=sentence):
        a3cjax.Prior(weight, states, policy)


def test_uniform_refuses_an_empty_problem():
    with pytest.raises(ValueError, match=r"num_actions is 0, but must be at least 1"):
        a3cjax.Prior.uniform(0.1, 3, 0)
