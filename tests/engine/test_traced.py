"""``simulate`` inside the user's own jit and vmap."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import a3cjax

K = 60
EXPONENTIAL = [a3cjax.compute_times.Exponential(1.0)] * 4
KEYS = jax.random.split(jax.random.key(1), 3)
RECORD = a3cjax.Record(every=20, metrics={"omega": lambda state: state.omega})


@pytest.fixture(scope="module")
def learner():
    mdp = a3cjax.families.synthetic(jax.random.key(0), num_states=6, num_actions=3, num_features=4)
    return a3cjax.A3C(mdp, actor_step=0.3, critic_step=0.4, radius=1.0)


def workers(key):
    return a3cjax.Schedule.from_workers(key, EXPONENTIAL, K)


def law(key):
    return a3cjax.Schedule.from_law(key, a3cjax.delays.Uniform(0, 5), K, num_workers=3)


def quadratic(step: Any = 0.1):
    return a3cjax.QuadraticSGD(curvature=[1.0], step=step, noise=1.0)


def assert_equal(one, two):
    for name in ("params", "updates", "time", "metrics", "nonfinite_from", "transitions"):
        ours, theirs = jax.tree.leaves(getattr(one, name)), jax.tree.leaves(getattr(two, name))
        assert len(ours) == len(theirs)
        for x, y in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(x, np.asarray(y, x.dtype), err_msg=name)


@pytest.mark.parametrize(("make_schedule", "history"), [(workers, "mailbox"), (law, "ring")])
def test_inside_jit_with_a_schedule_from_outside(make_schedule, history, learner):
    """The schedule is an argument, and so its values are unknown; the bits are those of the call outside."""
    schedule = make_schedule(jax.random.key(0))
    inside = jax.jit(
        lambda schedule, key: a3cjax.simulate(
            learner, schedule, key, history=history, record=RECORD, transitions=True, depth=depth
        )
    )
    depth = 32 if history == "ring" else None
    outside = a3cjax.simulate(learner, schedule, KEYS, history=history, record=RECORD, transitions=True)
    assert_equal(inside(schedule, KEYS), outside)


@pytest.mark.parametrize(("make_schedule", "history"), [(workers, "mailbox"), (law, "ring")])
def test_inside_jit_with_a_schedule_made_there(make_schedule, history):
    """One key in, one result out: the schedule is drawn in the same program. Without ``depth`` the ring keeps all."""

    @jax.jit
    def train(key):
        for_schedule, for_run = jax.random.split(key)
        return a3cjax.simulate(quadratic(), make_schedule(for_schedule), for_run, history=history)

    key = jax.random.key(5)
    for_schedule, for_run = jax.random.split(key)
    outside = a3cjax.simulate(quadratic(), make_schedule(for_schedule), for_run, history=history)
    assert_equal(train(key), outside)


@pytest.mark.parametrize(("make_schedule", "history"), [(workers, "mailbox"), (law, "ring")])
def test_inside_vmap_over_keys_schedules_and_steps(make_schedule, history):
    """vmap over three keys that make both the schedule and the run, and over three steps."""

    def train(key, step):
        for_schedule, for_run = jax.random.split(key)
        result = a3cjax.simulate(quadratic(step), make_schedule(for_schedule), for_run, history=history, depth=depth)
        return result.params.x, result.metrics["objective"]

    depth = 6 if history == "ring" else None
    steps = jnp.array([0.05, 0.1, 0.2])
    ends, curves = jax.vmap(train)(KEYS, steps)
    for b in range(3):
        for_schedule, for_run = jax.random.split(KEYS[b])
        alone = a3cjax.simulate(quadratic(steps[b]), make_schedule(for_schedule), for_run)
        np.testing.assert_array_equal(ends[b], alone.params.x)
        np.testing.assert_array_equal(curves[b], alone.metrics["objective"])


def test_inside_jit_with_everything_known_but_the_step():
    """Schedule and key are constants of the program, the step is its argument."""
    schedule = law(jax.random.key(0))

    @jax.jit
    def end(step):
        return a3cjax.simulate(quadratic(step), schedule, KEYS[0]).params.x

    np.testing.assert_array_equal(end(0.1), a3cjax.simulate(quadratic(0.1), schedule, KEYS[0]).params.x)


@pytest.mark.parametrize(
    ("history", "depth", "good"),
    [("ring", 6, True), ("ring", 5, False), ("mailbox", None, False)],
)
def test_a_traced_schedule_that_cannot_be_honoured_gives_no_numbers(history, depth, good):
    """Delays reach 5, so a ring of 6 versions holds them and one of 5 does not; the mailbox wants own reads."""
    schedule = law(jax.random.key(0))
    assert schedule.max_delay == 5

    @jax.jit
    def run(schedule, key):
        return a3cjax.simulate(quadratic(), schedule, key, history=history, depth=depth)

    result = run(schedule, KEYS[0])
    assert bool(jnp.isfinite(result.params.x).all()) is good
    assert (int(result.nonfinite_from) == -1) is good


def test_a_traced_schedule_with_impossible_values_gives_no_numbers():
    """Delay 3 at update 1 reaches before the start, and there is no worker 7."""

    @jax.jit
    def run(worker, delay):
        schedule = a3cjax.Schedule(worker, delay, jnp.arange(4.0), num_workers=2)
        return a3cjax.simulate(quadratic(), schedule, KEYS[0], history="ring").nonfinite_from

    fine = jnp.array([0, 1, 0, 1]), jnp.array([0, 1, 2, 3])
    assert int(run(*fine)) == -1
    assert int(run(fine[0], jnp.array([0, 3, 0, 0]))) >= 0
    assert int(run(jnp.array([0, 7, 0, 0]), fine[1])) >= 0
    assert int(run(fine[0], jnp.array([0, -1, 0, 0]))) >= 0


def test_a_traced_schedule_needs_a_history():
    schedule = law(jax.random.key(0))
    with pytest.raises(ValueError, match=r"history is 'auto', but the schedule is being traced .* give 'mailbox' if"):
        jax.jit(lambda schedule: a3cjax.simulate(quadratic(), schedule, KEYS[0]).params)(schedule)


def test_a_state_cannot_be_resumed_inside():
    schedule = a3cjax.Schedule.sequential(10)
    state = a3cjax.simulate(quadratic(), schedule[:5], KEYS[0]).state
    with pytest.raises(ValueError, match="resume has no effect inside jit and vmap"):
        jax.jit(lambda key: a3cjax.simulate(quadratic(), schedule, key, resume=state).params)(KEYS[0])
