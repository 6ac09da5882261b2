"""Programs that have little to do are compiled quickly, to the same bits."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import a3cjax
from a3cjax._core.tree import pytree
from a3cjax._xla.cpu_kernel import CPU_KERNEL
from a3cjax._xla.loops import LOOPS
from a3cjax.engine import driver
from a3cjax.learners.a3c import little
from benchmarks.combinations import DEFAULT, OPTIONS, made, refusal
from benchmarks.covering import covering

QUICK = CPU_KERNEL.for_little
KEY = jax.random.key(0)
LAW = a3cjax.Schedule.from_law(KEY, a3cjax.delays.Constant(1), 20)
NOTHING = a3cjax.Record(every=20, metrics=[])
# What differs in how it is computed, of learners that may be compiled quickly. Of one value are those that may not.
ELIGIBLE = OPTIONS | {
    "mdp": ("dense",),
    "actor": ("number",),
    "critic": ("number",),
    "estimator": ("td", "advantage", "q", "reinforce, horizon 1"),
    "record": ("nothing",),
    "x64": (False,),
    "runs": (1, 4, 24, 64),
}
ROWS, REFUSED = covering(ELIGIBLE, 1, refusal, DEFAULT | {"history": "ring", "record": "nothing"})
LONG = DEFAULT | {"estimator": "reinforce", "history": "ring", "record": "nothing", "runs": 4}  # rollouts of 158


@pytest.fixture
def a3c(mixing_mdp):
    def make(kind=a3cjax.A3C, **options: Any):
        steps: dict[str, Any] = {"actor_step": 0.1, "critic_step": 0.1}
        return kind(mixing_mdp(), **steps | options)

    return make


@pytest.fixture
def used(monkeypatch):
    """What the loop and the start of each simulation are compiled for."""
    seen = []
    begin = driver._Course.begin

    def told(course):
        seen.append((course.plan.backend, course.before))
        begin(course)

    monkeypatch.setattr(driver._Course, "begin", told)
    return seen


def test_other_backends_compile_in_one_way():
    assert LOOPS.for_little is LOOPS
    assert QUICK.for_little is QUICK
    assert QUICK.name == CPU_KERNEL.name
    assert QUICK.most_lanes is CPU_KERNEL.most_lanes


def test_every_option_that_may_be_compiled_quickly_is_tried():
    assert not REFUSED
    held = {(name, row[name]) for row in ROWS for name in row}
    assert held == {(name, value) for name, values in ELIGIBLE.items() for value in values}


@pytest.mark.parametrize("row", [*ROWS, LONG], ids=range(len(ROWS) + 1))
def test_the_bits_are_the_same(row, used, monkeypatch, x32):
    call = made(row)

    def leaves():
        result = a3cjax.simulate(call.learner, call.schedule, call.keys, throw=False, **call.options)
        return jax.tree.leaves((result.params, result.transitions if row["transitions"] else None))

    monkeypatch.setattr(little, "_SAMPLES", 1 << 40)
    quickly = leaves()
    monkeypatch.setattr(little, "_SAMPLES", 0)
    for ours, theirs in zip(quickly, leaves(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert used == [(QUICK, QUICK), (CPU_KERNEL, CPU_KERNEL)]


def test_work_is_counted_in_samples_of_a_core(a3c, used, x32, monkeypatch):
    """20 updates of one run, each with 4 samples of 2 rewards: 160."""
    options: dict[str, Any] = {"minibatch": 4, "estimator": "reinforce", "horizon": 2}
    for bound in (160, 159):
        monkeypatch.setattr(little, "_SAMPLES", bound)
        a3cjax.simulate(a3c(**options), LAW, KEY, record=NOTHING)
    assert [loop for loop, _ in used] == [QUICK, CPU_KERNEL]


def test_cores_share_the_work(a3c, used, x32, monkeypatch):
    """20 updates of 64 runs on two devices are 640 for each, and 1,280 for one alone."""
    monkeypatch.setattr(little, "_SAMPLES", 640)
    for devices in (jax.devices()[:2], jax.devices()[:1]):
        a3cjax.simulate(a3c(), LAW, jax.random.split(KEY, 64), record=NOTHING, devices=devices)
    assert [loop for loop, _ in used] == [QUICK, CPU_KERNEL]


def test_a_start_is_counted_by_its_workers(a3c, used, x32, monkeypatch):
    """3 workers of one run, and 20 updates."""
    team = a3cjax.Schedule.from_workers(KEY, [a3cjax.compute_times.Deterministic(1.0)] * 3, 20)
    for bound in (3, 2):
        monkeypatch.setattr(little, "_SAMPLES", bound)
        a3cjax.simulate(a3c(), team, KEY, record=NOTHING)
    assert used == [(CPU_KERNEL, QUICK), (CPU_KERNEL, CPU_KERNEL)]


@pytree
class Priced(a3cjax.FiniteMDP):
    """Likewise an MDP."""

    __init__ = a3cjax.FiniteMDP.__init__


class Mine(a3cjax.A3C):
    """With arithmetic of its own, for all that anybody knows."""

    __init__ = a3cjax.A3C.__init__


@pytest.mark.parametrize(
    ("options", "record"),
    [
        ({"actor_step": lambda k: 0.1 / (1 + 0.1 * k)}, []),
        ({"critic_step": None, "critic_optimizer": optax.sgd(0.1)}, []),
        ({"kind": Mine}, []),
        ({}, ["critic_delay_error_sq"]),
        ({}, {"norm": lambda params: jnp.sum(params.omega**2)}),
    ],
    ids=["function", "optimiser", "subclass", "delay metric", "function of the user's"],
)
def test_what_nobody_knows_to_the_last_bit_is_compiled_well(options, record, a3c, used, x32):
    a3cjax.simulate(a3c(**options), LAW, KEY, record=a3cjax.Record(every=20, metrics=record))
    assert used == [(CPU_KERNEL, CPU_KERNEL)]


def test_so_are_double_precision_other_problems_and_other_learners(a3c, used, x64):
    assert a3c().little_work == 0
    with jax.enable_x64(False):
        mdp = a3c().mdp
        assert a3cjax.A3C(mdp, 0.1, 0.1).little_work > 0
        priced = Priced(mdp.transition, mdp.reward, mdp.initial, mdp.discount, mdp.features)
        assert a3cjax.A3C(priced, 0.1, 0.1).little_work == 0
        regulator = a3cjax.families.random_lqr(KEY)
        assert a3cjax.A3C(regulator, actor_step=0.1, critic_step=0.1).little_work == 0
        assert a3cjax.WrappedLearner(a3c()).little_work == 0
        a3cjax.simulate(a3cjax.QuadraticSGD(curvature=[1.0], step=0.1), LAW, KEY, record=NOTHING)
    assert used == [(CPU_KERNEL, CPU_KERNEL)]
