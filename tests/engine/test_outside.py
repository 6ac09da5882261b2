"""Derivatives that reach a run are refused, and values that a step function takes from outside are taken in."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import a3cjax

KEY = jax.random.key(0)
SCHEDULE = a3cjax.Schedule.sequential(3)
REFUSED = r"runs are not differentiable.* Take differences of runs with the same key .*, or the exact gradients"


@pytest.fixture(scope="module")
def mdp():
    return a3cjax.families.synthetic(jax.random.key(1), num_states=4, num_actions=2, num_features=3)


def end(step):
    """(1 − step)³, whose derivative −3 (1 − step)² is −2.43 at .1, and not the 0 that was once given."""
    learner = a3cjax.QuadraticSGD(curvature=[1.0], step=step)
    return a3cjax.simulate(learner, SCHEDULE, KEY, history="ring", depth=1).params.x[0]


DERIVATIVES = {
    "jvp": lambda f: jax.jvp(f, (0.1,), (1.0,)),
    "grad": lambda f: jax.grad(f)(0.1),
    "jacfwd": lambda f: jax.jacfwd(f)(0.1),
    "linearize": lambda f: jax.linearize(f, 0.1),
    "vjp": lambda f: jax.vjp(f, 0.1),
    "hessian": lambda f: jax.hessian(f)(0.1),
    "grad of jit": lambda f: jax.grad(jax.jit(f))(0.1),
    "jit of grad": lambda f: jax.jit(jax.grad(f))(0.1),
    "vmap of grad": lambda f: jax.vmap(jax.grad(f))(jnp.array([0.1, 0.2])),
    "grad of vmap": lambda f: jax.grad(lambda steps: jax.vmap(f)(steps).sum())(jnp.array([0.1, 0.2])),
}


@pytest.mark.parametrize("how", DERIVATIVES)
def test_derivatives_are_refused(how):
    with pytest.raises(ValueError, match=REFUSED):
        DERIVATIVES[how](end)


def test_whichever_way_a_derivative_comes_in(mdp):
    """Through a start, a step function's closure, a metric's, a resumed state or a schedule's times."""
    quadratic = a3cjax.QuadraticSGD(curvature=[1.0], step=0.1)

    def closure(a):
        return a3cjax.A3C(mdp, actor_step=lambda k: a / (1 + k), critic_step=0.1)

    def of_start(omega):
        return a3cjax.simulate(a3cjax.A3C(mdp, 0.1, 0.1, omega=omega), SCHEDULE, KEY).params.omega.sum()

    def of_metric(a):
        record = a3cjax.Record(every=3, metrics={"ax": lambda state: a * state.x[0]})
        return a3cjax.simulate(quadratic, SCHEDULE, KEY, record=record).metrics["ax"][0]

    half = a3cjax.simulate(quadratic, SCHEDULE[:1], KEY).state
    assert half is not None

    def of_state(x):
        state = jax.tree.unflatten(jax.tree.structure(half), [x, *half.leaves[1:]])
        return a3cjax.simulate(quadratic, SCHEDULE, KEY, resume=state).params.x[0]

    def of_times(times):
        schedule = a3cjax.Schedule([0, 0, 0], [0, 0, 0], times, num_workers=1)
        return a3cjax.simulate(quadratic, schedule, KEY, history="ring").time[-1]

    for function, at in (
        (of_start, jnp.zeros(3)),
        (lambda a: a3cjax.simulate(closure(a), SCHEDULE, KEY).params.omega.sum(), 0.1),
        (jax.jit(lambda a: a3cjax.simulate(closure(a), SCHEDULE, KEY).params.omega.sum()), 0.1),
        (of_metric, 2.0),
        (of_state, half.leaves[0]),
        (of_times, jnp.arange(3.0)),
    ):
        with pytest.raises(ValueError, match=REFUSED):
            jax.jvp(function, (at,), (jnp.ones_like(at),))


def test_derivatives_beside_a_run_are_not():
    """d/da a·(1 − .1)³ = .729, and with the run held fixed d/ds (s² + run(s)) = 2 s."""
    np.testing.assert_allclose(jax.grad(lambda a: a * end(0.1))(2.0), 0.729, rtol=1e-6)
    np.testing.assert_allclose(jax.grad(lambda a: a * jax.jit(end)(0.1))(2.0), 0.729, rtol=1e-6)
    np.testing.assert_allclose(jax.grad(lambda s: s**2 + end(jax.lax.stop_gradient(s)))(0.1), 0.2, rtol=1e-6)


@pytest.mark.parametrize("transform", ["jit", "vmap"])
def test_a_step_function_may_use_what_is_traced_around_it(mdp, transform):
    """All else is known, so this could be taken for a call outside jit; the bits are those of the numbers."""

    def run(a):
        learner = a3cjax.A3C(mdp, actor_step=0.1, critic_step=lambda k: a / (1 + k))
        return a3cjax.simulate(learner, SCHEDULE, KEY).params.omega

    steps = np.array([0.25, 0.5], np.float32)
    apart = [run(a) for a in steps]
    assert np.abs(apart[0] - apart[1]).max() > 1e-3
    together = jax.vmap(run)(steps) if transform == "vmap" else [jax.jit(run)(a) for a in steps]
    np.testing.assert_array_equal(together, apart)
