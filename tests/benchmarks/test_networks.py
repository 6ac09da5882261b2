"""The processes in NumPy do the work that the learner does: its gradient, and its environment."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from a3cjax import environments, networks
from a3cjax.learners.actor_critic.loss import loss
from a3cjax.learners.actor_critic.policies import policy_of
from a3cjax.learners.actor_critic.rollout import Rollout
from benchmarks import numpy_network


def test_the_gradients_are_the_same():
    """Derivatives by hand, and JAX's of the loss that ``ActorCritic`` has, on a rollout in which an episode ends."""
    rng = np.random.default_rng(0)
    ours = numpy_network.Network(8)
    ours.draw(rng)
    ours.leaves[5][:] = 0.3, -0.2
    seen, after = rng.normal(size=(2, 5, 4)).astype(np.float32)
    seen[[1, 2, 4]] = after[[0, 1, 3]]  # an episode goes on from what was seen; the one at 2 is terminated
    action, terminated = np.array([0, 1, 1, 0, 1]), np.arange(5) == 2
    reward = np.ones(5, np.float32)
    found = ours.gradient(seen, action, reward, 1.0 - terminated, terminated, after)

    environment = environments.CartPole()
    policy, network = policy_of(environment), networks.MLP(hidden=(8, 8)).fitted(environment)
    shapes = jax.eval_shape(network.init, jax.random.key(0))
    params = jax.tree.unflatten(jax.tree.structure(shapes), [jnp.asarray(leaf) for leaf in ours.leaves])
    columns = seen, action, reward, after, terminated, np.zeros(5, bool), np.zeros(5)
    rollout = Rollout(*map(jnp.asarray, columns))
    weights = numpy_network.DISCOUNT, 1.0, numpy_network.ENTROPY, numpy_network.CRITIC_WEIGHT
    expected = jax.grad(loss)(params, rollout, network, policy, *(jnp.float32(w) for w in weights), False)
    flat = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(expected)])
    np.testing.assert_allclose(found, flat, rtol=1e-4, atol=1e-5)
    assert np.abs(flat).max() > 0.1


def test_torch_finds_the_gradients_of_the_processes_in_numpy():
    """Of a rollout in which an episode is terminated and another truncated; torch differentiates step by step."""
    torch = pytest.importorskip("torch")
    torch_network = pytest.importorskip("benchmarks.torch_network")
    rng = np.random.default_rng(1)
    ours = numpy_network.Network(8)
    ours.draw(rng)
    theirs = torch_network.ActorCritic(8, ours.params)
    seen, after = rng.normal(size=(2, 5, 4)).astype(np.float32)
    action, ahead, ends = [0, 1, 1, 0, 1], [1.0, 0.0, 1.0, 1.0, 1.0], [False, True, False, True, False]
    reward = [1.0, 2.0, -1.0, 0.5, 1.0]
    beyond = [float(theirs(torch.from_numpy(one))[1].detach()) for one in after]
    outputs = [theirs(torch.from_numpy(one)) for one in seen]
    torch_network.loss_of(outputs, action, reward, ahead, ends, beyond).backward()
    found = np.concatenate([parameter.grad.numpy().T.ravel() for parameter in theirs.parameters()])
    expected = ours.gradient(seen, action, np.array(reward), np.array(ahead), np.array(ends), after)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(expected).max() > 0.1


def test_the_cart_is_the_same():
    """Twenty steps to the right from rest: the same states, and the pole falls at the same step."""
    environment = environments.CartPole()
    state, observation = environment.reset(jax.random.key(0))
    own = np.asarray(observation)
    for _ in range(20):
        step = environment.step(jax.random.key(1), state, jnp.int32(1))
        own, fallen = numpy_network.cart_pole(own, 1)
        np.testing.assert_allclose(step.observation, own, rtol=1e-4, atol=1e-5)
        assert bool(step.terminated) == fallen
        if fallen:
            return
        state = step.state
    raise AssertionError("the pole has not fallen")
