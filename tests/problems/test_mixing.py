"""Laws and values by walking, against NumPy's solves in double precision; and which chains are walked at all."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import a3cjax
from a3cjax import exact, families
from a3cjax.problems import mixing


def dense(seed=0, states=30, *, blend=0.0, initial=None):
    """Rows between a common law and random ones, which is a chain that mixes at a rate of about 1 − blend."""
    rng = np.random.default_rng(seed)
    rows, common = rng.random((states, states)) ** 2, rng.random(states)
    rows /= rows.sum(1, keepdims=True)
    kernel = blend * common / common.sum() + (1 - blend) * rows
    point = np.eye(states)[3] if initial == "point" else np.full(states, 1 / states)
    return kernel, point, rng.random(states)


def solved(kernel, initial, reward, discount):
    """μ, d and V from dense solves in double precision, of the chain whose rows sum to one in it."""
    kernel, initial, reward = (np.asarray(x, np.float64) for x in (kernel, initial, reward))
    kernel = kernel / kernel.sum(1, keepdims=True)
    identity, size = np.eye(len(kernel)), len(kernel)
    stationary = np.linalg.lstsq(
        np.vstack([kernel.T - identity, np.ones(size)]), np.append(np.zeros(size), 1.0), rcond=None
    )[0]
    visitation = np.linalg.solve((identity - discount * kernel).T, (1 - discount) * initial)
    return stationary, visitation, np.linalg.solve(identity - discount * kernel, reward)


def as_mdp(kernel, initial, reward, discount):
    """A chain as an MDP of one action, so that its only policy is the chain."""
    return a3cjax.FiniteMDP(kernel[:, None, :], reward[:, None], initial, discount, np.eye(len(kernel)))


def only_policy(mdp):
    return jnp.ones((mdp.num_states, 1))


@pytest.mark.parametrize("initial", ["uniform", "point"])
@pytest.mark.parametrize("discount", [0.0, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("blend", [0.1, 0.6, 1.0])
def test_a_walk_finds_what_a_solve_in_double_precision_finds(blend, discount, initial, x32):
    kernel, start, reward = dense(blend=blend, initial=initial)
    mdp = as_mdp(kernel, start, reward, discount)
    gamma = float(mdp.discount)  # as float32 has it
    found = exact.evaluate(mdp, only_policy(mdp))
    known = mixing.mixing(found.kernel)
    assert known.fast
    stationary, visitation, values = solved(found.kernel, mdp.initial, found.reward, gamma)
    laws = mixing.walked_laws(found.kernel, mdp.initial, mdp.discount, known)
    level, relative = mixing.walked_values(found.kernel, found.reward, mdp.discount, known)
    assert laws.even
    rounding = float(np.finfo(np.float32).eps)
    # Every entry of μ to eight roundings of its own size, d to as many of its largest; h = V − V(s*) is compared
    # without its level, which is (1 − γ)⁻¹ times as large.
    np.testing.assert_allclose(laws.stationary, stationary, rtol=8 * rounding)
    np.testing.assert_allclose(laws.visitation, visitation, atol=8 * rounding * visitation.max())
    differences = values - values[int(jnp.argmin(jnp.abs(relative)))]
    np.testing.assert_allclose(relative, differences, atol=8 * rounding * np.abs(differences).max())
    np.testing.assert_allclose((1 - mdp.discount) * level, (1 - gamma) * (values - differences)[0], rtol=1e-6)
    # What the oracles say is the walk's, compiled in another program.
    np.testing.assert_allclose(found.stationary, laws.stationary, rtol=2 * rounding)
    np.testing.assert_allclose(found.visitation, laws.visitation, rtol=2 * rounding)


@pytest.mark.parametrize("seed", range(3))
def test_the_bound_is_above_dobrushins_coefficient(seed):
    kernel, *_ = dense(seed, 12)
    pairs = np.abs(kernel[:, None] - kernel[None, :]).sum(-1).max() / 2
    found = float(mixing.mixing(jnp.asarray(kernel)).contraction)
    assert pairs * (1 - 1e-6) <= found <= 2 * pairs


def test_a_walk_is_as_exact_as_double_precision_allows(x64):
    kernel, start, reward = dense(1, blend=0.2, initial="point")
    mdp = as_mdp(kernel, start, reward, 0.99)
    found = exact.evaluate(mdp, only_policy(mdp))
    assert mixing.mixing(found.kernel).fast
    stationary, visitation, values = solved(kernel, start, reward, 0.99)
    np.testing.assert_allclose(found.stationary, stationary, rtol=1e-13)
    np.testing.assert_allclose(found.visitation, visitation, rtol=1e-13)
    np.testing.assert_allclose(found.values, values, rtol=1e-13)
    np.testing.assert_allclose(found.objective, visitation @ reward, rtol=1e-14)


@pytest.mark.parametrize("make", [lambda: families.ring(20), lambda: families.lazy(families.ring(20), 0.97)])
def test_slow_chains_are_not_walked(make):
    mdp = make()
    found = exact.evaluate(mdp, jnp.full((mdp.num_states, mdp.num_actions), 1 / mdp.num_actions))
    known = mixing.mixing(found.kernel)
    assert not known.fast
    # What a batch makes of it all the same: no step, and no end that is never reached.
    laws = jax.vmap(lambda kernel: mixing.walked_laws(kernel, mdp.initial, mdp.discount, known))(found.kernel[None])
    assert laws.visitation.shape == (1, mdp.num_states)


def test_a_state_entered_from_one_other_alone_is_left_to_the_elimination():
    # Fast, but of μ(1) = μ(0) P(1|0) ~ 1e-9 a walk's rounding would leave nothing: column 1 is not even.
    tiny = 1e-9
    kernel = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [tiny, 0.0, 1 - tiny]])
    mdp = as_mdp(0.15 * kernel + 0.85 * np.array([0.0, 0.0, 1.0]), np.ones(3) / 3, np.arange(3.0), 0.9)
    found = exact.evaluate(mdp, only_policy(mdp))
    known = mixing.mixing(found.kernel)
    assert known.fast
    assert not mixing.walked_laws(found.kernel, mdp.initial, mdp.discount, known).even
    # Balance: μ(0) = .15 (μ(1)/2 + tiny μ(2)), μ(1) = .075 μ(0).
    first = 0.15 * tiny / (1 - 0.075**2)
    np.testing.assert_allclose(found.stationary, [first, 0.075 * first, 1], rtol=3e-6)


def test_a_transient_state_has_no_share_at_all():
    kernel = np.array([[0.1, 0.4, 0.5], [0.0, 0.5, 0.5], [0.0, 0.25, 0.75]])
    mdp = as_mdp(kernel, np.array([1.0, 0.0, 0.0]), np.arange(3.0), 0.9)
    assert exact.stationary_distribution(mdp, only_policy(mdp))[0] == 0


def test_fast_and_slow_chains_in_one_batch_are_what_each_is_alone():
    kernels = [dense(0, 12, blend=0.5)[0], np.roll(np.eye(12), 1, axis=1), dense(1, 12, blend=0.3)[0]]
    problems = [as_mdp(kernel, np.full(12, 1 / 12), np.arange(12.0), 0.9) for kernel in kernels]
    names = ("stationary", "visitation", "values", "advantage", "objective", "critic_optimum")

    def everything(mdp):
        found = exact.evaluate(mdp, only_policy(mdp))
        return {name: getattr(found, name) for name in names}

    assert [bool(mixing.mixing(jnp.asarray(kernel)).fast) for kernel in kernels] == [True, False, True]
    twice = jax.jit(jax.vmap(jax.vmap(everything)))(jax.tree.map(lambda *leaves: jnp.stack(leaves)[None], *problems))
    for i, mdp in enumerate(problems):
        for name, alone in jax.jit(everything)(mdp).items():
            np.testing.assert_allclose(twice[name][0, i], alone, rtol=1e-5, atol=1e-6, err_msg=name)


def test_derivatives_pass_through_a_walk(x64):
    mdp = families.synthetic(jax.random.key(0), 8, 3, 4)
    theta = jax.random.normal(jax.random.key(1), (8, 3))

    @jax.jit
    @jax.value_and_grad
    def number(theta):
        found = exact.evaluate(mdp, jax.nn.softmax(theta))
        squares = [(x**2).sum() for x in (found.stationary, found.advantage, found.critic_optimum)]
        return found.objective + sum(squares)

    assert mixing.mixing(exact.evaluate(mdp, jax.nn.softmax(theta)).kernel).fast
    way = jax.random.normal(jax.random.key(2), theta.shape)
    expected = (number(theta + 1e-5 * way)[0] - number(theta - 1e-5 * way)[0]) / 2e-5
    np.testing.assert_allclose((number(theta)[1] * way).sum(), expected, rtol=1e-7)
