"""The long-run law on chains where power iteration, or a linear solve, would fail; and Dobrushin's coefficient."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import a3cjax
from a3cjax import exact, families
from a3cjax.problems.chains import long_run_law


def law(kernel, initial=None):
    size = len(kernel)
    initial = np.full(size, 1 / size) if initial is None else initial
    return np.asarray(long_run_law(jnp.asarray(kernel, float), jnp.asarray(initial, float)), dtype=np.float64)


def cesaro(kernel, initial, doublings=40):
    """(1/T) Σ_{t<T} η Pᵗ with T = 2^doublings, in double precision: within a few mixing times over T of the limit."""
    average, power = np.eye(len(kernel)), np.asarray(kernel, np.float64)
    for _ in range(doublings):
        average = (average + power @ average) / 2
        power = power @ power
        power /= power.sum(1, keepdims=True)
    return np.asarray(initial, np.float64) @ average


@pytest.mark.parametrize(("a", "b"), [(0.3, 0.1), (1.0, 1.0), (1e-7, 3e-7), (1e-20, 1e-30), (0.5, 1e-35)])
def test_two_states(a, b):
    # Balance: μ0 a = μ1 b. The diagonal, which rounds to one for small a and b, must not matter.
    np.testing.assert_allclose(law([[1 - a, a], [b, 1 - b]]), [b / (a + b), a / (a + b)], rtol=1e-6)


@pytest.mark.parametrize("coupling", [1e-2, 1e-6, 1e-15])
def test_nearly_decomposable_chain(coupling):
    # Two blocks, uniform inside. Mass flows ε one way and 3ε the other, so the blocks hold 3/4 and 1/4.
    size = 20
    kernel = np.zeros((2 * size, 2 * size))
    kernel[:size, :size], kernel[:size, size:] = (1 - coupling) / size, coupling / size
    kernel[size:, size:], kernel[size:, :size] = (1 - 3 * coupling) / size, 3 * coupling / size
    np.testing.assert_allclose(law(kernel), np.repeat([0.75, 0.25], size) / size, rtol=3e-6)


@pytest.mark.parametrize("backwards", [False, True])
def test_a_law_that_spans_more_than_the_range_of_floats(backwards):
    # A walk on 0..119, up with 0.9 and down with 0.1: detailed balance gives μ_n ∝ 9ⁿ, 114 decades in all.
    size = 120
    kernel = 0.9 * np.eye(size, k=1) + 0.1 * np.eye(size, k=-1)
    kernel[0, 0], kernel[-1, -1] = 0.1, 0.9
    exponent = np.arange(size) - (size - 1.0)
    if backwards:
        kernel, exponent = kernel[::-1, ::-1], exponent[::-1]
    expected = 8 / 9 * 9.0**exponent
    found = law(kernel)
    # Relative accuracy ends some way above the smallest normal float, 1.2e−38: products on the way there underflow.
    large = expected > 1e-32
    np.testing.assert_allclose(found[large], expected[large], rtol=1e-5)
    assert (found[~large] <= 1.1 * expected[~large] + 1e-37).all()


def test_two_deep_wells_share_the_mass():
    # Two arms of 20 states leave a common root, each drifting outward by 3 to 1: equal halves at the two far ends,
    # with a passage of probability 3⁻²⁰ = 3e−10 between them.
    arm = 20
    kernel = np.zeros((2 * arm + 1, 2 * arm + 1))
    for first in (1, 1 + arm):
        path = [0, *range(first, first + arm)]
        for here, there in itertools.pairwise(path):
            kernel[here, there], kernel[there, here] = 0.75, 0.25
        kernel[path[-1], path[-1]] = 0.75
    kernel[0] /= kernel[0].sum()
    found = law(kernel, np.eye(2 * arm + 1)[arm])  # started in one well
    np.testing.assert_allclose(found[1 : arm + 1], found[arm + 1 :], rtol=1e-5)
    # Detailed balance: ½ μ_0 = ¼ μ_1, then ¾ μ_k = ¼ μ_{k+1}.
    balance = np.array([1.0, *(2 * 3.0 ** np.arange(arm))])
    np.testing.assert_allclose(found[: arm + 1], balance / (2 * balance[1:].sum() + 1), rtol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_a_cycle_is_uniform_although_it_is_periodic(size):
    found = law(np.roll(np.eye(size), 1, axis=1), np.eye(size)[0])
    np.testing.assert_allclose(found, 1 / size, rtol=1e-5)


def test_transient_states_get_exactly_zero():
    # 0 → {1, 2}, 1 → 2, and {2, 3} is a class with μ_2 · 0.5 = μ_3 · 1.
    kernel = [[0.2, 0.4, 0.4, 0], [0, 0.5, 0.5, 0], [0, 0, 0.5, 0.5], [0, 0, 1, 0]]
    found = law(kernel, [1, 0, 0, 0])
    assert found[:2].tolist() == [0, 0]
    np.testing.assert_allclose(found[2:], [2 / 3, 1 / 3], rtol=1e-6)


def test_two_periodic_classes_weighted_by_absorption():
    # From 0: stay 0.1, into the 2-cycle {1, 2} with 0.3, into the 3-cycle {3, 4, 5} with 0.6; so 1/3 and 2/3 of what
    # starts at 0. With 0.4 at 0 and 0.6 at 1 the classes hold 0.6 + 0.4/3 and 0.8/3.
    kernel = np.zeros((6, 6))
    kernel[0, [0, 1, 3]] = [0.1, 0.3, 0.6]
    kernel[[1, 2, 3, 4, 5], [2, 1, 4, 5, 3]] = 1
    found = law(kernel, [0.4, 0.6, 0, 0, 0, 0])
    np.testing.assert_allclose(found, [0, *[(0.6 + 0.4 / 3) / 2] * 2, *[0.8 / 9] * 3], rtol=1e-6)


@pytest.mark.parametrize("up", [0.5, 0.4])
def test_gamblers_ruin(up):
    # From i of n, the top is reached first with probability i/n, or (1 − ρⁱ)/(1 − ρⁿ) with ρ = down/up.
    top, start = 12, 5
    kernel = up * np.eye(top + 1, k=1) + (1 - up) * np.eye(top + 1, k=-1)
    kernel[[0, -1]] = np.eye(top + 1)[[0, -1]]
    ratio = (1 - up) / up
    wins = start / top if up == 0.5 else (1 - ratio**start) / (1 - ratio**top)
    found = law(kernel, np.eye(top + 1)[start])
    np.testing.assert_allclose(found[[0, -1]], [1 - wins, wins], rtol=1e-5)
    assert (found[1:-1] == 0).all()


def test_the_identity_keeps_the_initial_law():
    initial = [0.1, 0.2, 0.7]
    np.testing.assert_allclose(law(np.eye(3), initial), initial, rtol=1e-6)


@pytest.mark.parametrize("branching", [1, 2, 3])
def test_random_sparse_chains_against_averaged_powers(branching):
    # With one branch almost every chain is reducible and periodic; with three, few are.
    rng = np.random.default_rng(branching)
    kernels, initial = rng.random((40, 12, 12)), rng.dirichlet(np.ones(12))
    kernels *= kernels >= np.sort(kernels, axis=-1)[..., -branching, None]
    kernels /= kernels.sum(-1, keepdims=True)
    found = np.asarray(jax.vmap(long_run_law, (0, None))(jnp.asarray(kernels), jnp.asarray(initial)))
    for kernel, answer in zip(kernels, found, strict=True):
        np.testing.assert_allclose(answer, cesaro(kernel, initial), rtol=1e-4, atol=1e-7)


def test_double_precision_is_used_where_it_is_on(x64, random_mdp):
    mdp = random_mdp(3, branching=2)
    pi = jnp.full((7, 3), 1 / 3)
    found = exact.stationary_distribution(mdp, pi)
    kernel = np.einsum("sa,sat->st", pi, mdp.transition)
    assert found.dtype == jnp.float64
    np.testing.assert_allclose(found @ kernel, found, rtol=1e-12, atol=1e-16)


def test_laziness_does_not_move_the_law_in_single_precision(random_mdp):
    mdp = random_mdp(0)
    pi = jnp.full((7, 3), 1 / 3)
    fast = exact.stationary_distribution(mdp, pi)
    slow = exact.stationary_distribution(families.lazy(mdp, 0.999), pi)
    # Forming the lazy kernel rounds its off-diagonal entries once more; nothing is amplified by the slow mixing.
    np.testing.assert_allclose(slow, fast, rtol=3e-6)


@pytest.mark.parametrize("slip", [0.0, 1e-6, 0.3])
def test_a_ring_under_one_rule_everywhere_is_uniform(slip):
    mdp = families.ring(30, slip=slip)
    for right in (0.0, 1e-6, 0.5, 1.0):
        pi = jnp.tile(jnp.array([1 - right, right]), (30, 1))
        np.testing.assert_allclose(exact.stationary_distribution(mdp, pi), 1 / 30, rtol=1e-5)


def test_the_law_of_simulated_chains(random_case):
    # 100 000 independent chains, observed after 40 steps: bias at most c⁴⁰, and per state a deviation of at most
    # √(μ(1−μ)/n) ≤ 0.0016.
    rng, n = np.random.default_rng(0), 100_000
    mdp, pi = random_case(5)
    assert exact.dobrushin(mdp) ** 40 < 1e-4
    cumulative = np.cumsum(np.einsum("sa,sat->st", pi, np.asarray(mdp.transition, np.float64)), axis=1)
    state = np.zeros(n, int)
    for _ in range(40):
        state = np.minimum((rng.random(n)[:, None] > cumulative[state]).sum(1), 6)
    frequency = np.bincount(state, minlength=7) / n
    assert np.abs(frequency - exact.stationary_distribution(mdp, pi)).max() < 5 * 0.0016 + 1e-4


def test_vmap_equals_a_loop_and_jit_equals_eager(random_mdp):
    mdp = random_mdp(1, branching=2)
    policies = jnp.asarray(np.random.default_rng(0).dirichlet(np.ones(3), size=(4, 7)))
    batch = jax.jit(jax.vmap(exact.stationary_distribution, (None, 0)))(mdp, policies)
    loop = jnp.stack([exact.stationary_distribution(mdp, pi) for pi in policies])
    np.testing.assert_allclose(batch, loop, rtol=2e-6, atol=1e-9)


@pytest.mark.parametrize("size", [2, 4])
def test_nan_is_passed_on(size):
    one_row = jnp.full((size, 2), 0.5).at[0].set(jnp.nan)
    assert jnp.isnan(jax.jit(exact.stationary_distribution)(families.ring(size), one_row)).all()


def test_dobrushin_by_hand():
    # Rows (0.9, 0.1) and (0.4, 0.6) differ by 0.5 in total variation.
    mdp = a3cjax.FiniteMDP([[[0.9, 0.1]], [[0.4, 0.6]]], np.zeros((2, 1)), [0.5, 0.5], 0.9, np.eye(2))
    np.testing.assert_allclose(exact.dobrushin(mdp), 0.5, rtol=1e-6)


def test_dobrushin_by_brute_force(random_mdp):
    mdp = random_mdp(2)
    rows = np.asarray(mdp.transition, np.float64).reshape(-1, 7)
    expected = max(np.abs(p - q).sum() / 2 for p in rows for q in rows)
    np.testing.assert_allclose(exact.dobrushin(mdp), expected, rtol=1e-6)


def test_dobrushin_of_rows_that_agree_and_of_rows_that_are_disjoint():
    same = a3cjax.FiniteMDP(np.full((3, 2, 3), 1 / 3), np.zeros((3, 2)), [1, 0, 0], 0.9, np.eye(3))
    assert exact.dobrushin(same) == 0
    assert exact.dobrushin(families.ring(6)) == 1
    # Half the mass of disjoint rows stays: |½δ_s + ½δ_{s+1} − ½δ_t − ½δ_{t+1}| is still 1 for far apart s and t.
    np.testing.assert_allclose(exact.dobrushin(families.lazy(families.ring(6), 0.5)), 1, rtol=1e-6)
