"""CartPole and Pendulum beside their published dynamics in NumPy, and beside gymnasium where it is installed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from a3cjax.environments import CartPole, Pendulum
from a3cjax.environments.cartpole import CartPoleState
from a3cjax.environments.pendulum import PendulumState

COUNT = 400


def cart_pole(state, action):
    """Barto, Sutton and Anderson's equations in float64, explicit Euler; written from Florian's note."""
    x, v, theta, w = np.asarray(state, np.float64).T
    force = np.where(action == 1, 10.0, -10.0)
    total, pole, half = 1.1, 0.1, 0.5
    inner = (-force - pole * half * w**2 * np.sin(theta)) / total
    turn = (9.8 * np.sin(theta) + np.cos(theta) * inner) / (half * (4 / 3 - pole * np.cos(theta) ** 2 / total))
    push = (force + pole * half * (w**2 * np.sin(theta) - turn * np.cos(theta))) / total
    after = np.stack([x + 0.02 * v, v + 0.02 * push, theta + 0.02 * w, w + 0.02 * turn], 1)
    return after, (np.abs(after[:, 0]) > 2.4) | (np.abs(after[:, 2]) > np.deg2rad(12))


def pendulum(state, torque):
    """A rod's equation of motion, θ̈ = 3g/(2l) sin θ + 3u/(ml²), half-implicit; costs before the step."""
    theta, w = np.asarray(state, np.float64).T
    u = np.minimum(np.maximum(torque.astype(np.float64), -2), 2)
    turned = np.arctan2(np.sin(theta), np.cos(theta))
    speed = np.minimum(np.maximum(w + 0.05 * (15 * np.sin(theta) + 3 * u), -8), 8)
    angle = theta + 0.05 * speed
    return np.stack([angle, speed], 1), -(turned**2 + w**2 / 10 + u**2 / 1000)


def cart(state, steps):
    return CartPoleState(state[0], state[1], state[2], state[3], jnp.int32(steps))


def swung(state, steps):
    return PendulumState(state[0], state[1], jnp.int32(steps))


def test_a_step_of_cart_pole_is_the_published_one():
    rng = np.random.default_rng(0)
    states = rng.uniform(-1, 1, (COUNT, 4)).astype(np.float32) * np.array([2.5, 3, 0.22, 3], np.float32)
    actions = rng.integers(0, 2, COUNT)
    environment = CartPole()

    def step(state, action):
        return environment.step(jax.random.key(0), cart(state, 498), action)

    found = jax.jit(jax.vmap(step))(states, actions)
    after, terminated = cart_pole(states, actions)
    np.testing.assert_allclose(found.observation, after, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(found.terminated, terminated)
    assert terminated.any()
    assert not terminated.all()
    np.testing.assert_array_equal(found.reward, 1)
    assert not found.truncated.any()  # step 499; the next is the 500th
    assert bool(environment.step(jax.random.key(0), cart(states[0], 499), 0).truncated)
    assert not bool(CartPole(max_steps=None).step(jax.random.key(0), cart(states[0], 499), 0)[4])


def test_a_step_of_pendulum_is_the_published_one():
    rng = np.random.default_rng(1)
    states = (rng.uniform(-1, 1, (COUNT, 2)) * [np.pi, 8]).astype(np.float32)
    torques = rng.uniform(-3, 3, (COUNT, 1)).astype(np.float32)
    environment = Pendulum()

    def step(state, torque):
        return environment.step(jax.random.key(0), swung(state, 198), torque)

    found = jax.jit(jax.vmap(step))(states, torques)
    after, reward = pendulum(states, torques[:, 0])
    turns = (np.asarray(found.state.angle, np.float64) - after[:, 0]) / (2 * np.pi)
    assert set(np.round(turns)) == {-1, 0, 1}
    np.testing.assert_allclose(turns, np.round(turns), atol=1e-6 / (2 * np.pi))
    np.testing.assert_array_less(np.abs(found.state.angle), np.float32(np.pi) + 1e-6)
    np.testing.assert_allclose(found.state.angular_velocity, after[:, 1], rtol=3e-7, atol=1e-6)
    seen = np.stack([np.cos(after[:, 0]), np.sin(after[:, 0]), after[:, 1]], 1)
    np.testing.assert_allclose(found.observation, seen, rtol=3e-7, atol=1e-6)
    np.testing.assert_allclose(found.reward, reward, rtol=1e-6, atol=1e-6)
    assert not (found.terminated | found.truncated).any()
    assert bool(environment.step(jax.random.key(0), swung(states[0], 199), torques[0]).truncated)


def test_episodes_begin_where_they_should():
    """±0.05; ±π and ±1: least and greatest of 4,000 uniform draws are within 0.5 % of the ends (but for e⁻¹⁰)."""
    keys = jax.random.split(jax.random.key(0), 4000)
    starts = np.stack(jax.vmap(CartPole().reset)(keys)[0][:4])
    np.testing.assert_allclose([starts.min(1), starts.max(1)], np.outer([-1, 1], [0.05] * 4), rtol=5e-3)
    angle, speed, _ = jax.vmap(Pendulum().reset)(keys)[0]
    np.testing.assert_allclose([angle.min(), angle.max(), speed.min(), speed.max()], [-np.pi, np.pi, -1, 1], rtol=5e-3)


def test_numbers_of_the_problem_may_differ_from_run_to_run():
    """With twice the gravity and no force to speak of, a pole at rest falls twice as fast: θ̈ ∝ g."""
    falling = cart(jnp.array([0, 0, 0.1, 0]), 0)
    speeds = [
        float(CartPole(gravity=g, force=1e-9).step(jax.random.key(0), falling, 1).state.angular_velocity)
        for g in (5, 10)
    ]
    assert speeds[1] == pytest.approx(2 * speeds[0], rel=1e-5)
    with pytest.raises(ValueError, match=r"pole_mass is 0, but must be greater than 0"):
        CartPole(pole_mass=0)
    with pytest.raises(ValueError, match=r"max_steps is 0, but must be at least 1"):
        Pendulum(max_steps=0)


@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1"])
def test_gymnasium_takes_the_same_steps(name):
    """An episode to its end, step by step from gymnasium's own state: a controller keeps the pole up for all 500."""
    gymnasium = pytest.importorskip("gymnasium")
    theirs = gymnasium.make(name)
    on_cart, ended = name == "CartPole-v1", (False, False)
    ours = CartPole() if on_cart else Pendulum()
    step = jax.jit(ours.step)
    rng = np.random.default_rng(0)
    observation, _ = theirs.reset(seed=0)
    for taken in range(500 if on_cart else 200):
        assert not any(ended)
        state = np.asarray(theirs.unwrapped.state, np.float64)
        action = int(observation @ [0.05, 0.1, 1, 0.5] > 0) if on_cart else rng.uniform(-3, 3, 1).astype(np.float32)
        if not on_cart:
            state[0] = np.arctan2(np.sin(state[0]), np.cos(state[0]))
        before = (cart if on_cart else swung)(state.astype(np.float32), taken)
        observation, reward, terminated, truncated, _ = theirs.step(action)
        found = step(jax.random.key(0), before, action)
        np.testing.assert_allclose(found.observation, observation, rtol=3e-7, atol=1e-6)
        np.testing.assert_allclose(found.reward, reward, rtol=1e-6, atol=1e-6)
        ended = (terminated, truncated)
        assert (bool(found.terminated), bool(found.truncated)) == ended
    assert ended == (False, True)
