"""Messages of weight 0: their workers go on, and nothing else does."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import a3cjax
from a3cjax._core.tree import pytree
from a3cjax._xla.lane_kernel import interpreted

KEY = jax.random.key(0)
K, WORKERS = 60, 3


def drawn(seed, averaged=True, own=False):
    """A schedule without structure: any message may be discarded, and any that is not may commit its group."""
    rng = np.random.default_rng(seed)
    weight = (rng.random(K) < 0.6).astype(int)
    commit = (weight == 1) & (rng.random(K) < 0.5) if averaged else None
    made = weight if commit is None else commit.astype(int)
    if commit is not None:  # a discarded message may end a group too, in which there are others
        late = np.flatnonzero(commit[:-1] & (weight[1:] == 0))[::2]
        commit[late], commit[late + 1] = False, True
        made = commit.astype(int)
    versions, worker = np.cumsum(made) - made, rng.integers(0, WORKERS, K)
    delay = np.minimum(rng.integers(0, 6, K), versions)
    if own:
        held = np.zeros(WORKERS, int)
        for k, i in enumerate(worker):
            delay[k], held[i] = versions[k] - held[i], versions[k] + made[k]
    return a3cjax.Schedule(worker, delay, np.arange(K), num_workers=WORKERS, commit=commit, weight=weight)


def quadratic(**options: Any):
    return a3cjax.QuadraticSGD(**{"curvature": [1.0, 2.0], "step": 0.25, "start": [1.0, -3.0]} | options)


def assert_same(one, other, names=("params", "metrics", "transitions")):
    for name in names:
        ours, theirs = jax.tree.leaves(getattr(one, name)), jax.tree.leaves(getattr(other, name))
        assert len(ours) == len(theirs)
        for x, y in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(x, y, err_msg=name)


class Noted(NamedTuple):
    """A message, and what it logs."""

    gradient: Any
    samples: Any


class Walk(a3cjax.AbstractLearner):
    """x ← x − (x_stale + noise + worker's own walk)/(4 + updates so far), whose workers walk on with what they draw."""

    start: jax.Array
    num_words = 2

    def init(self, key):
        return self.start, jnp.int32(0)

    def init_worker(self, key):
        return jax.random.bits(key).astype(jnp.float32) * 2.0**-32

    def view(self, state):
        return state[0]

    def propose(self, view, worker_state, key):
        drawn = key.astype(jnp.float32) * 2.0**-32
        return Noted(view + drawn + worker_state, worker_state), worker_state * 0.5 + drawn[0]

    def apply(self, state, message, delay, stale=None):
        x, updates = state
        return x - message.gradient / (4.0 + updates), updates + 1


WALK = Walk(jnp.array([1.0, -2.0]))


# ------------------------------------------------------------------------------------------------------- known answers


def recursion(schedule):
    """x_{v+1} = x_v − step · mean of h x_{v_j − τ_j} over those of weight 1, in a list of versions."""
    versions, group = [np.array([1.0, -3.0])], []
    weight = np.ones(K, int) if schedule.weight is None else schedule.weight
    commit = weight == 1 if schedule.commit is None else schedule.commit
    for delay, commits, counts in zip(schedule.delay, commit, weight, strict=True):
        if counts:
            group.append(np.array([1.0, 2.0]) * versions[len(versions) - 1 - delay])
        if commits:
            versions.append(versions[-1] - 0.25 * np.mean(group, axis=0))
            group = []
    return versions


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("averaged", [True, False])
def test_known_delays_against_a_recursion(averaged):
    schedules = [drawn(seed, averaged) for seed in (1, 2, 3)]
    batch = a3cjax.Schedule.stack(schedules)
    expected = [recursion(schedule) for schedule in schedules]
    assert batch.num_updates.tolist() == [len(versions) - 1 for versions in expected]
    assert min(np.sum(schedule.weight == 0) for schedule in schedules) > 10
    for history in ("ring", "versions"):
        result = a3cjax.simulate(quadratic(), batch, KEY, history=history)
        np.testing.assert_allclose(result.params.x, [versions[-1] for versions in expected], rtol=1e-12)


@pytree
class Sending:
    """x ← x − message/(1 + delay), and the updates so far; messages are 3, or a worker's second NaN in a subclass."""

    start: Any
    num_words = 0

    def init(self, key):
        return self.start, jnp.int32(0)

    def init_worker(self, key):
        return jnp.int32(0)

    def view(self, state):
        return state[0]

    def propose(self, view, worker_state, key):
        return view * 0 + jnp.where(worker_state == self.second(), jnp.nan, 3.0), worker_state + 1

    def second(self) -> int:
        return -1

    def apply(self, state, message, delay):
        return state[0] - message / (1 + delay), state[1] + 1


@pytree
class Poisoned(Sending):
    """Whose workers go wrong once."""

    start: Any

    def second(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("commit", "delay", "moved"),
    [(None, [0, 1, 1, 2, 2], 3 + 3 / 2 + 3 / 3), ([0, 0, 1, 0, 1], [0, 0, 0, 1, 1], 3 + 3 / 2)],
    ids=["each", "averaged"],
)
def test_what_is_not_applied_may_be_nan(commit, delay, moved):
    """Rows 1 and 3 are discarded. Of the others the delays are 0, 1, 2; or of two groups 0 and 1."""
    schedule = a3cjax.Schedule([0, 0, 1, 1, 2], delay, range(5), commit=commit, weight=[1, 0, 1, 0, 1])
    for history in ("ring", "versions"):
        result = a3cjax.simulate(Poisoned(jnp.zeros(())), schedule, KEY, history=history)
        np.testing.assert_allclose(result.params, -moved, rtol=1e-6)


def test_the_state_counts_updates_and_records_count_messages():
    schedule = a3cjax.Schedule([0] * 4, [0] * 4, range(4), weight=[0, 0, 1, 1])
    counts = {"x": lambda state: state[0], "updates": lambda state: state[1], "mean": "mean_delay", "max": "max_delay"}
    metrics = a3cjax.simulate(Sending(jnp.zeros(())), schedule, KEY, record=a3cjax.Record(1, counts)).metrics
    assert metrics["x"].tolist() == [0, 0, -3, -6]
    assert metrics["updates"].tolist() == [0, 0, 1, 2]
    assert np.isnan(metrics["mean"]).tolist() == [True, True, False, False]
    assert metrics["max"].tolist() == [0] * 4


# --------------------------------------------------------------------------------------------------------- invariances


@pytest.mark.parametrize("averaged", [False, True])
def test_a_discarded_worker_is_as_if_it_were_not_there(averaged):
    """All of worker 1's messages are discarded: the bits of the schedule that does not have them."""
    rng = np.random.default_rng(0)
    worker = rng.integers(0, WORKERS, K)
    kept = worker != 1
    commit = kept & (rng.random(K) < 0.5) if averaged else kept
    versions = np.cumsum(commit) - commit
    delay = np.minimum(rng.integers(0, 4, K), versions)
    time, commit = np.arange(K), commit if averaged else None
    schedule = a3cjax.Schedule(worker, delay, time, num_workers=WORKERS, commit=commit, weight=kept)
    without = a3cjax.Schedule(
        worker[kept], delay[kept], time[kept], num_workers=WORKERS, commit=None if commit is None else commit[kept]
    )
    assert (schedule.num_updates, schedule.mean_delay) == (without.num_updates, pytest.approx(without.mean_delay))
    for history in ("ring", "versions"):
        ours, theirs = (a3cjax.simulate(WALK, s, KEY, history=history, transitions=True) for s in (schedule, without))
        assert_same(ours, theirs, ["params"])
        for x, y in zip(jax.tree.leaves(ours.transitions), jax.tree.leaves(theirs.transitions), strict=True):
            np.testing.assert_array_equal(x[kept], y)


def test_every_history_alone_and_in_a_batch_on_two_devices():
    """Workers that read after their own writes, discarded or not: 9 runs of their own schedules, and 0 and 8 alone."""
    schedules = [drawn(seed, averaged=False, own=True) for seed in range(9)]
    assert all(schedule.own_reads for schedule in schedules)
    record = a3cjax.Record(every=20, metrics={"x": lambda state: state[0], "updates": lambda state: state[1]})
    keys = jax.random.split(KEY, 9)
    batch = a3cjax.Schedule.stack(schedules)
    results = [
        a3cjax.simulate(WALK, batch, keys, history=history, record=record, transitions=True)
        for history in ("mailbox", "ring", "versions")
    ]
    for other in results[1:]:
        assert_same(results[0], other)
    np.testing.assert_array_equal(results[0].metrics["updates"][:, -1], batch.num_updates)
    for b in (0, 8):
        alone = a3cjax.simulate(WALK, schedules[b], keys[b], record=record, transitions=True)
        for name in ("params", "metrics", "transitions"):
            ours, theirs = jax.tree.leaves(getattr(alone, name)), jax.tree.leaves(getattr(results[0], name))
            for x, y in zip(ours, theirs, strict=True):
                np.testing.assert_array_equal(x, y[b], err_msg=name)


def test_the_papers_learner_in_two_histories():
    """Messages of a few rows and chains of the workers' own: the mailbox, the ring and their samples agree."""
    mdp = a3cjax.families.synthetic(KEY, num_states=6, num_actions=3, num_features=4)
    learner, schedule = a3cjax.A3C(mdp, actor_step=0.5, critic_step=0.4, radius=1.0), drawn(1, averaged=False, own=True)
    record = a3cjax.Record(every=K, metrics=[])
    mailbox, ring = (
        a3cjax.simulate(learner, schedule, KEY, history=history, record=record, transitions=True)
        for history in ("mailbox", "ring")
    )
    assert_same(mailbox, ring)


@pytest.mark.parametrize("history", ["mailbox", "ring", "versions", "averaged ring"])
def test_a_run_goes_on(history):
    """Cut after a message that is discarded, and the rest of another depth."""
    averaged = history.startswith("averaged")
    schedule = drawn(3, averaged, own=not averaged)
    assert schedule.weight is not None
    cut, kept = int(np.flatnonzero(schedule.weight == 0)[9]) + 1, history.split()[-1]
    depth: dict[str, Any] = {"depth": 64} if kept == "ring" else {}
    first = a3cjax.simulate(WALK, schedule[:cut], KEY, history=kept, **depth)
    rest = a3cjax.simulate(WALK, schedule, KEY, resume=first.state)
    assert_same(rest, a3cjax.simulate(WALK, schedule, KEY, history=kept), ["params"])


@pytest.mark.parametrize("averaged", [False, True])
def test_inside_jit(averaged):
    """The bits of the call outside; delays beyond the versions that there are give no numbers."""
    schedule = drawn(3, averaged)

    @jax.jit
    def run(schedule, key):
        return a3cjax.simulate(WALK, schedule, key, history="ring", depth=8).params

    np.testing.assert_array_equal(a3cjax.simulate(WALK, schedule, KEY, depth=8).params, run(schedule, KEY))
    early = jax.tree.unflatten(jax.tree.structure(schedule), jax.tree.leaves(schedule))
    object.__setattr__(early, "delay", np.minimum(np.arange(K, dtype=np.int32), 7))
    assert not np.isfinite(run(early, KEY)).any()


@pytest.mark.parametrize("case", ["mailbox", "ring", "averaged"])
def test_in_one_kernel_of_an_accelerator(case):
    averaged = case == "averaged"
    schedule = a3cjax.Schedule.stack([drawn(seed, averaged, own=case == "mailbox") for seed in range(9)])[:40]
    learner, keys = quadratic(noise=1.0), jax.random.split(KEY, 9)
    history: Any = "ring" if averaged else case
    expected = a3cjax.simulate(learner, schedule, keys, history=history)
    with interpreted():
        result = a3cjax.simulate(learner, schedule, keys, history=history)
    assert result.backend == "persistent kernel"
    np.testing.assert_allclose(result.params.x, expected.params.x, rtol=0, atol=1e-5)


def test_an_optimiser_refuses_what_it_does_not_do():
    import optax

    with pytest.raises(ValueError, match=r"schedule discards messages \(it has a weight column\), which is not done"):
        a3cjax.optax.delayed(optax.sgd(0.1), drawn(0, averaged=False))
