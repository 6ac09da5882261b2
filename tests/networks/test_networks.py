"""Networks that are there, and recipes for those of equinox and flax."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import a3cjax
from a3cjax import networks
from a3cjax.environments import CartPole, Finite, Pendulum


def through(layers, x):
    for layer in layers:
        x = np.tanh(x @ np.asarray(layer.weight) + np.asarray(layer.bias))
    return x


@pytest.mark.parametrize("shared", [True, False])
def test_an_mlp_is_its_layers(shared):
    """Beside NumPy, with biases that are not zero; the value goes through the critic's layers, if it has its own."""
    network = networks.MLP(hidden=(8, 6), shared=shared).fitted(CartPole())
    params = jax.tree.map(lambda leaf: leaf + 0.1, network.init(jax.random.key(0)))
    x = np.linspace(-1, 1, 4, dtype=np.float32)
    logits, value = network.apply(params, x)
    actor = through(params.actor, x)
    critic = actor if shared else through(params.critic, x)
    assert len(params.critic) == (0 if shared else 2)
    np.testing.assert_allclose(logits, actor @ params.policy.weight + params.policy.bias, rtol=1e-5)
    np.testing.assert_allclose(value, critic @ params.value.weight[:, 0] + params.value.bias[0], rtol=1e-5)


def test_an_mlp_begins_orthogonal():
    """WᵀW = gain² I or WWᵀ = gain² I, whichever is smaller; the signs are fair: E W = 0, four standard errors."""
    network = networks.MLP(hidden=(8, 3), shared=False).fitted(Pendulum())
    keys = jax.random.split(jax.random.key(0), 400)
    params = jax.jit(jax.vmap(network.init))(keys)
    layers = [*params.actor, *params.critic, params.policy, params.value]
    gains = [2.0**0.5] * 4 + [0.01, 1.0]
    assert [layer.weight.shape[1:] for layer in layers] == [(3, 8), (8, 3), (3, 8), (8, 3), (3, 1), (3, 1)]
    for layer, gain in zip(layers, gains, strict=True):
        weight = np.asarray(layer.weight, np.float64) / gain
        small = min(weight.shape[1:])
        gram = weight @ weight.swapaxes(1, 2) if weight.shape[1] == small else weight.swapaxes(1, 2) @ weight
        np.testing.assert_allclose(gram, np.broadcast_to(np.eye(small), gram.shape), atol=2e-6)
        deviation = 1 / np.sqrt(max(weight.shape[1:]))
        assert np.abs(weight.mean(0)).max() < 4.5 * deviation / 20
        np.testing.assert_array_equal(layer.bias, 0)
    np.testing.assert_array_equal(params.log_std, np.zeros((400, 1)))


def test_an_mlp_lays_observations_in_a_row():
    class Pixels(a3cjax.environments.AbstractEnvironment):
        num_actions = 2

        def reset(self, key):
            return jnp.int32(0), {"a": jnp.arange(6).reshape(2, 3), "b": jnp.bool_(True)}

        def step(self, key, state, action):
            observation = {"a": jnp.arange(6).reshape(2, 3), "b": jnp.bool_(True)}
            return a3cjax.environments.Step(state, observation, jnp.float32(0), jnp.bool_(False), jnp.bool_(False))

    network = networks.MLP(hidden=()).fitted(Pixels())
    assert network.inputs == 7
    params = network.init(jax.random.key(0))
    _, value = network.apply(params, Pixels().reset(jax.random.key(0))[1])
    np.testing.assert_allclose(value, np.array([0, 1, 2, 3, 4, 5, 1.0]) @ params.value.weight[:, 0], rtol=1e-6)


