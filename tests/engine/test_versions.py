"""Versions in slots: allotted as by hand, and the trajectory of the mailbox, of the ring and of a plain loop."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import a3cjax
from a3cjax import compute_times, delays
from a3cjax.engine.choice import choose
from a3cjax.schedules.slots import allocated, held

EXPONENTIAL = compute_times.Exponential(1.0)
KEYS = jax.random.split(jax.random.key(1), 3)
QUADRATIC = a3cjax.QuadraticSGD(curvature=[1.0, 0.3], step=0.1, noise=0.5)
LAW = a3cjax.Schedule.from_law(jax.random.key(0), delays.Uniform(0, 9), 90, num_workers=3)


def workers(seed=0, count=4, updates=90, law=EXPONENTIAL):
    return a3cjax.Schedule.from_workers(jax.random.key(seed), [law] * count, updates)


def places_of(schedule):
    reads, worker = (np.atleast_2d(np.asarray(column)) for column in (schedule.reads, schedule.worker))
    return allocated(np.asarray(schedule.versions), reads, worker, schedule.num_workers, schedule.own_reads)


def same_bits(one, two):
    for name in ("params", "metrics", "transitions"):
        ours, theirs = jax.tree.leaves(getattr(one, name)), jax.tree.leaves(getattr(two, name))
        for x, y in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(x, y, err_msg=name)


# ---------------------------------------------------------------------------------------------------------- allocation


def drawn(seed):
    """A schedule of one of three kinds, of up to sixty rows."""
    rng = np.random.default_rng(seed)
    rows, most = int(rng.integers(1, 61)), int(rng.integers(1, 20))
    worker = rng.integers(0, most, rows)
    if seed % 3 == 0:
        previous = [max((j for j in range(k) if worker[j] == worker[k]), default=-1) for k in range(rows)]
        return a3cjax.Schedule(worker, np.arange(rows) - 1 - previous, np.arange(rows), num_workers=most)
    commit = rng.random(rows) < 0.4 if seed % 3 == 1 else np.ones(rows, bool)
    newest = np.cumsum(commit) - commit
    delay = [rng.integers(0, min(most, v) + 1) for v in newest]
    return a3cjax.Schedule(worker, delay, np.arange(rows), num_workers=most, commit=commit if seed % 3 == 1 else None)


@pytest.mark.parametrize("seed", range(60))
def test_every_row_reads_its_version_from_as_few_slots_as_can_be(seed):
    """Row by row, each slot holding what was written to it last, every row finds the version that it reads. Alive at a
    row are the newest version and those that this row or a later one reads, or that a worker, having read it after its
    last write, holds: so many slots are needed, and an eighth more are allowed where workers' reads are not known."""
    schedule = drawn(seed)
    places = places_of(schedule)
    memory, most = {}, 0
    newest, reads = np.asarray(schedule.versions), np.asarray(schedule.reads)
    holds = {i: 0 for i in range(schedule.num_workers)}
    if seed % 3 == 0:
        holds |= {int(i): k + 1 for k, i in enumerate(schedule.worker)}
    for k, (new, read) in enumerate(zip(newest, reads, strict=True)):
        memory[int(places.write[0, k])] = int(new)
        assert memory[int(places.read[0, k])] == read
        later = {int(v) for v in reads[k:]} | ({v for v in holds.values()} if seed % 3 == 0 else set())
        most = max(most, len({v for v in later if v <= new} | {int(new)}))
    assert most <= places.slots <= most * (1 if seed % 3 == 0 else 9 / 8)
    assert places.write.max() < places.slots
    (found,) = held(newest, places, len(newest))
    assert {slot: int(v) for slot, v in enumerate(found) if v >= 0} == memory


