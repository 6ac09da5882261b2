"""A run's bits do not depend on what it is batched with, nor on tiles, chunks, blocks, devices or other records."""

from typing import Any

import jax
import numpy as np
import pytest

import a3cjax
from a3cjax._xla.cpu_kernel import CPU_KERNEL
from a3cjax.engine import driver, plan, way

K = 60
LAW = a3cjax.compute_times.Exponential(1.0)
ORACLES = a3cjax.Record(every=20, metrics=("objective", "regularized_objective", "gradient_norm_sq", "critic_error_sq"))
STATES = a3cjax.Record(every=20, metrics={"theta": lambda state: state.theta, "omega": lambda state: state.omega})


@pytest.fixture(scope="module")
def a3c():
    """A3C on one small MDP; 67 or 300 runs need nothing larger to tell a run from another."""
    mdp = a3cjax.families.synthetic(jax.random.key(0), num_states=6, num_actions=3, num_features=4)

    def make(**options: Any) -> a3cjax.A3C:
        return a3cjax.A3C(mdp, **{"actor_step": 0.3, "critic_step": 0.4, "radius": 1.0, **options})

    return make


def workers(seed, count=4, num_updates=K):
    return a3cjax.Schedule.from_workers(jax.random.key(seed), [LAW] * count, num_updates)


def law(seed):
    return a3cjax.Schedule.from_law(jax.random.key(seed), a3cjax.delays.Uniform(0, 5), K, num_workers=3)


def leaves(result):
    named = {name: getattr(result, name) for name in ("params", "metrics", "time", "nonfinite_from", "transitions")}
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(named)[0]}


def assert_run_is(batch, b, alone):
    """Run b of a batch equals a run that was made alone, bit for bit."""
    ours, theirs = leaves(batch), leaves(alone)
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name][b], theirs[name], err_msg=f"run {b}, {name}")


def assert_same(one, two):
    for name, leaf in leaves(one).items():
        np.testing.assert_array_equal(leaf, leaves(two)[name], err_msg=name)


# ------------------------------------------------------------------------------------------------------ other batches


@pytest.mark.parametrize(
    ("history", "sizes", "record"),
    [
        ("mailbox", (1, 3, 17, 300), ORACLES),
        ("ring", (1, 2, 5, 150), STATES),
    ],
)
def test_seeds_alone_and_in_batches(history, sizes, record, a3c):
    """One lane, two, runs beside idle lanes, several tiles; all oracles in one case.

    Each number of lanes is a program of its own, so none is asked for twice.
    """
    schedule = workers(0)
    keys = jax.random.split(jax.random.key(1), 300)
    options = {"history": history, "record": record}
    looked_at = (0, 1, 2, 4, 16, 63, 299)
    alone = [a3cjax.simulate(a3c(), schedule, keys[b], **options) for b in looked_at]
    batch = alone[0]
    for size in sizes:
        batch = a3cjax.simulate(a3c(), schedule, keys[:size], **options)
        assert batch.params.theta.shape == (size, 6, 3)
        for b, run in zip(looked_at, alone, strict=True):
            if b < size:
                assert_run_is(batch, b, run)
    assert len(np.unique(batch.params.theta.reshape(sizes[-1], -1), axis=0)) == sizes[-1]  # other seeds, other runs


def test_schedules_that_differ_from_run_to_run(a3c):
    """Worker schedules of 1, 3 and 5 workers: a run's slots do not depend on how many workers the others have."""
    schedules = [workers(seed, count) for seed, count in ((0, 1), (1, 3), (2, 5))]
    keys = jax.random.split(jax.random.key(1), 3)
    batch = a3cjax.simulate(a3c(), a3cjax.Schedule.stack(schedules), keys, record=STATES)
    assert_run_is(batch, 0, a3cjax.simulate(a3c(), schedules[0], keys[0], record=STATES))


def test_hyper_parameters_that_differ_from_run_to_run(a3c):
    """Steps, radius and prior weight [3], schedules [3], one key for all: common random numbers."""
    actor, critic, radius = np.array([0.1, 0.2, 0.0]), np.array([0.4, 0.0, 0.3]), np.array([0.5, 1.0, 2.0])
    schedules, key = [law(seed) for seed in range(3)], jax.random.key(9)

    def learner(weight, **options):
        return a3c(prior=a3cjax.Prior(weight, np.full(6, 1 / 6), np.full((6, 3), 1 / 3)), **options)

    options: Any = {"record": STATES, "transitions": True, "depth": 6}
    weights = [0.0, 0.5, 0.25]
    every = learner(weights, actor_step=actor, critic_step=critic, radius=radius)
    batch = a3cjax.simulate(every, a3cjax.Schedule.stack(schedules), key, **options)
    for b, weight in enumerate(weights):
        mine = learner(weight, actor_step=actor[b], critic_step=critic[b], radius=radius[b])
        alone = a3cjax.simulate(mine, schedules[b], key, **options)
        assert_run_is(batch, b, alone)
    np.testing.assert_array_equal(batch.params.theta[2], np.zeros((6, 3)))  # a step of zero leaves the start
    np.testing.assert_array_equal(batch.params.omega[1], np.zeros(4))
    unlike = learner(weights[0], actor_step=actor[1], critic_step=critic[1], radius=radius[1])
    weightless = a3cjax.simulate(unlike, schedules[1], key, **options)
    assert (weightless.params.theta != batch.params.theta[1]).any()  # the weight counts


