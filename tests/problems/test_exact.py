"""Oracles of one policy: values, visitation, objective and critic. The gradient has a file of its own."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import a3cjax
from a3cjax import exact, families


def cycle(rewards, discount, features=None, initial=None):
    """States 0 → 1 → ... → 0 with a single action: everything about it is a geometric series."""
    size = len(rewards)
    return a3cjax.FiniteMDP(
        transition=np.roll(np.eye(size), 1, axis=1)[:, None, :],
        reward=np.asarray(rewards, float)[:, None],
        initial=np.eye(size)[0] if initial is None else initial,
        discount=discount,
        features=np.eye(size) if features is None else features,
    )


def test_a_deterministic_cycle_by_hand():
    # From state i the rewards are r_i, r_{i+1}, ... with period 3: V_i = (r_i + γ r_{i+1} + γ² r_{i+2}) / (1 − γ³).
    mdp, only = cycle([1, 2, 4], 0.5), np.ones((3, 1))
    values = np.array([1 + 1 + 1, 2 + 2 + 0.25, 4 + 0.5 + 0.5]) / 0.875
    np.testing.assert_allclose(exact.state_values(mdp, only), values, rtol=1e-6)
    np.testing.assert_allclose(exact.action_values(mdp, only)[:, 0], values, rtol=1e-6)
    # Started at 0, state i is visited at times i, i + 3, ...: d_i = (1 − γ) γⁱ / (1 − γ³).
    np.testing.assert_allclose(exact.discounted_visitation(mdp, only), [4 / 7, 2 / 7, 1 / 7], rtol=1e-6)
    np.testing.assert_allclose(exact.objective(mdp, only), 0.5 * 3 / 0.875, rtol=1e-6)
    np.testing.assert_allclose(exact.stationary_distribution(mdp, only), [1 / 3] * 3, rtol=1e-6)


def test_a_constant_feature_learns_the_mean_value():
    # φ = 1: A_θ = γ − 1, b_θ = E_μ r = 1/2, so ω* = 1 = E_μ V. V = (4/3, 2/3), off by 1/3 everywhere.
    mdp, only = cycle([1, 0], 0.5, features=np.ones((2, 1))), np.ones((2, 1))
    matrix, right = exact.critic_system(mdp, only)
    np.testing.assert_allclose(matrix, [[-0.5]], rtol=1e-6)
    np.testing.assert_allclose(right, [0.5], rtol=1e-6)
    np.testing.assert_allclose(exact.critic_optimum(mdp, only), [1], rtol=1e-6)
    np.testing.assert_allclose(exact.approximation_error(mdp, only), [1 / 3, 1 / 3], rtol=1e-6)


def test_the_approximation_error_under_either_law():
    # As above with three states: ω* = E_μ V, so the first error is the deviation of V under the uniform law.
    mdp, only = cycle([1, 2, 4], 0.5, features=np.ones((3, 1))), np.ones((3, 1))
    values = np.array([3, 4.25, 5]) / 0.875
    discounted = np.sqrt(np.array([4, 2, 1]) / 7 @ (values - values.mean()) ** 2)
    np.testing.assert_allclose(exact.approximation_error(mdp, only), [values.std(), discounted], rtol=1e-5)


@pytest.mark.parametrize("reward_on", ["action", "transition"])
def test_values_solve_the_bellman_equation(reward_on, random_case):
    mdp, pi = random_case(reward_on=reward_on)
    values = np.asarray(exact.state_values(mdp, pi), np.float64)
    for s in range(7):
        backup = sum(
            pi[s, a] * mdp.transition[s, a, t] * (mdp.reward_at(s, a, t) + 0.9 * values[t])
            for a in range(3)
            for t in range(7)
        )
        np.testing.assert_allclose(values[s], backup, rtol=1e-5)
    np.testing.assert_allclose((pi * exact.action_values(mdp, pi)).sum(1), values, rtol=1e-5)


def test_the_critic_system_is_the_mean_of_its_definition(random_case):
    mdp, pi = random_case(3, reward_on="transition")
    mu, phi = np.asarray(exact.stationary_distribution(mdp, pi)), np.asarray(mdp.features)
    matrix, right = np.zeros((4, 4)), np.zeros(4)
    for s, a, t in np.ndindex(7, 3, 7):
        weight = float(mu[s] * pi[s, a] * mdp.transition[s, a, t])
        matrix += weight * np.outer(phi[s], 0.9 * phi[t] - phi[s])
        right += weight * float(mdp.reward[s, a, t]) * phi[s]
    found = exact.critic_system(mdp, pi)
    np.testing.assert_allclose(found[0], matrix, atol=1e-6)
    np.testing.assert_allclose(found[1], right, atol=1e-6)


def test_the_mean_update_vanishes_at_the_critic_optimum(x64, random_case):
    mdp, pi = random_case(4)
    matrix, right = exact.critic_system(mdp, pi)
    np.testing.assert_allclose(right + matrix @ exact.critic_optimum(mdp, pi), 0, atol=1e-12)


def test_tabular_features_represent_the_values(random_mdp):
    mdp = random_mdp(2, branching=2, discount=0.95)
    mdp = a3cjax.FiniteMDP(mdp.transition, mdp.reward, mdp.initial, mdp.discount, np.eye(7))
    pi = np.random.default_rng(0).dirichlet(np.ones(3), size=7)
    visited = np.asarray(exact.stationary_distribution(mdp, pi)) > 0
    omega, values = exact.critic_optimum(mdp, pi), exact.state_values(mdp, pi)
    np.testing.assert_allclose(omega[visited], values[visited], rtol=1e-4)
    assert exact.approximation_error(mdp, pi)[0] < 1e-4


def test_square_features_of_full_rank_leave_no_error(x64, random_case):
    mdp, pi = random_case(5, features=7)
    np.testing.assert_allclose(exact.approximation_error(mdp, pi), 0, atol=1e-9)


def test_a_state_left_for_ever_keeps_the_weight_zero():
    # 0 → 1 → 1: state 0 is transient, and V_1 = 1 / (1 − γ) = 2.
    mdp = a3cjax.FiniteMDP([[[0.0, 1.0]], [[0.0, 1.0]]], [[5.0], [1.0]], [1.0, 0.0], 0.5, np.eye(2))
    np.testing.assert_allclose(exact.critic_optimum(mdp, np.ones((2, 1))), [0, 2], rtol=1e-6)


def least_norm_optimum(mdp, pi):
    """−A⁺b in double precision, with Moore and Penrose's inverse by singular values."""
    transition, phi = (np.asarray(x, np.float64) for x in (mdp.transition, mdp.features))
    kernel = np.einsum("sa,sat->st", pi, transition / transition.sum(-1, keepdims=True))
    size, discount = len(kernel), float(mdp.discount)
    balance = np.vstack([kernel.T - np.eye(size), np.ones(size)])
    mu = np.linalg.lstsq(balance, np.eye(size + 1)[-1], rcond=None)[0]
    matrix = phi.T @ (mu[:, None] * (discount * kernel @ phi - phi))
    return -np.linalg.pinv(matrix, rcond=1e-7) @ phi.T @ (mu * (pi * np.asarray(mdp.expected_reward())).sum(1))


