"""The loop as one kernel of a GPU, in Pallas' interpreter on a CPU: the draws of the CPU's kernel, and its parameters.

What a card's compiler is given is made without a card, for an abstract device.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AbstractMesh, AxisType, use_abstract_mesh

import a3cjax
from a3cjax._core.tree import pytree
from a3cjax._xla.cpu_kernel import CPU_KERNEL
from a3cjax._xla.lane_kernel import LANE_KERNEL, interpreted
from a3cjax.engine import persistent
from a3cjax.engine.columns import narrow_block, types_of
from a3cjax.engine.history.protocol import Kind
from a3cjax.engine.layout import Layout
from a3cjax.engine.plan import Plan
from a3cjax.engine.runs import Runs

RUNS, UPDATES, WORKERS = 11, 40, 3  # blocks of 8 lanes, so that the second has idle ones


def mdp():
    return a3cjax.families.synthetic(jax.random.key(0), num_states=40, num_actions=2, num_features=4)


def keys(runs=RUNS):
    return jax.random.split(jax.random.key(1), runs)


def shared(updates=UPDATES):
    return a3cjax.Schedule.from_workers(jax.random.key(0), [a3cjax.compute_times.Exponential(1.0)] * WORKERS, updates)


def own(updates=UPDATES):
    """Delays of each run's own, below 4 and never beyond the start."""
    rng = np.random.default_rng(0)
    delay = np.minimum(rng.integers(0, 4, (RUNS, updates)), np.arange(updates))
    return a3cjax.Schedule(rng.integers(0, WORKERS, delay.shape), delay, np.arange(1.0, updates + 1) + 0 * delay)


def in_kernel(*args, **options):
    with interpreted():
        result = a3cjax.simulate(*args, **options)
    assert result.backend == "persistent kernel"
    return result


