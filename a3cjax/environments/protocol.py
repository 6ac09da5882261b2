"""What a learner asks of an environment: two pure functions and a space of actions."""

import abc
import dataclasses
from typing import Any, ClassVar, NamedTuple, Protocol, dataclass_transform, runtime_checkable

import jax
from jaxtyping import Array, Bool, Float

from a3cjax._core.tree import pytree, static


class Step(NamedTuple):
    """What one action leads to.

    ``observation`` is that of ``state``, also where the episode ends there: nothing is reset. An episode that is
    ``terminated`` has no future; one that is ``truncated`` has a future that is not seen, and whoever learns from it
    puts the value of ``observation`` in its place.
    """

    state: Any
    observation: Any
    reward: Float[Array, ""]
    terminated: Bool[Array, ""]
    truncated: Bool[Array, ""]


@runtime_checkable
class Environment(Protocol):
    """The two methods of ``AbstractEnvironment``; a class that has them, and one of the spaces, is an environment."""

    def reset(self, key: jax.Array) -> tuple[Any, Any]:
        """The state that an episode begins in, and its observation."""
        ...

    def step(self, key: jax.Array, state: Any, action: Any) -> Step:
        """What the action leads to."""
        ...


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(dataclasses.field, static))
class AbstractEnvironment(abc.ABC):
    """Numbers of a problem, and pure functions of a state and a key; whoever acts restarts episodes.

    A subclass is a frozen dataclass and a pytree by inheritance: declare fields as in a dataclass, those that belong to
    the program rather than to the data with ``a3cjax.static()``. States and observations are pytrees of arrays whose
    shapes and dtypes stay what ``reset`` made them.

    It has one of two spaces of actions:

    - ``num_actions``: actions are the whole numbers 0, …, num_actions − 1, or
    - ``action_size``: actions are vectors of so many real numbers.

    The rest has a default:

    - ``endless``: whether an episode may go on for ever. One that is truncated counts as one that goes on. A discount
      of 1 is for environments that say False.
    - ``run_scalars``: names of fields that may be given one for each run of a batch, as [B].

    >>> import a3cjax, jax, jax.numpy as jnp
    >>> class Countdown(a3cjax.environments.AbstractEnvironment):
    ...     '''Three steps, each worth its action.'''
    ...     num_actions = 2
    ...     endless = False
    ...
    ...     def reset(self, key):
    ...         return jnp.int32(3), jnp.ones(1)
    ...
    ...     def step(self, key, state, action):
    ...         left = state - 1
    ...         reward = jnp.asarray(action, jnp.float32)
    ...         return a3cjax.environments.Step(left, left * jnp.ones(1), reward, left == 0, jnp.bool_(False))
    >>> a3cjax.testing.check_environment(Countdown())
    ('pytree', 'spaces', 'shapes', 'finite', 'ends', 'pure', 'batch')
    """

    num_actions: ClassVar[Any] = None
    action_size: ClassVar[Any] = None
    endless: ClassVar[Any] = True
    run_scalars: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        pytree(cls)

    @abc.abstractmethod
    def reset(self, key: jax.Array) -> tuple[Any, Any]:
        """The state that an episode begins in, and its observation."""

    @abc.abstractmethod
    def step(self, key: jax.Array, state: Any, action: Any) -> Step:
        """What the action leads to; nothing is reset where the episode ends."""
