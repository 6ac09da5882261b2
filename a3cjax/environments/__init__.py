"""Problems that are learned from by acting: pure functions of a state and a key, and adapters to other libraries."""

from a3cjax._core.public import listing
from a3cjax.environments.adapters import Brax, Gymnax, Jumanji, MinAtar
from a3cjax.environments.cartpole import CartPole
from a3cjax.environments.finite import Finite
from a3cjax.environments.pendulum import Pendulum
from a3cjax.environments.protocol import AbstractEnvironment, Environment, Step

__all__ = [
    "AbstractEnvironment",
    "Brax",
    "CartPole",
    "Environment",
    "Finite",
    "Gymnax",
    "Jumanji",
    "MinAtar",
    "Pendulum",
    "Step",
]
__dir__ = listing(__all__)
