"""Schedules that are drawn on the host, inside a compiled function: from what is known while it is traced."""

import jax
import numpy as np
import pytest

import a3cjax

Schedule, ct = a3cjax.Schedule, a3cjax.compute_times
KEY = jax.random.key(0)
LAWS = [ct.Exponential(1.0)] * 3
DRAWN = Schedule.from_workers(KEY, LAWS, 40)
ON_THE_HOST = {
    "waits": lambda key: Schedule.from_workers(key, LAWS, 40, wait=1.0),
    "cores": lambda key: Schedule.from_workers(key, LAWS, 40, cores=2, time_slice=0.1),
    "ringmaster": lambda key: Schedule.ringmaster(key, LAWS, 40, threshold=2),
    "pipeline": lambda key: Schedule.from_pipeline(key, LAWS, LAWS[0], 40, batch=2, queue=4),
    "resampled": lambda key: DRAWN.resampled(key, 40),
}


@pytest.mark.parametrize("draw", ON_THE_HOST.values(), ids=ON_THE_HOST)
def test_known_arguments_give_the_schedule_that_they_give_outside(draw):
    inside, outside = jax.jit(lambda: draw(KEY))(), draw(KEY)
    for name in ("worker", "delay", "time", "commit", "weight"):
        here, there = getattr(inside, name), getattr(outside, name)
        assert (here is None) == (there is None)
        if there is not None:
            np.testing.assert_array_equal(here, there.astype(here.dtype))


@pytest.mark.parametrize("draw", ON_THE_HOST.values(), ids=ON_THE_HOST)
def test_a_traced_key_is_refused(draw):
    with pytest.raises(ValueError, match=r"is being traced|whose values are known"):
        jax.jit(draw)(KEY)
    with pytest.raises(ValueError, match=r"is being traced|whose values are known"):
        jax.vmap(draw)(jax.random.split(KEY, 2))


def test_a_run_on_one_is_the_run_outside():
    learner = a3cjax.QuadraticSGD(curvature=[1.0], step=0.3, noise=0.1)

    def last():
        return a3cjax.simulate(learner, ON_THE_HOST["ringmaster"](KEY), KEY, history="mailbox").params.x

    np.testing.assert_array_equal(jax.jit(last)(), last())