@pytest.mark.parametrize("law", [EXPONENTIAL, compute_times.Pareto(1.0, 1.5), compute_times.Deterministic(1.0)])
def test_n_workers_need_n_copies(law):
    """Whatever the compute times: each holds one version, and the newest is the last writer's. A ring's depth is more
    than the longest delay, here hundreds."""
    schedule = workers(count=16, updates=20_000, law=law)
    assert places_of(schedule).slots == 16
    if law is not EXPONENTIAL:
        return
    result = a3cjax.simulate(QUADRATIC, schedule[:500], KEYS, history="versions")
    assert result.state is not None
    assert result.state.depth == 16
    assert [leaf.shape for leaf in result.state.leaves if leaf.shape[1:] == (16, 2)] == [(3, 16, 2)]


def test_latencies_cost_what_is_on_its_way():
    """Sixteen workers whose reads are a quarter of a compute time old: besides the versions that they hold, those of
    the updates within a quarter, 4 on average, wait for readers that may come. Some two dozen, for delays of hundreds.
    """
    schedule = a3cjax.Schedule.from_workers(
        jax.random.key(0), [EXPONENTIAL] * 16, 20_000, read_latency=0.25, write_time=0.02
    )
    assert not schedule.own_reads
    assert 16 <= places_of(schedule).slots <= 28 < schedule.max_delay


def test_a_million_rows_of_workers_and_of_a_law_take_the_slots_of_twenty_thousand():
    """The number alive at once does not grow with K. Uniform(0, 63): version v is alive at k if one of the rows from k
    to v + 63 reads it, each with chance 1/64, so 1 + Σ_{j=0}^{63} (1 − (63/64)^{63 − j + 1}) ≈ 24.7 on average."""
    rng = np.random.default_rng(0)
    rows = np.arange(1_000_000)
    reads = np.maximum(rows - rng.integers(0, 64, rows.size), 0)[None]
    places = allocated(rows, reads, np.zeros_like(reads), 1, False)
    assert 25 < places.slots <= 40
    known = np.full(places.slots, -1)
    for k in range(2000):
        known[places.write[0, k]] = k
        assert known[places.read[0, k]] == reads[0, k]


# --------------------------------------------------------------------------------------------------------- trajectories


@pytest.mark.parametrize("schedule", [LAW, workers(), a3cjax.Schedule.stack([workers(i) for i in range(3)])])
def test_versions_are_the_ring_and_the_mailbox_to_the_bit(schedule):
    """In a batch and alone, one schedule for all or one each."""
    histories: tuple[Any, ...] = ("versions", "ring", *(["mailbox"] if np.all(schedule.own_reads) else []))
    ours, *others = [a3cjax.simulate(QUADRATIC, schedule, KEYS, history=name) for name in histories]
    assert ours.state is not None
    assert ours.state.history == "versions"
    for other in others:
        same_bits(ours, other)
    mine = schedule if schedule.worker.ndim == 1 else schedule[1]
    alone = a3cjax.simulate(QUADRATIC, mine, KEYS[1], history="versions")
    np.testing.assert_array_equal(alone.params.x, ours.params.x[1])


def test_tables_and_samples_are_those_of_the_ring(mixing_mdp):
    """A3C's tables, of which a ring keeps rows, are kept whole."""
    learner = a3cjax.A3C(mixing_mdp(0), actor_step=0.3, critic_step=0.4, radius=1.0)
    record = a3cjax.Record(every=90, metrics=[])
    same_bits(*(
        a3cjax.simulate(learner, LAW, KEYS, history=name, transitions=True, record=record)
        for name in ("versions", "ring")
    ))  # fmt: skip


