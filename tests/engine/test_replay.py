"""Eq. (13) of arXiv:2012.15511, transcribed in plain NumPy float64 and fed with the samples that a run logged.

The transcription keeps every version of the parameters and looks up version k − τ_k in the list, which is the
definition of delay. It shares nothing with the package: no history, no sparsity, no random numbers.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import a3cjax

K = 120
LAST_ONLY = a3cjax.Record(every=K, metrics=())


@dataclass
class Problem:
    """The numbers of one case, as NumPy arrays."""

    transition: np.ndarray
    reward: np.ndarray
    discount: float
    features: np.ndarray
    policy_features: np.ndarray | None  # [S, A, m], or None for one logit per state and action

    def law(self, theta, state):
        logits = theta[state] if self.policy_features is None else self.policy_features[state] @ theta
        weights = np.exp(logits - logits.max())
        return weights / weights.sum()

    def score(self, theta, state, action):
        """ψ_θ(s,a): e_a − π(·|s) in row s, or f(s,a) − Σ_b π(b|s) f(s,b)."""
        law = self.law(theta, state)
        if self.policy_features is not None:
            return self.policy_features[state, action] - law @ self.policy_features[state]
        table = np.zeros_like(theta)
        table[state] = -law
        table[state, action] += 1
        return table

    def td_error(self, omega, state, action, next_state):
        """δ̂ = r + γ φ(s')ᵀω − φ(s)ᵀω."""
        where = (state, action) if self.reward.ndim == 2 else (state, action, next_state)
        here, ahead = self.features[state] @ omega, self.features[next_state] @ omega
        return self.reward[where] + self.discount * ahead - here

    def weight(self, estimator, omega, x, returned):
        """What ψ is weighted with; "advantage" and "q" average over the next state."""
        if estimator == "td":
            return self.td_error(omega, *x)
        if estimator == "reinforce":
            return returned
        state, action, _ = x
        chances = self.transition[state, action]
        mean = sum(p * self.td_error(omega, state, action, after) for after, p in enumerate(chances))
        return mean if estimator == "advantage" else mean + self.features[state] @ omega


def replay(problem, start, delays, samples, actor_step, critic_step, radius, weight, estimator="td", baseline=None):
    """(13a) and (13b) for every k; returns θ_K, ω_K and how often the projection acted."""
    baseline = np.zeros(len(problem.features)) if baseline is None else baseline
    thetas, omegas, projected = [start[0]], [start[1]], 0
    for k, delay in enumerate(delays):
        theta, omega = thetas[k - delay], omegas[k - delay]
        critic = list(zip(*(np.atleast_1d(leaf[k]) for leaf in samples.critic), strict=True))
        actor = list(zip(*(np.atleast_1d(leaf[k]) for leaf in samples.actor), strict=True))
        g = np.mean([problem.td_error(omega, *x) * problem.features[x[0]] for x in critic], axis=0)
        returns = [None] * len(actor) if samples.returns is None else np.atleast_1d(samples.returns[k])
        weights = [
            problem.weight(estimator, omega, x, returned) - baseline[x[0]]
            for x, returned in zip(actor, returns, strict=True)
        ]
        h = np.mean([w * problem.score(theta, x[0], x[1]) for w, x in zip(weights, actor, strict=True)], axis=0)
        if weight is not None:
            prior = list(zip(*(np.atleast_1d(leaf[k]) for leaf in samples.prior), strict=True))
            h = h + weight * np.mean([problem.score(theta, *x) for x in prior], axis=0)
        ahead = omegas[k] + critic_step(k) * g
        if radius is not None and (norm := np.linalg.norm(ahead)) > radius:
            ahead, projected = ahead * (radius / norm), projected + 1
        omegas.append(ahead)
        thetas.append(thetas[k] + actor_step(k) * h)
    return thetas[-1], omegas[-1], projected


WORKERS = [a3cjax.compute_times.Exponential(1.0)] * 3


def schedule_of(kind):
    key = jax.random.key(5)
    if kind == "workers":
        return a3cjax.Schedule.from_workers(key, WORKERS, K)
    if kind == "latent":  # reads that are older than the worker's own write, and so no longer distinct
        return a3cjax.Schedule.from_workers(key, WORKERS, K, read_latency=0.4, write_time=0.1)
    return a3cjax.Schedule.from_law(key, a3cjax.delays.Uniform(0, 6 if kind == "law" else 40), K, num_workers=3)


# Every value of every option beside both values of every other that could interact with it.
CASES: dict[str, dict[str, Any]] = {
    "plain": {"schedule": "workers", "history": "mailbox", "radius": 0.6},
    "plain, deep": {"schedule": "deep", "history": "ring"},
    "prior, decaying": {"schedule": "workers", "history": "ring", "reward": "transition", "prior": True, "decay": True},
    "everything, law": {
        "schedule": "law", "history": "ring", "prior": True, "decay": True, "radius": 0.6, "minibatch": 3,
        "policy": "linear",
    },
    "everything, mailbox": {
        "schedule": "workers", "history": "mailbox", "prior": True, "reward": "transition", "minibatch": 3,
        "policy": "linear",
    },
    "latent reads, many rows": {
        "schedule": "latent", "history": "ring", "prior": True, "radius": 0.6, "minibatch": 5,
    },
    "iid, everything": {
        "schedule": "workers", "history": "mailbox", "sampling": "iid", "prior": True, "decay": True, "radius": 0.6,
        "minibatch": 3,
    },
    "iid, law": {"schedule": "law", "history": "ring", "sampling": "iid", "reward": "transition", "policy": "linear"},
    "many features and actions": {"schedule": "law", "history": "ring", "sizes": (5, 70, 40), "prior": True},
    "q with a baseline": {
        "schedule": "law", "history": "ring", "estimator": "q", "baseline": True, "reward": "transition",
        "policy": "linear", "prior": True, "minibatch": 3,
    },
    "advantage, iid": {
        "schedule": "workers", "history": "mailbox", "estimator": "advantage", "sampling": "iid", "baseline": True,
    },
    "returns": {
        "schedule": "workers", "history": "mailbox", "estimator": "reinforce", "horizon": 7, "baseline": True,
        "minibatch": 3, "prior": True, "reward": "transition",
    },
    "returns, one chain": {
        "schedule": "deep", "history": "ring", "estimator": "reinforce", "sampling": "iid", "shared_chain": True,
        "policy": "linear",
    },
    "one chain": {
        "schedule": "workers", "history": "mailbox", "shared_chain": True, "prior": True, "minibatch": 3, "decay": True,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("x64")
def test_logged_samples_give_back_the_parameters(name, mixing_mdp):
    case = CASES[name]
    sizes = case.get("sizes", (6, 3, 4))
    mdp = mixing_mdp(1, *sizes, reward_on=case.get("reward", "action"), spread=0.01 if "sampling" in case else 0.5)
    rng = np.random.default_rng(2)
    linear = case.get("policy") == "linear"
    table = rng.standard_normal((*sizes[:2], 5))
    policy = a3cjax.policies.LinearSoftmax(table) if linear else a3cjax.policies.TabularSoftmax(*sizes[:2])
    start = 0.5 * rng.standard_normal(policy.shape), 0.1 * rng.standard_normal(sizes[2])
    weight = 0.3 if case.get("prior") else None
    prior_law = rng.dirichlet(np.ones(sizes[0])), rng.dirichlet(np.ones(sizes[1]), size=sizes[0])
    decay = case.get("decay", False)
    radius = case.get("radius")
    baseline = rng.standard_normal(sizes[0]) if case.get("baseline") else None

    learner = a3cjax.A3C(
        mdp,
        actor_step=(lambda k: 0.5 / (1 + k) ** 0.6) if decay else 0.3,
        critic_step=(lambda k: 0.8 / (1 + k) ** 0.4) if decay else 0.4,
        radius=radius,
        policy=policy,
        prior=None if weight is None else a3cjax.Prior(weight, *prior_law),
        sampling=case.get("sampling", "markov"),
        minibatch=case.get("minibatch", 1),
        theta=start[0],
        omega=start[1],
        baseline=baseline,
        **{name: case[name] for name in ("estimator", "horizon", "shared_chain") if name in case},
    )
    schedule = schedule_of(case["schedule"])
    result = a3cjax.simulate(
        learner, schedule, jax.random.key(3), history=case["history"], transitions=True, record=LAST_ONLY
    )

    arrays = [np.asarray(array) for array in (mdp.transition, mdp.reward)]
    problem = Problem(arrays[0], arrays[1], float(mdp.discount), np.asarray(mdp.features), table if linear else None)
    samples = jax.tree.map(np.asarray, result.transitions)
    theta, omega, projected = replay(
        problem,
        start,
        schedule.delay,
        samples,
        actor_step=(lambda k: 0.5 / (1 + k) ** 0.6) if decay else lambda k: 0.3,
        critic_step=(lambda k: 0.8 / (1 + k) ** 0.4) if decay else lambda k: 0.4,
        radius=radius,
        weight=weight,
        estimator=learner.estimator,
        baseline=baseline,
    )
    assert result.params.theta.dtype == jnp.float64
    np.testing.assert_allclose(result.params.theta, theta, rtol=0, atol=1e-9)
    np.testing.assert_allclose(result.params.omega, omega, rtol=0, atol=1e-9)
    assert np.abs(theta - start[0]).max() > 0.05  # something happened
    assert radius is None or 10 < projected < K  # the projection acts, but not always
    assert (samples.prior is None) == (weight is None)
    assert (samples.returns is None) == (learner.estimator != "reinforce")
    same = [np.array_equal(x, y) for x, y in zip(samples.critic, samples.actor, strict=True)]
    assert same == [learner.shared_chain] * 3
    for x in (samples.critic, samples.actor):
        assert x.state.shape == ((K,) if learner.minibatch == 1 else (K, learner.minibatch))
        assert (problem.transition[x.state, x.action, x.next_state] > 0).all()


def test_the_schedules_have_what_the_cases_are_for():
    """Repeated and out-of-order reads in the law and latent schedules; distinct, own reads with plain workers."""
    law, latent, workers = (schedule_of(kind) for kind in ("law", "latent", "workers"))
    assert (law.own_reads, latent.own_reads, workers.own_reads) == (False, False, True)
    for schedule in (law, latent):
        assert len(np.unique(schedule.reads)) < K - 10
    assert (np.diff(law.reads) < 0).sum() > 10
    assert len(np.unique(workers.reads[workers.reads > 0])) == (workers.reads > 0).sum()


def test_the_transcription_notices_a_delay_that_is_off_by_one(mixing_mdp):
    """The comparison is not vacuous: with every delay of at least one lowered by one the numbers differ."""
    mdp = mixing_mdp(1)
    learner = a3cjax.A3C(mdp, actor_step=0.3, critic_step=0.4)
    schedule = schedule_of("law")
    result = a3cjax.simulate(learner, schedule, jax.random.key(3), transitions=True, record=LAST_ONLY)
    reward, features = np.asarray(mdp.reward, np.float64), np.asarray(mdp.features, np.float64)
    problem = Problem(np.asarray(mdp.transition), reward, float(mdp.discount), features, None)
    gaps = []
    for delays in (schedule.delay, np.maximum(schedule.delay - 1, 0)):
        samples = jax.tree.map(np.asarray, result.transitions)
        start = np.zeros((6, 3)), np.zeros(4)
        theta, _, _ = replay(problem, start, delays, samples, lambda k: 0.3, lambda k: 0.4, None, None)
        gaps.append(np.abs(theta - result.params.theta).max())
    assert gaps[0] < 1e-4 < 1e-2 < gaps[1]  # single precision, 120 updates
