"""Stale gradients in a loop over a model of flax, and over one of equinox, where these are installed."""

import jax
import jax.numpy as jnp
import optax
import pytest

import a3cjax

SCHEDULE = a3cjax.Schedule.from_workers(jax.random.key(0), [a3cjax.compute_times.Exponential(1.0)] * 4, 400)
X = jnp.linspace(-1, 1, 16)[:, None]
Y = jnp.sin(3 * X)


def test_a_model_of_flax_fits_a_sine_under_a_delay_of_three():
    linen = pytest.importorskip("flax.linen")
    model = linen.Sequential([linen.Dense(16), linen.tanh, linen.Dense(1)])
    params = model.init(jax.random.key(0), X)
    optimizer = a3cjax.optax.delayed(optax.adam(3e-3), SCHEDULE)

    def loss(params):
        return jnp.mean((model.apply(params, X) - Y) ** 2)

    @jax.jit
    def step(params, state):
        changes, state = optimizer.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, changes), state

    state = optimizer.init(params)
    before = loss(a3cjax.optax.server_params(state))
    for _ in range(SCHEDULE.num_updates):
        params, state = step(params, state)
    assert loss(a3cjax.optax.server_params(state)) < 0.5 * before
    assert jnp.allclose(loss(params), loss(a3cjax.optax.server_params(state)))  # the schedule is over


def test_a_model_of_equinox_does_too():
    eqx = pytest.importorskip("equinox")
    model = eqx.nn.MLP(1, 1, 16, 1, activation=jnp.tanh, key=jax.random.key(0))
    optimizer = a3cjax.optax.mailbox(optax.adam(3e-3), SCHEDULE)

    def loss(model):
        return jnp.mean((jax.vmap(model)(X) - Y) ** 2)

    @eqx.filter_jit
    def step(model, state):
        changes, state = optimizer.update(eqx.filter_grad(loss)(model), state, eqx.filter(model, eqx.is_array))
        return eqx.apply_updates(model, changes), state

    state, before = optimizer.init(eqx.filter(model, eqx.is_array)), loss(model)
    for _ in range(SCHEDULE.num_workers - 1 + SCHEDULE.num_updates):
        model, state = step(model, state)
    assert loss(model) < 0.5 * before
