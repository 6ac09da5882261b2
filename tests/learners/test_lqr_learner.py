"""A3C on a linear-quadratic regulator: the same learner, histories and samplers, with vectors for indices."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

import a3cjax
from a3cjax._xla.cpu_kernel import CPU_KERNEL
from a3cjax.engine.plan import backend_for
from a3cjax.learners.sampling.words import normal

K = 120
EXPONENTIAL = [a3cjax.compute_times.Exponential(1.0)] * 3
LAST_ONLY = a3cjax.Record(every=K, metrics=())
PARAMETERS = a3cjax.Record(40, {"theta": lambda state: state.theta, "omega": lambda state: state.omega})


def regulator(discount=0.9):
    """Two states, two actions, nothing symmetric, a mean to start from, its own units for the features."""
    return a3cjax.LQR(
        state_matrix=[[0.7, 0.3], [-0.2, 0.5]],
        input_matrix=[[1.0, 0.2], [0.3, -0.5]],
        noise_covariance=[[0.5, 0.1], [0.1, 0.3]],
        state_cost=[[1.0, 0.2], [0.2, 0.5]],
        action_cost=[[0.3, 0.1], [0.1, 0.4]],
        initial_mean=[2.0, -1.0],
        initial_covariance=[[1.0, 0.0], [0.0, 0.0]],
        discount=discount,
        feature_scale=[1.2, 0.8],
    )


@functools.cache
def _workers():
    with jax.enable_x64(False):
        return a3cjax.Schedule.from_workers(jax.random.key(5), EXPONENTIAL, 15_000)  # test_it_learns needs as many


def of_workers(length):
    """The first updates of three workers, drawn once."""
    return _workers()[:length]


GAIN = np.array([[-0.2, 0.1], [0.05, 0.3]])
STD = 0.6


def learner(**options):
    policy = a3cjax.policies.LinearGaussian(2, 2, STD)
    return a3cjax.A3C(regulator(), **({"actor_step": 0.001, "critic_step": 0.03, "policy": policy} | options))


def replay(lqr, start, delays, samples, actor_step, critic_step, radius):
    """(13a) and (13b) in NumPy from logged samples; returns θ_K, ω_K and how often the projection acted."""
    Q, R = np.asarray(lqr.state_cost), np.asarray(lqr.action_cost)
    scale, discount = np.asarray(lqr.feature_scale), float(lqr.discount)

    def phi(state):
        x, y = state / scale
        return np.array([1.0, x * x, x * y, y * y]) / 2

    def td_error(omega, state, action, ahead):
        return -(state @ Q @ state + action @ R @ action) + discount * phi(ahead) @ omega - phi(state) @ omega

    thetas, omegas, projected = [start[0]], [start[1]], 0
    for k, delay in enumerate(delays):
        theta, omega = thetas[k - delay], omegas[k - delay]
        critic, actor = (
            list(zip(*(np.reshape(leaf[k], (-1, 2)) for leaf in x), strict=True))
            for x in (samples.critic, samples.actor)
        )
        g = np.mean([td_error(omega, *x) * phi(x[0]) for x in critic], axis=0)
        h = np.mean([td_error(omega, *x) * np.outer(x[1] - theta @ x[0], x[0]) / STD**2 for x in actor], axis=0)
        ahead = omegas[k] + critic_step(k) * g
        if radius is not None and (norm := np.linalg.norm(ahead)) > radius:
            ahead, projected = ahead * (radius / norm), projected + 1
        omegas.append(ahead)
        thetas.append(thetas[k] + actor_step(k) * h)
    return thetas[-1], omegas[-1], projected


CASES = {
    "markov, workers": {"schedule": "workers", "history": "mailbox", "radius": 4.0},
    "markov, law, one chain": {"schedule": "law", "history": "ring", "shared_chain": True, "minibatch": 3},
    "iid, law": {"schedule": "law", "history": "ring", "sampling": "iid", "minibatch": 3, "decay": True},
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("x64")
def test_logged_samples_give_back_the_parameters(name):
    case = dict(CASES[name])
    kind, history, decay = case.pop("schedule"), case.pop("history"), case.pop("decay", False)
    steps = [(lambda k: 0.01 / (1 + k) ** 0.6), (lambda k: 0.1 / (1 + k) ** 0.4)]
    steps = steps if decay else [(lambda k: 0.001), (lambda k: 0.03)]
    start = GAIN, np.array([-3.0, -1.0, 0.5, -1.0])
    own = learner(theta=start[0], omega=start[1], **case)
    if decay:
        own = learner(theta=start[0], omega=start[1], actor_step=steps[0], critic_step=steps[1], **case)
    key = jax.random.key(5)
    schedule = of_workers(K)
    if kind == "law":
        schedule = a3cjax.Schedule.from_law(key, a3cjax.delays.Uniform(0, 6), K, num_workers=3)
    result = a3cjax.simulate(own, schedule, jax.random.key(3), history=history, transitions=True, record=LAST_ONLY)
    samples = jax.tree.map(np.asarray, result.transitions)
    theta, omega, projected = replay(
        regulator(), start, schedule.delay, samples, steps[0], steps[1], case.get("radius")
    )
    np.testing.assert_allclose(result.params.theta, theta, rtol=0, atol=1e-9)
    np.testing.assert_allclose(result.params.omega, omega, rtol=0, atol=1e-9)
    assert np.abs(theta - start[0]).max() > 0.02  # something happened
    assert "radius" not in case or 10 < projected < K
    assert np.array_equal(samples.critic.state, samples.actor.state) == ("shared_chain" in case)


def on_the_ring(sampling, schedule, keys, **steps):
    """Runs with their samples, in tiles of 32 lanes: one program for each sampling."""
    own = learner(sampling=sampling, theta=GAIN, radius=20.0, **steps)
    return a3cjax.simulate(own, schedule, keys, history="ring", depth=32, transitions=True, record=PARAMETERS)


def alone(sampling, schedule, key, **options):
    """One run with its samples, in the mailbox: one program for each sampling."""
    own = learner(sampling=sampling, theta=GAIN, radius=20.0, actor_step=options.pop("actor_step", 0.0005))
    return a3cjax.simulate(own, schedule, key, history="mailbox", transitions=True, record=PARAMETERS, **options)


@pytest.mark.parametrize(("sampling", "length"), [("markov", 400), ("iid", K)])
def test_neither_the_history_nor_the_batch_changes_a_bit(sampling, length):
    """Alone in the mailbox and as one of 40 on the ring: the same parameters, metrics and samples.

    Both change at once, for each pair is a program of its own; test_batches.py changes one after the other.
    """
    schedule, keys = of_workers(length), jax.random.split(jax.random.key(2), 40)
    single = alone(sampling, schedule, keys[7])
    batch = on_the_ring(sampling, schedule, keys, actor_step=0.0005)
    for name in ("params", "metrics", "transitions"):
        ours, theirs = jax.tree.leaves(getattr(single, name)), jax.tree.leaves(getattr(batch, name))
        assert len(ours) == len(theirs) > 0
        for x, y in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(x, y[7], err_msg=name)


@pytest.mark.parametrize("sampling", ["markov", "iid"])
def test_states_have_the_moments_of_both_laws(sampling):
    """With the policy held still: first and second moments of s ~ μ and ŝ ~ d against the Lyapunov equations.

    512 independent runs of one of three workers; of a Markov run's 400 states the first 150 are dropped (ρ(M) = .60,
    γ = .9: .9¹⁵⁰ = 1e-7). States of one run are dependent, the runs are not: the standard error is that of 512 run
    means. 5 of them allowed.
    """
    length, dropped = (400, 150) if sampling == "markov" else (40, 0)
    own = learner()
    only_one = a3cjax.Schedule(np.zeros(length, int), np.zeros(length, int), np.arange(length), num_workers=3)
    keys = jax.random.split(jax.random.key(4), 512)
    result = on_the_ring(sampling, only_one, keys, actor_step=0.0, critic_step=0.0)
    found = own.mdp.evaluate(own.policy, GAIN)
    laws = {
        "critic": (np.zeros(2), found.stationary_covariance),
        "actor": (found.visitation_mean, found.visitation_moment),
    }
    for name, (mean, moment) in laws.items():
        x = getattr(result.transitions, name)
        state, action, ahead = (np.asarray(leaf, np.float64)[:, dropped:] for leaf in x)
        lqr = own.mdp
        noise = ahead - state @ np.asarray(lqr.state_matrix).T - action @ np.asarray(lqr.input_matrix).T
        explored = action - state @ GAIN.T
        checks = [
            (state, mean),
            (_squares(state), moment),
            (_squares(explored), STD**2 * np.eye(2)),
            (_squares(noise), lqr.noise_covariance),
            (state[..., :, None] * noise[..., None, :], np.zeros((2, 2))),
            (state[..., :, None] * explored[..., None, :], np.zeros((2, 2))),
        ]
        for sample, exact in checks:
            means = sample.mean(axis=1)
            error = means.std(axis=0, ddof=1) / np.sqrt(len(means))
            assert (error < 0.02).all()  # the statement has content
            assert (np.abs(means.mean(axis=0) - exact) < 5 * error).all()
    gap = np.abs(np.asarray(found.visitation_moment) - found.stationary_covariance).max()
    assert gap > 0.1  # the two laws are not mistaken for each other


def _squares(x):
    return x[..., :, None] * x[..., None, :]


def test_the_whole_loop_is_one_kernel():
    for sampling in ("markov", "iid"):
        assert backend_for(learner(sampling=sampling), "cpu") == CPU_KERNEL


def test_it_learns():
    """Eight workers close 95 % of the gap to the Riccati gain in 15 000 updates, in each of 8 runs."""
    own = learner(actor_step=0.0003, critic_step=0.01)
    schedule = a3cjax.Schedule.from_workers(jax.random.key(0), EXPONENTIAL * 3, 15_000)
    record = a3cjax.Record(every=15_000, metrics=["objective", "gradient_norm_sq", "critic_error_sq"])
    result = a3cjax.simulate(own, schedule, jax.random.split(jax.random.key(1), 8), record=record)
    start = own.measure(own.init(jax.random.key(0)), own.metric_names)
    best = own.mdp.optimal_objective(own.policy)
    share = (result.metrics["objective"][:, -1] - start["objective"]) / (best - start["objective"])
    assert (share > 0.95).all()
    assert (result.metrics["gradient_norm_sq"][:, -1] < 0.1 * start["gradient_norm_sq"]).all()
    assert (result.metrics["critic_error_sq"][:, -1] < 0.5 * start["critic_error_sq"]).all()


def test_what_a_delay_adds_is_measured():
    """Without delay nothing; and v is what θ moved by, over α: records of θ after every update tell."""
    own = learner(theta=GAIN, minibatch=2)
    metrics = {"theta": lambda state: state.theta, "actor": "actor_direction_sq", "error": "actor_delay_error_sq"}
    key = jax.random.key(6)
    for delay in (0, 3):
        schedule = a3cjax.Schedule.from_law(key, a3cjax.delays.Constant(delay), 40)
        record = a3cjax.Record(1, metrics)
        found = a3cjax.simulate(own, schedule, key, record=record, history="ring", depth=4).metrics  # one program
        moves = np.diff(np.concatenate([GAIN[None], found["theta"]]), axis=0) / 0.001
        np.testing.assert_allclose(found["actor"], (moves**2).sum((1, 2)), rtol=2e-2, atol=1e-4)
        assert (np.asarray(found["error"][5:]) > 0).all() == (delay > 0)


def test_an_unstable_gain_stops_the_count_of_an_iid_run():
    """Steps far too large: a run is lost and says when, it does not go on with made-up states."""
    result = alone("iid", of_workers(K), jax.random.key(0), actor_step=5.0, throw=False)
    assert result.nonfinite_from == 40


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prior": a3cjax.Prior.uniform(0.1, 2, 2)}, "prior is given, but it works on tables over states and actions"),
        ({"estimator": "q"}, "estimator is given, but it works on tables"),
        ({"baseline": [0.0, 0.0]}, "baseline is given, but it works on tables"),
        ({"theta": [[1.0, 0.0], [0.0, 0.0]]}, r"leaves the LQR unstable: ρ\(A \+ Bθ\) is 1.724"),
        ({"policy": a3cjax.policies.LinearGaussian(2, 1)}, "policy is for states of dimension 2 and actions of dimens"),
        ({"policy": a3cjax.policies.TabularSoftmax(2, 2)}, "policies.LinearGaussian, but is"),
        ({"theta": [0.0]}, r"theta has shape \(1,\), but must have shape \(2, 2\)"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        learner(**options)


def test_a_gaussian_policy_does_not_fit_a_finite_mdp():
    with pytest.raises(ValueError, match="TabularSoftmax, but is"):
        a3cjax.A3C(a3cjax.families.ring(3), 0.1, 0.1, policy=a3cjax.policies.LinearGaussian(2, 1))


def test_normal_draws_have_the_moments_they_claim():
    """All 2²⁴ points, each of equal weight: symmetric, variance 1 − 1e-7, fourth moment 3 − 6e-6, SciPy's points."""
    with jax.enable_x64(False):
        words = jnp.arange(1 << 24, dtype=jnp.uint32) << 8
        points = np.asarray(jax.jit(normal)(words), np.float64)
    np.testing.assert_array_equal(points, -points[::-1])
    np.testing.assert_allclose((points**2).mean(), 1, atol=2e-7)
    np.testing.assert_allclose((points**4).mean(), 3, atol=1e-5)
    assert 5.41 < points.max() < 5.43
    some = np.arange(0, 1 << 24, 4099)
    np.testing.assert_allclose(points[some], special.ndtri((some + 0.5) / 2**24), rtol=1e-5)


@pytest.mark.usefixtures("x64")
def test_normal_draws_in_double_precision_use_all_32_digits():
    words = jnp.array([0, 1, 1 << 31, (1 << 32) - 1], jnp.uint32)
    np.testing.assert_allclose(normal(words), special.ndtri((np.asarray(words, float) + 0.5) / 2**32), rtol=1e-7)
