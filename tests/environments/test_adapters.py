"""Adapters, each beside its library where that is installed; and what is said where it is not, or is another."""

import importlib.metadata
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import a3cjax
from a3cjax import environments
from a3cjax.environments.adapters.library import Library
from a3cjax.testing import check_environment

CHECKED = ("pytree", "spaces", "shapes", "finite", "pure", "batch")


def learns(environment):
    """Two updates of a small network under a delay, with finite parameters."""
    network = a3cjax.networks.MLP(hidden=(8,))
    learner = a3cjax.ActorCritic(environment, network, optax.sgd(1e-3), rollout=3, evaluation_steps=5)
    schedule = a3cjax.Schedule([0, 0, 0], [0, 1, 1], [1.0, 2.0, 3.0])
    result = a3cjax.simulate(learner, schedule, jax.random.key(0), record=a3cjax.Record(metrics=["episode_return"]))
    return bool(np.isfinite(result.metrics["episode_return"]).all())


def test_gymnax_steps_without_its_resets():
    """To the end of an episode its own ``step`` gives the same, but begins anew there; and CartPole is CartPole."""
    gymnax = pytest.importorskip("gymnax")
    environment = environments.Gymnax("CartPole-v1", max_steps_in_episode=12)
    assert check_environment(environment, num_steps=32) == CHECKED
    own, params = gymnax.make("CartPole-v1")
    params = params.replace(max_steps_in_episode=12)
    ends = []
    key = jax.random.key(0)
    for seed in range(3):
        state, _ = environment.reset(jax.random.key(seed))
        over = (False, False)
        while not any(over):
            _, _, reward, terminated, truncated, info = own.step(key, state, state.time % 2, params)
            step = environment.step(jax.random.split(key)[0], state, state.time % 2)
            np.testing.assert_allclose(step.observation, info["final_observation"], atol=1e-6)
            over = (bool(step.terminated), bool(step.truncated))
            assert (float(step.reward), *over) == (float(reward), bool(terminated), bool(truncated))
            state = step.state
        ends.append(over)
    assert (False, True) in ends
    ours = environments.CartPole(max_steps=12)
    begun, _ = ours.reset(key)
    same = {"x": begun.position, "x_dot": begun.velocity, "theta": begun.angle, "theta_dot": begun.angular_velocity}
    theirs = environment.step(key, environment.reset(key)[0].replace(**same, time=0), 1)
    np.testing.assert_allclose(theirs.observation, ours.step(key, begun, 1).observation, atol=1e-6)
    assert environment.own is environments.Gymnax("CartPole-v1").own  # nothing is compiled twice
    with pytest.raises(ValueError, match=r"name is 'CartPole', but gymnax has CartPole-v1"):
        environments.Gymnax("CartPole")
    with pytest.raises(ValueError, match=r"gravitation is no parameter of CartPole-v1; it has .*gravity"):
        environments.Gymnax("CartPole-v1", gravitation=1)
    assert environments.Gymnax("Pendulum-v1").action_size == 1
    assert learns(environment)


def test_minatar_through_gymnax():
    pytest.importorskip("gymnax")
    environment = environments.MinAtar("breakout", max_steps_in_episode=50)
    assert environment.num_actions == 3
    assert environment.reset(jax.random.key(0))[1].shape == (10, 10, 4)
    assert check_environment(environment, num_steps=32) == CHECKED
    with pytest.raises(ValueError, match=r"game is 'pong', but must be one of 'asterix'"):
        environments.MinAtar("pong")  # type: ignore[arg-type]
    assert learns(environment)


def test_jumanji_ends_as_its_discount_says():
    """A snake that goes up leaves the board of 12 rows within 12 steps, which terminates the episode."""
    pytest.importorskip("jumanji")
    environment = environments.Jumanji("Snake-v1")
    assert environment.num_actions == 4
    assert check_environment(environment, num_steps=32) == CHECKED
    state, _ = environment.reset(jax.random.key(0))
    step_once = jax.jit(environment.step)
    ends = []
    while not ends or not any(ends[-1]):
        step = step_once(jax.random.key(0), state, jnp.int32(0))
        ends.append((bool(step.terminated), bool(step.truncated)))
        state = step.state
    assert ends[-1] == (True, False)
    assert len(ends) <= 12
    with pytest.raises(ValueError, match=r"name is 'Snake', but jumanji has .*Snake-v1"):
        environments.Jumanji("Snake")
    with pytest.raises(
        ValueError, match=r"Connector-v3 has actions of .*, but here an action of jumanji's is one whole"
    ):
        environments.Jumanji("Connector-v3")
    assert learns(environment)


@pytest.mark.filterwarnings("ignore::UserWarning:brax", "ignore::DeprecationWarning")
def test_brax_is_truncated_after_its_steps():
    pytest.importorskip("brax")
    environment = environments.Brax("inverted_pendulum", max_steps=3)
    assert environment.action_size == 1
    state, observation = environment.reset(jax.random.key(0))
    step_once = jax.jit(environment.step)
    ends = []
    for _ in range(3):
        step = step_once(jax.random.key(0), state, jnp.zeros(1))
        assert step.observation.shape == observation.shape == (4,)
        ends.append((bool(step.terminated), bool(step.truncated)))
        state = step.state
    assert ends == [(False, False), (False, False), (False, True)]
    with pytest.raises(ValueError, match=r"name is 'pendulum', but brax has ant"):
        environments.Brax("pendulum")
    assert learns(environment)


def test_another_library_is_told(monkeypatch):
    """Not installed, too old, or newer than what the adapter was written for; a module of no library stands for it."""
    library = Library("acrobats", "gymnax", "1.0", "1.0", " (a note)")
    with pytest.raises(
        ValueError, match=r"Gymnax\(1\) needs acrobats, .*; install it with pip install 'a3cjax\[gymnax\]' \(a"
    ):
        library.load("Gymnax(1)")
    monkeypatch.setitem(sys.modules, "acrobats", types.ModuleType("acrobats"))
    versions = iter(["1.0.7", "1.1.0", "0.0.9"])
    monkeypatch.setattr(importlib.metadata, "version", lambda name: next(versions))
    assert library.load("Gymnax(1)").__name__ == "acrobats"
    with pytest.warns(
        UserWarning, match=r"was written for acrobats 1.0, and 1.1.0 is installed: what it returns may mean"
    ):
        library.load("Gymnax(1)")
    with pytest.raises(ValueError, match=r"needs acrobats 1.0 or later, but 0.0.9 is installed, whose step is another"):
        library.load("Gymnax(1)")


@pytest.mark.parametrize(
    ("make", "extra"),
    [
        (lambda: environments.Gymnax("CartPole-v1"), "gymnax"),
        (lambda: environments.MinAtar("breakout"), "gymnax"),
        (lambda: environments.Jumanji("Snake-v1"), "jumanji"),
        (lambda: environments.Brax("ant"), "brax"),
    ],
)
def test_an_adapter_names_the_extra_that_it_needs(make, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, extra, None)  # as if it were not installed
    with pytest.raises(ValueError, match=rf"needs {extra}, which cannot be imported .*pip install 'a3cjax\[{extra}\]'"):
        make()
