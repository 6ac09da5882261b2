"""What does not fit is told so before anything is compiled."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest
from jax.tree_util import Partial

import a3cjax
from a3cjax import networks
from a3cjax.environments import AbstractEnvironment, CartPole, Pendulum, Step


def network(policy, value=None, params=None):
    """One that returns what it is told to."""
    value = jnp.float32(0) if value is None else value
    return networks.Network(lambda key: jnp.zeros(3) if params is None else params, lambda w, x: (policy, value))


def build(**options):
    given = {"environment": CartPole(), "network": networks.MLP(hidden=(4,)), "optimizer": optax.sgd(0.1)} | options
    return a3cjax.ActorCritic(**given)


class Maker:
    """An optimiser's class, and not one of its kind."""

    def init(self, params):
        return ()

    def update(self, gradient, state, params=None):
        return gradient, state


NO_KEY: Any = lambda: 0  # noqa: E731
BAD = [
    ({"environment": CartPole}, r"environment is the class CartPole; give an instance"),
    ({"rollout": 0}, r"rollout is 0, but must be at least 1"),
    ({"rollout": 2.0}, r"rollout must be a whole number, but is 2.0"),
    (
        {"discount": 1.0},
        r"discount is 1, but an episode of CartPole may go on for ever .*; use a discount below 1, or an",
    ),
    ({"discount": [0.9, 1.0]}, r"discount is 1, but an episode of CartPole may go on for ever"),
    ({"discount": 1.5}, r"discount is 1.5, but must be at most 1"),
    ({"trace": -0.1}, r"trace is -0.1, but must be at least 0"),
    ({"entropy": float("nan")}, r"entropy is nan; every entry must be a finite number"),
    ({"critic_weight": -1}, r"critic_weight is -1, but must be at least 0"),
    ({"normalize_advantages": 1}, r"normalize_advantages must be True or False, but is 1"),
    ({"normalize_advantages": True, "rollout": 1}, r"the one advantage of a rollout of 1 would become 0; use a longer"),
    ({"evaluation_episodes": 0}, r"evaluation_episodes is 0, but must be at least 1"),
    (
        {"optimizer": None},
        r"optimizer is None, but must be an optimiser; use an optax transformation such as optax.adam",
    ),
    ({"optimizer": 0.1}, r"optimizer is 0.1, but must be an optimiser"),
    ({"optimizer": Maker}, r"optimizer is the function Maker, which makes one"),
    ({"optimizer": optax.adam}, r"optimizer is the function adam, which makes one, but must be an optimiser"),
    ({"optimizer": Partial(optax.adam)}, r"optimizer is a Partial that cannot be called: .*learning_rate"),
    ({"optimizer": Partial(jnp.add, 1.0, 2.0)}, r"optimizer is a Partial that makes .*; use an optax"),
    (
        {"optimizer": Partial(optax.sgd, learning_rate=jnp.ones((2, 2)))},
        r"optimizer does not .* the network's parameters",
    ),
    ({"network": networks.MLP}, r"network is the class MLP; give an instance, such as MLP\(\)"),
    ({"network": 3}, r"network is a int, which has no method init; use a3cjax.networks.MLP\(\), or"),
    ({"network": network(jnp.zeros(3))}, r"an array of shape \(3,\) for the policy, .* num_actions = 2; return logits"),
    ({"network": network((jnp.zeros(2), jnp.zeros(2)))}, r"a tuple of arrays of shapes \(2,\), \(2,\) for the policy"),
    (
        {"network": network(jnp.zeros(2), jnp.zeros(1))},
        r"a value of shape \(1,\), but it must be one number; return value\[0",
    ),
    ({"network": network(jnp.zeros(2), params=jnp.arange(3))}, r"returns params of int32, which has no gradient"),
    (
        {"network": networks.Network(lambda key: jnp.zeros(3), lambda w, x: w)},
        r"apply of the network for CartPole must retu",
    ),
    ({"network": networks.Network(NO_KEY, lambda w, x: w)}, r"init of the network for CartPole failed: .*argument"),
    ({"network": networks.MLP(inputs=3)}, r"inputs of the network is 3, but CartPole has 4; leave it out"),
    ({"network": networks.MLP(num_actions=5)}, r"num_actions of the network is 5, but CartPole has 2"),
    (
        {"network": networks.Tabular()},
        r"Tabular has a row for each state of a Finite, but the environment is a CartPole",
    ),
    (
        {"environment": Pendulum(), "network": network(jnp.zeros(1))},
        r"action_size = 1; return a pair, mean and logarithm",
    ),
]


@pytest.mark.parametrize(("options", "sentence"), BAD, ids=range(len(BAD)))
def test_what_does_not_fit_is_told(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        build(**options)


class Broke(AbstractEnvironment):
    """Pays NaN."""

    num_actions = 2

    def reset(self, key):
        return jnp.int32(0), jnp.ones(2)

    def step(self, key, state, action):
        return Step(state, jnp.ones(2), jnp.float32(jnp.nan), jnp.bool_(False), jnp.bool_(False))


def test_returns_that_are_no_numbers_stop_the_run():
    """The check says which reward it is; the parameters are no numbers after one update, where ``simulate`` stops."""
    with pytest.raises(ValueError, match=r"\(finite\): reward is nan at step 0, but must be a finite number"):
        a3cjax.testing.check_environment(Broke(), num_steps=8)
    learner = build(environment=Broke(), network=networks.MLP(hidden=()), rollout=1)

    @jax.jit
    def updated(key):
        state = learner.init(key)
        message, _ = learner.propose(learner.view(state), learner.init_worker(key), key)
        return learner.apply(state, message, jnp.int32(0)).params

    assert jnp.isnan(updated(jax.random.key(0)).value.bias).all()


def test_what_is_right_is_taken():
    """One optimiser for each run, a network of two functions of any class, and shapes without a run axis."""

    class Two:
        def init(self, key):
            return jnp.zeros((4, 3))

        def apply(self, params, observation):
            return (observation @ params)[:2], (observation @ params)[2]

    learner = build(
        optimizer=Partial(optax.adam, learning_rate=jnp.array([0.1, 0.2])), discount=[0.9, 0.8], network=Two()
    )
    assert learner.discount.shape == (2,)
    assert jax.tree.structure(build()) == jax.tree.structure(build())  # so nothing is compiled twice
    assert jax.tree.structure(build(optimizer=optax.adam(1e-3))) == jax.tree.structure(
        build(optimizer=optax.adam(1e-3))
    )
