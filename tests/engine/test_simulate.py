"""What ``simulate`` refuses, and what it need not compile again."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import a3cjax
from a3cjax._xla.cpu_kernel import CPU_KERNEL
from a3cjax.engine import driver

KEY = jax.random.key(0)
KEYS = jax.random.split(KEY, 3)
QUADRATIC = a3cjax.QuadraticSGD(curvature=[1.0], step=0.1)
STEPS_OF_TWO = a3cjax.QuadraticSGD(curvature=[1.0], step=np.array([0.1, 0.2]))
SEQUENTIAL = a3cjax.Schedule.sequential(10)
LAW = a3cjax.Schedule.from_law(KEY, a3cjax.delays.Constant(3), 10)
wrong: Any = 7


@pytest.mark.parametrize(
    ("learner", "schedule", "key", "options", "message"),
    [
        (QUADRATIC, SEQUENTIAL, wrong, {}, r"key is the number 7; give a JAX key such as jax.random.key\(7\)"),
        (QUADRATIC, SEQUENTIAL, None, {}, "key must be a JAX key"),
        (QUADRATIC, SEQUENTIAL, jnp.zeros(3), {}, "key"),
        (QUADRATIC, wrong, KEY, {}, "schedule must be an a3cjax.Schedule, but is a int"),
        (wrong, SEQUENTIAL, KEY, {}, "learner"),
        (STEPS_OF_TWO, SEQUENTIAL, KEYS, {}, "run axes do not agree: .* has 2, key has 3 runs"),
        (QUADRATIC, a3cjax.Schedule.stack([LAW] * 2), KEYS, {}, "run axes do not agree: schedule has 2, key has 3"),
        (QUADRATIC, SEQUENTIAL, KEYS.reshape(3, 1), {}, "one run axis at most"),
        (QUADRATIC, SEQUENTIAL, KEYS[:0], {}, "run axis has length 0"),
        (QUADRATIC, SEQUENTIAL, KEY, {"history": "rink"}, "history is 'rink', but must be one of 'auto', 'mailbox', "),
        (QUADRATIC, LAW, KEY, {"history": "mailbox"}, "does not read right after its own write .*use history='ring'"),
        (QUADRATIC, LAW, KEY, {"depth": 3}, "depth is 3, but the largest delay is 3; use at least 4"),
        (QUADRATIC, LAW, KEY, {"depth": 0}, "depth is 0, but must be at least 1"),
        (QUADRATIC, SEQUENTIAL, KEY, {"depth": 5}, "depth is 5, but the mailbox keeps no past versions"),
        (QUADRATIC, SEQUENTIAL, KEY, {"record": a3cjax.Record(every=11)}, "every is 11, but the schedule has 10"),
        (QUADRATIC, SEQUENTIAL, KEY, {"transitions": True}, "transitions"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(learner, schedule, key, options, message):
    """Among them an option without effect: transitions of a learner that logs none."""
    with pytest.raises(ValueError, match=message):
        a3cjax.simulate(learner, schedule, key, **options)


def test_the_hyper_parameter_with_the_wrong_run_axis_is_named():
    with pytest.raises(ValueError, match=r"step has 2"):
        a3cjax.simulate(STEPS_OF_TWO, SEQUENTIAL, KEYS)


def test_shapes_follow_the_run_axes():
    """No run axis anywhere: no leading axis; one of length 1: a leading axis of length 1."""
    record = a3cjax.Record(every=5, metrics=["objective"])
    one = a3cjax.simulate(QUADRATIC, SEQUENTIAL, KEY, record=record)
    assert (one.params.x.shape, one.time.shape, one.metrics["objective"].shape) == ((1,), (2,), (2,))
    assert np.shape(one.nonfinite_from) == ()
    for learner, schedule, key in (
        (QUADRATIC, SEQUENTIAL, KEYS[:1]),
        (QUADRATIC, a3cjax.Schedule.stack([SEQUENTIAL]), KEY),
        (a3cjax.QuadraticSGD(curvature=[1.0], step=np.array([0.1])), SEQUENTIAL, KEY),
    ):
        batch = a3cjax.simulate(learner, schedule, key, record=record)
        shapes = (batch.params.x.shape, batch.time.shape, batch.metrics["objective"].shape)
        assert shapes == ((1, 1), (1, 2), (1, 2))
        np.testing.assert_array_equal(batch.params.x[0], one.params.x)
        assert np.shape(batch.nonfinite_from) == (1,)


def programs():
    """How many programs the engine's two entry points have been compiled to."""
    backends = CPU_KERNEL, CPU_KERNEL.for_little
    points: list[Any] = [point for backend in backends for point in driver.programs(backend)]
    return [point._cache_size() for point in points]


def test_neither_laws_nor_steps_nor_seeds_are_compiled_in():
    """One program for other delays, compute times, steps, curvatures, noise, starts and keys of the same shapes."""

    def run(seed, law, step, worker_mean):
        key = jax.random.key(seed)
        learner = a3cjax.QuadraticSGD(curvature=[1.0 + seed], step=step, noise=0.1 * seed, start=[seed])
        a3cjax.simulate(learner, a3cjax.Schedule.from_law(key, law, 50), key, depth=9)
        laws = [a3cjax.compute_times.Lognormal(worker_mean, 0.5 + seed)] * 2
        a3cjax.simulate(learner, a3cjax.Schedule.from_workers(key, laws, 50), key)

    run(0, a3cjax.delays.Uniform(0, 3), 0.1, 1.0)
    before = programs()
    run(1, a3cjax.delays.Uniform(2, 8), 0.02, 3.0)
    run(2, a3cjax.delays.Constant(5), 0.03, 0.5)
    assert programs() == before


