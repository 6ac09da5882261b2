"""Fresh gradients of stale rollouts: V-trace by its definition and by enumeration, and what a server makes of them."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import a3cjax
from a3cjax import networks
from a3cjax.environments import Finite
from a3cjax.learners.actor_critic.fresh import FreshMessage, fresh_gradient, vtrace
from a3cjax.learners.actor_critic.rollout import Rollout
from a3cjax.learners.corrections import VTrace, correction_of
from a3cjax.networks.tabular import TabularParams

S, A, N = 4, 3, 9
MDP = a3cjax.families.synthetic(jax.random.key(1), num_states=S, num_actions=A, num_features=4)
RNG = np.random.default_rng(2)
THETA, BEHAVIOUR = RNG.standard_normal((2, S, A))
OMEGA = RNG.standard_normal(4)
WEIGHTS: Any = {"discount": 0.9, "trace": 0.7, "entropy": 0.3, "critic_weight": 0.4}
PARAMS = TabularParams(jnp.asarray(THETA, jnp.float32), jnp.asarray(OMEGA, jnp.float32))


def learner(**options: Any):
    given = {"gradient": "fresh", **WEIGHTS, **options}
    return a3cjax.ActorCritic(Finite(MDP), networks.Tabular(), optax.sgd(0.5), **given)


def behaviour_rollout(reference):
    """With two terminated and two truncated steps, one of which is both, drawn by softmax(BEHAVIOUR)."""
    rng = np.random.default_rng(3)
    states, following = rng.integers(0, S, (2, N))
    terminated, truncated = np.zeros((2, N), bool)
    terminated[[2, 5]] = truncated[[4, 5]] = True
    policy = reference.softmax(BEHAVIOUR)
    action = np.array([rng.choice(A, p=policy[s]) for s in states])
    parts: Any = (
        np.eye(S, dtype=np.float32)[states], action, rng.standard_normal(N).astype(np.float32),
        np.eye(S, dtype=np.float32)[following], terminated, truncated,
        np.log(policy[states, action]).astype(np.float32),
    )  # fmt: skip
    return Rollout(*parts), states, following


def by_definition(rollout, states, following, ratio, rho_bar, c_bar):
    """v_t − V(s_t) = Σ_l γˡ (Π_{i<l} λ min(c̄, ρ_{t+i})) min(ρ̄, ρ_{t+l}) δ_{t+l} within an episode, and
    q_t − V(s_t) = δ_t + γλ (v_{t+1} − V(s_{t+1})), summed as they stand."""
    features = np.asarray(MDP.features, np.float64)
    values, ahead = features[states] @ OMEGA, features[following] @ OMEGA
    delta = rollout.reward + 0.9 * ahead * ~rollout.terminated - values
    ends = rollout.terminated | rollout.truncated
    error = np.zeros(N + 1)
    for t in range(N):
        scale = 1.0
        for later in range(t, N):
            error[t] += scale * min(rho_bar, ratio[later]) * delta[later]
            scale *= 0.9 * 0.7 * min(c_bar, ratio[later])
            if ends[later]:
                break
    return delta + 0.9 * 0.7 * error[1:] * ~ends, error[:N], values


@pytest.mark.parametrize(
    "options",
    [
        {"correction": None},
        {"correction": "vtrace"},
        {"correction": "vtrace", "clip": np.inf, "trace_clip": 1.3, "normalize_advantages": True},
        {"correction": "truncated", "clip": 1.2},
        {"correction": "masked", "mask": (0.7, 1.5)},
    ],
)
def test_the_gradient_at_the_present_parameters_of_a_stale_rollout(options, reference):
    """∇θ[s_t] = −(w_t A_t (e_a − π) − h π(−log π − H))/n and ∇ω = −2c (R_t − V) φ/n, with ρ_t = π/μ, in float64."""
    rollout, states, following = behaviour_rollout(reference)
    policy, behaviour = reference.softmax(THETA), reference.softmax(BEHAVIOUR)
    ratio = (policy / behaviour)[states, rollout.action]
    weight, name = np.ones(N), options["correction"]
    bars = (np.inf, np.inf)
    if name == "vtrace":
        bars = options.get("clip", 1.0), options.get("trace_clip", 1.0)
        weight = np.minimum(ratio, bars[0])
    elif name == "truncated":
        weight = np.minimum(ratio, 1.2)
    elif name == "masked":
        weight = ratio * ((ratio >= 0.7) & (ratio <= 1.5))
        assert 0 < (weight == 0).sum() < N
    plain = ratio if name == "vtrace" else np.ones(N)
    advantage, error, _ = by_definition(rollout, states, following, plain, *bars)
    if options.get("normalize_advantages"):
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    to_theta, to_omega = np.zeros((S, A)), np.zeros(4)
    for t, s in enumerate(states):
        logs = np.log(policy[s])
        to_theta[s] -= weight[t] * advantage[t] * (np.eye(A)[rollout.action[t]] - policy[s]) / N
        to_theta[s] += 0.3 * policy[s] * (logs - (policy[s] * logs).sum()) / N
        to_omega -= 2 * 0.4 * error[t] * np.asarray(MDP.features)[s] / N
    found = jax.jit(fresh_gradient)(learner(**options), PARAMS, rollout)
    np.testing.assert_allclose(found.theta, to_theta, atol=5e-6)
    np.testing.assert_allclose(found.omega, to_omega, atol=5e-6)


@pytest.mark.usefixtures("x64")
def test_untruncated_traces_value_the_present_policy(reference):
    """E over all rollouts of two steps from s under μ, with ρ̄ = c̄ = ∞ and λ = 1: v_0 is (T²V)(s) for T the Bellman
    operator of π, and ρ_0 (q_0 − V) ψ is Σ_a π ψ (r + γ P T V − V). With μ in the place of ρ = 1 neither is."""
    transition, reward = np.asarray(MDP.transition, np.float64), np.asarray(MDP.reward, np.float64)
    transition = transition / transition.sum(-1, keepdims=True)  # kept in float32, whose rows sum to 1 − 1e-8 or so
    reward = reward if reward.ndim == 2 else (transition * reward).sum(-1)
    policy, behaviour = reference.softmax(THETA), reference.softmax(BEHAVIOUR)
    values = np.asarray(MDP.features, np.float64) @ OMEGA

    def action_values(v):
        return reward + 0.9 * transition @ v

    def bellman(v):
        return (policy * action_values(v)).sum(1)

    rows = list(itertools.product(range(A), range(S), range(A), range(S)))
    a, s1, b, s2 = (np.array(x) for x in zip(*rows, strict=True))
    no = jnp.zeros(2, bool)

    def one(reward, value, ahead, ratio, bound):
        rollout = Rollout(None, None, reward, None, no, no, jnp.zeros(2))
        return vtrace(rollout, value, ahead, ratio, jnp.float64(0.9), jnp.float64(1), VTrace(bound, bound))

    each = jax.jit(jax.vmap(one, in_axes=(0, 0, 0, 0, None)))
    for s in range(S):
        chance = behaviour[s, a] * transition[s, a, s1] * behaviour[s1, b] * transition[s1, b, s2]
        ratio = np.stack([policy[s, a] / behaviour[s, a], policy[s1, b] / behaviour[s1, b]], 1)
        given = (
            np.stack([reward[s, a], reward[s1, b]], 1),
            np.stack([np.full(len(a), values[s]), values[s1]], 1),
            np.stack([values[s1], values[s2]], 1),
            ratio,
        )
        advantage, error = each(*given, jnp.inf)
        np.testing.assert_allclose(chance @ error[:, 0] + values[s], bellman(bellman(values))[s], atol=1e-12)
        weighted = chance * ratio[:, 0] * np.asarray(advantage)[:, 0]
        scores = np.eye(A)[a] - policy[s]
        expected = policy[s] * (action_values(bellman(values))[s] - values[s])
        np.testing.assert_allclose(weighted @ scores, expected - policy[s] * expected.sum(), atol=1e-12)
        bounded = each(*given, 1.0)[1]
        assert abs(chance @ bounded[:, 0] + values[s] - bellman(bellman(values))[s]) > 1e-3


PENDULUM = {
    "environment": a3cjax.environments.Pendulum(), "network": networks.MLP(hidden=(4,)), "optimizer": optax.sgd(0.01),
    "rollout": 3,
}  # fmt: skip


@pytest.mark.parametrize("make", [learner, lambda **options: a3cjax.ActorCritic(**PENDULUM, **options)])
def test_where_a_rollout_was_sampled_fresh_is_stale(make):
    """Every ratio is 1, of probabilities and of densities: V-trace's traces are generalised advantages."""

    def update(one):
        state = one.init(jax.random.key(0))
        message, _ = one.propose(state.params, one.init_worker(jax.random.key(1)), jax.random.key(2))
        return one.apply(state, message, jnp.int32(0)).params

    stale, fresh = (
        jax.jit(update)(one) for one in (make(gradient="stale"), make(gradient="fresh", correction="vtrace"))
    )
    for found, expected in zip(jax.tree.leaves(fresh), jax.tree.leaves(stale), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("commit", [None, [1, 1, 0, 1, 0, 1]])
def test_the_server_takes_the_gradient_at_its_own_parameters(commit, reference):
    """From logged rollouts: θ_{v+1} − θ_v is the step along their gradient at θ_v, or along the mean of several, where
    stale ones would be taken at version v − τ_k."""
    delay = [0, 1, 1, 2, 3, 2] if commit is None else [0, 1, 2, 1, 2, 3]
    schedule = a3cjax.Schedule([0, 1, 0, 1, 0, 0], delay, range(6), commit=commit)

    def flat(state):
        return jnp.concatenate([*state.params.theta, state.params.omega])

    record = a3cjax.Record(every=1, metrics={"params": flat})
    found = a3cjax.simulate(learner(), schedule, jax.random.key(0), record=record, transitions=True)
    after = np.vstack([np.zeros(S * A + 4), np.asarray(found.metrics["params"], np.float64)])
    for group in [[k] for k in range(6)] if commit is None else [[0], [1], [2, 3], [4, 5]]:
        before, steps = after[group[0]], []
        theta, omega = before[: S * A].reshape(S, A), before[S * A :]
        for k in group:
            rollout = jax.tree.map(lambda leaf, k=k: np.asarray(leaf)[k], found.transitions)
            step = reference.gradient(theta, omega, np.asarray(MDP.features, np.float64), rollout, **WEIGHTS)
            steps.append(np.concatenate([step[0].ravel(), step[1]]))
        np.testing.assert_allclose(after[group[-1] + 1] - before, -0.5 * np.mean(steps, 0), atol=1e-5)


def test_the_decoupled_objective_stops_where_the_ratio_leaves_its_interval(reference):
    """Two steps of SGD on one transition, with ε: the first is the untruncated one, and the second too unless the ratio
    of the policy after the first to that before has left (1 − ε, 1 + ε) in the direction of A: then θ stays."""
    policy, behaviour = reference.softmax(THETA), reference.softmax(BEHAVIOUR)
    features, update = np.asarray(MDP.features, np.float64), jax.jit(a3cjax.ActorCritic.apply)
    for action, epsilon in itertools.product((0, 2), (1e-4, 1e4)):
        parts: Any = (
            np.eye(S, dtype=np.float32)[[1]], np.array([action]), np.ones(1, np.float32),
            np.eye(S, dtype=np.float32)[[2]], np.zeros(1, bool), np.zeros(1, bool),
            np.log(behaviour[1, [action]]).astype(np.float32),
        )  # fmt: skip
        rollout = jax.tree.map(jnp.asarray, Rollout(*parts))
        one = learner(correction="decoupled", ratio_clip=epsilon, epochs=2, rollout=1, entropy=0.0)
        state = one.init(jax.random.key(0))._replace(params=PARAMS)
        after = update(one, state, FreshMessage(rollout, None), jnp.int32(0)).params
        advantage = 1 + 0.9 * features[2] @ OMEGA - features[1] @ OMEGA
        importance, theta = policy[1, action] / behaviour[1, action], THETA[1].copy()
        for epoch in range(2):
            now = reference.softmax(theta)
            ratio = now[action] / policy[1, action]
            if epoch == 0 or epsilon > 1:
                theta = theta + 0.5 * importance * ratio * advantage * (np.eye(A)[action] - now)
        np.testing.assert_allclose(after.theta[1], theta, atol=1e-5)


def test_the_numbers_of_a_correction_may_be_one_for_each_run():
    """Three runs of one key with three ρ̄ part; before they do, and where nothing is stale, ρ is 1."""
    schedule = a3cjax.Schedule.from_law(jax.random.key(4), a3cjax.delays.Constant(3), 12)
    record = a3cjax.Record(every=1, metrics=["ratio", "ratio_sq"])
    one = learner(correction="vtrace", clip=jnp.array([0.5, 1.0, 2.0]))
    found = a3cjax.simulate(one, schedule, jax.random.key(0), record=record)
    ratio, squared = (np.asarray(found.metrics[name]) for name in ("ratio", "ratio_sq"))
    np.testing.assert_allclose(ratio[:, 0], 1, atol=1e-5)
    assert np.unique(np.round(np.asarray(found.params.theta)[:, 0, 0], 5)).size == 3
    assert np.abs(ratio - 1).max() > 1e-3
    assert (squared > ratio**2 - 1e-5).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs is 0, but must be at least 1"),
        ({"epochs": 2, "gradient": "stale"}, "epochs is 2, but gradient is 'stale'"),
        ({"correction": "decoupled"}, "correction is 'decoupled', but epochs is 1"),
        ({"correction": "decoupled", "epochs": 2, "ratio_clip": 0.0}, "ratio_clip is 0, but must be greater than 0"),
        ({"correction": "truncated", "trace_clip": 1.0}, "trace_clip is 1.0, but correction is 'truncated'"),
        (
            {"correction": "vtrace", "rollout": 1, "trace_clip": 1.0},
            "trace_clip is 1.0, but a rollout of 1 has nothing",
        ),
    ],
)
def test_bad_input_is_refused_in_a_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        learner(**options)


def test_several_steps_an_update_have_no_mean():
    schedule = a3cjax.Schedule([0, 1], [0, 0], [1, 2], commit=[0, 1])
    with pytest.raises(ValueError, match="The schedule averages messages, and epochs is 2"):
        a3cjax.simulate(learner(epochs=2), schedule, jax.random.key(0))


def test_thresholds_have_the_usual_values():
    """c̄ = ρ̄ = 1, C = 2, (0.5, 5) and ε = 0.2."""
    found = [correction_of("fresh", name, {}) for name in ("vtrace", "truncated", "masked", "decoupled")]
    assert np.allclose(jax.tree.leaves(found), [1, 1, 2, 0.5, 5, 0.2])
