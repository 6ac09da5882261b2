"""A pendulum that is to be swung up."""

import math
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from numpy.typing import ArrayLike

from a3cjax._core.tree import static
from a3cjax.environments.frame import is_truncated, set_fields
from a3cjax.environments.protocol import AbstractEnvironment, Step

_FASTEST = 8.0  # radians a second


class PendulumState(NamedTuple):
    """The pendulum's angle in [−π, π), 0 upright, and the steps since the start."""

    angle: Float[Array, ""]
    angular_velocity: Float[Array, ""]
    steps: Int[Array, ""]


class Pendulum(AbstractEnvironment):
    """Swing a pendulum up by a torque u and hold it there: continuous actions.

    gymnasium's Pendulum-v1: a rod of mass m and length l, θ = 0 upright, costs before the step

        −r = θ² + 0.1 θ̇² + 0.001 u²   (θ in [−π, π))
        θ̇ ← θ̇ + (3g/(2l) sin θ + 3/(m l²) u) time_step, kept within ±8;   θ ← θ + θ̇ time_step

    A torque beyond ±``torque`` acts, and costs, as that one: so much the motor gives. The observation is
    (cos θ, sin θ, θ̇). Episodes are truncated after ``max_steps`` and never terminated; they begin uniformly, θ in ±π
    and θ̇ in ±1.

    Args:
        gravity, mass, length, torque, time_step: positive numbers, or one for each run, [B].
        max_steps: the longest episode; None for no bound.

    Raises:
        ValueError: if an argument is outside its range.

    >>> import a3cjax, jax, jax.numpy as jnp
    >>> environment = a3cjax.environments.Pendulum()
    >>> state, observation = environment.reset(jax.random.key(0))
    >>> step = environment.step(jax.random.key(1), state, jnp.array([0.5]))
    >>> bool(step.reward < 0), bool(step.terminated), step.observation.shape
    (True, False, (3,))
    """

    gravity: Float[Array, "*B"]
    mass: Float[Array, "*B"]
    length: Float[Array, "*B"]
    torque: Float[Array, "*B"]
    time_step: Float[Array, "*B"]
    max_steps: int | None = static()

    action_size: ClassVar[int] = 1
    run_scalars: ClassVar[tuple[str, ...]] = ("gravity", "mass", "length", "torque", "time_step")

    def __init__(
        self,
        gravity: ArrayLike = 10.0,
        mass: ArrayLike = 1.0,
        length: ArrayLike = 1.0,
        torque: ArrayLike = 2.0,
        time_step: ArrayLike = 0.05,
        max_steps: int | None = 200,
    ) -> None:
        set_fields(self, gravity, mass, length, torque, time_step, max_steps=max_steps)

    def reset(self, key: jax.Array) -> tuple[PendulumState, Float[Array, "3"]]:
        """θ uniform in ±π, θ̇ in ±1."""
        most = jnp.array([math.pi, 1.0])
        start = jax.random.uniform(key, (2,), most.dtype, -most, most)
        state = PendulumState(start[0], start[1], jnp.int32(0))
        return state, _observed(state)

    def step(self, key: jax.Array, state: PendulumState, action: Float[Array, "1"]) -> Step:
        """One step under the torque; the key is not used."""
        del key
        torque = jnp.clip(jnp.asarray(action)[0], -self.torque, self.torque)
        angle, speed = state.angle, state.angular_velocity
        cost = angle**2 + 0.1 * speed**2 + 0.001 * torque**2
        pull = 3 * self.gravity / (2 * self.length) * jnp.sin(angle) + 3 / (self.mass * self.length**2) * torque
        speed = jnp.clip(speed + pull * self.time_step, -_FASTEST, _FASTEST)
        # Turns are not counted, so that the angle keeps its digits however often the pendulum goes round.
        angle = jnp.mod(angle + speed * self.time_step + math.pi, 2 * math.pi) - math.pi
        after = PendulumState(angle, speed, state.steps + 1)
        return Step(after, _observed(after), -cost, jnp.bool_(False), is_truncated(self, after.steps))


def _observed(state: PendulumState) -> Float[Array, "3"]:
    return jnp.stack([jnp.cos(state.angle), jnp.sin(state.angle), state.angular_velocity])
