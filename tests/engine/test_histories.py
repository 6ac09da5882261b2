"""Two exact histories, one trajectory; and the trajectory is the one that a plain loop would make."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import a3cjax
from a3cjax.engine.randomness import INIT_SERVER, INIT_WORKER, derived_key, proposal_words

EXPONENTIAL = a3cjax.compute_times.Exponential(1.0)
STRAGGLER = [a3cjax.compute_times.Exponential(10.0), *[a3cjax.compute_times.Lognormal(1.0, 0.5)] * 5]


def same_bits(one, two):
    """Every leaf of two results' parameters, metrics, samples and flags is equal bit for bit."""
    for name in ("params", "updates", "time", "metrics", "transitions", "nonfinite_from"):
        ours, theirs = jax.tree.leaves(getattr(one, name)), jax.tree.leaves(getattr(two, name))
        assert len(ours) == len(theirs)
        for x, y in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(x, y, err_msg=name)


# ---------------------------------------------------------------------------------------------- mailbox against ring


@pytest.mark.parametrize("sampling", ["markov", "iid"])
def test_mailbox_and_ring_give_the_same_bits(sampling, mixing_mdp):
    """Each is the other's oracle: the mailbox computes a message early and keeps it, the ring computes it late.

    What is measured is a function of θ and ω, which stand in its place.
    """
    mdp = mixing_mdp(0, spread=0.01)
    prior = a3cjax.Prior.uniform(0.1, mdp.num_states, mdp.num_actions)
    learner = a3cjax.A3C(mdp, actor_step=0.3, critic_step=0.4, radius=1.0, prior=prior, sampling=sampling)
    schedule = a3cjax.Schedule.from_workers(jax.random.key(1), STRAGGLER, 300)
    assert schedule.max_delay > 10
    keys = jax.random.split(jax.random.key(2), 3)
    record = a3cjax.Record(100, {"theta": lambda state: state.theta, "omega": lambda state: state.omega})
    mailbox, ring = (
        a3cjax.simulate(learner, schedule, keys, history=history, transitions=True, record=record)
        for history in ("mailbox", "ring")
    )
    same_bits(mailbox, ring)


def test_auto_takes_the_mailbox_wherever_it_is_exact():
    """The saved state names the history: mailbox on own reads, ring on a law, unless all delays are those of reads."""
    learner = a3cjax.QuadraticSGD(curvature=[1.0], step=0.1)
    key = jax.random.key(0)
    own = a3cjax.Schedule.from_workers(key, [EXPONENTIAL] * 2, 20)
    law = a3cjax.Schedule.from_law(key, a3cjax.delays.Constant(1), 20)
    states = [a3cjax.simulate(learner, schedule, key).state for schedule in (own, law)]
    assert [state and state.history for state in states] == ["mailbox", "ring"]


def test_a_deeper_ring_changes_nothing():
    """Versions that nobody reads do not matter: depth 4 is enough for a delay of 3, and 11 gives the same bits."""
    learner = a3cjax.QuadraticSGD(curvature=[1.0, 0.3], step=0.1, noise=0.5)
    schedule = a3cjax.Schedule.from_law(jax.random.key(0), a3cjax.delays.Uniform(0, 3), 50, num_workers=2)
    results = [a3cjax.simulate(learner, schedule, jax.random.key(1), depth=depth) for depth in (None, 11)]
    same_bits(*results)


# ------------------------------------------------------------------------------------ one worker, and plain recursions


