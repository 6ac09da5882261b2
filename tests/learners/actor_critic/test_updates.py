"""What is sent and applied: beside NumPy, and beside A3C, whose updates it makes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.tree_util import Partial

import a3cjax
from a3cjax import networks
from a3cjax._core.tree import pytree, static
from a3cjax.environments import Finite
from a3cjax.learners.actor_critic.rollout import Rollout
from a3cjax.learners.sampling.samples import Draw, Transition
from a3cjax.networks.tabular import TabularParams

ALPHA, BETA, K, N = 0.3, 0.2, 24, 3


@pytest.fixture(scope="module")
def mdp():
    return a3cjax.families.synthetic(jax.random.key(0), num_states=6, num_actions=3, num_features=4, discount=0.8)


@pytest.fixture(scope="module")
def td(mdp):
    """TD(0): one step, no entropy, plain SGD with α for the actor and, by the critic's weight, β for the critic."""
    return a3cjax.ActorCritic(
        Finite(mdp, restart=0), networks.Tabular(), optax.sgd(ALPHA), rollout=1, discount=mdp.discount, entropy=0.0,
        critic_weight=BETA / (2 * ALPHA),
    )  # fmt: skip


def random_rollout(rng, num_states=5, num_actions=3, n=9):
    """With two terminated and two truncated steps, one of which is both."""
    terminated, truncated = np.zeros((2, n), bool)
    terminated[[2, 5]] = truncated[[4, 5]] = True
    parts: Any = (
        np.eye(num_states, dtype=np.float32)[rng.integers(0, num_states, n)],
        rng.integers(0, num_actions, n),
        rng.standard_normal(n).astype(np.float32),
        np.eye(num_states, dtype=np.float32)[rng.integers(0, num_states, n)],
        terminated,
        truncated,
        np.zeros(n, np.float32),
    )
    return Rollout(*parts)


@pytest.mark.parametrize("normalize", [False, True])
def test_the_gradient_is_that_of_the_loss(normalize, reference):
    """At random parameters, with traces, ends of both kinds and entropy, beside the formulas by hand in float64."""
    mdp = a3cjax.families.synthetic(jax.random.key(1), num_states=5, num_actions=3, num_features=4)
    weights: Any = {"discount": 0.9, "trace": 0.7, "entropy": 0.3, "critic_weight": 0.4}
    learner = a3cjax.ActorCritic(
        Finite(mdp), networks.Tabular(), optax.sgd(1.0), normalize_advantages=normalize, **weights
    )
    rng = np.random.default_rng(2)
    rollout = random_rollout(rng)
    theta, omega = rng.standard_normal((5, 3)), rng.standard_normal(4)
    found = jax.jit(learner._gradient)(TabularParams(jnp.float32(theta), jnp.float32(omega)), rollout)
    features = np.asarray(mdp.features, np.float64)
    expected = reference.gradient(theta, omega, features, rollout, normalize=normalize, **weights)
    np.testing.assert_allclose(found.theta, expected[0], atol=2e-6)
    np.testing.assert_allclose(found.omega, expected[1], atol=2e-6)


def test_td_updates_under_delay_are_equation_13(mdp, td, reference):
    """From the logged transitions, eq. (13) with one chain in float64: every stale θ and ω looked up in a list.

    The chain of a worker goes on from s' and is never reset.
    """
    times = [a3cjax.compute_times.Exponential(1.0)] * N
    schedule = a3cjax.Schedule.from_workers(jax.random.key(1), times, K)
    record = a3cjax.Record(every=K, metrics=())
    result = a3cjax.simulate(td, schedule, jax.random.key(2), history="mailbox", transitions=True, record=record)
    x = jax.tree.map(lambda leaf: np.asarray(leaf)[:, 0], result.transitions)
    states, following = np.argmax(x.observation, -1), np.argmax(x.next_observation, -1)
    features, rewards = (np.asarray(part, np.float64) for part in (mdp.features, mdp.reward))
    gamma = float(mdp.discount)
    versions, chains = [(np.zeros((6, 3)), np.zeros(4))], {}
    for k, (worker, delay) in enumerate(zip(schedule.worker, schedule.delay, strict=True)):
        theta, omega = versions[k - delay]
        s, a, t = states[k], x.action[k], following[k]
        assert chains.setdefault(worker, s) == s
        chains[worker] = t
        assert x.reward[k] == np.float32(rewards[s, a] if rewards.ndim == 2 else rewards[s, a, t])
        policy = reference.softmax(theta[s])
        np.testing.assert_allclose(x.log_probability[k], np.log(policy[a]), atol=1e-5)
        error = x.reward[k] + gamma * features[t] @ omega - features[s] @ omega
        new_theta, new_omega = versions[k][0].copy(), versions[k][1] + BETA * error * features[s]
        new_theta[s] += ALPHA * error * (np.eye(3)[a] - policy)
        versions.append((new_theta, new_omega))
    assert schedule.mean_delay > 1
    np.testing.assert_allclose(result.params.theta, versions[-1][0], atol=3e-6)
    np.testing.assert_allclose(result.params.omega, versions[-1][1], atol=3e-6)


