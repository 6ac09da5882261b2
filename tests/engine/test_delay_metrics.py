"""What a delay adds to one update, against recursions by hand and a transcription in NumPy of every version."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import a3cjax
from a3cjax.engine import driver
from a3cjax.learners.a3c.delay_errors import DELAY_METRICS

EXPONENTIAL = [a3cjax.compute_times.Exponential(1.0)] * 4
KEYS = jax.random.split(jax.random.key(2), 3)
NAMES = ["delay", *DELAY_METRICS]
VIEW = {"theta": lambda state: state.theta, "omega": lambda state: state.omega}


def workers(num_updates):
    return a3cjax.Schedule.from_workers(jax.random.key(0), EXPONENTIAL, num_updates)


def law(num_updates, high=6):
    return a3cjax.Schedule.from_law(jax.random.key(0), a3cjax.delays.Uniform(0, high), num_updates, num_workers=3)


def same(one, two):
    ours, theirs = jax.tree.leaves(one), jax.tree.leaves(two)
    assert len(ours) == len(theirs) > 0
    for x, y in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(x, y)


# -------------------------------------------------------------------------------------------------------- quadratic


@pytest.mark.parametrize("delay", [0, 3])
@pytest.mark.usefixtures("x64")
def test_the_quadratic_error_is_that_of_the_recursion(delay):
    """x_{k+1} = x_k − a h ⊙ x_{k−τ_k}, τ_k = min(3, k), by hand; the error ‖h ⊙ (x_{k−τ_k} − x_k)‖² of each update."""
    h, x = np.array([1.0, 2.5]), [np.array([1.0, -3.0])]
    schedule = a3cjax.Schedule.from_law(jax.random.key(0), a3cjax.delays.Constant(delay), 40)
    errors = []
    for k in range(40):
        stale = x[k - min(delay, k)]
        errors.append(np.sum((h * (stale - x[k])) ** 2))
        x.append(x[k] - 0.1 * h * stale)
    learner = a3cjax.QuadraticSGD(curvature=h, step=0.1, start=x[0])
    result = a3cjax.simulate(
        learner, schedule, jax.random.key(0), record=a3cjax.Record(every=1, metrics=["delay_error_sq", "delay"])
    )
    np.testing.assert_allclose(result.metrics["delay_error_sq"], errors, rtol=1e-12, atol=0)
    np.testing.assert_array_equal(result.metrics["delay"], np.minimum(delay, np.arange(40)))
    assert (np.count_nonzero(errors) == 39) if delay else (np.asarray(errors) == 0).all()


def test_noise_cancels_and_small_steps_make_the_error_linear_in_the_delay():
    """With h = 1 and no noise, x_{k−τ} − x_k = a Σ_{j=k−τ}^{k−1} x_{j−τ_j} ≈ a τ x_k for a τ ≪ 1: squared, a²τ²x_k².

    At a = 10⁻⁴ and update 100 the sum's terms differ from x_k by at most 2aτ/1 = 0.32 % for τ = 16. With noise σ and
    start 0 the difference is a σ times a sum S_k of τ normals. Cov(S_k², S_{k+l}²) = 2(τ − |l|)² for |l| < τ, so the
    mean of n of them is τ with a relative standard error of √(2 Σ_l (1 − |l|/τ)² / n) = √(2(2τ + 1/τ)/(3n)); 5 of these
    are allowed.
    """
    delays = np.array([1, 2, 4, 8, 16])
    num_updates = 8000
    schedule = a3cjax.Schedule.stack(
        [a3cjax.Schedule.from_law(KEYS[0], a3cjax.delays.Constant(int(tau)), num_updates) for tau in delays]
    )
    record = a3cjax.Record(every=1, metrics={"error": "delay_error_sq", "x": lambda state: state.x[0]})
    with jax.enable_x64(True):
        plain = a3cjax.simulate(a3cjax.QuadraticSGD(curvature=[1.0], step=1e-4), schedule[:200], KEYS[0], record=record)
        noisy = a3cjax.simulate(
            a3cjax.QuadraticSGD(curvature=[1.0], step=1e-4, noise=1.0, start=[0.0]), schedule, KEYS[0], record=record
        )
    ratio = np.sqrt(plain.metrics["error"][:, 100]) / (1e-4 * delays * plain.metrics["x"][:, 99])
    np.testing.assert_allclose(ratio, 1, atol=0.004)
    mean_sq = noisy.metrics["error"].mean(1) / (1e-8 * delays)
    assert (np.abs(mean_sq - 1) < 5 * np.sqrt(2 * (2 * delays + 1 / delays) / 3 / num_updates)).all()
    x = np.concatenate([np.zeros((5, 1)), noisy.metrics["x"]], axis=1)
    for run, tau in enumerate(delays):  # and exactly, from the recorded iterates
        by_hand = (x[run, :-1][:-tau] - x[run, :-1][tau:]) ** 2
        np.testing.assert_allclose(noisy.metrics["error"][run, tau:], by_hand, rtol=1e-9, atol=1e-25)


# -------------------------------------------------------------------------------------------------------------- A3C


def transcription(mdp, table, delays, thetas, omegas, samples, estimator="td", baseline: Any = None):
    """Both terms, squared, and ‖g‖², ‖v‖² at the stale version, of every update; [4, K]."""
    reward, phi, discount = np.asarray(mdp.reward), np.asarray(mdp.features), float(mdp.discount)

    def td_error(omega, s, a, ahead):
        return reward[s, a] + discount * phi[ahead] @ omega - phi[s] @ omega

    def weight(k, omega, s, a, ahead):
        if estimator == "reinforce":
            return samples.returns[k] - baseline[s]
        if estimator == "advantage":
            values = phi @ omega
            return reward[s, a] + discount * np.asarray(mdp.transition)[s, a] @ values - values[s] - baseline[s]
        return td_error(omega, s, a, ahead)

    def score(theta, s, a):
        logits = theta[s] if table is None else table[s] @ theta
        law = np.exp(logits - logits.max())
        law /= law.sum()
        if table is not None:
            return table[s, a] - law @ table[s]
        psi = np.zeros_like(theta)
        psi[s] = np.eye(len(law))[a] - law
        return psi

    rows = []
    for k, delay in enumerate(delays):
        critic = list(zip(*(np.atleast_1d(leaf[k]) for leaf in samples.critic), strict=True))
        actor = list(zip(*(np.atleast_1d(leaf[k]) for leaf in samples.actor), strict=True))
        g, v = (
            [np.mean([td_error(omegas[j], *x) * phi[x[0]] for x in critic], axis=0) for j in (k - delay, k)],
            [
                np.mean([weight(k, omegas[j], *x) * score(thetas[j], *x[:2]) for x in actor], axis=0)
                for j in (k - delay, k)
            ],
        )
        rows.append([np.sum((g[0] - g[1]) ** 2), np.sum((v[0] - v[1]) ** 2), np.sum(g[0] ** 2), np.sum(v[0] ** 2)])
    return np.array(rows).T


@pytest.mark.parametrize("case", ["mailbox, linear, mini-batch", "ring, advantage", "mailbox, reinforce"])
@pytest.mark.usefixtures("x64")
def test_both_terms_are_those_of_the_logged_samples_and_versions(case, mixing_mdp):
    """Samples and all versions of θ and ω are recorded; the prior pulls in all cases and is part of neither term.

    What is not linear is a table; "td" on a ring is "td" on the mailbox, bit for bit, below.
    """
    num_updates = 60
    mdp, rng = mixing_mdp(1, spread=0.5), np.random.default_rng(2)
    linear = "linear" in case
    table: Any = rng.standard_normal((6, 3, 5)) if linear else None
    estimator: Any = case.split(", ")[1] if "advantage" in case or "reinforce" in case else "td"
    baseline = rng.standard_normal(6)
    learner = a3cjax.A3C(
        mdp,
        actor_step=0.3,
        critic_step=0.4,
        radius=1.0,
        policy=a3cjax.policies.LinearSoftmax(table) if linear else a3cjax.policies.TabularSoftmax,
        prior=a3cjax.Prior.uniform(0.3, 6, 3),
        minibatch=3 if linear else 1,
        **({"estimator": estimator, "baseline": baseline} if estimator != "td" else {}),
    )
    schedule = workers(num_updates) if case.startswith("mailbox") else law(num_updates)
    record = a3cjax.Record(every=1, metrics=VIEW | {name: name for name in NAMES})
    result = a3cjax.simulate(learner, schedule, KEYS[0], record=record, transitions=True)
    assert result.state is not None
    assert result.state.history == case.split(",")[0]
    thetas, omegas = (
        np.concatenate([np.asarray(start)[None], result.metrics[name]])
        for name, start in (("theta", learner.theta), ("omega", learner.omega))
    )
    samples = jax.tree.map(np.asarray, result.transitions)
    expected = transcription(mdp, table, schedule.delay, thetas, omegas, samples, estimator, baseline)
    np.testing.assert_array_equal(result.metrics["delay"], schedule.delay)
    for name, values in zip(NAMES[1:], expected, strict=True):
        np.testing.assert_allclose(result.metrics[name], values, rtol=1e-9, atol=1e-15, err_msg=name)
    fresh = schedule.delay == 0
    assert fresh.sum() > 5
    for name, values in zip(NAMES[1:3], expected[:2], strict=True):
        assert (result.metrics[name][fresh] == 0).all()
        assert (values[~fresh] > 1e-6).mean() > 0.5


@pytest.fixture(scope="module")
def learner():
    mdp = a3cjax.families.synthetic(jax.random.key(0), num_states=6, num_actions=3, num_features=4)
    return a3cjax.A3C(mdp, actor_step=0.3, critic_step=0.4, radius=1.0)


@pytest.fixture(scope="module")
def recorded(learner):
    """Every 7 updates of 130, so that a stretch is left over at the end."""
    record = a3cjax.Record(every=7, metrics=VIEW | {name: name for name in NAMES})
    return {
        history: a3cjax.simulate(learner, workers(130), KEYS, record=record, history=history, transitions=True)
        for history in ("mailbox", "ring")
    }


def test_recording_changes_no_bit_of_the_run(learner, recorded):
    """Parameters, samples and the other metrics are those of a run without delay metrics."""
    record = a3cjax.Record(every=7, metrics=VIEW)
    plain = a3cjax.simulate(learner, workers(130), KEYS, record=record, transitions=True)
    for result in recorded.values():
        same(result.params, plain.params)
        same(result.transitions, plain.transitions)
        same({name: result.metrics[name] for name in VIEW}, plain.metrics)


def test_mailbox_and_ring_measure_the_same_bits(recorded):
    same(recorded["mailbox"].metrics, recorded["ring"].metrics)
    delays = workers(130).delay[6::7]
    np.testing.assert_array_equal(recorded["ring"].metrics["delay"], np.broadcast_to(delays, (3, 18)))
    for name in NAMES[1:3]:
        values = recorded["ring"].metrics[name]
        assert (values[:, delays == 0] == 0).all()
        assert (values[:, delays > 0] > 0).all()


def test_a_run_measures_the_same_bits_alone_and_in_blocks(learner, recorded, monkeypatch):
    """One run of three; and records that lie many blocks apart, so that most stretches end without one."""
    monkeypatch.setattr(driver, "LONGEST_BLOCK", 5)
    record = a3cjax.Record(every=7, metrics=VIEW | {name: name for name in NAMES})
    alone = a3cjax.simulate(learner, workers(130), KEYS[1], record=record)
    same(alone.metrics, {name: values[1] for name, values in recorded["mailbox"].metrics.items()})


@pytest.mark.parametrize("history", ["mailbox", "ring"])
def test_inside_jit_and_vmap_the_bits_are_the_same(history):
    learner = a3cjax.QuadraticSGD(curvature=[1.0, 0.3], step=0.1, noise=0.5)
    record = a3cjax.Record(every=5, metrics=["delay_error_sq", "delay"])
    schedule = workers(30) if history == "mailbox" else law(30)

    @jax.jit
    def inside(schedule, keys):
        def one(key):
            return a3cjax.simulate(learner, schedule, key, record=record, history=history).metrics

        return jax.vmap(one)(keys)

    outside = a3cjax.simulate(learner, schedule, KEYS, record=record, history=history).metrics
    same(inside(schedule, KEYS), outside)
    assert (outside["delay_error_sq"][:, outside["delay"][0] > 0] > 0).all()


def test_large_tables_are_looked_up_whole(mixing_mdp):
    """The ring keeps rows of a large table, and the views that are measured are tables again: ring = mailbox, bit for
    bit, over several of the ring's blocks of 16 versions, with repeated states and a deep ring."""
    mdp = mixing_mdp(4, states=40, actions=3)
    learner = a3cjax.A3C(mdp, actor_step=0.5, critic_step=0.4, minibatch=2)
    slow = [a3cjax.compute_times.Exponential(20.0), *EXPONENTIAL]
    schedule = a3cjax.Schedule.from_workers(jax.random.key(3), slow, 150)
    assert schedule.max_delay > 32
    record = a3cjax.Record(every=1, metrics=NAMES)
    one, two = (
        a3cjax.simulate(learner, schedule, KEYS[0], record=record, history=history) for history in ("mailbox", "ring")
    )
    same((one.params, one.metrics), (two.params, two.metrics))
    assert (one.metrics["actor_delay_error_sq"][schedule.delay > 0] > 0).mean() > 0.9


