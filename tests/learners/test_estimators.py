"""The four weights of the actor's score: their exact means, the baseline, the critic's bias and a return's end.

Means are taken by enumeration where a direction is a function of the transition (ŝ, â, ŝ'): many proposals are made,
every transition that is possible occurs among them, and each then counts with its exact probability
d(s) π(a|s) P(s'|s,a) instead of its frequency, so that no error of sampling is left.
"""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import a3cjax
from a3cjax.learners.a3c.messages import Params
from a3cjax.learners.sampling.markov import Chains

S, A = 4, 2
BY_TRANSITION = ("td", "advantage", "q")
wrong: Any = "sarsa"


@pytest.fixture(scope="module")
def draw_mdp():
    def draw(features=S, seed=0, discount=0.8, reward_on="transition"):
        rng = np.random.default_rng(seed)
        phi = np.eye(S) if features == S else rng.standard_normal((S, features)) / 4
        rewards = rng.standard_normal((S, A, S) if reward_on == "transition" else (S, A))
        return a3cjax.FiniteMDP(
            rng.dirichlet(np.ones(S), size=(S, A)), rewards, rng.dirichlet(np.ones(S)), discount, phi
        )

    return draw


class Exact:
    """P_π, V, A and d of one policy, in NumPy, and ψ as a table [S, A, S, A]."""

    def __init__(self, mdp, theta):
        self.transition, reward = np.asarray(mdp.transition, np.float64), np.asarray(mdp.reward, np.float64)
        self.discount, self.initial = float(mdp.discount), np.asarray(mdp.initial, np.float64)
        self.features = np.asarray(mdp.features, np.float64)
        self.reward = reward if reward.ndim == 2 else (self.transition * reward).sum(-1)
        self.policy = np.exp(theta) / np.exp(theta).sum(-1, keepdims=True)
        kernel = np.einsum("sa,sat->st", self.policy, self.transition)
        system = np.eye(S) - self.discount * kernel
        self.values = np.linalg.solve(system, (self.policy * self.reward).sum(-1))
        self.visitation = np.linalg.solve(system.T, (1 - self.discount) * self.initial)
        self.scores = np.zeros((S, A, S, A))
        for s, a in itertools.product(range(S), range(A)):
            self.scores[s, a, s] = np.eye(A)[a] - self.policy[s]

    def advantage_of(self, values):
        """r + γPv − v, which is A_π for v = V_π."""
        return self.reward + self.discount * self.transition @ values - values[:, None]

    def mean(self, weights):
        """E_{d,π}[w(s,a) ψ(s,a)]."""
        return np.einsum("s,sa,sa,sapq->pq", self.visitation, self.policy, weights, self.scores)


def proposals(learner, params, count, seed=0):
    """``count`` proposals with the actor at each state: messages with leaves [S·count, …]."""
    words = jax.random.bits(jax.random.key(seed), (S * count, learner.num_words), jnp.uint32)
    states = jnp.repeat(jnp.arange(S, dtype=jnp.int32), count)
    params = Params(*(jnp.asarray(p, float) for p in params))
    propose = jax.jit(jax.vmap(lambda state, words: learner.propose(params, Chains(jnp.int32(0), state), words)[0]))
    return jax.tree.map(np.asarray, propose(states, words))


def dense(direction):
    """Sparse directions [n, 1] and [n, 1, A] as tables [n, S, A]."""
    table = np.zeros((len(direction.state), S, A))
    table[np.arange(len(table)), direction.state[:, 0]] = direction.change[:, 0]
    return table


def enumerated_mean(learner, params, exact):
    """Σ d(s) π(a|s) P(s'|s,a) (direction of (s,a,s'))."""
    message = proposals(learner, params, 1500)
    x = message.samples.actor
    table = np.full((S, A, S, S, A), np.nan)
    table[x.state, x.action, x.next_state] = dense(message.direction)
    assert not np.isnan(table).any()  # all S·A·S transitions occurred
    np.testing.assert_array_equal(table[x.state, x.action, x.next_state], dense(message.direction))  # a function of x
    return np.einsum("s,sa,sat,satpq->pq", exact.visitation, exact.policy, exact.transition, table)


@pytest.mark.parametrize("estimator", BY_TRANSITION)
@pytest.mark.usefixtures("x64")
def test_each_mean_is_the_policy_gradient_whatever_the_baseline(estimator, draw_mdp):
    """With ω = V_π and φ = identity the critic is exact: E_d[w ψ] = ∇J, and so with a baseline a hundred times J."""
    mdp, rng = draw_mdp(), np.random.default_rng(1)
    theta = rng.standard_normal((S, A))
    exact = Exact(mdp, theta)
    wanted = exact.mean(exact.advantage_of(exact.values))
    oracle = a3cjax.exact.policy_gradient(mdp, a3cjax.policies.TabularSoftmax(S, A), jnp.asarray(theta))
    np.testing.assert_allclose(oracle, wanted, rtol=0, atol=1e-12)
    for baseline in (None, 100 * rng.standard_normal(S)):
        learner = a3cjax.A3C(mdp, 0.1, 0.1, estimator=estimator, baseline=baseline)
        found = enumerated_mean(learner, (theta, exact.values), exact)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-11)
    assert np.abs(wanted).max() > 0.05


