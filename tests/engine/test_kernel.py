"""The marks that make one kernel of the loop: which learners get it, and that it is right where it could stop."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import a3cjax
from a3cjax._core.tree import pytree
from a3cjax._xla import marks
from a3cjax._xla.backend import ACCELERATOR, compiling_for
from a3cjax._xla.cpu_kernel import CPU_KERNEL
from a3cjax._xla.loops import LOOPS
from a3cjax.engine import driver
from a3cjax.engine.plan import backend_for

MARK = 'xla_cpu_small_call="true"'
EXPONENTIAL = [a3cjax.compute_times.Exponential(1.0)] * 4


def mdp(num_states=6):
    return a3cjax.families.synthetic(jax.random.key(0), num_states=num_states, num_actions=3, num_features=4)


def a3c(**options):
    return a3cjax.A3C(mdp(), actor_step=0.3, critic_step=0.4, radius=1.0, **options)


@pytree
class Scattering(a3cjax.QuadraticSGD):
    """The same descent, by an update that a kernel cannot make."""

    def apply(self, state, message, delay, stale=None):
        """Entry by entry."""
        del delay, stale
        x = state.x
        assert self.step is not None
        for j in range(x.shape[0]):
            x = x.at[j].add(-self.step * message[j])
        return type(state)(x)


def backend(learner):
    return backend_for(learner, "cpu")


def test_what_scatters_or_solves_is_no_kernel():
    """The paper's learner is one kernel, with i.i.d. rollouts too; a scatter, or a law that is solved for, is not."""
    assert backend(a3c()) == backend(a3c(sampling="iid")) == backend(a3c(minibatch=2)) == CPU_KERNEL
    for options in ({"estimator": "q", "baseline": np.ones(6)}, {"estimator": "reinforce"}, {"shared_chain": True}):
        assert backend(a3c(**options)) == CPU_KERNEL
    assert backend(a3cjax.QuadraticSGD(curvature=[1.0], step=0.1)) == CPU_KERNEL
    slow = a3cjax.A3C(a3cjax.families.ring(6), 0.1, 0.1, sampling="iid")
    assert slow.sampler.critic_steps is None
    assert backend(slow) == LOOPS


@pytest.mark.parametrize("history", ["mailbox", "ring"])
def test_a_learner_without_a_kernel_learns_the_same(history):
    """Gradient descent on three coordinates: entry by entry, or at once."""
    schedule = a3cjax.Schedule.from_workers(jax.random.key(0), EXPONENTIAL, 40)
    values = jnp.array([1.0, 0.5, 2.0]), jnp.float32(0.1), jnp.float32(1.0), jnp.ones(3)
    one, other = (kind(*values) for kind in (a3cjax.QuadraticSGD, Scattering))
    assert backend(other) == LOOPS
    runs = [a3cjax.simulate(learner, schedule, jax.random.key(1), history=history) for learner in (one, other)]
    np.testing.assert_allclose(runs[0].params.x, runs[1].params.x, rtol=1e-5)


def test_rows_are_read_and_written_lane_by_lane():
    """Against NumPy's indexing, with an index of each lane's own or one for all."""
    table = jnp.arange(2 * 3 * 4.0).reshape(2, 3, 4)
    row = -jnp.ones((2, 4))
    with compiling_for(CPU_KERNEL):
        own, shared = jnp.array([2, 0]), jnp.int32(1)
        np.testing.assert_array_equal(jax.vmap(marks.read_row)(table, own), table[[0, 1], [2, 0]])
        np.testing.assert_array_equal(jax.vmap(marks.read_row, (0, None))(table, shared), table[:, 1])
        np.testing.assert_array_equal(jax.vmap(marks.read_row, (None, 0))(table[0], own), table[0, [2, 0]])
        for index, axis in ((own, 0), (shared, None)):
            expected = np.array(table)
            expected[[0, 1], index] = -1
            written = jax.jit(jax.vmap(marks.write_row, (0, axis, 0)))(table, index, row)
            np.testing.assert_array_equal(written, expected)


@pytest.mark.parametrize("lanes", [1, 2, 3, 8])
@pytest.mark.parametrize("width", [1, 5, 10, 40])
def test_short_and_wide_rows_of_any_number_of_lanes(lanes, width):
    """Rows of the lanes' own tables and of one for all, their difference, and a write: against NumPy's indexing."""
    rng = np.random.default_rng(width)
    own, shared = rng.normal(size=(lanes, 6, width)), rng.normal(size=(6, width))
    at, other, each = rng.integers(0, 6, lanes), rng.integers(0, 6, lanes), np.arange(lanes)

    def all_at_once(mine, common, where, elsewhere):  # one program, which is compiled sooner than four
        taken = jax.vmap(marks.read_row, (None, 0))(common, where)
        return (
            jax.vmap(marks.read_row)(mine, where),
            taken,
            jax.vmap(marks.read_difference, (0, 0, None, 0))(mine, where, common, elsewhere),
            jax.vmap(marks.write_row)(mine, where, taken),
        )

    with compiling_for(CPU_KERNEL):
        given = [jnp.asarray(x, jnp.float32 if x.dtype == float else jnp.int32) for x in (own, shared, at, other)]
        mine, common, where, elsewhere = given
        read, taken, change, written = jax.jit(all_at_once)(mine, common, where, elsewhere)
    mine, common = np.asarray(mine), np.asarray(common)
    np.testing.assert_array_equal(read, mine[each, at])
    np.testing.assert_array_equal(taken, common[at])
    np.testing.assert_array_equal(change, mine[each, at] - common[other])
    expected = mine.copy()
    expected[each, at] = common[at]
    np.testing.assert_array_equal(written, expected)


