"""A pole on a cart."""

import math
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from numpy.typing import ArrayLike

from a3cjax._core.tree import static
from a3cjax.environments.frame import is_truncated, set_fields
from a3cjax.environments.protocol import AbstractEnvironment, Step

_FARTHEST = 2.4  # of the cart from the middle
_STEEPEST = 12 * 2 * math.pi / 360  # of the pole


class CartPoleState(NamedTuple):
    """Cart and pole, and the steps since the start."""

    position: Float[Array, ""]
    velocity: Float[Array, ""]
    angle: Float[Array, ""]
    angular_velocity: Float[Array, ""]
    steps: Int[Array, ""]


class CartPole(AbstractEnvironment):
    """Push a cart left (0) or right (1) so that the pole on it stays up; each step is worth 1.

    Barto, Sutton and Anderson 1983, with the numbers of gymnasium's CartPole-v1: with m of the pole, M of both, l half
    the pole's length, and force F,

        f = (F + m l θ̇² sin θ) / M
        θ̈ = (g sin θ − f cos θ) / (l (4/3 − m cos²θ / M))
        ẍ = f − m l θ̈ cos θ / M

    and one explicit Euler step of ``time_step`` seconds. The observation is (x, ẋ, θ, θ̇). An episode is terminated
    beyond |x| = 2.4 or |θ| = 12°, truncated after ``max_steps``, and begins uniformly in ±0.05.

    Args:
        gravity, cart_mass, pole_mass, half_length, force, time_step: positive numbers, or one for each run, [B].
        max_steps: the longest episode; None for no bound.

    Raises:
        ValueError: if an argument is outside its range.

    >>> import a3cjax, jax
    >>> environment = a3cjax.environments.CartPole()
    >>> state, observation = environment.reset(jax.random.key(0))
    >>> step = environment.step(jax.random.key(1), state, 1)
    >>> float(step.reward), bool(step.terminated), step.observation.shape
    (1.0, False, (4,))
    """

    gravity: Float[Array, "*B"]
    cart_mass: Float[Array, "*B"]
    pole_mass: Float[Array, "*B"]
    half_length: Float[Array, "*B"]
    force: Float[Array, "*B"]
    time_step: Float[Array, "*B"]
    max_steps: int | None = static()

    num_actions: ClassVar[int] = 2
    run_scalars: ClassVar[tuple[str, ...]] = (
        "gravity", "cart_mass", "pole_mass", "half_length", "force", "time_step"
    )  # fmt: skip

    def __init__(
        self,
        gravity: ArrayLike = 9.8,
        cart_mass: ArrayLike = 1.0,
        pole_mass: ArrayLike = 0.1,
        half_length: ArrayLike = 0.5,
        force: ArrayLike = 10.0,
        time_step: ArrayLike = 0.02,
        max_steps: int | None = 500,
    ) -> None:
        set_fields(self, gravity, cart_mass, pole_mass, half_length, force, time_step, max_steps=max_steps)

    def reset(self, key: jax.Array) -> tuple[CartPoleState, Float[Array, "4"]]:
        """Everything uniform in ±0.05."""
        start = jax.random.uniform(key, (4,), jnp.result_type(float), -0.05, 0.05)
        return CartPoleState(start[0], start[1], start[2], start[3], jnp.int32(0)), start

    def step(self, key: jax.Array, state: CartPoleState, action: Int[Array, ""] | int) -> Step:
        """One Euler step under the force; the key is not used."""
        del key
        mass = self.cart_mass + self.pole_mass
        moment = self.pole_mass * self.half_length
        force = jnp.where(jnp.asarray(action) == 1, self.force, -self.force)
        sine, cosine = jnp.sin(state.angle), jnp.cos(state.angle)
        push = (force + moment * state.angular_velocity**2 * sine) / mass
        turn = (self.gravity * sine - cosine * push) / (self.half_length * (4 / 3 - self.pole_mass * cosine**2 / mass))
        acceleration = push - moment * turn * cosine / mass
        after = CartPoleState(
            state.position + self.time_step * state.velocity,
            state.velocity + self.time_step * acceleration,
            state.angle + self.time_step * state.angular_velocity,
            state.angular_velocity + self.time_step * turn,
            state.steps + 1,
        )
        terminated = (jnp.abs(after.position) > _FARTHEST) | (jnp.abs(after.angle) > _STEEPEST)
        return Step(
            after,
            jnp.stack(after[:4]),
            jnp.ones((), jnp.result_type(float)),
            terminated,
            is_truncated(self, after.steps),
        )