@pytest.mark.usefixtures("x64")
def test_the_critics_error_biases_three_of_them_alike(draw_mdp):
    """At ω* of two features the mean is off by E_d[(A_ω* − A) ψ], A_ω* = r + γPφω* − φω*, for all three weights.

    With e = φω* − V that is E_d[(γ e(s') − e(s)) ψ], whose second term is a baseline, so its norm is at most
    γ C_ψ E|e(s')| ≤ γ C_ψ (Σ_t (dP_π)(t) e(t)²)^½ ≤ √γ C_ψ ε, for γ dP_π = d − (1−γ)η ≤ d entry by entry. Here
    C_ψ = √2 and ε² = E_d[e²], the second of ``approximation_error``.
    """
    mdp, shares = draw_mdp(features=2), []
    for seed in range(3):
        theta = np.random.default_rng(seed).standard_normal((S, A))
        exact = Exact(mdp, theta)
        optimum = np.asarray(a3cjax.exact.critic_optimum(mdp, exact.policy))
        values = exact.features @ optimum
        error = exact.mean(exact.advantage_of(values) - exact.advantage_of(exact.values))
        truth = exact.mean(exact.advantage_of(exact.values))
        for estimator in BY_TRANSITION if seed == 0 else ("td",):
            learner = a3cjax.A3C(mdp, 0.1, 0.1, estimator=estimator)
            bias = enumerated_mean(learner, (theta, optimum), exact) - truth
            np.testing.assert_allclose(bias, error, rtol=0, atol=1e-12)
        epsilon = np.sqrt(exact.visitation @ (values - exact.values) ** 2)
        assert float(a3cjax.exact.approximation_error(mdp, exact.policy)[1]) == pytest.approx(epsilon, rel=1e-9)
        shares.append(np.linalg.norm(error) / (np.sqrt(2 * exact.discount) * epsilon))
    assert min(shares) > 0.01
    assert max(shares) <= 1


def test_the_mean_return_weighs_like_the_action_value(draw_mdp):
    """15 000 rollouts from each state, with and without V as a baseline: every entry within 5 standard errors of ∇J.

    The mean of state s has its own spread; with exact weights d(s) the variance is Σ d² var_s / n.
    """
    mdp = draw_mdp(discount=0.6)
    theta = np.random.default_rng(2).standard_normal((S, A))
    exact, count = Exact(mdp, theta), 15_000
    wanted = exact.mean(exact.advantage_of(exact.values))
    spreads = []
    for baseline in (None, exact.values + 1):
        learner = a3cjax.A3C(mdp, 0.1, 0.1, estimator="reinforce", baseline=baseline)
        message = proposals(learner, (theta, np.zeros(S)), count)
        by_state = dense(message.direction).reshape(S, count, S, A)
        mean = np.tensordot(exact.visitation, by_state.mean(1), 1)
        error = np.sqrt(np.tensordot(exact.visitation**2, by_state.var(1), 1) / count)
        assert np.abs((mean - wanted) / error).max() < 5
        spreads.append(error.max())
    assert max(spreads) < 0.05 * np.abs(wanted).max()  # the statement has content


def test_returns_are_those_of_all_action_sequences():
    """With a deterministic kernel a return of four rewards is a function of (ŝ, â) and the next three actions.

    Each of the 2³ returns occurs, and nothing else, with the frequency of its sequence (χ²). Their mean is what is left
    of Q by γ⁴: the direction's bias is not zero and at most √2 times ``truncation_bias``.
    """
    rng = np.random.default_rng(3)
    after = np.array([[1, 2], [3, 0], [0, 3], [2, 1]])
    reward, theta, discount = rng.random((S, A)), rng.standard_normal((S, A)), 0.5
    mdp = a3cjax.FiniteMDP(np.eye(S)[after], reward, np.full(S, 0.25), discount, np.eye(S))
    learner = a3cjax.A3C(mdp, 0.1, 0.1, estimator="reinforce", horizon=4)
    exact = Exact(mdp, theta)
    samples = proposals(learner, (theta, np.zeros(S)), 5000).samples
    means = np.zeros((S, A))
    for s, a in itertools.product(range(S), range(A)):
        values, chances = [], []
        for sequence in itertools.product(range(A), repeat=3):
            state, total, chance = after[s, a], reward[s, a], 1.0
            for t, action in enumerate(sequence, 1):
                total += discount**t * reward[state, action]
                chance *= exact.policy[state, action]
                state = after[state, action]
            values.append(total)
            chances.append(chance)
        means[s, a] = np.dot(values, chances)
        found = samples.returns[(samples.actor.state == s) & (samples.actor.action == a)]
        gaps = np.abs(found[:, None] - np.array(values))
        assert gaps.min(1).max() < 1e-5 < np.diff(np.sort(values)).min()
        counts = np.bincount(gaps.argmin(1), minlength=8)
        assert stats.chisquare(counts, np.array(chances) / np.sum(chances) * counts.sum()).pvalue > 1e-4
    bias = exact.mean(means) - exact.mean(exact.advantage_of(exact.values))
    assert 1e-4 < np.linalg.norm(bias) <= np.sqrt(2) * float(learner.truncation_bias)