def test_lanes_last_is_a_matter_of_layout():
    """A stage, scalars as a row and a reshaped row are what they are without lanes."""
    x = jnp.arange(24.0).reshape(4, 6)
    for backend in (CPU_KERNEL, LOOPS, ACCELERATOR):
        with compiling_for(backend):
            swapped = jax.vmap(lambda row: marks.stage(lambda r: (r[::-1], r.sum()), row))(x)
            stacked = jax.vmap(lambda row: marks.row_of([row[5], row[0]]))(x)
            folded = jax.vmap(lambda row: marks.reshape(row, (2, 3)))(x)
        np.testing.assert_array_equal(swapped[0], x[:, ::-1])
        np.testing.assert_array_equal(swapped[1], x.sum(1))
        np.testing.assert_array_equal(stacked, x[:, [5, 0]])
        np.testing.assert_array_equal(folded, x.reshape(4, 2, 3))


@pytest.mark.parametrize("runs", [1, 40])
@pytest.mark.parametrize("history", ["mailbox", "ring"])
def test_every_product_is_rounded_before_it_is_added(history, runs):
    """The critic replayed in NumPy, float32, operation by operation, from the logged samples: equal bit for bit.

    A product that were added without rounding would show in some last digit, and might depend on the number of runs.
    """
    problem, updates = mdp(), 60
    learner = a3cjax.A3C(problem, actor_step=0.3, critic_step=0.4)
    schedule = a3cjax.Schedule.from_workers(jax.random.key(0), EXPONENTIAL, updates)
    keys = jax.random.split(jax.random.key(1), runs)
    record = a3cjax.Record(updates, ())
    result = a3cjax.simulate(learner, schedule, keys, record=record, history=history, transitions=True)
    state, action, ahead = (np.asarray(leaf)[0] for leaf in result.transitions.critic)
    features, reward = np.asarray(problem.features), np.asarray(problem.reward)
    discount, step = np.float32(problem.discount), np.float32(0.4)
    omegas: list[Any] = [np.zeros(features.shape[1], np.float32)]
    for k in range(updates):
        stale = omegas[k - int(schedule.delay[k])]
        change = discount * features[ahead[k]] - features[state[k]]
        total = np.float32(0)
        for j, product in enumerate(change * stale):
            total = product if j == 0 else total + product
        gained = reward[state[k], action[k]] if reward.ndim == 2 else reward[state[k], action[k], ahead[k]]
        omegas.append(omegas[-1] + (step * (gained + total)) * features[state[k]])
    np.testing.assert_array_equal(np.asarray(result.params.omega)[0], omegas[-1])


@pytest.mark.parametrize("history", ["mailbox", "ring"])
@pytest.mark.parametrize("updates", [1, 17])
def test_a_program_in_which_all_is_known(history, updates):
    """Nothing of it is an argument, and only a part of the result is used: what could be folded away, and is not."""
    schedule, record = a3cjax.Schedule.sequential(updates), a3cjax.Record(updates, ())
    for learner in (a3c(), a3cjax.QuadraticSGD(curvature=[1.0], step=0.5, noise=1.0)):

        def run(learner=learner):
            depth = 1 if history == "ring" else None
            key = jax.random.key(3)
            return a3cjax.simulate(learner, schedule, key, record=record, history=history, depth=depth).params

        inside = jax.jit(run)()
        for x, y in zip(jax.tree.leaves(inside), jax.tree.leaves(run()), strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("history", ["mailbox", "ring"])
def test_wide_tiles_are_runs_one_by_one(history, monkeypatch):
    """70 runs make two tiles of 35 lanes, whose loops are vectorised; a run alone is straight code.

    The tiles are shares of one device, side by side in threads, which compiles one program for both. With one chain
    the same is in test_batches.py.
    """
    monkeypatch.setattr(driver, "side_by_side", lambda devices: [devices[0]] * 2)
    keys = jax.random.split(jax.random.key(1), 70)
    schedule = a3cjax.Schedule.from_workers(jax.random.key(0), EXPONENTIAL, 200)
    learner = a3c(sampling="iid")
    record = a3cjax.Record(every=50, metrics={"theta": lambda state: state.theta, "omega": lambda state: state.omega})
    options: Any = {"history": history, "record": record, "transitions": True}
    batch = a3cjax.simulate(learner, schedule, keys, **options)
    for b in (0, 34, 69):
        alone = a3cjax.simulate(learner, schedule, keys[b], **options)
        ours, theirs = (
            jax.tree.leaves((result.params, result.metrics, result.transitions)) for result in (batch, alone)
        )
        for x, y in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(np.asarray(x)[b], y)


def test_the_loop_is_marked():
    """The program that jit makes carries the mark; without it everything would be right, and slow."""
    schedule, record = a3cjax.Schedule.sequential(10), a3cjax.Record(10, ())
    inside = jax.jit(lambda key: a3cjax.simulate(a3c(), schedule, key, record=record, history="mailbox").params)
    assert MARK.replace('="true"', "") in inside.lower(jax.random.key(0)).as_text()
    assert MARK in str(inside.lower(jax.random.key(0)).compile().as_text())