@pytest.mark.parametrize("sampling", ["markov", "iid"])
@pytest.mark.usefixtures("x64")
def test_one_worker_is_the_sequential_algorithm(sampling, mixing_mdp):
    """N = 1: propose from the newest view, apply, again. Here as a Python loop over the learner's two methods."""
    mdp = mixing_mdp(3, spread=0.01)
    learner = a3cjax.A3C(mdp, actor_step=0.2, critic_step=lambda k: 0.5 / (1 + k) ** 0.4, sampling=sampling)
    key = jax.random.key(4)
    words = tuple(jax.random.key_data(key))
    schedule, record = a3cjax.Schedule.from_workers(key, [EXPONENTIAL], 60), a3cjax.Record(60, ())
    result = a3cjax.simulate(learner, schedule, key, record=record)

    state = learner.init(derived_key(words, 0, INIT_SERVER))
    own = learner.init_worker(derived_key(words, 0, INIT_WORKER))
    propose, apply = jax.jit(learner.propose), jax.jit(learner.apply)
    draws = jnp.stack(proposal_words(words, jnp.zeros(60, jnp.int32), jnp.arange(60), learner.num_words), axis=1)
    for t in range(60):
        message, own = propose(learner.view(state), own, draws[t])
        state = apply(state, message, 0)
    np.testing.assert_allclose(result.params.theta, state.theta, rtol=0, atol=1e-13)
    np.testing.assert_allclose(result.params.omega, state.omega, rtol=0, atol=1e-13)
    assert np.abs(state.theta).max() > 0.1


@pytest.mark.parametrize("history", ["mailbox", "ring", "versions"])
def test_delayed_descent_is_the_recursion_exactly(history):
    """x_{k+1} = x_k − h x_{k−τ_k} / 16 with h = (1, 2): every product is by a power of two, so there is no rounding but
    that of the subtraction, and NumPy in float32 must give the very same bits."""
    if history == "mailbox":
        schedule = a3cjax.Schedule.from_workers(jax.random.key(0), STRAGGLER, 200)
    else:
        schedule = a3cjax.Schedule.from_law(jax.random.key(0), a3cjax.delays.Geometric(2.0), 200)
    learner = a3cjax.QuadraticSGD(curvature=[1.0, 2.0], step=0.0625, start=[1.0, -3.0])
    record = a3cjax.Record(every=1, metrics={"x": lambda state: state.x})
    result = a3cjax.simulate(learner, schedule, jax.random.key(0), history=history, record=record)
    versions = [np.array([1.0, -3.0], np.float32)]
    for k, delay in enumerate(schedule.delay):
        stale = np.array([1.0, 2.0], np.float32) * versions[k - delay]
        versions.append(versions[k] - np.float32(0.0625) * stale)
    np.testing.assert_array_equal(result.metrics["x"], versions[1:])
    np.testing.assert_array_equal(result.params.x, versions[-1])


def test_noise_belongs_to_the_worker():
    """With curvature ~0, x_K = x_0 − step Σ ξ, and ξ of worker i's t-th proposal does not depend on who else writes.

    Two schedules in which worker 1 makes 20 proposals, in between 20 or 40 of worker 0: the increments at worker 1's
    updates are the same. With h = 2⁻¹⁰⁰ the gradient's deterministic part vanishes in float32.
    """
    learner = a3cjax.QuadraticSGD(curvature=[2.0**-100], step=1.0, noise=1.0, start=[0.0])
    record = a3cjax.Record(every=1, metrics={"x": lambda state: state.x[0]})
    draws = []
    for pattern in ([0, 1] * 20, [0, 0, 1] * 20):
        worker = np.array(pattern)
        previous = [max((j for j in range(k) if worker[j] == worker[k]), default=-1) for k in range(len(worker))]
        delay = np.arange(len(worker)) - 1 - previous
        schedule = a3cjax.Schedule(worker, delay, np.arange(len(worker)))
        for history in ("mailbox", "ring"):
            result = a3cjax.simulate(learner, schedule, jax.random.key(7), record=record, history=history)
            steps = np.diff(np.append(0.0, result.metrics["x"]))
            draws.append(-steps[worker == 1][:20])
    for other in draws[1:]:
        np.testing.assert_allclose(other, draws[0], rtol=0, atol=2e-5)  # differences of float32 sums below 16
    assert np.unique(np.round(draws[0], 3)).size == 20


