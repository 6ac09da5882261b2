"""What is recorded: numbers that can be known, and no trace of having been recorded."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import a3cjax
from a3cjax import networks
from a3cjax.environments import AbstractEnvironment, Finite, Step
from a3cjax.learners.actor_critic.policies import Categorical, Gaussian
from a3cjax.learners.actor_critic.rollout import Episode, Worker

K = 8


class Ladder(AbstractEnvironment):
    """Three rungs worth 1, 2 and 3, whatever is done; then it ends."""

    num_actions = 3
    endless = False

    def reset(self, key):
        return jnp.int32(0), jnp.zeros(2)

    def step(self, key, state, action):
        state = state + 1
        return Step(state, jnp.full(2, state, jnp.float32), jnp.float32(state), state == 3, jnp.bool_(False))


def ladder(**options):
    return a3cjax.ActorCritic(Ladder(), networks.MLP(hidden=(4,)), optax.sgd(0.1), rollout=2, discount=1.0, **options)


@pytest.fixture(scope="module")
def told():
    """A run with every metric, its schedule and its learner; on an MDP, under delays, every update recorded."""
    mdp = a3cjax.families.synthetic(jax.random.key(0), num_states=5, num_actions=3, num_features=3, discount=0.7)
    mdp = a3cjax.FiniteMDP(mdp.transition, mdp.reward, np.eye(5)[2], mdp.discount, mdp.features)
    learner = a3cjax.ActorCritic(Finite(mdp), networks.Tabular(), optax.sgd(0.5), rollout=4, discount=0.7)
    times = [a3cjax.compute_times.Exponential(1.0)] * 3
    schedule = a3cjax.Schedule.from_workers(jax.random.key(1), times, K)
    names = [*learner.metric_names, *learner.worker_metric_names, *learner.delay_metric_names]
    record = a3cjax.Record(every=1, metrics=names)
    result = a3cjax.simulate(learner, schedule, jax.random.key(2), record=record, transitions=True)
    return learner, schedule, result


def test_recording_leaves_no_trace(told):
    learner, schedule, result = told
    record = a3cjax.Record(every=1, metrics=())
    silent = a3cjax.simulate(learner, schedule, jax.random.key(2), record=record)
    assert np.abs(silent.params.theta).max() > 0.05
    for found, expected in zip(silent.params, result.params, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_episodes_run_on_and_are_restarted(told):
    """A worker goes on from where it was, from one rollout to the next; where it is truncated, from the MDP's start, 2.

    What it is truncated at is logged all the same. A step is an episode's last with probability 0.3.
    """
    _, schedule, result = told
    x = jax.tree.map(np.asarray, result.transitions)
    for worker in range(3):
        mine = schedule.worker == worker
        seen, reached = (np.argmax(part[mine], -1).ravel() for part in (x.observation, x.next_observation))
        truncated = x.truncated[mine].ravel()
        assert seen[0] == 2
        np.testing.assert_array_equal(seen[1:], np.where(truncated, 2, reached)[:-1])
    assert 2 < x.truncated.sum() < 20
    assert not x.terminated.any()
    assert (np.argmax(x.next_observation, -1)[x.truncated] != 2).any()


def test_gradient_and_entropy_are_those_of_the_rollouts(told, reference):
    """In float64 from the logged rollouts and a list of the versions that they make, as plain SGD does."""
    learner, schedule, result = told
    features = np.asarray(learner.environment.mdp.features, np.float64)
    weights = {"discount": 0.7, "trace": 1.0, "entropy": 0.01, "critic_weight": 0.5}
    versions = [(np.zeros((5, 3)), np.zeros(3))]
    expected = []
    for k, delay in enumerate(schedule.delay):
        rollout = jax.tree.map(lambda leaf, k=k: np.asarray(leaf)[k], result.transitions)
        stale, now = versions[k - delay], versions[-1]
        sent, fresh = (reference.gradient(*at, features, rollout, **weights) for at in (stale, now))
        policy = reference.softmax(stale[0][np.argmax(rollout.observation, -1)])
        apart = np.sqrt(sum(((a - b) ** 2).sum() for a, b in zip(sent, fresh, strict=True)))
        size = np.sqrt(sum((part**2).sum() for part in sent))
        expected.append((size, -(policy * np.log(policy)).sum(-1).mean(), apart))
        versions.append(tuple(x - 0.5 * change for x, change in zip(now, sent, strict=True)))
    found = np.stack([result.metrics[name] for name in learner.delay_metric_names], 1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert found[0, 1] == pytest.approx(np.log(3), rel=1e-6)
    assert (found[np.asarray(schedule.delay) == 0, 2] == 0).all()
    assert found[-1, 2] > 1e-3


def test_objective_is_exact(told, reference):
    """J = (1 − γ) ηᵀ (I − γ P_π)⁻¹ r_π by NumPy, at the parameters of the end."""
    learner, _, result = told
    mdp = learner.environment.mdp
    transition, reward, initial = (np.asarray(x, np.float64) for x in (mdp.transition, mdp.reward, mdp.initial))
    policy = reference.softmax(np.asarray(result.params.theta, np.float64))
    kernel = np.einsum("sa,sat->st", policy, transition)
    paid = np.einsum("sa,sat,sat->s", policy, transition, np.broadcast_to(reward.reshape(5, 3, -1), (5, 3, 5)))
    values = np.linalg.solve(np.eye(5) - 0.7 * kernel, paid)
    assert result.metrics["objective"][-1] == pytest.approx(0.3 * initial @ values, rel=1e-5)


def test_episodes_of_an_mdp_return_its_value(told):
    """Each step is an episode's last with probability 1 − γ: the mean return is J/(1 − γ); 5 standard errors.

    A return is at most the sum of a geometric number of rewards below 1, of deviation below √(γ)/(1 − γ) + 1/(1 − γ).
    """
    learner, _, result = told
    many = a3cjax.ActorCritic(learner.environment, networks.Tabular(), optax.sgd(0.5), evaluation_episodes=4000)
    state = many.init(jax.random.key(0))._replace(params=jax.tree.map(jnp.asarray, result.params))
    found = jax.jit(lambda state: many.measure(state, ("episode_return", "objective"), jax.random.key(3)))(state)
    error = (np.sqrt(0.7) + 1) / 0.3 / np.sqrt(4000)
    assert float(found["episode_return"]) == pytest.approx(float(found["objective"]) / 0.3, abs=5 * error)
    assert 5 * error < 0.5 < float(found["episode_return"])


def test_returns_of_a_ladder_are_known():
    """1 + 2 + 3 = 6 for an episode, 1 + 2 = 3 where two steps are followed."""
    for learner, expected in ((ladder(), 6), (ladder(evaluation_steps=2), 3)):
        state = learner.init(jax.random.key(0))
        assert float(learner.measure(state, ("episode_return",), jax.random.key(1))["episode_return"]) == expected


def test_training_returns_are_of_ended_episodes():
    """One worker, two steps an update, three an episode: none has ended after the first update; then each was worth 6.

    Of several workers those count that have ended one.
    """
    learner = ladder()
    names = learner.worker_metric_names
    view, worker = learner.view(learner.init(jax.random.key(0))), learner.init_worker(jax.random.key(1))
    propose, found = jax.jit(lambda *args: learner.propose(*args)[1]), []
    for k in range(4):
        worker = propose(view, worker, jax.random.key(k))
        means = learner.measure_workers(jax.tree.map(lambda leaf: leaf[None], worker), names)
        found.append([float(means[name]) for name in names])
    np.testing.assert_array_equal(found, [[np.nan, np.nan], [6, 3], [6, 3], [6, 3]])
    assert int(worker.ended) == 2  # of eight steps; the third episode is two steps old
    assert (float(worker.running.total), int(worker.running.length)) == (3, 2)
    last = Episode(jnp.array([5.0, 0.0, 8.0]), jnp.array([2, 0, 7]))
    workers = Worker(jnp.zeros(3), jnp.zeros((3, 2)), last, last, jnp.array([1, 0, 3]))
    means = learner.measure_workers(workers, names)
    assert (float(means["training_return"]), float(means["training_length"])) == (6.5, 4.5)


def test_policies_are_their_laws():
    """Beside SciPy: densities, entropies, and frequencies of 20,000 draws within 4.5 standard errors."""
    from scipy import stats

    words = jax.random.bits(jax.random.key(0), (20_000, 2), jnp.uint32)
    logits = jnp.array([0.5, -1.0, 2.0])
    law = np.exp(logits) / np.exp(logits).sum()
    policy = Categorical(3)
    drawn = np.bincount(jax.jit(jax.vmap(lambda w: policy.sample(logits, w)))(words[:, :1]), minlength=3) / 20_000
    assert (np.abs(drawn - law) < 4.5 * np.sqrt(law * (1 - law) / 20_000)).all()
    assert float(policy.log_probability(logits, jnp.int32(2))) == pytest.approx(np.log(law[2]), rel=1e-6)
    assert float(policy.entropy(logits)) == pytest.approx(stats.entropy(law), rel=1e-6)
    normal, parameters = Gaussian(2), (jnp.array([1.0, -2.0]), jnp.log(jnp.array([0.5, 3.0])))
    theirs: Any = stats.norm([1, -2], [0.5, 3])
    drawn = np.asarray(jax.jit(jax.vmap(lambda w: normal.sample(parameters, w)))(words))
    assert (np.abs(drawn.mean(0) - [1, -2]) < 4.5 * np.array([0.5, 3]) / np.sqrt(20_000)).all()
    np.testing.assert_allclose(drawn.std(0), [0.5, 3], rtol=4.5 / np.sqrt(2 * 20_000))
    for action in ([1.0, -2.0], [0.3, 4.0]):
        assert float(normal.log_probability(parameters, jnp.array(action))) == pytest.approx(
            theirs.logpdf(action).sum(), rel=1e-5
        )
    assert float(normal.entropy(parameters)) == pytest.approx(theirs.entropy().sum(), rel=1e-6)
