"""With the policy held still, sampled states follow μ (critic) and d (actor), for both options."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import a3cjax

KEYS = jax.random.split(jax.random.key(1), 256)


def slow_ring(discount=0.95, num_states=9, stay=0.95):
    """A lazy walk on nine states: relaxation takes about 1/(.05·(1 − cos 40°)) = 85 steps. η is a point."""
    ring = a3cjax.families.ring(num_states, slip=0.1, discount=discount, initial=np.eye(num_states)[2])
    return a3cjax.families.lazy(ring, stay=stay)


def policy_of(mdp, seed=0, scale=0.5):
    theta = scale * np.random.default_rng(seed).standard_normal((mdp.num_states, mdp.num_actions))
    weights = np.exp(theta)
    return theta, weights / weights.sum(-1, keepdims=True)


def kernel_of(mdp, policy):
    return np.einsum("sa,sat->st", policy, np.asarray(mdp.transition, np.float64))


def exact_laws(mdp, policy):
    """μ by the null space of Pᵀ − I, d by the linear system (I − γPᵀ) d = (1 − γ) η."""
    kernel, eye = kernel_of(mdp, policy), np.eye(mdp.num_states)
    stationary = np.linalg.lstsq(np.vstack([kernel.T - eye, np.ones(len(eye))]), np.append(0 * eye[0], 1), rcond=None)[
        0
    ]
    discount = float(mdp.discount)
    return stationary, np.linalg.solve(eye - discount * kernel.T, (1 - discount) * np.asarray(mdp.initial, np.float64))


def z_scores(states, law):
    """(mean frequency − law) in standard errors, state by state, from runs that are independent of each other."""
    frequencies = np.stack([(states == s).mean(axis=1) for s in range(len(law))], axis=1)
    error = frequencies.std(axis=0, ddof=1) / np.sqrt(len(states))
    assert error.max() < 0.004  # the statement has content: a law off by 2 % of all mass is refused
    return (frequencies.mean(axis=0) - law) / error


def test_markovian_states_settle_to_both_laws():
    """256 independent runs of one worker; the first 1000 of 4000 states are dropped (12 relaxation times: e⁻¹²).

    States of one run are dependent, the runs are not: a run's frequencies have mean μ (or d), and the spread of 256 of
    them gives the standard error. All 18 scores stay below 4.5 (chance of a false alarm 1e-4; the seed is fixed).
    """
    mdp = slow_ring()
    theta, policy = policy_of(mdp)
    learner = a3cjax.A3C(mdp, actor_step=0.0, critic_step=0.0, theta=theta)
    record = a3cjax.Record(every=4000, metrics=())
    result = a3cjax.simulate(learner, a3cjax.Schedule.sequential(4000), KEYS, transitions=True, record=record)
    stationary, visitation = exact_laws(mdp, policy)
    assert np.abs(stationary - visitation).sum() > 0.5  # the two laws are far apart, so they are not mistaken
    critic = np.asarray(result.transitions.critic.state)[:, 1000:]
    actor = np.asarray(result.transitions.actor.state)[:, 1000:]
    assert np.abs(z_scores(critic, stationary)).max() < 4.5
    assert np.abs(z_scores(actor, visitation)).max() < 4.5
    assert np.abs(z_scores(actor, stationary)).max() > 20


def test_solved_states_are_independent_draws_of_both_laws():
    """On the slow ring no rollout is certified (c = 1, γ = .995): the laws are solved for. χ² of 51 200 states each."""
    mdp = slow_ring(discount=0.995)
    theta, policy = policy_of(mdp)
    learner = a3cjax.A3C(mdp, actor_step=0.0, critic_step=0.0, theta=theta, sampling="iid")
    assert (learner.sampler.critic_steps, learner.sampler.actor_steps) == (None, None)
    record = a3cjax.Record(every=200, metrics=())
    result = a3cjax.simulate(learner, a3cjax.Schedule.sequential(200), KEYS, transitions=True, record=record)
    assert_independent_draws(result.transitions, exact_laws(mdp, policy), policy, mdp)


def test_rolled_out_states_are_independent_draws_of_both_laws(mixing_mdp):
    """Where c is small the states come from rollouts. χ² of 51 200 states each, through the engine."""
    mdp = mixing_mdp(5, discount=0.7, spread=0.02)
    theta, policy = policy_of(mdp)
    learner = a3cjax.A3C(mdp, actor_step=0.0, critic_step=0.0, theta=theta, sampling="iid")
    assert learner.sampler.critic_steps in range(1, 6)
    assert learner.sampler.actor_steps in range(1, 6)
    record = a3cjax.Record(every=200, metrics=())
    result = a3cjax.simulate(learner, a3cjax.Schedule.sequential(200), KEYS, transitions=True, record=record)
    assert_independent_draws(result.transitions, exact_laws(mdp, policy), policy, mdp)


def test_rollouts_are_long_enough_on_a_slow_mixing_mdp(mixing_mdp):
    """c ≈ .9, so some 150 steps; 200 000 proposals, made without the engine. The start, one state, is forgotten."""
    rng = np.random.default_rng(0)
    rows = 0.1 * rng.dirichlet(np.ones(7)) + 0.9 * np.stack([np.roll(np.eye(7), shift, axis=1) for shift in (1, 6)], 1)
    mdp = a3cjax.FiniteMDP(rows, rng.random((7, 2)), np.eye(7)[3], 0.95, np.eye(7))
    theta, policy = policy_of(mdp)
    learner = a3cjax.A3C(mdp, actor_step=0.0, critic_step=0.0, theta=theta, sampling="iid")
    assert 100 < learner.sampler.critic_steps < 200
    samples = proposals(learner, 200_000)
    assert_independent_draws(samples, exact_laws(mdp, policy), policy, mdp)


def proposals(learner, count):
    """Samples of ``count`` proposals from the start, in pieces."""
    view = learner.view(learner.init(jax.random.key(0)))

    @jax.jit
    @jax.vmap
    def one(key):
        words = jax.random.bits(key, (learner.num_words,), jnp.uint32)
        return learner.propose(view, (), words)[0].samples

    return jax.lax.map(one, jax.random.split(jax.random.key(2), (count // 2000, 2000)))


def assert_independent_draws(samples, laws, policy, mdp):
    """χ² of states against the law, of states against the states drawn just before, and of the whole transition."""
    kernel = np.asarray(mdp.transition, np.float64)
    for x, law in zip((samples.critic, samples.actor), laws, strict=True):
        state, action, after = (np.asarray(leaf) for leaf in x)
        assert chi_square(counts(law.shape, state), law) > 1e-4
        pairs = counts((law.size, law.size), state[:, :-1], state[:, 1:])
        assert chi_square(pairs, np.outer(law, law)) > 1e-4
        joint = law[:, None, None] * policy[:, :, None] * kernel
        assert chi_square(counts(joint.shape, state, action, after), joint) > 1e-4
    assert chi_square(counts(laws[0].shape, np.asarray(samples.actor.state)), laws[0]) < 1e-10  # d is not μ


def counts(shape, *indices):
    found = np.zeros(shape)
    np.add.at(found, tuple(index.ravel() for index in indices), 1)
    return found


def chi_square(found, law):
    assert found[law <= 1e-12].sum() == 0
    expected = law * found.sum()
    used = expected >= 5
    rest = np.array([found[~used].sum()]), np.array([expected[~used].sum()])
    statistic = ((found[used] - expected[used]) ** 2 / expected[used]).sum()
    if rest[1][0] > 0:
        statistic += ((rest[0] - rest[1]) ** 2 / rest[1])[0]
    return stats.chi2.sf(statistic, used.sum() - 1 + (rest[1][0] > 0))


# ------------------------------------------------------------------------------------------- the certificate is true


@pytest.mark.parametrize("spread", [0.05, 0.3, 0.9])
@pytest.mark.usefixtures("x64")
def test_total_variation_is_a_true_bound(spread, mixing_mdp):
    """For random and for deterministic policies: TV(η Pⁿ, μ) ≤ the first bound; for the actor, whose rollout has
    min(T, m) steps, the law Σ_{t<m} (1 − γ) γᵗ ηPᵗ + γᵐ ηPᵐ is within the second of d. Exact, in float64."""
    mdp = mixing_mdp(0, states=8, discount=0.9, spread=spread)
    sampler = a3cjax.A3C(mdp, actor_step=0.1, critic_step=0.1, sampling="iid").sampler
    assert max(sampler.total_variation) <= 2.0**-24
    discount, initial = 0.9, np.asarray(mdp.initial)
    rng = np.random.default_rng(1)
    policies = [*rng.dirichlet(np.full(3, 0.3), size=(20, 8)), *np.eye(3)[rng.integers(3, size=(20, 8))]]
    worst = np.zeros(2)
    for policy in policies:
        stationary, visitation = exact_laws(mdp, policy)
        kernel = kernel_of(mdp, policy)
        law = initial.copy()
        for _ in range(sampler.critic_steps):
            law = law @ kernel
        age, mixed = initial.copy(), np.zeros(8)
        for t in range(sampler.actor_steps):
            mixed += (1 - discount) * discount**t * age
            age = age @ kernel
        mixed += discount**sampler.actor_steps * age
        gaps = np.abs(law - stationary).sum() / 2, np.abs(mixed - visitation).sum() / 2
        worst = np.maximum(worst, gaps)
    assert (worst <= np.array(sampler.total_variation) + 1e-14).all()


@pytest.mark.usefixtures("x64")
def test_total_variation_is_reached_by_the_worst_mdp():
    """Two states, P(s|s) = .9 + .05 = .95 under either action: c = .9, and from a point TV(ηPⁿ, μ) = cⁿ/2 exactly."""
    rows = np.array([[0.95, 0.05], [0.05, 0.95]])[:, None, :]
    mdp = a3cjax.FiniteMDP(rows, [[0.0], [1.0]], [1.0, 0.0], 0.5, np.eye(2))
    sampler = a3cjax.A3C(mdp, actor_step=0.1, critic_step=0.1, sampling="iid").sampler
    steps = int(np.ceil(np.log(2.0**-24) / np.log(0.9)))
    assert sampler.critic_steps == steps == 158
    gap = np.abs(np.array([1.0, 0]) @ np.linalg.matrix_power(rows[:, 0], steps) - 0.5).sum() / 2
    assert gap == pytest.approx(0.9**steps / 2, rel=1e-6)
    assert sampler.total_variation[0] == pytest.approx(0.9**steps)
    assert sampler.total_variation[1] == pytest.approx(0.45**sampler.actor_steps)


def test_a_solved_law_states_its_rounding():
    sampler = a3cjax.A3C(slow_ring(0.995), actor_step=0.1, critic_step=0.1, sampling="iid").sampler
    assert sampler.total_variation == (9 * 2.0**-23, 9 * 2.0**-23)


def test_the_age_of_the_actors_chain_is_geometric():
    """On a cycle from state 0 the actor's state is its age min(T, m), P(T ≥ t) = γᵗ; γ = .3 and c = 1 give m = 14."""
    cycle = np.roll(np.eye(20), 1, axis=1)[:, None, :]
    mdp = a3cjax.FiniteMDP(cycle, np.zeros((20, 1)), np.eye(20)[0], 0.3, np.eye(20))
    learner = a3cjax.A3C(mdp, actor_step=0.0, critic_step=0.0, sampling="iid")
    assert (learner.sampler.critic_steps, learner.sampler.actor_steps) == (None, 14)
    states = np.asarray(proposals(learner, 400_000).actor.state).ravel()
    law = np.append(0.7 * 0.3 ** np.arange(14), 0.3**14)
    assert states.max() <= 14
    assert chi_square(np.bincount(states, minlength=15).astype(float), law) > 1e-4
