"""Metrics are measured by a program of their own: of each run and record its own, and one program for all that ask."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import a3cjax
from a3cjax._xla.cpu_kernel import CPU_KERNEL
from a3cjax.engine import apart, driver
from a3cjax.engine.randomness import measuring_key
from a3cjax.engine.runs import key_words


class Noted(a3cjax.AbstractLearner):
    """x_k = step · k; of it and of the key that a metric is given."""

    step: Any

    run_scalars = ("step",)
    metric_names = ("x", "scaled", "word")
    worker_metric_names = ("proposals",)

    def init(self, key):
        return jnp.float32(0)

    def init_worker(self, key):
        return jnp.int32(0)

    def view(self, state):
        return state

    def propose(self, view, worker_state, key):
        return jnp.float32(1), worker_state + 1

    def apply(self, state, message, delay, stale=None):
        return state + self.step * message

    def measure(self, state, names, key):
        return {"x": state, "scaled": state / self.step, "word": jax.random.bits(key)}

    def measure_workers(self, workers, names):
        return {"proposals": workers.sum()}


def test_every_row_is_of_its_own_run_and_record(monkeypatch):
    """Seven runs with steps of their own, 11 records: 77 rows, in calls of 10 rows, in blocks that hold 2 records."""
    monkeypatch.setattr(apart, "_MOST_ROWS", 10)
    monkeypatch.setattr(driver, "_ROOM_FOR_SHOWN", 2 * 7 * (4 + 3 * 4))  # x, and three workers' counts
    steps, keys = np.arange(1, 8, dtype=np.float32), jax.random.split(jax.random.key(0), 7)
    record = a3cjax.Record(every=3, metrics=["x", "scaled", "word", "proposals"])
    schedule = a3cjax.Schedule.from_workers(jax.random.key(1), [a3cjax.compute_times.Exponential(1.0)] * 3, 35)
    found = a3cjax.simulate(Noted(steps), schedule, keys, record=record).metrics
    updates = np.arange(3, 34, 3)
    np.testing.assert_array_equal(found["x"], steps[:, None] * updates)
    np.testing.assert_array_equal(found["scaled"], np.broadcast_to(updates, (7, 11)))
    np.testing.assert_array_equal(found["proposals"], np.broadcast_to(updates + 3, (7, 11)))  # three are on their way
    words = [[jax.random.bits(measuring_key(key, jnp.int32(k))) for k in updates] for key in key_words(keys)]
    np.testing.assert_array_equal(found["word"], np.array(words))


class Together(Noted):
    """The same, with all runs of a record side by side."""

    measures_together = True


@pytest.mark.parametrize(("on_host", "runs"), [(True, 3), (False, 5)])
def test_the_program_that_is_compiled_beside_the_loop_is_the_one_that_measures(on_host, runs, monkeypatch):
    """Also where states stay on an accelerator, as which this device is taken."""
    measured: Any = apart.program(CPU_KERNEL)
    monkeypatch.setattr(apart, "_is_host", lambda device: on_host)
    apart._prepared.cache_clear()
    programs = measured._cache_size()
    record = a3cjax.Record(every=10, metrics=["x", "proposals"])
    schedule, keys = a3cjax.Schedule.sequential(30), jax.random.split(jax.random.key(0), runs)
    found = a3cjax.simulate(Together(jnp.float32(2)), schedule, keys, record=record).metrics
    assert found["x"].tolist() == [[20, 40, 60]] * runs
    assert found["proposals"].tolist() == [[11, 21, 31]] * runs
    assert measured._cache_size() == programs + 1


@pytest.fixture
def learner(mixing_mdp):
    def make(**options):
        return a3cjax.A3C(mixing_mdp(), actor_step=0.1, critic_step=0.1, **options)

    return make


def test_what_no_metric_depends_on_is_not_compiled_in(learner):
    """Other samplings, steps, averages, histories, workers, lengths, records and batches: one program measures."""
    measured: Any = apart.program(CPU_KERNEL)

    def run(workers=2, updates=40, runs=2, every=10, history: Any = "auto", **options):
        laws = [a3cjax.compute_times.Exponential(1.0)] * workers
        schedule = a3cjax.Schedule.from_workers(jax.random.key(0), laws, updates)
        record = a3cjax.Record(every=every, metrics=["objective"])
        keys = jax.random.split(jax.random.key(1), runs)
        return a3cjax.simulate(learner(**options), schedule, keys, record=record, history=history)

    run()
    programs = measured._cache_size()
    run(workers=3, updates=50, runs=5, every=2, sampling="iid", history="ring")
    assert measured._cache_size() == programs


def test_a_record_in_a_callers_program_says_the_same():
    """Inside jit the metrics are measured by the loop, of the same states and with the same keys."""
    names = ["x", "word"]
    record = a3cjax.Record(every=10, metrics=names)
    schedule, one = a3cjax.Schedule.sequential(20), Noted(jnp.float32(2))
    outside = a3cjax.simulate(one, schedule, jax.random.key(3), record=record).metrics
    inside = jax.jit(lambda key: a3cjax.simulate(one, schedule, key, record=record).metrics)(jax.random.key(3))
    assert inside["x"].tolist() == [20, 40]
    for name in names:
        np.testing.assert_array_equal(outside[name], inside[name])


def test_an_error_of_a_metric_is_raised_before_the_first_update(monkeypatch):
    class Broken(Noted):
        def measure(self, state, names, key):
            return {"x": state}

    monkeypatch.setattr(driver, "_advance", None)
    with pytest.raises(ValueError, match=r"Broken.measure was asked for \('scaled',\), but returned 'x'"):
        a3cjax.simulate(
            Broken(jnp.float32(1)),
            a3cjax.Schedule.sequential(4),
            jax.random.key(0),
            record=a3cjax.Record(every=2, metrics=["scaled"]),
        )


@pytest.fixture
def settles():
    """Action 0 stays where it is, 1 goes anywhere: the uniform policy's chain mixes fast, with κ = ¾, and what is
    learned, which is to stay where the reward is, slowly."""
    transition = np.stack([np.eye(4), np.full((4, 4), 0.25)], axis=1)
    reward = np.stack([np.eye(4)[0], np.zeros(4)], axis=1)
    mdp = a3cjax.FiniteMDP(transition, reward, np.full(4, 0.25), 0.9, np.eye(4))
    return a3cjax.A3C(mdp, actor_step=5.0, critic_step=0.1, radius=10.0)


def simulated(learner, updates, metrics):
    schedule, keys = a3cjax.Schedule.sequential(updates), jax.random.split(jax.random.key(0), 3)
    return a3cjax.simulate(learner, schedule, keys, record=a3cjax.Record(every=1, metrics=metrics)).metrics


def test_a_chain_that_comes_to_mix_slowly_is_measured_again_with_the_general_ways(settles):
    """J by a plain solve, of rows that walk and rows that cannot; the second program is compiled when one cannot."""
    measured: Any = apart.program(CPU_KERNEL)
    theta = np.float64(simulated(settles, 30, {"theta": lambda state: state.theta})["theta"])
    weights = np.exp(theta - theta.max(-1, keepdims=True))
    policy = weights / weights.sum(-1, keepdims=True)
    kernel = np.einsum("...sa,sat->...st", policy, settles.mdp.transition)
    slow = np.abs(kernel - kernel.mean(-2, keepdims=True)).sum(-1).max(-1) > 0.9
    assert slow.any()
    assert not slow[:, 0].any()
    reward = (policy * settles.mdp.reward).sum(-1)
    values = np.linalg.solve(np.eye(4) - 0.9 * kernel, reward[..., None])[..., 0]
    before = measured._cache_size()
    simulated(settles, 1, {"J": "objective"})
    assert measured._cache_size() == before + 1
    found = simulated(settles, 30, {"J": "objective"})["J"]
    np.testing.assert_allclose(found, 0.1 * values.mean(-1), rtol=1e-6)
    assert measured._cache_size() == before + 2


def test_what_is_beside_a_row_changes_none_of_its_bits(settles, monkeypatch):
    """Of three runs with priors of their own weights."""
    prior = a3cjax.Prior.uniform(np.array([0.0, 0.01, 0.02]), 4, 2)
    learner = dataclasses.replace(settles, prior=prior)
    names = ["objective", "regularized_objective", "gradient_norm_sq", "critic_error_sq"]
    together = simulated(learner, 30, names)
    monkeypatch.setattr(apart, "_MOST_ROWS", 1)
    apart._prepared.cache_clear()
    alone = simulated(learner, 30, names)
    for name in names:
        np.testing.assert_array_equal(together[name], alone[name])
    gaps = (together["objective"] - together["regularized_objective"])[:, -1]
    assert gaps[0] == 0 < gaps[1] < gaps[2]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Own(a3cjax.policies.TabularSoftmax):
    """A user's."""


def test_general_ways_are_left_out_of_our_own_code_only(settles, monkeypatch):
    """A user's function may be one that JAX keeps the trace of, and must find all ways in it again."""
    assert not a3cjax.A3C(
        a3cjax.families.ring(9), actor_step=0.1, critic_step=0.1
    ).quickly_measured  # slow from the start
    law = np.array([0.97, 0.01, 0.01, 0.01])  # wherever it was before: κ = 0
    forgetful = a3cjax.FiniteMDP(np.broadcast_to(law, (4, 2, 4)), np.zeros((4, 2)), law, 0.9, np.eye(4))
    assert a3cjax.A3C(forgetful, actor_step=0.1, critic_step=0.1).quickly_measured
    own = a3cjax.A3C(settles.mdp, actor_step=5.0, critic_step=0.1, radius=10.0, policy=Own(4, 2))
    monkeypatch.setattr(apart, "general_left_out", None)  # whoever calls it fails
    simulated(own, 1, ["objective"])
    simulated(settles, 1, {"J": "objective", "mine": lambda state: state.omega.sum()})
    with pytest.raises(TypeError):
        simulated(settles, 1, ["gradient_norm_sq", "objective"])
