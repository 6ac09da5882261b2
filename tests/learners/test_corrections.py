"""Fresh gradients of stale data in A3C: enumeration, a NumPy transcription, and what is refused."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import a3cjax
from a3cjax._xla.cpu_kernel import CPU_KERNEL
from a3cjax.engine.plan import backend_for
from a3cjax.learners.a3c.messages import A3CState, FreshMessage
from a3cjax.learners.sampling.samples import StateAction, Transition
from a3cjax.problems import exact

KEY = jax.random.key(0)
S, A, K = 4, 3, 60
LAST = a3cjax.Record(every=K, metrics=())
DEPTH = 24  # of the ring for the workers' delays, and for none: one program
LAW = a3cjax.Schedule.from_law(jax.random.key(3), a3cjax.delays.Uniform(0, 9), K, num_workers=3)
RNG = np.random.default_rng(0)
THETA, BEHAVIOUR = RNG.normal(size=(2, S, A))


def mdp_of(transition=None, discount=0.8):
    rng = np.random.default_rng(1)
    transition = rng.dirichlet(np.ones(S), size=(S, A)) if transition is None else transition
    return a3cjax.FiniteMDP(transition, rng.random((S, A)), rng.dirichlet(np.ones(S)), discount, np.eye(S))


MDP = mdp_of()


def a3c(mdp: Any = MDP, **options: Any):
    return a3cjax.A3C(mdp, **{"actor_step": 1.5, "critic_step": 0.7, "gradient": "fresh", **options})


def softmax(logits):
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def visits(mdp, policy):
    """d = (1−γ) ηᵀ (I − γ P_π)⁻¹, and V."""
    kernel = np.einsum("sa,sat->st", policy, np.asarray(mdp.transition, np.float64))
    inverse = np.linalg.inv(np.eye(S) - float(mdp.discount) * kernel)
    reward = (policy * np.asarray(mdp.reward, np.float64)).sum(1)
    return (1 - float(mdp.discount)) * np.asarray(mdp.initial, np.float64) @ inverse, inverse @ reward


def mean_change(learner, states):
    """E of what one update does to (θ, ω) at (THETA, its exact V), over s ~ states, a ~ softmax(BEHAVIOUR), s' ~ P."""
    mdp, behaviour = learner.mdp, softmax(BEHAVIOUR)
    _, values = visits(mdp, softmax(THETA))
    s, a, ahead = (jnp.array(x) for x in zip(*itertools.product(range(S), range(A), range(S)), strict=True))
    chance = states[s] * behaviour[s, a] * np.asarray(mdp.transition, np.float64)[s, a, ahead]
    start = A3CState(jnp.asarray(THETA), jnp.asarray(values), jnp.int32(0))

    def change(s, a, ahead, likelihood):
        x = jax.tree.map(lambda leaf: leaf[None], Transition(s, a, ahead))
        likelihoods = None if learner.correction is None else (likelihood[None], likelihood[None])
        after = learner.apply(start, FreshMessage(x, x, None, likelihoods, None), jnp.int32(0))
        return after.theta - start.theta, after.omega - start.omega

    changes = jax.jit(jax.vmap(change))(s, a, ahead, jnp.asarray(behaviour[s, a]))
    return tuple(np.tensordot(chance, np.asarray(leaf, np.float64), 1) for leaf in changes)


def gradient(mdp):
    return np.asarray(jax.grad(lambda t: exact.objective(mdp, jax.nn.softmax(t)))(jnp.asarray(THETA)), np.float64)


UNIT = {"actor_step": 1.0, "critic_step": 1.0}