# ----------------------------------------------------------------------------------------------------- closed forms


def test_the_stability_limit_is_bracketed():
    """x_{k+1} = x_k − a x_{k−τ} is stable iff 0 < a < 2 sin(π / (2(2τ+1))): τ = 1 → 1, 3 → .445, 7 → .209, 31 → .0499.

    3 % below the limit every run decays and 3 % above it grows, at the rate ln |z| of the largest root of
    z^{τ+1} = z^τ − a. The slowest is e^{±.00067} per update, so 4000 updates tell. One call makes all eight runs.
    """
    delays, sides = np.repeat([1, 3, 7, 31], 2), np.tile([0.97, 1.03], 4)
    steps = sides * 2 * np.sin(np.pi / (2 * (2 * delays + 1)))
    np.testing.assert_allclose(steps[::2] / 0.97, [1.0, 0.445042, 0.209057, 0.049861], rtol=1e-5)
    key = jax.random.key(0)
    schedule = a3cjax.Schedule.stack(
        [a3cjax.Schedule.from_law(key, a3cjax.delays.Constant(int(delay)), 4000) for delay in delays]
    )
    record = a3cjax.Record(every=1, metrics={"x": lambda state: state.x[0]})
    result = a3cjax.simulate(a3cjax.QuadraticSGD(curvature=[1.0], step=steps), schedule, key, record=record)
    size = np.log(np.abs(result.metrics["x"]).reshape(8, 4, 1000).max(-1))  # the largest |x| of each quarter
    assert (np.sign(np.diff(size)) == np.where(sides > 1, 1, -1)[:, None]).all()
    for run, (delay, step) in enumerate(zip(delays, steps, strict=True)):
        polynomial = np.zeros(delay + 2)
        polynomial[[0, 1]] = 1, -1
        polynomial[-1] += step
        rate = np.log(np.abs(np.roots(polynomial)).max())
        assert (size[run, 3] - size[run, 1]) / 2000 == pytest.approx(rate, rel=0.02)


def test_a_single_action_and_a_deterministic_kernel_leave_nothing_to_chance():
    """The walk 0 → 1 → 2 → 0 with one action: the critic is the delayed recursion

        ω_{k+1} = ω_k + β (r(s) + γ ω[s'] − ω[s])_{version k−τ_k} e_s,

    s being where the worker's own chain stands: its t-th proposal is made at state t mod 3, for η = e_0.
    """
    eye = np.eye(3)
    kernel = np.roll(eye, 1, axis=1)[:, None, :]
    mdp = a3cjax.FiniteMDP(kernel, [[1.0], [0.0], [0.5]], eye[0], 0.5, eye)
    learner = a3cjax.A3C(mdp, actor_step=1.0, critic_step=0.25)
    schedule = a3cjax.Schedule.from_workers(jax.random.key(0), STRAGGLER, 300)
    result = a3cjax.simulate(learner, schedule, jax.random.key(0), record=a3cjax.Record(every=300, metrics=()))
    versions, turn = [np.zeros(3)], np.zeros(6, int)
    for k, (worker, delay) in enumerate(zip(schedule.worker, schedule.delay, strict=True)):
        stale, here = versions[k - delay], turn[worker] % 3
        gap = (1.0, 0.0, 0.5)[here] + 0.5 * stale[(here + 1) % 3] - stale[here]
        versions.append(versions[k] + 0.25 * gap * eye[here])
        turn[worker] += 1
    np.testing.assert_allclose(result.params.omega, versions[-1], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(result.params.theta, np.zeros((3, 1)))  # ψ = 1 − π = 0 with a single action
    # V = r + γPV: V0 = 1 + V1/2, V1 = V2/2, V2 = 1/2 + V0/2 gives V0 = 9/7, V1 = 4/7, V2 = 8/7.
    np.testing.assert_allclose(result.params.omega, np.array([9, 4, 8]) / 7, rtol=0, atol=1e-3)