# ----------------------------------------------------------------------------------------------- learners and errors


def test_a_run_with_delay_metrics_goes_on():
    """Cut between two records and resumed; without the metrics the mailbox has not kept the views that it needs."""
    learner = a3cjax.QuadraticSGD(curvature=[1.0, 0.3], step=0.1, noise=0.5)
    schedule, key = workers(60), KEYS[0]
    record = a3cjax.Record(every=10, metrics=["delay_error_sq"])
    whole = a3cjax.simulate(learner, schedule, key, record=record)
    first = a3cjax.simulate(learner, schedule[:33], key, record=record)
    rest = a3cjax.simulate(learner, schedule, key, record=record, resume=first.state)
    joined = jnp.concatenate([first.metrics["delay_error_sq"], rest.metrics["delay_error_sq"]])
    same((joined, rest.params), (whole.metrics["delay_error_sq"], whole.params))
    plain = a3cjax.simulate(learner, schedule[:33], key, record=a3cjax.Record(every=10, metrics=()))
    with pytest.raises(
        ValueError, match=r"resume holds an array .* the schedule and the delay metrics that it was made"
    ):
        a3cjax.simulate(learner, schedule, key, record=record, resume=plain.state)


def test_a_delay_metric_of_another_learner_is_refused():
    learner = a3cjax.QuadraticSGD(curvature=[1.0], step=0.1)
    record = a3cjax.Record(every=1, metrics=["critic_delay_error_sq"])
    message = (
        "'critic_delay_error_sq', which this learner does not have; it has objective, distance_sq, delay_error_sq,"
    )
    with pytest.raises(ValueError, match=message):
        a3cjax.simulate(learner, workers(5), KEYS[0], record=record)