@pytest.mark.usefixtures("x64")
def test_untruncated_weights_give_the_gradient_at_the_present_parameters():
    """Enumerated: from states of the present d, min(∞, ρ) gives ∇J(θ_k), and E g = 0 at the present V. Where no action
    matters for the next state, the stale d is the present one, and the samples' own law gives it; otherwise it is off
    by what the difference of the two laws makes of E_a[A ψ | s], enumerated here without the package."""
    learner = a3c(mdp_of(), correction="truncated", clip=np.inf, **UNIT)
    mdp = learner.mdp
    (present, values), (stale, _) = visits(mdp, softmax(THETA)), visits(mdp, softmax(BEHAVIOUR))
    found = mean_change(learner, present)
    np.testing.assert_allclose(found[0], gradient(mdp), atol=1e-12)
    np.testing.assert_allclose(found[1], 0, atol=1e-12)

    ahead = np.asarray(mdp.reward) + 0.8 * np.asarray(mdp.transition) @ values
    policy = softmax(THETA)
    per_state = policy * (ahead - (policy * ahead).sum(1, keepdims=True))  # E_a[A ψ | s], row s
    bias = (stale - present)[:, None] * per_state
    assert np.abs(bias).max() > 0.002
    np.testing.assert_allclose(mean_change(learner, stale)[0] - gradient(mdp), bias, atol=1e-12)

    uniform = mdp_of(np.repeat(np.random.default_rng(2).dirichlet(np.ones(S), size=(S, 1)), A, axis=1))
    learner = a3c(uniform, correction="truncated", clip=np.inf, **UNIT)
    np.testing.assert_allclose(
        mean_change(learner, visits(uniform, softmax(BEHAVIOUR))[0])[0], gradient(uniform), atol=1e-12
    )


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("options", "weight"),
    [
        ({}, lambda ratio: np.ones_like(ratio)),
        ({"correction": "truncated", "clip": 1.2}, lambda ratio: np.minimum(ratio, 1.2)),
        ({"correction": "vtrace"}, lambda ratio: np.minimum(ratio, 1)),
        ({"correction": "masked", "mask": (0.8, 3.0)}, lambda ratio: ratio * ((ratio >= 0.8) & (ratio <= 3))),
    ],
)
def test_the_bias_of_bounded_weights_is_what_they_cut_off(options, weight):
    """From the present d: Σ_s d(s) Σ_a μ(a|s) w(ρ) A(s,a) ψ(s,a), with ρ = π/μ, and the critic's likewise."""
    learner = a3c(mdp_of(), **options, **UNIT)
    (present, values), policy, behaviour = visits(learner.mdp, softmax(THETA)), softmax(THETA), softmax(BEHAVIOUR)
    advantage = np.asarray(learner.mdp.reward) + 0.8 * np.asarray(learner.mdp.transition) @ values - values[:, None]
    each = behaviour * weight(policy / behaviour) * advantage
    expected = present[:, None] * (each - policy * each.sum(1, keepdims=True))
    theta, omega = mean_change(learner, present)
    np.testing.assert_allclose(theta, expected, atol=1e-12)
    np.testing.assert_allclose(omega, present * each.sum(1), atol=1e-12)
    assert np.abs(expected - gradient(learner.mdp)).max() > 1e-3


PRIOR = a3cjax.Prior.uniform(0.125, S, A)


@pytest.mark.usefixtures("x64")
def test_the_server_computes_from_stale_samples():
    """The loop in NumPy from the logged samples: δ̂ and ψ at θ_k and ω_k, and ρ = π_{θ_k}/π_{θ_{k−τ_k}} from a list.

    Masked, so that two bounds act; what the others make of ρ is enumerated above.
    """
    learner = a3c(mdp_of(), radius=2.0, correction="masked", mask=(0.9, 1.2), minibatch=2, prior=PRIOR)
    found = a3cjax.simulate(learner, LAW, KEY, record=LAST, transitions=True, history="ring")
    samples = jax.tree.map(lambda leaf: np.asarray(leaf).reshape(K, -1), found.transitions)
    reward = np.asarray(learner.mdp.reward)

    def weigh(ratio):
        return ratio * (0.9 <= ratio <= 1.2)

    thetas, omegas, acted = [np.zeros((S, A))], [np.zeros(S)], 0
    for k, delay in enumerate(np.asarray(LAW.delay)):
        now, then, omega = softmax(thetas[k]), softmax(thetas[k - delay]), omegas[k]
        to_theta, to_omega = np.zeros((S, A)), np.zeros(S)
        count = samples.critic.state.shape[1]
        for m in range(count):
            for chain in (samples.critic, samples.actor):
                s, a, ahead = (int(leaf[k, m]) for leaf in chain)
                w = weigh(now[s, a] / then[s, a])
                acted += w != 1
                step = w * (reward[s, a] + 0.8 * omega[ahead] - omega[s]) / count
                if chain is samples.critic:
                    to_omega[s] += step
                else:
                    to_theta[s] += step * (np.eye(A)[a] - now[s])
            s, a = (int(leaf[k, m]) for leaf in samples.prior)
            to_theta[s] += 0.125 * (np.eye(A)[a] - now[s]) / count
        ahead = omega + 0.7 * to_omega
        omegas.append(ahead * min(1.0, 2.0 / np.linalg.norm(ahead)))
        thetas.append(thetas[k] + 1.5 * to_theta)
    np.testing.assert_allclose(found.params.theta, thetas[-1], atol=1e-9)
    np.testing.assert_allclose(found.params.omega, omegas[-1], atol=1e-9)
    assert acted > 10