def assert_alike(ours, theirs):
    """The same samples, and parameters and metrics within 1e-6."""
    for one, other in zip(jax.tree.leaves(ours.transitions), jax.tree.leaves(theirs.transitions), strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(jax.tree.leaves(ours.params), jax.tree.leaves(theirs.params), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)
    for name, values in theirs.metrics.items():
        np.testing.assert_allclose(ours.metrics[name], values, rtol=1e-4, atol=1e-6)


CASES = {
    "mailbox, rollouts, own steps": (
        shared,
        "mailbox",
        {"sampling": "iid", "shared_chain": True, "critic_step": jnp.linspace(0.1, 0.4, RUNS)},
    ),
    "ring, chains, own schedules": (own, "ring", {}),
}


@pytest.mark.parametrize("case", CASES)
def test_the_same_draws_and_parameters_as_on_a_cpu(case):
    """Twenty records apart too, so that a call begins in the middle of a part."""
    schedule, history, options = CASES[case]
    learner = a3cjax.A3C(mdp(), **{"actor_step": 0.3, "critic_step": 0.4, "radius": 1.0, **options})
    given = learner, schedule(), keys()
    record = a3cjax.Record(every=20, metrics={"largest": lambda state: state.theta.max(), "mean_delay": "mean_delay"})
    how: dict[str, Any] = dict(history=history, record=record, transitions=True)
    assert_alike(in_kernel(*given, **how), a3cjax.simulate(*given, **how))


class Drift(a3cjax.AbstractLearner):
    """x ← x − step·(x − target + noise) of a few coordinates, with keys, and a long average that is written whole."""

    step: jax.Array

    def init(self, key):
        return jax.random.normal(key, (3,)), jnp.zeros(70), jnp.bool_(False)

    def init_worker(self, key):
        return jnp.int32(0)

    def view(self, state):
        return state[0]

    def propose(self, view, worker_state, key):
        noise = jax.random.normal(key, (3,))
        return view + noise * (1 + worker_state), (worker_state + 1) % 5

    def apply(self, state, message, delay, stale=None):
        x, average, odd = state
        x = x - self.step * message / (1 + delay)
        return x, 0.9 * average + jnp.sum(x), ~odd


def test_a_learner_of_ones_own_in_double_precision(x64):
    del x64
    learner = Drift(jnp.asarray(np.linspace(0.1, 0.3, 3)[0]))
    given = learner, own(), keys()
    result, expected = in_kernel(*given), a3cjax.simulate(*given)
    assert result.params.dtype == np.float64
    np.testing.assert_allclose(result.params, expected.params, rtol=1e-12)
    assert result.state is not None
    assert expected.state is not None
    for one, other in zip(result.state.leaves, expected.state.leaves, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_a_run_goes_on_elsewhere():
    """Twenty-three updates in the kernel, the rest as on a CPU: one run."""
    learner = a3cjax.QuadraticSGD(curvature=[1.0, 0.5], step=0.1, noise=1.0)
    schedule, key = shared(), keys(3)
    options: dict[str, Any] = dict(history="ring", depth=8)
    whole = a3cjax.simulate(learner, schedule, key, **options)
    half = in_kernel(learner, schedule[:23], key, **options)
    rest = a3cjax.simulate(learner, schedule, key, resume=half.state, **options)
    np.testing.assert_allclose(rest.params.x, whole.params.x, atol=1e-6)


@pytree
class Sorting(a3cjax.QuadraticSGD):
    """The same descent, with something that no kernel of lanes holds."""

    def apply(self, state, message, delay, stale=None):
        """Sorted, which is the same for one coordinate."""
        return super().apply(state, jnp.sort(message), delay)


def test_what_does_not_fit_runs_as_before_and_the_result_says_so():
    """An operation without a rule, metrics of delays, and a caller's own jit."""
    given = shared(10), jax.random.key(2)
    values = jnp.array([1.0]), jnp.float32(0.1), jnp.float32(1.0), jnp.ones(1)
    expected = a3cjax.simulate(a3cjax.QuadraticSGD(*values), *given)
    assert expected.backend == "kernel"
    with interpreted():
        result = a3cjax.simulate(Sorting(*values), *given)
        assert result.backend == "loops"
        np.testing.assert_allclose(result.params.x, expected.params.x, rtol=1e-6)
        plan = Plan("ring", 1, 1, 1, (), (), False, (None,) * 4, CPU_KERNEL)
        assert persistent.fits(plan, a3cjax.QuadraticSGD(*values), False, 1)
        of_delay = dataclasses.replace(plan, delay_metrics=(("error", "critic_delay_error_sq"),))
        assert not persistent.fits(of_delay, a3cjax.QuadraticSGD(*values), False, 1)
        learner = a3cjax.QuadraticSGD(*values)
        inside = jax.eval_shape(lambda key: a3cjax.simulate(learner, given[0], key, history="mailbox"), given[1])
        assert inside.backend == "kernel"


def programs(learner, history, own_schedules, gathers=False):
    """The traced kernel for a card that is not there."""
    device = getattr(jax.sharding, "AbstractDevice", None)
    if device is None:
        pytest.skip("this version of JAX has no abstract devices")
    axes = tuple(None for _ in jax.tree.leaves(learner))
    plan = Plan(history, 16, 4 * (history == "ring"), 1, (), (), False, axes, LANE_KERNEL, gathers)
    mesh = AbstractMesh((1,), ("x",), (AxisType.Auto,), abstract_device=device("NVIDIA H100", 132, "gpu"))
    with use_abstract_mesh(mesh):
        return persistent._program(plan, Kind.of(learner), own_schedules, 32, False)


@pytest.mark.parametrize("history", ["mailbox", "ring"])
@pytest.mark.parametrize("own_schedules", [False, True])
def test_a_cards_compiler_takes_the_kernel(history, own_schedules):
    """θ [40, 2], of which a lane reads a row of its own, lies run by run; slots do if schedules are the runs' own."""
    program = programs(a3cjax.A3C(mdp(), 0.1, 0.1, radius=1.0), history, own_schedules)
    assert program is not None
    assert program.places[0].layout == "apart"
    slots = next(place for place in program.places if place.shape[0:1] == (16,))
    assert slots.layout == ("apart" if own_schedules else "beside")
    assert program.used == (True, history == "ring", True)


@pytest.mark.parametrize("options", [{"sampling": "iid"}, {"minibatch": 2}, {"estimator": "reinforce"}])
def test_other_learners_of_the_cpus_kernel_are_taken_too(options):
    assert programs(a3cjax.A3C(mdp(), 0.1, 0.1, radius=1.0, **options), "mailbox", False) is not None


def test_averaged_messages_are_taken_too():
    """Sums of 80 entries wait in memory, and θ is written whole: neither is looked up by rows, past versions are."""
    program = programs(a3cjax.A3C(mdp(), 0.1, 0.1, radius=1.0), "ring", False, gathers=True)
    assert program is not None
    assert program.used == (True, True, True, True)
    assert next(place for place in program.places if place.shape == (4, 40, 2)).layout == "apart"


def test_columns_travel_in_the_bytes_that_hold_them():
    """Entry by entry what the block holds otherwise; surplus lanes repeat run 0, and the end is padded with zeros."""
    schedule = own()
    runs = Runs.of(a3cjax.QuadraticSGD(curvature=[1.0], step=0.1), schedule, keys())
    with interpreted():
        layout = Layout.of(RUNS, 1, "ring", WORKERS, LANE_KERNEL)
    assert (layout.tiles, layout.lanes) == (1, 16)
    types = types_of(runs, 4, (True, True, False))
    assert types == [np.uint8, np.uint8, None]
    for first in (0, 19):
        block = narrow_block(runs, layout, first, 20, 16, types, {})
        expected = runs.block(layout, first, 20, 16)
        np.testing.assert_array_equal(block.worker, expected.worker)
        np.testing.assert_array_equal(block.delay, expected.delay)
        assert block.turn.shape == (1, 1, 52)
    assert types_of(Runs.of(runs.one_learner(), shared(), keys()), 0, (True, False, True)) == [np.int32, None, np.int32]
    wide = types_of(runs, 300, (True, True, True))
    assert wide == [np.uint8, np.uint16, np.uint8]
