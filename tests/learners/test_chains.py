"""Option 2: the logged samples are those of two chains per worker, and of the prior."""

import jax
import numpy as np
import pytest
from scipy import stats

import a3cjax

S, A, WORKERS, RUNS, K = 8, 3, 8, 32, 1200
DISCOUNT = 0.75
P_VALUE = 1e-4  # seeds are fixed: a test below passes always or never
# What the model is made for, a learner that is to learn is warned of.
pytestmark = pytest.mark.filterwarnings("ignore:Under the start policy the chain from mdp.initial leaves 3 of the 8")


@pytest.fixture(scope="module")
def model():
    """η lives on states 0 to 2, where no transition leads: a state there tells a restart. Half of P is zero."""
    rng = np.random.default_rng(0)
    transition = rng.dirichlet(np.ones(S - 3), size=(S, A)) * (rng.random((S, A, S - 3)) < 0.6)
    transition[..., 0] += 0.1
    transition = np.concatenate([np.zeros((S, A, 3)), transition / transition.sum(-1, keepdims=True)], axis=-1)
    initial = np.array([0.5, 0.3, 0.2, 0, 0, 0, 0, 0])
    features = rng.standard_normal((S, 4))
    features /= np.linalg.norm(features, axis=1).max()
    mdp = a3cjax.FiniteMDP(transition, rng.random((S, A)), initial, DISCOUNT, features)
    return mdp, np.asarray(mdp.transition), initial


@pytest.fixture(scope="module")
def frozen(model):
    """Steps of zero keep the policy at θ, which is not uniform; 32 runs of 8 workers, with samples."""
    rng = np.random.default_rng(1)
    theta = rng.standard_normal((S, A))
    prior = rng.dirichlet(np.ones(S)), rng.dirichlet(np.ones(A), size=S)
    learner = a3cjax.A3C(model[0], actor_step=0.0, critic_step=0.0, theta=theta, prior=a3cjax.Prior(0.5, *prior))
    laws = [a3cjax.compute_times.Gamma(1.0, 0.8)] * WORKERS
    schedule = a3cjax.Schedule.from_workers(jax.random.key(0), laws, K)
    keys = jax.random.split(jax.random.key(1), RUNS)
    record = a3cjax.Record(every=K, metrics=())
    result = a3cjax.simulate(learner, schedule, keys, transitions=True, record=record)
    np.testing.assert_array_equal(result.params.theta, np.broadcast_to(np.float32(theta), (RUNS, S, A)))
    policy = np.exp(theta) / np.exp(theta).sum(-1, keepdims=True)
    return schedule, jax.tree.map(np.asarray, result.transitions), policy, prior


def chains_of(schedule, samples):
    """Each worker's samples in the order of its proposals, leaves [RUNS, its updates]."""
    return [jax.tree.map(lambda leaf, i=i: leaf[:, schedule.worker == i], samples) for i in range(WORKERS)]


def chi_square(counts, law):
    """p-value of counts against a law with some zeros, where nothing may fall."""
    assert counts[law == 0].sum() == 0
    return stats.chisquare(counts[law > 0], law[law > 0] * counts.sum()).pvalue


def rows_chi_square(counts, laws):
    """The same for many rows at once, each against its own law: cells expected fewer than 5 times are left out."""
    expected = counts.sum(-1, keepdims=True) * laws
    assert counts[laws == 0].sum() == 0
    used = expected >= 5
    statistic = ((counts - expected)[used] ** 2 / expected[used]).sum()
    return stats.chi2.sf(statistic, (used.sum(-1) - 1).clip(min=0).sum())


def counted(shape, *indices):
    counts = np.zeros(shape)
    np.add.at(counts, tuple(index.ravel() for index in indices), 1)
    return counts