def test_without_delays_fresh_is_stale_to_the_bit():
    """The same θ and ω, and every ratio 1, though a ring has older versions at hand."""
    prompt = a3cjax.Schedule.from_law(KEY, a3cjax.delays.Constant(0), K, num_workers=3)
    fresh, stale = (
        a3cjax.simulate(learner, prompt, KEY, record=LAST, history="ring", depth=DEPTH).params
        for learner in (a3c(correction="truncated", clip=1.5), a3c(gradient="stale"))
    )
    np.testing.assert_array_equal(fresh.theta, stale.theta)
    np.testing.assert_array_equal(fresh.omega, stale.omega)


def test_a_run_is_its_own_in_every_history_and_batch():
    """One kernel; mailbox and ring, alone and beside others that have another C, to the bit."""
    workers = a3cjax.Schedule.from_workers(jax.random.key(1), [a3cjax.compute_times.Exponential(1.0)] * 3, K)
    learner = a3c(correction="truncated", clip=1.5)
    assert backend_for(learner, "cpu") == CPU_KERNEL
    kinds: list[dict[str, Any]] = [{"history": "ring", "depth": DEPTH}, {"history": "mailbox"}]
    ring, mailbox = (a3cjax.simulate(learner, workers, KEY, record=LAST, **kept).params for kept in kinds)
    both = a3c(correction="truncated", clip=jnp.array([1.0, 1.5, np.inf]))
    batch = a3cjax.simulate(both, workers, jnp.stack([KEY] * 3), record=LAST, history="mailbox").params
    for name in ("theta", "omega"):
        np.testing.assert_array_equal(getattr(ring, name), getattr(mailbox, name))
        np.testing.assert_array_equal(getattr(batch, name)[1], getattr(ring, name))
    assert np.unique(batch.theta[:, 0, 0]).size == 3


@pytest.mark.usefixtures("x64")
def test_a_mean_is_taken_of_gradients_at_the_version_at_hand():
    """A loop of pushes by hand: the mean of what each message does alone at the same state. A barrier of three ends it,
    whose samples are of the version at hand, so that the fresh mean is the stale one: every ratio is 1."""
    learner = a3c(mdp_of(), correction="truncated")
    commit, delay, worker = [1, 1, 0, 1, 0, 0, 1], [0, 1, 2, 1, 0, 0, 0], [0, 1, 2, 0, 0, 1, 2]
    schedule = a3cjax.Schedule(worker, delay, range(1, 8), commit=commit)
    record = a3cjax.Record(every=7, metrics=())
    found = a3cjax.simulate(learner, schedule, KEY, record=record, transitions=True)
    x = jax.tree.map(lambda leaf: np.asarray(leaf), found.transitions)
    versions = [(np.zeros((S, A)), np.zeros(S))]
    for group in ([0], [1], [2, 3], [4, 5, 6]):
        theta, omega = versions[-1]
        now, changes = softmax(theta), [np.zeros((S, A)), np.zeros(S)]
        for k in group:
            then = softmax(versions[-1 - delay[k]][0])
            for chain, change in ((x.actor, changes[0]), (x.critic, changes[1])):
                s, a, ahead = (int(leaf[k]) for leaf in chain)
                step = np.asarray(learner.mdp.reward)[s, a] + 0.8 * omega[ahead] - omega[s]
                step *= min(2.0, now[s, a] / then[s, a]) / len(group)
                change[s] += step * (np.eye(A)[a] - now[s]) if change.ndim == 2 else step
        versions.append((theta + 1.5 * changes[0], omega + 0.7 * changes[1]))
    np.testing.assert_allclose(found.params.theta, versions[-1][0], atol=1e-10)
    np.testing.assert_allclose(found.params.omega, versions[-1][1], atol=1e-10)