def test_what_is_cut_off_a_return():
    """One state, r = 1, γ = ½, T = 3: G = 1.75 and V = 2, which the bound meets: ½³ · 1 / ½ = .25."""
    mdp = a3cjax.FiniteMDP([[[1.0]]], [[1.0]], [1.0], 0.5, [[1.0]])
    learner = a3cjax.A3C(mdp, 0.1, 0.1, estimator="reinforce", horizon=3)
    words, view = jnp.zeros(learner.num_words, jnp.uint32), Params(jnp.zeros((1, 1)), jnp.zeros(1))
    message, _ = jax.jit(learner.propose)(view, Chains(jnp.int32(0), jnp.int32(0)), words)
    assert (float(message.samples.returns), float(learner.truncation_bias)) == (1.75, 0.25)
    assert float(a3cjax.A3C(mdp, 0.1, 0.1).truncation_bias) == 0


@pytest.mark.parametrize(("discount", "horizon"), [(0.0, 1), (0.5, 24), (0.9, 158), (0.99, 1656)])
def test_the_horizon_is_the_least_that_is_precise(discount, horizon, draw_mdp):
    """γᵀ ≤ 2⁻²⁴ < γᵀ⁻¹."""
    learner = a3cjax.A3C(draw_mdp(discount=discount), 0.1, 0.1, estimator="reinforce")
    assert learner.gradient_estimator.horizon == horizon
    discount = float(np.float32(discount))
    assert discount**horizon <= 2.0**-24 < (discount or 1) ** (horizon - 1)


def test_a_rollout_leaves_chains_and_samples_alone(draw_mdp):
    """The first words of a proposal are the sampler's and the prior's: on those, "td" and "reinforce" draw the same."""
    mdp, prior = draw_mdp(), a3cjax.Prior.uniform(0.1, S, A)
    words = jax.random.bits(jax.random.key(1), (50, 8 + 2), jnp.uint32)
    params = Params(jnp.ones((S, A)), jnp.zeros(S))
    outcomes = []
    choices: list[dict[str, Any]] = [{"estimator": "td"}, {"estimator": "reinforce", "horizon": 5}]
    for options in choices:
        learner = a3cjax.A3C(mdp, 0.1, 0.1, prior=prior, **options)
        assert learner.num_words == (8 if options["estimator"] == "td" else 10)
        propose = jax.jit(jax.vmap(lambda w, own=learner: own.propose(params, Chains(jnp.int32(1), jnp.int32(2)), w)))
        message, chains = propose(words[:, : learner.num_words])
        outcomes.append((message.samples._replace(returns=None), message.critic_delta, chains))
    for x, y in zip(*(jax.tree.leaves(outcome) for outcome in outcomes), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"estimator": wrong}, "estimator is 'sarsa', but must be one of 'td', 'advantage', 'q', 'reinforce'"),
        ({"horizon": 20}, "horizon is 20, but estimator 'td' makes no rollout; leave it out"),
        ({"estimator": "reinforce", "horizon": 0}, "horizon is 0, but must be at least 1"),
        ({"estimator": "reinforce", "horizon": 2.0}, "horizon must be a whole number, but is 2.0"),
        ({"baseline": np.zeros(S + 1)}, r"baseline has shape \(5,\), but must have shape \(4\)"),
        ({"baseline": [0.0, np.nan, 0.0, 0.0]}, r"baseline\[1\] is nan"),
        ({"shared_chain": 1}, "shared_chain must be True or False, but is 1"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(options, message, draw_mdp):
    with pytest.raises(ValueError, match=message):
        a3cjax.A3C(draw_mdp(), 0.1, 0.1, **options)


def test_a_traced_problem_needs_a_horizon(draw_mdp):
    with pytest.raises(ValueError, match="horizon must be given where the MDP's discount is traced"):
        jax.jit(lambda mdp: a3cjax.A3C(mdp, 0.1, 0.1, estimator="reinforce").omega)(draw_mdp())