def test_delay_metrics_are_not_recorded_unless_asked_for(learner):
    """They cost time; by default a record is of the state."""
    result = jax.eval_shape(lambda key: a3cjax.simulate(learner, a3cjax.Schedule.sequential(2), key), KEYS[0])
    assert result.metrics
    assert not set(result.metrics) & {*NAMES}


@pytest.mark.usefixtures("x64")
def test_both_terms_with_vectors_for_states_and_actions():
    """On an LQR g = δ̂ φ(s) and v = δ̂ (a − θs)sᵀ/σ², transcribed from the logged samples and versions."""
    num_updates, std = 40, 0.6
    lqr = a3cjax.LQR(
        state_matrix=[[0.7, 0.3], [-0.2, 0.5]],
        input_matrix=[[1.0], [0.5]],
        noise_covariance=[[0.5, 0.1], [0.1, 0.3]],
        state_cost=[[1.0, 0.2], [0.2, 0.5]],
        action_cost=[[0.3]],
        initial_mean=[2.0, -1.0],
        initial_covariance=[[1.0, 0.0], [0.0, 0.5]],
        discount=0.9,
        feature_scale=[1.2, 0.8],
    )
    policy = a3cjax.policies.LinearGaussian(2, 1, std)
    learner = a3cjax.A3C(lqr, actor_step=0.001, critic_step=0.03, policy=policy, theta=[[-0.2, 0.1]])
    schedule = workers(num_updates)
    record = a3cjax.Record(every=1, metrics=VIEW | {name: name for name in NAMES})
    result = a3cjax.simulate(learner, schedule, KEYS[0], record=record, transitions=True)
    thetas, omegas = (
        np.concatenate([np.asarray(start)[None], result.metrics[name]])
        for name, start in (("theta", learner.theta), ("omega", learner.omega))
    )

    def td_error(omega, s, a, ahead):
        phi, phi_ahead = (np.array([1.0, x * x, x * y, y * y]) / 2 for x, y in (s / [1.2, 0.8], ahead / [1.2, 0.8]))
        reward = -(s @ [[1.0, 0.2], [0.2, 0.5]] @ s + 0.3 * a @ a)
        return reward + 0.9 * phi_ahead @ omega - phi @ omega, phi

    for k, delay in enumerate(schedule.delay):
        critic, actor = (
            [np.asarray(leaf[k]) for leaf in x] for x in (result.transitions.critic, result.transitions.actor)
        )
        g, v = [], []
        for j in (k - delay, k):
            delta, phi = td_error(omegas[j], *critic)
            g.append(delta * phi)
            v.append(td_error(omegas[j], *actor)[0] * np.outer(actor[1] - thetas[j] @ actor[0], actor[0]) / std**2)
        expected = [np.sum((x[0] - x[1]) ** 2) for x in (g, v)] + [np.sum(x[0] ** 2) for x in (g, v)]
        measured = [result.metrics[name][k] for name in NAMES[1:]]
        np.testing.assert_allclose(measured, expected, rtol=1e-9, atol=1e-18)
    assert (result.metrics["actor_delay_error_sq"][schedule.delay > 0] > 0).all()