def with_features(mdp, phi):
    return a3cjax.FiniteMDP(mdp.transition, mdp.reward, mdp.initial, mdp.discount, phi)


@pytest.mark.parametrize("count", [8, 12])
def test_more_features_than_states_have_the_optimum_of_least_norm(count, random_case):
    mdp, pi = random_case(6, features=count)
    np.testing.assert_allclose(exact.critic_optimum(mdp, pi), least_norm_optimum(mdp, pi), rtol=2e-3, atol=1e-4)
    # Seven features or more represent V.
    assert exact.approximation_error(mdp, pi)[0] < 1e-4


@pytest.mark.parametrize("shrink", [1.0, 1e-2])
def test_a_feature_that_is_there_twice_shares_its_weight(shrink, random_case):
    # φω = φ(ω_1 + c ω_2) for a copy that is c times as large; the least norm has ω_2 = c ω_1.
    mdp, pi = random_case(6)
    one = exact.critic_optimum(with_features(mdp, mdp.features / 2), pi)
    both = with_features(mdp, jnp.concatenate([mdp.features, mdp.features[:, :1] * shrink], 1) / 2)
    expected = jnp.append(one, 0).at[jnp.array([0, 4])].set(one[0] * jnp.array([1, shrink]) / (1 + shrink**2))
    np.testing.assert_allclose(exact.critic_optimum(both, pi), expected, rtol=2e-3, atol=2e-3)


def test_td_reaches_the_optimum_of_dependent_features_from_zero(x64, random_case):
    # The mean update ω + β(b + Aω), from zero, with 8 features of 7 states.
    mdp, pi = random_case(6, features=8)
    matrix, right = (np.asarray(x) for x in exact.critic_system(mdp, pi))
    step = np.vstack([np.column_stack([np.eye(8) + matrix, right]), np.eye(9)[-1]])
    onward = np.linalg.matrix_power(step, 1 << 28)
    np.testing.assert_allclose(exact.critic_optimum(mdp, pi), onward[:8, 8], rtol=1e-5)