def test_the_steps_and_the_mdp_of_a3c_are_not_compiled_in(mixing_mdp):
    """Another MDP of the same sizes, other steps, radius and prior: the same program."""

    def run(seed):
        mdp = mixing_mdp(seed)
        prior = a3cjax.Prior(0.1 * seed, np.full(6, 1 / 6), np.full((6, 3), 1 / 3))
        learner = a3cjax.A3C(mdp, actor_step=0.1 * seed, critic_step=0.2 * seed, radius=1.0 + seed, prior=prior)
        return a3cjax.simulate(learner, SEQUENTIAL, KEY, record=a3cjax.Record(every=10, metrics=()))

    run(1)
    before = programs()
    run(2)
    assert programs() == before


def test_a_ring_is_compiled_for_a_depth_not_for_a_delay():
    """Largest delays of 5, 6 and 7 in three schedules drawn from one law: without ``depth`` one program serves them."""
    schedules = [a3cjax.Schedule.from_law(KEY, a3cjax.delays.Constant(delay), 20) for delay in (5, 6, 7)]
    a3cjax.simulate(QUADRATIC, schedules[0], KEY)
    before = programs()
    for schedule in schedules[1:]:
        a3cjax.simulate(QUADRATIC, schedule, KEY)
    assert programs() == before


def test_shorter_runs_and_other_records_are_the_same_program():
    """60 updates with 6 records, then 50 with 10: room for 256 and 16, of which the rest stays idle."""
    noisy = a3cjax.QuadraticSGD(curvature=[1.0], step=0.1, noise=1.0)

    def run(num_updates, every):
        record = a3cjax.Record(every=every, metrics=["distance_sq"])
        return a3cjax.simulate(noisy, a3cjax.Schedule.sequential(num_updates), KEY, record=record).metrics

    long = run(60, 10)["distance_sq"]
    before = programs()
    short = run(50, 5)["distance_sq"]
    assert programs() == before
    assert short.shape == (10,)
    np.testing.assert_array_equal(short[1::2], long[:5])


def test_five_runs_are_the_program_of_eight():
    """And those of six and seven, beside idle lanes, are the first of eight; four have their own."""
    noisy = a3cjax.QuadraticSGD(curvature=[1.0], step=0.1, noise=1.0)
    schedule, keys = a3cjax.Schedule.sequential(20), jax.random.split(KEY, 8)
    eight = a3cjax.simulate(noisy, schedule, keys).params.x
    before = programs()
    for count in (5, 6, 7):
        np.testing.assert_array_equal(a3cjax.simulate(noisy, schedule, keys[:count]).params.x, eight[:count])
    assert programs() == before
    np.testing.assert_array_equal(a3cjax.simulate(noisy, schedule, keys[:4]).params.x, eight[:4])
    assert programs() != before


def test_schedules_of_up_to_sixteen_workers_are_one_program():
    """Room for sixteen slots; what is saved has one for each worker there is."""
    noisy = a3cjax.QuadraticSGD(curvature=[1.0], step=0.1, noise=1.0)

    def run(count):
        schedule = a3cjax.Schedule.from_workers(KEY, [a3cjax.compute_times.Exponential(1.0)] * count, 20)
        record = a3cjax.Record(every=20, metrics=())
        state = a3cjax.simulate(noisy, schedule, KEY, history="mailbox", record=record).state
        assert state is not None
        assert max(leaf.shape[1] for leaf in state.leaves if leaf.ndim == 3) == count

    run(2)
    before = programs()
    run(3)
    run(16)
    assert programs() == before
    run(17)
    assert programs() != before


def test_a_user_who_refuses_implicit_broadcasting_means_his_own_code():
    """JAX_NUMPY_RANK_PROMOTION=raise: families, oracles and the default record, to the same numbers."""

    def all_of():
        mdp = a3cjax.families.synthetic(jax.random.key(0), num_states=4, num_actions=2, num_features=3)
        found = a3cjax.exact.evaluate(mdp, jnp.full((4, 2), 0.5))
        learner = a3cjax.A3C(mdp, actor_step=0.1, critic_step=0.1)
        result = a3cjax.simulate(learner, a3cjax.Schedule.sequential(20), jax.random.split(jax.random.key(0), 2))
        lqr = a3cjax.families.random_lqr(jax.random.key(1))
        regulated = lqr.evaluate(a3cjax.policies.LinearGaussian(2, 1), lqr.optimal_gain())
        ring = a3cjax.families.ring(6, num_features=3)
        oracles = found.critic_optimum, found.approximation_error, found.action_values, regulated.critic_system
        return oracles, ring, a3cjax.exact.optimal_objective(mdp), dict(result.metrics), result.params

    expected = all_of()
    with jax.numpy_rank_promotion("raise"):
        found = all_of()
        with pytest.raises(ValueError, match="rank"):
            _ = jnp.ones((2, 1)) * jnp.ones(1)  # as the user asked
    jax.tree.map(np.testing.assert_array_equal, found, expected)