@pytest.mark.parametrize(
    ("history", "options"),
    [
        ("ring", {"estimator": "advantage", "baseline": np.linspace(-1, 1, 6)}),
        ("ring", {"estimator": "q", "shared_chain": True, "minibatch": 2}),
        ("mailbox", {"estimator": "reinforce"}),
    ],
)
def test_estimators_alone_and_in_batches(history, options, a3c):
    """80 runs are two tiles of 40 lanes, of which one run each is looked at; γ = .9 makes returns of 158 rewards."""
    keys = jax.random.split(jax.random.key(4), 80)
    common = {"history": history, "record": STATES, "transitions": True}
    batch = a3cjax.simulate(a3c(**options), workers(0), keys, **common)
    for b in (1, 79):
        assert_run_is(batch, b, a3cjax.simulate(a3c(**options), workers(0), keys[b], **common))


# ------------------------------------------------------------------------------------------- tiles, chunks and blocks


def programs():
    """How many programs the engine's block has been compiled to."""
    blocks: list[Any] = [driver.programs(one).advance for one in (CPU_KERNEL, CPU_KERNEL.for_little)]
    return sum(block._cache_size() for block in blocks)


def nine_runs(learner, make_schedule):
    keys = jax.random.split(jax.random.key(1), 9)
    return a3cjax.simulate(learner, make_schedule(0), keys, record=STATES, transitions=True, devices=jax.devices()[:1])


@pytest.mark.parametrize(("make_schedule", "chunk"), [(workers, 1), (law, 4)])
def test_tiles_chunks_and_blocks_change_nothing(make_schedule, chunk, a3c, monkeypatch):
    """Nine runs in three tiles of 4 lanes; random words for one update at a time, or for four; blocks of 11 updates,
    which four do not divide. All at once, so that one program tells."""
    lanes, tiles = 4, 3
    expected = nine_runs(a3c(), make_schedule)
    for history in CPU_KERNEL.most_lanes:
        monkeypatch.setitem(CPU_KERNEL.most_lanes, history, lanes)
    monkeypatch.setattr(plan, "CHUNK_WORDS", 6 * lanes * chunk)  # six words to a proposal
    monkeypatch.setattr(way, "BLOCK_WORK", 11 * lanes * tiles)
    before = programs()
    assert_same(nine_runs(a3c(), make_schedule), expected)
    assert programs() == before + 1  # the patched constants made another program


def test_a_long_run_is_made_of_blocks(monkeypatch):
    """60 updates in blocks of 20: three calls."""
    calls = []
    advance = driver._advance
    monkeypatch.setattr(driver, "_advance", lambda *args, **rest: calls.append(1) or advance(*args, **rest))
    monkeypatch.setattr(way, "BLOCK_WORK", 20)
    learner = a3cjax.QuadraticSGD(curvature=[1.0], step=0.1)
    a3cjax.simulate(learner, workers(0), jax.random.key(0), record=a3cjax.Record(every=K))
    assert len(calls) == 3


def test_a_record_further_apart_changes_no_number(a3c):
    """Every 7 updates (which does not divide 60) and every 21: the same values where they meet, and the same end."""
    metrics = ("theta", "omega")
    fine, coarse = (
        a3cjax.simulate(a3c(), workers(0), jax.random.key(1), record=a3cjax.Record(every, STATES.metrics))
        for every in (7, 21)
    )
    assert fine.updates.tolist() == [7, 14, 21, 28, 35, 42, 49, 56]
    assert coarse.updates.tolist() == [21, 42]
    for name in metrics:
        np.testing.assert_array_equal(fine.metrics[name][[2, 5]], coarse.metrics[name])
    np.testing.assert_array_equal(fine.params.theta, coarse.params.theta)
    np.testing.assert_array_equal(fine.params.omega, coarse.params.omega)


def test_two_devices_give_the_bits_of_one(a3c):
    """67 runs, each with its own schedule and step: 34 runs on one device and 33 on the other, or all on one.

    Tiles of a ring are of 32 lanes both times, so that one program serves both. An exact value is measured with them.
    """
    assert len(jax.devices()) == 2
    keys = jax.random.split(jax.random.key(1), 67)
    schedule = a3cjax.Schedule.stack([workers(seed % 4) for seed in range(67)])
    learner = a3c(actor_step=np.linspace(0, 1, 67))
    record = a3cjax.Record(every=20, metrics=("objective",))
    one, two = (
        a3cjax.simulate(learner, schedule, keys, history="ring", record=record, devices=devices, transitions=True)
        for devices in (jax.devices()[:1], jax.devices())
    )
    assert_same(one, two)