def test_small_features_are_not_taken_for_dependent_ones(random_case):
    # φ_0 scaled by 1e−4 scales ω*_0 by 1e4 and changes nothing else.
    mdp, pi = random_case(7)
    shrunk = a3cjax.FiniteMDP(
        mdp.transition, mdp.reward, mdp.initial, mdp.discount, mdp.features * jnp.array([1e-4, 1, 1, 1])
    )
    expected = exact.critic_optimum(mdp, pi) * jnp.array([1e4, 1, 1, 1])
    np.testing.assert_allclose(exact.critic_optimum(shrunk, pi), expected, rtol=1e-3)


def test_rarely_visited_states_are_weighed_correctly_in_single_precision():
    # State 1 is entered with probability 1e−20 and left at once: μ_1 = 1e−20. Tabular features give V all the same:
    # V_0 = 0 but for 1e−20, V_1 = 1.
    mdp = a3cjax.FiniteMDP([[[1.0, 1e-20]], [[1.0, 0.0]]], [[0.0], [1.0]], [1.0, 0.0], 0.5, np.eye(2))
    np.testing.assert_allclose(exact.critic_optimum(mdp, np.ones((2, 1))), [0, 1], atol=1e-6)


@pytest.mark.parametrize("discount", [0.0, 0.5, 0.95])
def test_visitation_is_the_stationary_law_of_the_restarting_chain(discount, random_case):
    initial = [0.7, 0.3, 0, 0, 0, 0, 0]
    mdp, pi = random_case(8, discount=discount, initial=initial)
    restarting = a3cjax.FiniteMDP(
        discount * mdp.transition + (1 - discount) * mdp.initial, mdp.reward, initial, discount, mdp.features
    )
    np.testing.assert_allclose(
        exact.discounted_visitation(mdp, pi), exact.stationary_distribution(restarting, pi), rtol=1e-5
    )


def test_visitation_is_the_law_of_a_chain_at_a_geometric_time(random_case):
    # 100 000 chains, each stopped at a time T with P(T = t) = (1−γ) γᵗ: a deviation of at most 0.0016 per state.
    rng, n = np.random.default_rng(1), 100_000
    mdp, pi = random_case(9, discount=0.8, initial=[1.0, 0, 0, 0, 0, 0, 0])
    cumulative = np.cumsum(np.einsum("sa,sat->st", pi, np.asarray(mdp.transition, np.float64)), axis=1)
    state, left = np.zeros(n, int), rng.geometric(0.2, n) - 1
    while (left > 0).any():
        moved = np.minimum((rng.random(n)[:, None] > cumulative[state]).sum(1), 6)
        state, left = np.where(left > 0, moved, state), left - 1
    frequency = np.bincount(state, minlength=7) / n
    assert np.abs(frequency - exact.discounted_visitation(mdp, pi)).max() < 5 * 0.0016


def test_visitation_is_a_law_also_where_nothing_is_visited():
    found = exact.discounted_visitation(families.gridworld(3, 4, slip=0.0), np.tile([0.0, 1, 0, 0], (12, 1)))
    np.testing.assert_allclose(found.sum(), 1, rtol=1e-6)
    assert (found >= 0).all()
    assert found[4:].max() == 0  # always right: the first row only


def test_the_objective_is_the_mean_reward_under_the_visitation(random_case):
    mdp, pi = random_case(10)
    reward = (pi * mdp.expected_reward()).sum(1)
    np.testing.assert_allclose(exact.objective(mdp, pi), exact.discounted_visitation(mdp, pi) @ reward, rtol=1e-5)


def test_the_regularised_objective_is_equation_23(random_case):
    mdp, pi = random_case(11)
    expected = exact.objective(mdp, pi) + 0.2 * (np.log(pi).mean() + np.log(3))
    np.testing.assert_allclose(exact.objective(mdp, pi, a3cjax.Prior.uniform(0.2, 7, 3)), expected, rtol=1e-5)


def test_without_a_future_the_value_is_the_reward(random_case):
    mdp, pi = random_case(12, discount=0.0)
    np.testing.assert_allclose(exact.state_values(mdp, pi), (pi * mdp.reward).sum(1), rtol=1e-6)
    np.testing.assert_allclose(exact.discounted_visitation(mdp, pi), mdp.initial, rtol=1e-6)