def test_gaussian_ratios_are_densities():
    """exp of the difference of log densities of N(θs, σ²I), written out."""
    policy = a3cjax.policies.LinearGaussian(2, 2, std=0.5)
    now, then, action = (np.random.default_rng(3).normal(size=(3, 2))).astype(np.float32)
    found = policy.ratio(jnp.asarray(now), jnp.asarray(action), policy.likelihood(jnp.asarray(then), action))
    expected = np.exp((((action - then) ** 2).sum() - ((action - now) ** 2).sum()) / (2 * 0.25))
    assert float(found) == pytest.approx(float(expected), rel=1e-4)


def test_an_lqr_takes_fresh_gradients():
    """What is computed where it was sampled is the stale update, to rounding."""
    lqr = a3cjax.LQR([[0.6]], [[0.5]], [[0.1]], [[1.0]], [[0.5]])
    words = jax.random.bits(KEY, (a3c(lqr).num_words,), jnp.uint32)

    def update(learner):
        state = learner.init(KEY)._replace(omega=jnp.ones_like(learner.omega))
        message, _ = learner.propose(learner.view(state), learner.init_worker(KEY), words)
        return learner.apply(state, message, jnp.int32(0))

    stale, fresh = (jax.jit(update)(a3c(lqr, **more)) for more in ({"gradient": "stale"}, {"correction": "vtrace"}))
    np.testing.assert_allclose(stale.theta, fresh.theta, rtol=1e-5)
    np.testing.assert_allclose(stale.omega, fresh.omega, rtol=1e-5)
    assert np.abs(fresh.theta).max() > 0


def test_ratios_are_recorded():
    """ρ of an update, from the two versions: 1 without a delay, another number with one."""
    names = ["critic_ratio", "actor_ratio", "actor_ratio_sq"]
    record = a3cjax.Record(every=1, metrics=[*names, "delay"])
    metrics = a3cjax.simulate(a3c(), LAW, KEY, record=record).metrics
    np.testing.assert_array_equal(metrics["critic_ratio"][metrics["delay"] == 0], 1)
    assert (metrics["actor_ratio"][metrics["delay"] > 3] != 1).any()
    np.testing.assert_allclose(metrics["actor_ratio"] ** 2, metrics["actor_ratio_sq"], rtol=1e-6)
    with pytest.raises(ValueError, match="critic_delay_error_sq"):
        a3cjax.simulate(a3c(), LAW, KEY, record=a3cjax.Record(every=K, metrics=["critic_delay_error_sq"]))


wrong: Any = "late"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gradient": wrong}, "gradient is 'late', but must be one of 'stale', 'fresh'"),
        (
            {"correction": wrong},
            "correction is 'late', but must be one of 'vtrace', 'truncated', 'masked', 'decoupled'",
        ),
        ({"gradient": "stale", "correction": "vtrace"}, "correction is 'vtrace', but gradient is 'stale': it is taken"),
        ({"correction": "decoupled"}, "correction is 'decoupled', which bounds how far .* ActorCritic with epochs=2"),
        (
            {"clip": 2.0},
            "clip is 2.0, but correction is None, which has none; leave it out, or use correction 'vtrace' or",
        ),
        ({"correction": "masked", "clip": 2.0}, "clip is 2.0, but correction is 'masked'"),
        ({"correction": "vtrace", "mask": (0.5, 2.0)}, r"mask is \(0.5, 2.0\), but correction is 'vtrace'"),
        ({"correction": "truncated", "clip": 0.0}, "clip is 0, but must be greater than 0; jnp.inf leaves"),
        ({"correction": "truncated", "clip": [1.0, np.nan]}, r"clip\[1\] is nan, but must be greater than 0"),
        ({"correction": "truncated", "clip": wrong}, "clip must be a number, but is 'late'"),
        ({"correction": "masked", "mask": 2.0}, r"mask is 2.0, but must be a pair \(low, high\)"),
        ({"correction": "masked", "mask": (2.0, 1.0)}, "its low bound must be below its high one"),
        ({"correction": "masked", "mask": (-1.0, 1.0)}, r"mask\[0\] is -1, but must be at least 0"),
        ({"estimator": "reinforce"}, "gradient is 'fresh', but estimator 'reinforce' weighs with a return"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        a3c(**options)


def test_samples_say_which_rows_they_change():
    """That of the actor's state, and that of the prior's."""
    x = Transition(*(jnp.array([i]) for i in (1, 0, 2)))
    message = FreshMessage(x, x, StateAction(jnp.array([3]), jnp.array([0])), None, None)
    assert a3c(prior=PRIOR).changed_rows(message)[0].tolist() == [1, 3]