@pytree
class Replay:
    """A sampler of A3C's that hands out known transitions, one after the other."""

    transitions: Transition
    num_words: int = static()
    dynamics = None

    def init(self, key):
        return jnp.int32(0)

    def sample(self, policy, theta, kept, words):
        x = jax.tree.map(lambda column: column[kept], self.transitions)
        return Draw(x, x, policy.describe(theta, x.state)), kept + 1


def test_td_updates_are_those_of_a3c(mdp, td):
    """``A3C(shared_chain=True)`` itself, with the same steps and delays, on the transitions that were sampled."""
    schedule = a3cjax.Schedule.from_law(jax.random.key(3), a3cjax.delays.Uniform(0, 5), K)
    record = a3cjax.Record(every=K, metrics=())
    found = a3cjax.simulate(td, schedule, jax.random.key(4), transitions=True, record=record)
    x = jax.tree.map(lambda leaf: jnp.asarray(leaf)[:, 0], found.transitions)
    states, following = (jnp.argmax(part, -1).astype(jnp.int32) for part in (x.observation, x.next_observation))
    a3c = a3cjax.A3C(mdp, actor_step=ALPHA, critic_step=BETA, shared_chain=True)
    object.__setattr__(a3c, "sampler", Replay(Transition(states, x.action, following), 2))
    expected = a3cjax.simulate(a3c, schedule, jax.random.key(5), record=record).params
    assert np.abs(expected.theta).max() > 0.1
    np.testing.assert_allclose(found.params.theta, expected.theta, atol=2e-6)
    np.testing.assert_allclose(found.params.omega, expected.omega, atol=2e-6)


class Bandit(a3cjax.environments.AbstractEnvironment):
    """One step, worth −(a − 2)² for a vector a of two."""

    action_size = 2
    endless = False

    def reset(self, key):
        return jnp.int32(0), jnp.ones(1)

    def step(self, key, state, action):
        worth = -jnp.sum((action - 2) ** 2)
        return a3cjax.environments.Step(state, jnp.ones(1), worth, jnp.bool_(True), jnp.bool_(False))


def test_a_gaussian_policy_finds_the_best_vector():
    """The mean goes to (2, 2); the value to −Σσ², what is left; a discount of 1 is right where episodes end.

    Two runs with a learning rate of each its own, the second of 0: it stays where it began, at a mean near 0.
    """
    rates = jnp.array([0.02, 0.0])
    learner = a3cjax.ActorCritic(
        Bandit(),
        networks.MLP(hidden=()),
        Partial(optax.adam, learning_rate=rates),
        rollout=16,
        discount=1.0,
        entropy=0.0,
    )
    times = [a3cjax.compute_times.Exponential(1.0)] * 2
    schedule = a3cjax.Schedule.from_workers(jax.random.key(0), times, 800)
    params = a3cjax.simulate(learner, schedule, jax.random.key(1), record=a3cjax.Record(every=800, metrics=())).params
    mean = params.policy.weight[:, 0] + params.policy.bias
    np.testing.assert_allclose(mean, [[2, 2], [0, 0]], atol=0.15)
    deviation = np.exp(params.log_std)
    assert deviation[0].max() < 0.5
    np.testing.assert_array_equal(deviation[1], 1)


def test_it_reaches_the_optimum_of_an_mdp():
    """Four workers, five-step rollouts: at least nine tenths of the way from the uniform policy's J to J*."""
    mdp = a3cjax.families.synthetic(jax.random.key(3), num_states=6, num_actions=3, num_features=6, discount=0.8)
    learner = a3cjax.ActorCritic(
        Finite(mdp), networks.Tabular(jnp.eye(6)), optax.adam(0.02), discount=mdp.discount, entropy=0.001
    )
    times = [a3cjax.compute_times.Exponential(1.0)] * 4
    schedule = a3cjax.Schedule.from_workers(jax.random.key(0), times, 3000)
    record = a3cjax.Record(every=3000, metrics=["objective"])
    keys = jax.random.split(jax.random.key(1), 2)
    reached = a3cjax.simulate(learner, schedule, keys, record=record).metrics["objective"][:, -1]
    start = float(a3cjax.exact.objective(mdp, jnp.full((6, 3), 1 / 3)))
    best = float(a3cjax.exact.optimal_objective(mdp))
    assert (reached <= best + 1e-5).all()
    assert ((reached - start) / (best - start) > 0.9).all()