def plain(mdp, pi, discount):
    """V, J, d and Q of the laws p/Σp, in double precision, by two linear solves."""
    pi = pi / pi.sum(-1, keepdims=True)
    transition, initial = (np.asarray(x, np.float64) for x in (mdp.transition, mdp.initial))
    transition, initial = transition / transition.sum(-1, keepdims=True), initial / initial.sum()
    reward = np.asarray(mdp.expected_reward(), np.float64)
    system = np.eye(len(initial)) - discount * np.einsum("sa,sat->st", pi, transition)
    values = np.linalg.solve(system, (pi * reward).sum(1))
    visitation = (1 - discount) * np.linalg.solve(system.T, initial)
    return values, (1 - discount) * initial @ values, visitation, reward + discount * transition @ values


@pytest.mark.parametrize("discount", [0.9, 0.999, 0.9999, 0.99999])
@pytest.mark.parametrize("slow", [0.0, 0.95])
def test_digits_are_not_lost_as_the_discount_nears_one(discount, slow, random_mdp, x32):
    # A plain solve in single precision is off by 6e-8/(1−γ) times the size of what is solved for: at .99999 by a
    # hundredth. The discount that is kept is itself rounded, and the reference is made for that one.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mdp = families.lazy(random_mdp(20, states=30, discount=discount), slow)
    pi = np.random.default_rng(0).dirichlet(np.ones(3), size=30).astype(np.float32)
    values, objective, visitation, action_values = plain(mdp, pi.astype(np.float64), float(mdp.discount))
    found = exact.evaluate(mdp, pi)
    np.testing.assert_allclose(found.objective, objective, rtol=2e-6)
    np.testing.assert_allclose(found.values, values, rtol=2e-6)
    np.testing.assert_allclose(found.visitation, visitation, rtol=2e-5)
    np.testing.assert_allclose(found.action_values, action_values, rtol=2e-6)
    # What tells actions apart does not grow with 1/(1−γ), and nor does its error.
    advantage = action_values - values[:, None]
    np.testing.assert_allclose(found.advantage, advantage, atol=2e-5 * np.abs(advantage).max())
    np.testing.assert_allclose(exact.optimal_objective(mdp), plain(mdp, np.asarray(exact.optimal_policy(mdp)),
                               float(mdp.discount))[1], rtol=2e-6)  # fmt: skip


def test_small_values_keep_their_own_precision(x32):
    # 0 → 1 → … → 11 → 11, reward 1 at the end and γ = 0.1: V_i = 0.1^(11 − i) / 0.9, over eleven decades.
    kernel = np.eye(12, k=1)
    kernel[-1, -1] = 1
    mdp = a3cjax.FiniteMDP(kernel[:, None], np.eye(12)[-1][:, None], np.eye(12)[0], 0.1, np.eye(12))
    expected = 0.1 ** (11.0 - np.arange(12)) / 0.9
    np.testing.assert_allclose(exact.state_values(mdp, np.ones((12, 1))), expected, rtol=2e-6)


@pytest.mark.parametrize("discount", [0.9, 0.999])
def test_rows_that_are_printed_are_laws_all_the_same(discount):
    # One state, reward 1: J = 1 for every discount. Taken as it is, a row of 1 + 9e-6 gives (1−γ)/(1 − γ(1 + 9e-6)),
    # 1.009 at .999 and ten times as much beyond one at .9999.
    mdp = a3cjax.FiniteMDP([[[1 + 9e-6]]], [[1.0]], [1 - 9e-6], discount, [[1.0]])
    np.testing.assert_allclose(exact.objective(mdp, np.array([[1 + 9e-6]])), 1, rtol=1e-6)
    np.testing.assert_allclose(exact.action_values(mdp, np.ones((1, 1))), 1 / (1 - float(mdp.discount)), rtol=1e-6)

    @jax.jit
    def traced(row, start):
        return exact.objective(a3cjax.FiniteMDP(row, [[1.0]], start, discount, [[1.0]]), row[0])

    np.testing.assert_allclose(traced(jnp.full((1, 1, 1), 1 + 9e-6), jnp.full(1, 1 - 9e-6)), 1, rtol=1e-6)


ORACLES = {
    "stationary_distribution": exact.stationary_distribution,
    "discounted_visitation": exact.discounted_visitation,
    "state_values": exact.state_values,
    "action_values": exact.action_values,
    "objective": exact.objective,
    "critic_system": exact.critic_system,
    "critic_optimum": exact.critic_optimum,
    "approximation_error": exact.approximation_error,
}


