"""Averaged messages: closed forms, an independent recursion, eq. (13) with means, and the usual invariances."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import a3cjax
from a3cjax._core.tree import pytree

KEY = jax.random.key(0)
LAW = a3cjax.compute_times.Exponential(1.0)
K = 120


def drawn(seed, rows=K, workers=3, share=0.4):
    """A schedule drawn without structure: any row may commit, any version may be read, the last group is incomplete."""
    rng = np.random.default_rng(seed)
    commit = rng.random(rows) < share
    commit[-1] = False
    versions = np.cumsum(commit) - commit
    delay = np.minimum(rng.integers(0, 6, rows), versions)
    worker = rng.integers(0, workers, rows)
    return a3cjax.Schedule(worker, delay, np.arange(rows), num_workers=workers, commit=commit)


def quadratic(**options: Any):
    return a3cjax.QuadraticSGD(**{"curvature": [1.0, 2.0], "step": 0.25, "start": [1.0, -3.0]} | options)


# --------------------------------------------------------------------------------------------------------- closed form


def test_equal_gradients_average_to_one():
    """Without noise all N gradients of a round are equal: gradient descent, x_n = (1 − step·h)^n x_0, one per round."""
    record = a3cjax.Record(every=4, metrics={"x": lambda state: state.x})
    barrier = a3cjax.Schedule.barrier(KEY, [LAW] * 4, 6)
    result = a3cjax.simulate(quadratic(), barrier, KEY, record=record)
    n = np.arange(1, 7)[:, None]
    np.testing.assert_array_equal(result.metrics["x"], (1 - 0.25 * np.array([1, 2])) ** n * [1.0, -3.0])
    np.testing.assert_array_equal(result.time, barrier.time[3::4])


def test_nothing_moves_before_a_commit():
    """Records between commits hold the last committed parameters, and messages after the last commit are not used."""
    schedule = a3cjax.Schedule([0] * 5, [0] * 5, range(5), commit=[0, 0, 1, 0, 0])
    record = a3cjax.Record(every=1, metrics={"x": lambda state: state.x[0]})
    result = a3cjax.simulate(quadratic(), schedule, KEY, record=record)
    assert result.metrics["x"].tolist() == [1, 1, 0.75, 0.75, 0.75]


@pytest.mark.usefixtures("x64")
def test_known_delays_against_a_recursion():
    """x_{v+1} = x_v − step · mean of h x_{v_j − τ_j} over the group, kept as a list of versions."""
    schedules = [drawn(seed, share=share) for seed, share in enumerate((0.1, 0.4, 0.9))]
    result = a3cjax.simulate(quadratic(), a3cjax.Schedule.stack(schedules), KEY)
    for b, schedule in enumerate(schedules):
        versions, group = [np.array([1.0, -3.0])], []
        for delay, commit in zip(schedule.delay, np.diff(schedule.versions, append=schedule.num_updates), strict=True):
            group.append(np.array([1.0, 2.0]) * versions[len(versions) - 1 - delay])
            if commit:
                versions.append(versions[-1] - 0.25 * np.mean(group, axis=0))
                group = []
        assert group
        assert len(versions) - 1 == schedule.num_updates
        np.testing.assert_allclose(result.params.x[b], versions[-1], rtol=1e-12)
    assert min(schedule.max_delay for schedule in schedules) >= 4


class Mean(NamedTuple):
    """A message with samples, which are left out of the mean."""

    gradient: Any
    samples: Any


@pytree
class Slowed:
    """x ← x − mean/(1 + delay), with messages 1, 2, 4, … (worker i sends 2^i)."""

    start: Any
    num_words = 0

    def init(self, key):
        return (self.start,)

    def init_worker(self, key):
        return ()

    def view(self, state):
        return state

    def propose(self, view, worker_state, key):
        return Mean(view[0] * 0 + 3.0, jnp.int32(7)), worker_state

    def apply(self, state, message, delay):
        return (state[0] - message.gradient / (1 + delay),)


def test_the_delay_of_a_group_is_its_greatest():
    """Groups with delays (0), (1, 0), (0, 2, 1): from 0, −3, then −3/2, then −3/3."""
    schedule = a3cjax.Schedule([0] * 6, [0, 1, 0, 0, 2, 1], range(6), commit=[1, 0, 1, 0, 0, 1])
    result = a3cjax.simulate(Slowed(jnp.zeros(())), schedule, KEY, transitions=True)
    np.testing.assert_allclose(result.params[0], -3 - 1.5 - 1, rtol=1e-6)
    assert result.transitions.tolist() == [7] * 6


# ------------------------------------------------------------------------------------------------- eq. (13) with means


def replayed(mdp, policy_features, start, schedule, samples, steps, radius, weight):
    """Plain NumPy float64: versions in a list, messages in a group, one projected step of their mean."""
    reward, phi, discount = np.asarray(mdp.reward), np.asarray(mdp.features), float(mdp.discount)

    def law(theta, s):
        logits = theta[s] if policy_features is None else policy_features[s] @ theta
        weights = np.exp(logits - logits.max())
        return weights / weights.sum()

    def score(theta, s, a):
        if policy_features is not None:
            return policy_features[s, a] - law(theta, s) @ policy_features[s]
        table = np.zeros_like(theta)
        table[s] -= law(theta, s)
        table[s, a] += 1
        return table

    def error(omega, s, a, ahead):
        return reward[s, a] + discount * phi[ahead] @ omega - phi[s] @ omega

    versions, critics, actors, projected = [start], [], [], 0
    for k in range(len(schedule)):
        theta, omega = versions[len(versions) - 1 - schedule.delay[k]]
        x, y = ([np.atleast_1d(leaf[k]) for leaf in kind] for kind in (samples.critic, samples.actor))
        critics.append(np.mean([error(omega, *z) * phi[z[0]] for z in zip(*x, strict=True)], axis=0))
        ascent = np.mean([error(omega, *z) * score(theta, *z[:2]) for z in zip(*y, strict=True)], axis=0)
        if weight:
            pull = [score(theta, *z) for z in zip(*(np.atleast_1d(leaf[k]) for leaf in samples.prior), strict=True)]
            ascent = ascent + weight * np.mean(pull, axis=0)
        actors.append(ascent)
        if schedule.commit[k]:
            v = len(versions) - 1
            theta, omega = versions[-1]
            omega = omega + steps[1](v) * np.mean(critics, axis=0)
            if np.linalg.norm(omega) > radius:
                omega, projected = omega * radius / np.linalg.norm(omega), projected + 1
            versions.append((theta + steps[0](v) * np.mean(actors, axis=0), omega))
            critics, actors = [], []
    return *versions[-1], projected


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("case", ["barrier", "buffer, linear", "drawn, everything"])
def test_logged_samples_give_back_the_parameters(case, mixing_mdp):
    mdp = mixing_mdp(1, spread=0.5)
    rng = np.random.default_rng(2)
    table = rng.standard_normal((6, 3, 5)) if "linear" in case else None
    policy = a3cjax.policies.TabularSoftmax(6, 3) if table is None else a3cjax.policies.LinearSoftmax(table)
    start = 0.5 * rng.standard_normal(policy.shape), 0.1 * rng.standard_normal(4)
    rich = "everything" in case
    schedule = {
        "barrier": lambda: a3cjax.Schedule.barrier(KEY, [LAW] * 3, 40),
        "buffer, linear": lambda: a3cjax.Schedule.buffered(KEY, [LAW] * 5, 30, 4),
        "drawn, everything": lambda: drawn(7),
    }[case]()
    steps = (lambda k: 0.9 / (1 + k) ** 0.4), (lambda k: 0.8 / (1 + k) ** 0.2)
    learner = a3cjax.A3C(
        mdp,
        actor_step=steps[0],
        critic_step=steps[1],
        radius=0.4,
        policy=policy,
        prior=a3cjax.Prior(0.3, rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(3), size=6)) if rich else None,
        minibatch=3 if rich else 1,
        theta=start[0],
        omega=start[1],
    )
    record = a3cjax.Record(every=K, metrics=())
    result = a3cjax.simulate(learner, schedule, jax.random.key(3), record=record, transitions=True)
    samples = jax.tree.map(np.asarray, result.transitions)
    theta, omega, projected = replayed(mdp, table, start, schedule, samples, steps, 0.4, 0.3 if rich else 0.0)
    np.testing.assert_allclose(result.params.theta, theta, rtol=0, atol=1e-10)
    np.testing.assert_allclose(result.params.omega, omega, rtol=0, atol=1e-10)
    assert samples.critic.state.shape[0] == K
    assert np.abs(theta - start[0]).max() > 0.05
    assert 0 < projected < schedule.num_updates
    assert (schedule.max_delay > 1) == (case != "barrier")


# --------------------------------------------------------------------------------------------------------- invariances

RECORD = a3cjax.Record(every=30, metrics={"theta": lambda s: s.theta, "omega": lambda s: s.omega, "d": "mean_delay"})


@pytest.fixture(scope="module")
def a3c():
    mdp = a3cjax.families.synthetic(KEY, num_states=6, num_actions=3, num_features=4)
    return a3cjax.A3C(mdp, actor_step=lambda k: 0.5 / (1 + k) ** 0.5, critic_step=0.4, radius=1.0)


def test_one_worker_at_a_barrier_is_the_sequential_method(a3c):
    barrier, sequential = a3cjax.Schedule.barrier(KEY, [LAW], 60), a3cjax.Schedule.sequential(60)
    one, two = (a3cjax.simulate(a3c, s, KEY, record=RECORD, transitions=True).params for s in (barrier, sequential))
    np.testing.assert_array_equal(one.theta, two.theta)
    np.testing.assert_array_equal(one.omega, two.omega)


def test_a_run_alone_and_in_a_batch(a3c):
    """67 runs in three tiles, of 40 schedules that commit at other rows; runs 0, 5 and 66 also alone."""
    schedules = [drawn(b % 40, share=(0.1, 0.4, 0.9)[b % 3]) for b in range(67)]
    keys = jax.random.split(KEY, 67)
    options: Any = {"record": RECORD, "transitions": True}
    batch = a3cjax.simulate(a3c, a3cjax.Schedule.stack(schedules), keys, **options)
    for b in (0, 5, 66):
        alone = a3cjax.simulate(a3c, schedules[b], keys[b], **options)
        for name in ("params", "metrics", "transitions", "time"):
            ours, theirs = jax.tree.leaves(getattr(batch, name)), jax.tree.leaves(getattr(alone, name))
            for x, y in zip(ours, theirs, strict=True):
                np.testing.assert_array_equal(x[b], y, err_msg=f"run {b}, {name}")
        np.testing.assert_allclose(alone.metrics["d"], schedules[b].delay.reshape(4, 30).mean(1), rtol=1e-6)


def test_a_run_goes_on_from_a_file(a3c, tmp_path):
    """Cut within a group, between two records; of another depth, so that the kept versions find their new places."""
    cut, depth = 50, 16
    schedule = a3cjax.Schedule.stack([drawn(seed, share=0.3) for seed in (3, 4, 5)])
    assert schedule.commit is not None
    assert not schedule.commit[:, 49].all()  # somebody's group is incomplete at the cut
    keys = jax.random.split(KEY, 3)
    whole = a3cjax.simulate(a3c, schedule, keys, record=RECORD)
    first = a3cjax.simulate(a3c, schedule[:cut], keys, record=RECORD, depth=depth)
    assert first.state is not None
    first.state.save(tmp_path / "state.npz")
    state = a3cjax.SavedState.load(tmp_path / "state.npz")
    second = a3cjax.simulate(a3c, schedule, keys, record=RECORD, resume=state)
    np.testing.assert_array_equal(second.params.theta, whole.params.theta)
    np.testing.assert_array_equal(second.params.omega, whole.params.omega)
    joined = np.concatenate([first.metrics["theta"], second.metrics["theta"]], axis=1)
    np.testing.assert_array_equal(joined, whole.metrics["theta"])


def test_versions_that_were_not_kept_are_missed():
    """A ring of one version, then a read of the version before: three commits, and the oldest read is version 2."""
    schedule = a3cjax.Schedule([0] * 8, [0, 0, 0, 0, 0, 0, 1, 0], range(8), commit=[0, 1] * 4)
    half = a3cjax.simulate(quadratic(), schedule[:6], KEY, depth=1)
    with pytest.raises(ValueError, match=r"resume holds versions 3 to 3, but the schedule .* version 2; .* depth=2"):
        a3cjax.simulate(quadratic(), schedule, KEY, resume=half.state)


def test_inside_jit():
    """A traced schedule with a commit column: the bits of the call outside; impossible delays give no numbers."""
    schedule, learner = drawn(3), quadratic(noise=1.0)
    record = a3cjax.Record(every=30, metrics={"x": lambda state: state.x})

    @jax.jit
    def run(schedule, key):
        return a3cjax.simulate(learner, schedule, key, history="ring", depth=8, record=record)

    outside = a3cjax.simulate(learner, schedule, KEY, record=record, depth=8)
    inside = run(schedule, KEY)
    np.testing.assert_array_equal(outside.params.x, inside.params.x)
    np.testing.assert_array_equal(outside.metrics["x"], inside.metrics["x"])
    early = jax.tree.unflatten(jax.tree.structure(schedule), jax.tree.leaves(schedule))
    object.__setattr__(early, "delay", np.minimum(np.arange(K, dtype=np.int32), 7))  # more than there are commits
    assert not np.isfinite(run(early, KEY).params.x).any()


# ------------------------------------------------------------------------------------------------------------ refusals


@pytree
class Whole(Slowed):
    """Sends whole numbers."""

    start: Any

    def propose(self, view, worker_state, key):
        return jnp.int32(3), worker_state


@pytree
class Half(Whole):
    """Says how messages are added and not what is done with them."""

    start: Any

    def gather(self, sums, message):
        return sums


@pytree
class Drifting(Slowed):
    """Sums that turn to another type or shape."""

    start: Any
    first: Any

    def gather(self, sums, message):
        return self.first if sums is None else sums + message.gradient

    def apply_mean(self, state, mean, delay):
        return (state[0] - mean,)


@pytest.mark.parametrize(
    ("learner", "history", "sentence"),
    [
        (
            Drifting(jnp.zeros(()), jnp.int32(0)),
            "ring",
            r"gather of a Drifting returns sums as float32\[\], but gather\(None, message\) gives int32\[\]; return",
        ),
        (
            Drifting(jnp.zeros(()), jnp.zeros(2)),
            "ring",
            r"apply_mean of a Drifting returns state\[0\] as float32\[2\], but init gives float32\[\]; return the same",
        ),
        (quadratic(), "mailbox", "history is 'mailbox', but the schedule has a commit column"),
        (Whole(jnp.zeros(())), "auto", "those of a Whole hold more than floats, which have no mean; give the learner"),
        (Half(jnp.zeros(())), "ring", "a Half has one of gather and apply_mean; give it both"),
    ],
)
def test_what_cannot_be_averaged_is_refused(learner, history, sentence):
    with pytest.raises(ValueError, match=sentence):
        a3cjax.simulate(learner, drawn(0), KEY, history=history)
