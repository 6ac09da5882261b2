"""The ablation in which the actor uses the critic's sample: where its states are then, and what that costs in words."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import a3cjax

RUNS, K, BURN_IN = 128, 2000, 500


def stationary_and_visitation(mdp, policy):
    """μ by the null space of Pᵀ − I, d by the linear system (I − γPᵀ) d = (1 − γ) η."""
    kernel, eye = np.einsum("sa,sat->st", policy, np.asarray(mdp.transition, np.float64)), np.eye(mdp.num_states)
    system = np.vstack([kernel.T - eye, np.ones(len(eye))])
    stationary = np.linalg.lstsq(system, np.append(0 * eye[0], 1), rcond=None)[0]
    discount = float(mdp.discount)
    return stationary, np.linalg.solve(eye - discount * kernel.T, (1 - discount) * np.asarray(mdp.initial, np.float64))


@pytest.mark.parametrize("sampling", ["markov", "iid"])
def test_the_actors_states_follow_the_stationary_law(sampling):
    """A lazy ring that starts at a point, with the policy held still: μ is far from d, and the actor's states follow μ.

    The spread of 128 independent runs' frequencies gives standard errors. Relaxation takes some 20 steps, so the start
    has lost all but e⁻²⁵ after 500.
    """
    ring = a3cjax.families.ring(7, slip=0.1, discount=0.9, initial=np.eye(7)[2])
    mdp = a3cjax.families.lazy(ring, stay=0.8)
    theta = 0.5 * np.random.default_rng(0).standard_normal((7, 2))
    policy = np.exp(theta) / np.exp(theta).sum(-1, keepdims=True)
    updates = K if sampling == "markov" else 200
    learner = a3cjax.A3C(mdp, actor_step=0.0, critic_step=0.0, theta=theta, sampling=sampling, shared_chain=True)
    keys = jax.random.split(jax.random.key(1), RUNS)
    record = a3cjax.Record(every=updates, metrics=())
    result = a3cjax.simulate(learner, a3cjax.Schedule.sequential(updates), keys, transitions=True, record=record)
    x = result.transitions
    for critic, actor in zip(x.critic, x.actor, strict=True):
        np.testing.assert_array_equal(critic, actor)
    states = np.asarray(x.actor.state)[:, BURN_IN if sampling == "markov" else 0 :]
    frequencies = np.stack([(states == s).mean(axis=1) for s in range(7)], axis=1)
    error = frequencies.std(axis=0, ddof=1) / np.sqrt(RUNS)
    stationary, visitation = stationary_and_visitation(mdp, policy)
    assert np.abs((frequencies.mean(axis=0) - stationary) / error).max() < 4.5
    assert np.abs((frequencies.mean(axis=0) - visitation) / error).max() > 20


def test_no_words_are_drawn_for_a_chain_that_is_not_there():
    """One transition's words instead of two; an iid sampler certifies the one law twice."""
    mdp = a3cjax.families.synthetic(jax.random.key(0), num_states=6, num_actions=3)
    shared, separate = (a3cjax.A3C(mdp, 0.1, 0.1, shared_chain=one) for one in (True, False))
    assert (shared.num_words, separate.num_words) == (2, 6)
    key = jax.random.key(1)
    starts = [learner.init_worker(key) for learner in (shared, separate)]
    assert starts[0].actor is None
    assert int(starts[0].critic) == int(starts[1].critic)  # common random numbers: the critic's chain is the same
    words = jax.random.bits(key, (6,), jnp.uint32)
    samples: list[Any] = [
        learner.propose(learner.view(learner.init(key)), start, words[: learner.num_words])[0].samples
        for learner, start in zip((shared, separate), starts, strict=True)
    ]
    assert samples[0].critic == samples[1].critic
    shared, separate = (a3cjax.A3C(mdp, 0.1, 0.1, sampling="iid", shared_chain=one).sampler for one in (True, False))
    assert shared.num_words == 4 + 2 * separate.critic_steps < separate.num_words
    assert shared.total_variation == (separate.total_variation[0],) * 2
