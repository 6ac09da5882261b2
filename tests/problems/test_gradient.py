import jax
import jax.numpy as jnp
import numpy as np
import pytest

import a3cjax
from a3cjax import exact, families


class Softmax:
    def probabilities(self, theta):
        return jax.nn.softmax(theta)


class Linear:
    """Logits linear in a dictionary of parameters."""

    def __init__(self, states, actions):
        rng = np.random.default_rng(0)
        self.maps = {"a": rng.normal(size=(states, actions, 2)), "b": rng.normal(size=(states, actions, 3))}

    def probabilities(self, theta):
        return jax.nn.softmax(sum(jnp.asarray(self.maps[name]) @ theta[name] for name in theta))


def random_prior(weight, states, actions):
    rng = np.random.default_rng(1)
    return a3cjax.Prior(weight, rng.dirichlet(np.ones(states)), rng.dirichlet(np.ones(actions), size=states))


def test_a_bandit_by_hand():
    # One state, γ = 0: J = Σ π_a r_a and ∂J/∂θ_a = π_a (r_a − J).
    # With θ = (log 3, 0): π = (¾, ¼) and J = ¾ · 1 + ¼ · 5 = 2.
    mdp = a3cjax.FiniteMDP(np.ones((1, 2, 1)), [[1.0, 5.0]], [1.0], 0.0, [[1.0]])
    theta = jnp.array([[np.log(3.0), 0.0]])
    np.testing.assert_allclose(exact.policy_gradient(mdp, Softmax(), theta), [[-0.75, 0.75]], rtol=1e-5)
    # The prior adds λ (π_p − π) = 0.4 · (½ − ¾, ½ − ¼).
    prior = a3cjax.Prior.uniform(0.4, 1, 2)
    np.testing.assert_allclose(exact.policy_gradient(mdp, Softmax(), theta, prior), [[-0.85, 0.85]], rtol=1e-5)


def test_the_priors_term_alone():
    # All rewards equal, so ∇J = 0 and ∇J_λ = λ η_p(s) (π_p(a|s) − π(a|s)) for a tabular softmax.
    mdp = families.ring(4)
    mdp = a3cjax.FiniteMDP(mdp.transition, np.ones((4, 2)), mdp.initial, mdp.discount, mdp.features)
    theta, prior = jnp.asarray(np.random.default_rng(2).normal(size=(4, 2))), random_prior(0.3, 4, 2)
    expected = 0.3 * prior.states[:, None] * (prior.policy - jax.nn.softmax(theta))
    np.testing.assert_allclose(exact.policy_gradient(mdp, Softmax(), theta, prior), expected, atol=1e-6)


@pytest.mark.parametrize("reward_on", ["action", "transition"])
@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_finite_differences_and_automatic_differentiation(x64, reward_on, weight, random_mdp):
    mdp = random_mdp(0, reward_on=reward_on, initial=np.eye(7)[0])
    theta, prior = jnp.asarray(np.random.default_rng(3).normal(size=(7, 3))), random_prior(weight, 7, 3)

    @jax.jit
    def objective(theta):
        return exact.objective(mdp, jax.nn.softmax(theta), prior)

    found = exact.policy_gradient(mdp, Softmax(), theta, prior)
    step, differences = 1e-5, np.zeros((7, 3))
    for where in np.ndindex(7, 3):
        bump = jnp.zeros((7, 3)).at[where].set(step)
        differences[where] = (objective(theta + bump) - objective(theta - bump)) / (2 * step)
    np.testing.assert_allclose(found, differences, atol=1e-9)  # error O(step²) and O(1e−16/step)
    np.testing.assert_allclose(found, jax.grad(objective)(theta), atol=1e-13)


def test_parameters_may_be_a_pytree(x64, random_mdp):
    mdp, policy, prior = random_mdp(1), Linear(7, 3), random_prior(0.2, 7, 3)
    theta = {"a": jnp.array([0.5, -1.0]), "b": jnp.array([0.1, 0.2, 0.3])}
    found = exact.policy_gradient(mdp, policy, theta, prior)
    expected = jax.jit(jax.grad(lambda t: exact.objective(mdp, policy.probabilities(t), prior)))(theta)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-13), found, expected)


def test_the_gradient_of_a_shift_of_the_logits_is_zero(random_mdp):
    mdp = random_mdp(2, branching=2)
    theta = jnp.asarray(np.random.default_rng(4).normal(size=(7, 3)))
    np.testing.assert_allclose(exact.policy_gradient(mdp, Softmax(), theta).sum(1), 0, atol=1e-6)


def test_saturated_policies_have_a_finite_gradient():
    # Logits 2000 apart: one probability underflows to zero, and so does its part of the gradient.
    mdp = families.ring(3)
    theta = jnp.array([[2000.0, 0.0]] * 3)
    np.testing.assert_array_equal(exact.policy_gradient(mdp, Softmax(), theta), np.zeros((3, 2)))
    # A prior that wants only the action that is taken agrees with the policy and adds nothing.
    prior = a3cjax.Prior(0.5, np.full(3, 1 / 3), [[1.0, 0.0]] * 3)
    np.testing.assert_allclose(exact.policy_gradient(mdp, Softmax(), theta, prior), np.zeros((3, 2)), atol=1e-7)


def test_vmap_over_parameters_equals_a_loop(random_mdp):
    mdp, prior = random_mdp(3), random_prior(0.1, 7, 3)
    thetas = jnp.asarray(np.random.default_rng(5).normal(size=(4, 7, 3)))

    def gradient(theta):
        return exact.policy_gradient(mdp, Softmax(), theta, prior)

    batch = jax.jit(jax.vmap(gradient))(thetas)
    np.testing.assert_allclose(batch, jnp.stack([gradient(theta) for theta in thetas]), atol=1e-6)


def test_an_evaluation_gives_the_same_gradient(random_mdp):
    mdp, prior = random_mdp(4), random_prior(0.1, 7, 3)
    theta = jnp.asarray(np.random.default_rng(6).normal(size=(7, 3)))
    found = exact.evaluate(mdp, jax.nn.softmax(theta), prior).policy_gradient(Softmax(), theta)
    np.testing.assert_array_equal(found, exact.policy_gradient(mdp, Softmax(), theta, prior))
