"""What a learner asks of a network."""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, dataclass_transform

import jax

from a3cjax._core.tree import pytree, static


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(dataclasses.field, static))
class AbstractNetwork(abc.ABC):
    """Two pure functions: parameters from a key, and what they make of one observation.

    A subclass is a frozen dataclass and a pytree by inheritance.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        pytree(cls)

    @abc.abstractmethod
    def init(self, key: jax.Array) -> Any:
        """The parameters to begin with, a pytree of floats."""

    @abc.abstractmethod
    def apply(self, params: Any, observation: Any) -> tuple[Any, Any]:
        """The policy's parameters, and the value, for one observation.

        For ``num_actions`` actions the policy's parameters are logits [num_actions]; for vectors of ``action_size`` the
        mean and the logarithm of the standard deviation of each component, a pair of [action_size].
        """

    def fitted(self, environment: Any) -> Any:
        """The network for an environment's observations and actions; this one if it has been told them."""
        del environment
        return self


class Network(AbstractNetwork):
    """Two functions of your own, or of a library: ``init(key)`` and ``apply(params, observation)``.

    >>> import a3cjax, jax, jax.numpy as jnp
    >>> network = a3cjax.networks.Network(
    ...     init=lambda key: {"policy": jnp.zeros((4, 2)), "value": jnp.zeros(4)},
    ...     apply=lambda params, observation: (observation @ params["policy"], observation @ params["value"]),
    ... )
    >>> logits, value = network.apply(network.init(jax.random.key(0)), jnp.ones(4))
    >>> logits.shape, value.shape
    ((2,), ())
    """

    functions: tuple[Callable[[jax.Array], Any], Callable[[Any, Any], tuple[Any, Any]]] = static()

    def __init__(self, init: Callable[[jax.Array], Any], apply: Callable[[Any, Any], tuple[Any, Any]]) -> None:
        for name, function in (("init", init), ("apply", apply)):
            if not callable(function):
                raise ValueError(f"{name} must be a function, but is {function!r}.")
        object.__setattr__(self, "functions", (init, apply))

    def init(self, key: jax.Array) -> Any:
        """The first function."""
        return self.functions[0](key)

    def apply(self, params: Any, observation: Any) -> tuple[Any, Any]:
        """The second."""
        return self.functions[1](params, observation)