@pytest.mark.parametrize("each", [False, True])
def test_averaged_messages_come_from_their_versions(each):
    """Versions count commits; one is kept until its last read, and as long as it is the newest."""
    schedules = [a3cjax.Schedule.buffered(jax.random.key(i), [EXPONENTIAL] * 5, 60, 3) for i in range(3)]
    schedule = a3cjax.Schedule.stack(schedules) if each else schedules[0]
    versions, ring = (a3cjax.simulate(QUADRATIC, schedule, KEYS, history=name) for name in ("versions", "ring"))
    same_bits(versions, ring)
    assert versions.state is not None
    cut = a3cjax.simulate(QUADRATIC, schedules[0][:58], KEYS, history="versions")  # in the middle of a group
    whole = a3cjax.simulate(QUADRATIC, schedules[0], KEYS, history="ring")
    if not each and set(np.asarray(schedules[0].reads[58:])) <= set(np.asarray(schedules[0].reads[40:58])):
        same_bits(a3cjax.simulate(QUADRATIC, schedules[0], KEYS, resume=cut.state), whole)


class Compensated(a3cjax.AbstractLearner):
    """x ← x − ½ (x_stale + λ x_stale² (x − x_stale)), as delay compensation has it; it needs the stale view."""

    needs_stale = True

    def init(self, key):
        return jnp.float32([1.0, -0.5])

    def init_worker(self, key):
        return ()

    def view(self, state):
        return state

    def propose(self, view, worker_state, key):
        return view, worker_state

    def apply(self, state, message, delay, stale=None):
        assert stale is not None
        return state - 0.5 * (message + 0.25 * message * message * (state - stale))


def test_the_stale_view_is_handed_over():
    """Against the recursion in NumPy, in float32: products and sums in the same order, to a few roundings."""
    result = a3cjax.simulate(Compensated(), LAW, KEYS[0], history="versions", record=a3cjax.Record(90, ()))
    x = [np.array([1.0, -0.5], np.float32)]
    for k, delay in enumerate(LAW.delay):
        stale = x[k - delay]
        x.append(x[k] - np.float32(0.5) * (stale + np.float32(0.25) * stale * stale * (x[k] - stale)))
    assert np.abs(x[-1]).max() > 1e-3
    np.testing.assert_allclose(result.params, x[-1], rtol=2e-5, atol=1e-6)


def test_a_network_alone_is_the_same_to_the_last_digits():
    """What docs/howto/networks.md says: 1e-6 of the largest parameter after twenty updates, where products of matrices
    round otherwise alone than beside others. Versions in a batch, beside the ring alone."""
    environment = a3cjax.environments.CartPole()
    learner = a3cjax.ActorCritic(environment, a3cjax.networks.MLP((64, 32)), optax.sgd(0.05), rollout=2)
    record = a3cjax.Record(every=20, metrics=[])
    schedule = workers(updates=20)
    together = a3cjax.simulate(learner, schedule, KEYS, record=record)
    alone = a3cjax.simulate(learner, schedule, KEYS[1], record=record, history="ring")
    assert together.state is not None
    assert (together.state.history, together.state.depth) == ("versions", 4)
    for batch, one in zip(jax.tree.leaves(together.params), jax.tree.leaves(alone.params), strict=True):
        np.testing.assert_allclose(batch[1], one, rtol=0, atol=1e-6 * max(1.0, float(np.abs(one).max())))
        assert np.abs(batch[0] - one).max() > 1e-3  # another key, and quite another network or bias


# ------------------------------------------------------------------------------------------------------------ going on


def test_a_run_goes_on_along_its_workers(tmp_path):
    """What each worker holds at the cut is kept, though the first part's schedule does not read it."""
    whole = a3cjax.Schedule.stack([workers(i) for i in range(3)])
    first = a3cjax.simulate(QUADRATIC, whole[:43], KEYS, history="versions")
    assert first.state is not None
    first.state.save(tmp_path / "state.npz")
    state = a3cjax.SavedState.load(tmp_path / "state.npz")
    second = a3cjax.simulate(QUADRATIC, whole, KEYS, resume=state)
    assert second.state is not None
    assert second.state.history == "versions"
    np.testing.assert_array_equal(second.params.x, a3cjax.simulate(QUADRATIC, whole, KEYS).params.x)