def test_no_step_is_impossible_and_the_critic_chain_never_breaks(model, frozen):
    schedule, samples, _, _ = frozen
    for chain in chains_of(schedule, samples):
        for x in (chain.critic, chain.actor):
            assert (model[1][x.state, x.action, x.next_state] > 0).all()
        np.testing.assert_array_equal(chain.critic.state[:, 1:], chain.critic.next_state[:, :-1])
    assert (samples.critic.state < 3).sum() <= RUNS * WORKERS  # and so η is seen at most once per worker


def test_the_actor_goes_on_or_restarts_with_the_right_frequency_at_the_right_places(model, frozen):
    """A restart is a state below 3. Their number is Binomial(n, 1 − γ), their places follow η, both exactly."""
    schedule, samples, _, _ = frozen
    steps = restarts = 0
    places = np.zeros(S)
    for chain in chains_of(schedule, samples):
        state, came_from = chain.actor.state[:, 1:], chain.actor.next_state[:, :-1]
        restarted = state < 3
        np.testing.assert_array_equal(state[~restarted], came_from[~restarted])
        steps, restarts = steps + state.size, restarts + restarted.sum()
        places += np.bincount(state[restarted], minlength=S)
    assert steps == RUNS * (K - WORKERS)
    assert stats.binomtest(int(restarts), steps, 1 - DISCOUNT).pvalue > P_VALUE
    assert chi_square(places, model[2]) > P_VALUE


def test_both_chains_start_at_the_initial_law_independently(model, frozen):
    """The first state of each of 256 workers: nine pairs from η × η."""
    schedule, samples, _, _ = frozen
    first = [(chain.critic.state[:, 0], chain.actor.state[:, 0]) for chain in chains_of(schedule, samples)]
    critic, actor = (np.concatenate(column) for column in zip(*first, strict=True))
    pairs = counted((S, S), critic, actor)
    assert chi_square(pairs.ravel(), np.outer(model[2], model[2]).ravel()) > P_VALUE


def test_actions_follow_the_policy_and_next_states_the_kernel(model, frozen):
    """Given the state, the action; given both, the next state: χ² of transition counts, for both chains."""
    _, samples, policy, _ = frozen
    for x in (samples.critic, samples.actor):
        assert rows_chi_square(counted((S, A), x.state, x.action), policy) > P_VALUE
        assert rows_chi_square(counted((S, A, S), x.state, x.action, x.next_state), model[1]) > P_VALUE
    wrong = np.roll(policy, 1, axis=1)  # the statistic would notice another policy
    assert rows_chi_square(counted((S, A), samples.critic.state, samples.critic.action), wrong) < 1e-10


def test_the_samples_of_the_prior_follow_its_laws(frozen):
    """38 400 independent pairs (s^p, a^p) from η_p(s) π_p(a|s)."""
    _, samples, _, (states, policy) = frozen
    pairs = counted((S, A), samples.prior.state, samples.prior.action)
    assert pairs.sum() == RUNS * K
    assert chi_square(pairs.ravel(), (states[:, None] * policy).ravel()) > P_VALUE


def test_a_mini_batch_is_a_stretch_of_the_chain(model):
    """With M = 3 a proposal takes three steps of each chain; the chain goes on from one proposal to the next."""
    learner = a3cjax.A3C(model[0], actor_step=0.1, critic_step=0.1, minibatch=3)
    schedule = a3cjax.Schedule.from_law(jax.random.key(0), a3cjax.delays.Uniform(0, 5), 300, num_workers=3)
    record = a3cjax.Record(every=300, metrics=())
    result = a3cjax.simulate(learner, schedule, jax.random.key(1), transitions=True, record=record)
    for i in range(3):
        critic, actor = (
            jax.tree.map(lambda leaf, i=i: np.asarray(leaf)[schedule.worker == i].ravel(), x)
            for x in (result.transitions.critic, result.transitions.actor)
        )
        np.testing.assert_array_equal(critic.state[1:], critic.next_state[:-1])
        restarted = actor.state[1:] < 3
        np.testing.assert_array_equal(actor.state[1:][~restarted], actor.next_state[:-1][~restarted])
        assert 0.1 < restarted.mean() < 0.4