@pytest.fixture(scope="module")
def batched():
    """Three problems and policies, and what every oracle gives for them in one program."""
    made = []

    def values(random_case):
        if not made:
            cases = [random_case(seed) for seed in range(3)]
            problems, policies = jax.tree.map(lambda *leaves: jnp.stack(leaves), *cases)
            program = jax.jit(jax.vmap(lambda *case: {name: oracle(*case) for name, oracle in ORACLES.items()}))
            made.append((cases, program(problems, policies)))
        return made[0]

    return values


@pytest.mark.parametrize("name", ORACLES)
def test_oracles_under_jit_and_vmap_over_problems_and_policies(name, random_case, batched):
    cases, batch = batched(random_case)
    for i in range(3):
        for many, single in zip(jax.tree.leaves(batch[name]), jax.tree.leaves(ORACLES[name](*cases[i])), strict=True):
            np.testing.assert_allclose(many[i], single, rtol=2e-3 if name == "critic_optimum" else 1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ORACLES)
def test_single_precision_agrees_with_double(name, random_case, x32):
    # The same problem in either precision, but for the last bits of the sums to one.
    case = random_case(14, branching=2, discount=0.95)
    single = ORACLES[name](*case)
    with jax.enable_x64(True):
        double = ORACLES[name](*jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), case))
    for a, b in zip(jax.tree.leaves(single), jax.tree.leaves(double), strict=True):
        assert a.dtype == jnp.float32
        assert b.dtype == jnp.float64
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


class Table:
    """A policy that is its parameters."""

    def probabilities(self, theta):
        return theta


EVERYTHING = ORACLES | {
    "policy_gradient": lambda mdp, pi: exact.policy_gradient(mdp, Table(), pi),
    "optimal_objective": lambda mdp, pi: exact.optimal_objective(mdp),
    "optimal_policy": lambda mdp, pi: exact.optimal_policy(mdp),
    "dobrushin": lambda mdp, pi: exact.dobrushin(mdp),
}
COMPILED = ("approximation_error", "policy_gradient", "optimal_objective", "dobrushin")  # in these is all the rest


@pytest.mark.parametrize("name", EVERYTHING)
def test_no_oracle_needs_more_than_a_few_matrices(name):
    """Beside the problem of S²A floats at most six of S² + Sd, op by op and compiled; S²A would be 15, S²d 20."""
    states, actions, features = 60, 25, 30
    matrix = states * (states + features)
    shapes = [(states, actions, states), (states, actions, states), (states,), (), (states, features)]
    leaves = [jax.ShapeDtypeStruct(shape, jnp.result_type(float)) for shape in shapes]
    mdp = jax.tree.unflatten(jax.tree.structure(families.ring(3)), leaves)
    pi = jax.ShapeDtypeStruct((states, actions), jnp.result_type(float))
    # Outside jit each equation of the outer level is a call, and its results are arrays.
    program = jax.make_jaxpr(EVERYTHING[name])(mdp, pi)
    assert all(out.aval.size <= 2 * matrix for equation in program.eqns for out in equation.outvars)
    if name in COMPILED:
        memory = jax.jit(EVERYTHING[name]).lower(mdp, pi).compile().memory_analysis()
        assert memory is not None
        assert memory.temp_size_in_bytes <= 6 * matrix * pi.dtype.itemsize


def test_an_evaluation_computes_each_piece_once(random_case):
    mdp, pi = random_case(13)
    found = exact.evaluate(mdp, pi)
    assert found.values is found.values
    assert found.stationary is found.stationary
    np.testing.assert_allclose(found.advantage, found.action_values - found.values[:, None], atol=1e-6)
    np.testing.assert_allclose((pi * found.advantage).sum(1), 0, atol=1e-5)


@pytest.mark.parametrize(
    ("pi", "sentence"),
    [
        (np.full((3, 7), 1 / 7), r"pi has shape \(3, 7\), but must have shape \(7, 3\)"),
        (np.full((7, 3), 0.5), r"pi\[0\] sums to 1\.5, not 1; divide it by its sum"),
        (np.tile([1.5, -0.5, 0], (7, 1)), r"pi\[0, 1\] is -0\.5; probabilities must not be negative"),
        (np.full((7, 3), np.nan), r"pi\[0, 0\] is nan"),
    ],
)
def test_a_bad_policy_is_refused_with_a_sentence(pi, sentence, random_case):
    with pytest.raises(ValueError, match=sentence):
        exact.objective(random_case()[0], pi)


def test_a_prior_for_another_problem_is_refused(random_case):
    mdp, pi = random_case()
    with pytest.raises(ValueError, match=r"prior has a policy of shape \(7, 2\), but pi has shape \(7, 3\)"):
        exact.objective(mdp, pi, a3cjax.Prior.uniform(0.1, 7, 2))