def test_a_run_does_not_go_on_from_what_it_has_lost():
    """All of the first part reads the newest version, so one slot is enough; then version 7 is wanted at update 10."""
    delay = np.r_[np.zeros(10, int), 3, np.zeros(9, int)]
    schedule = a3cjax.Schedule(np.zeros(20, int), delay, np.arange(20))
    first = a3cjax.simulate(QUADRATIC, schedule[:10], KEYS[0], history="versions")
    assert first.state is not None
    with pytest.raises(
        ValueError, match=r"goes on to read version 7; run its first part with history='ring' and depth=4"
    ):
        a3cjax.simulate(QUADRATIC, schedule, KEYS[0], resume=first.state)
    ring = a3cjax.simulate(QUADRATIC, schedule[:10], KEYS[0], history="ring", depth=4)
    rest = a3cjax.simulate(QUADRATIC, schedule, KEYS[0], resume=ring.state)
    np.testing.assert_array_equal(rest.params.x, a3cjax.simulate(QUADRATIC, schedule, KEYS[0]).params.x)


def test_a_law_may_go_on_with_what_is_there():
    """Another schedule lays its versions out otherwise: those that both know are moved."""
    delay = np.array([0, 1, 0, 3, 4, 0, 6, 1, 8, 2])
    whole = a3cjax.Schedule(np.zeros(10, int), delay, np.arange(10))
    first = a3cjax.simulate(QUADRATIC, whole[:7], KEYS, history="versions")  # version 0 is read again at row 6 and 8
    assert first.state is not None
    more = a3cjax.Schedule(np.zeros(10, int), np.r_[delay[:7], 7, 0, 9], np.arange(10))
    rest = a3cjax.simulate(QUADRATIC, more, KEYS, resume=first.state)
    np.testing.assert_array_equal(rest.params.x, a3cjax.simulate(QUADRATIC, more, KEYS, history="ring").params.x)


def test_inside_jit_with_a_known_schedule():
    """Slots are allotted when the program is traced; a traced schedule is refused."""
    run = jax.jit(lambda key: a3cjax.simulate(QUADRATIC, LAW, key, history="versions"))
    inside = run(KEYS)
    np.testing.assert_array_equal(inside.params.x, a3cjax.simulate(QUADRATIC, LAW, KEYS).params.x)
    assert inside.state.history == "versions"
    with pytest.raises(ValueError, match="the schedule is being traced, and versions are given their slots before"):
        jax.jit(lambda s: a3cjax.simulate(QUADRATIC, s, KEYS, history="versions").params)(LAW)


# -------------------------------------------------------------------------------------------------------------- choice


def network(hidden=64) -> Any:
    environment = a3cjax.environments.CartPole()
    return a3cjax.ActorCritic(environment, a3cjax.networks.MLP(hidden=(hidden, hidden)), optax.adam(1e-3))


@pytest.mark.parametrize(
    ("learner", "schedule", "expected"),
    [
        (network(), workers(), ("versions", 4)),  # 4 views for 4 gradients
        (network(8), workers(), ("mailbox", 0)),  # small: 147 numbers
        (QUADRATIC, workers(), ("mailbox", 0)),
        (a3cjax.QuadraticSGD(curvature=np.ones(5000), step=0.1), workers(), ("versions", 4)),
        (network(), LAW, ("versions", 6)),  # for a ring of 16
        (network(), a3cjax.Schedule.from_law(jax.random.key(0), delays.Constant(3), 90), ("ring", 4)),  # 4 as well
        (QUADRATIC, LAW, ("ring", 16)),
    ],
)
def test_auto_takes_what_keeps_less(learner, schedule, expected):
    """Views in place of messages where they are large and no larger; in place of a ring where half of it is enough."""
    assert choose("auto", None, schedule, None, learner)[:2] == expected


def test_a_depth_has_no_effect():
    with pytest.raises(
        ValueError, match="depth is 8, but the schedule says how many versions are alive at once; leave"
    ):
        a3cjax.simulate(QUADRATIC, LAW, KEYS, history="versions", depth=8)