def test_a_table_has_a_row_for_each_state():
    mdp = a3cjax.families.synthetic(jax.random.key(0), num_states=4, num_actions=3, num_features=2)
    environment = Finite(mdp)
    network = networks.Tabular().fitted(environment)
    params = network.init(jax.random.key(1))
    assert (params.theta.shape, params.omega.shape) == ((4, 3), (2,))
    params = params._replace(theta=jnp.arange(12.0).reshape(4, 3), omega=jnp.array([1.0, -2.0]))
    logits, value = network.apply(params, environment.observe(jnp.int32(2)))
    np.testing.assert_array_equal(logits, [6, 7, 8])
    np.testing.assert_allclose(value, np.asarray(mdp.features)[2] @ [1, -2], rtol=1e-6)
    assert networks.Tabular(np.eye(4)).fitted(environment).init(jax.random.key(0)).omega.shape == (4,)
    with pytest.raises(ValueError, match=r"features has 3 rows, but the MDP has 4 states"):
        networks.Tabular(np.eye(3)).fitted(environment)


MLP: Any = networks.MLP
Network: Any = networks.Network


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: MLP(hidden=(4, 0)), r"hidden\[1\] is 0, but must be at least 1"),
        (lambda: MLP(hidden=64), r"hidden is 64, but must be widths such as \(64, 64\)"),
        (lambda: MLP(shared=1), r"shared must be True or False, but is 1"),
        (lambda: MLP(activation="tanh"), r"activation must be a function of an array, such as jnp.tanh"),
        (lambda: MLP(num_actions=2, action_size=1), r"num_actions and action_size are both given"),
        (
            lambda: MLP().init(jax.random.key(0)),
            r"has not been told its sizes; give MLP inputs and num_actions",
        ),
        (lambda: networks.Tabular().init(jax.random.key(0)), r"has not been told its sizes; use Tabular\(\).fitted"),
        (lambda: Network(3, abs), r"init must be a function, but is 3"),
    ],
)
def test_a_network_is_told_what_is_wrong(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def trained(network):
    """Three updates under a delay of one."""
    learner = a3cjax.ActorCritic(CartPole(), network, optax.adam(1e-2), rollout=4)
    schedule = a3cjax.Schedule([0] * 3, [0, 1, 1], [1.0, 2.0, 3.0])
    record = a3cjax.Record(every=3, metrics=["gradient_norm"])
    result = a3cjax.simulate(learner, schedule, jax.random.key(0), record=record)
    return float(result.metrics["gradient_norm"][-1])


def test_a_network_of_equinox():
    """Arrays are parameters; what is left of the module stays in the program."""
    eqx = pytest.importorskip("equinox")
    actor = eqx.nn.MLP(4, 2, 16, 1, key=jax.random.key(0))
    critic = eqx.nn.MLP(4, "scalar", 16, 1, key=jax.random.key(0))
    _, rest = eqx.partition((actor, critic), eqx.is_array)

    def init(key):
        keys = jax.random.split(key)
        made = eqx.nn.MLP(4, 2, 16, 1, key=keys[0]), eqx.nn.MLP(4, "scalar", 16, 1, key=keys[1])
        return eqx.filter(made, eqx.is_array)

    def apply(params, observation):
        actor, critic = eqx.combine(params, rest)
        return actor(observation), critic(observation)

    assert trained(networks.Network(init, apply)) > 0


def test_a_network_of_flax():
    linen = pytest.importorskip("flax.linen")

    class Both(linen.Module):
        @linen.compact
        def __call__(self, x):
            x = linen.tanh(linen.Dense(16)(x))
            return linen.Dense(2)(x), linen.Dense(1)(x)[0]

    module = Both()
    assert trained(networks.Network(lambda key: module.init(key, jnp.zeros(4)), module.apply)) > 0


def test_a_network_of_flax_nnx():
    nnx = pytest.importorskip("flax.nnx")

    def both(key):
        rngs = nnx.Rngs(params=key)
        return nnx.List([nnx.Linear(4, 16, rngs=rngs), nnx.Linear(16, 3, rngs=rngs)])

    rest = nnx.split(both(jax.random.key(0)))[0]

    def apply(params, observation):
        first, last = nnx.merge(rest, params)
        output = last(nnx.tanh(first(observation)))
        return output[:2], output[2]

    assert trained(networks.Network(lambda key: nnx.split(both(key))[1], apply)) > 0