@pytest.mark.usefixtures("x64")
def test_where_messages_are_averaged_each_message_is_measured():
    """Message k is computed from version v_k − τ_k and arrives when version v_k is the newest, so the error is
    ‖h (x_{v_k−τ_k} − x_{v_k})‖² with the versions that the commits made."""
    rng = np.random.default_rng(0)
    commit = rng.random(80) < 0.4
    newest = np.cumsum(commit) - commit
    delay = np.minimum(rng.integers(0, 6, 80), newest)
    schedule = a3cjax.Schedule(rng.integers(0, 3, 80), delay, np.arange(80), num_workers=3, commit=commit)
    learner = a3cjax.QuadraticSGD(curvature=[1.0, 2.0], step=0.25, start=[1.0, -3.0], noise=0.5)
    record = a3cjax.Record(every=1, metrics={"error": "delay_error_sq", "x": lambda state: state.x})
    metrics = a3cjax.simulate(learner, schedule, KEYS[0], record=record).metrics
    versions = np.concatenate([[[1.0, -3.0]], metrics["x"][commit]])
    expected = np.sum((np.array([1.0, 2.0]) * (versions[newest - delay] - versions[newest])) ** 2, axis=-1)
    np.testing.assert_allclose(metrics["error"], expected, rtol=1e-10, atol=1e-25)
    assert (expected > 0).sum() > 40
