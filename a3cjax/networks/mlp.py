"""Dense layers."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from a3cjax._core import check
from a3cjax._core.tree import static
from a3cjax.environments.adopted import name_of, shapes_of
from a3cjax.networks.network import AbstractNetwork

_GAIN = 2.0**0.5  # of hidden layers
_POLICY_GAIN = 0.01  # a policy close to uniform, or with means close to 0, to begin with


class Dense(NamedTuple):
    """x ↦ x W + b."""

    weight: Float[Array, "inputs outputs"]
    bias: Float[Array, " outputs"]


class MLPParams(NamedTuple):
    """Hidden layers of the actor and of the critic (none where it shares the actor's), and their last layers.

    ``log_std``, for actions that are vectors, is the same for all observations.
    """

    actor: list[Dense]
    critic: list[Dense]
    policy: Dense
    value: Dense
    log_std: Float[Array, " action_size"] | None


class MLP(AbstractNetwork):
    """Dense layers, for actor and critic together or for each its own; observations are laid out in a row.

    Weights begin orthogonal (Saxe, McClelland and Ganguli 2014), with gain √2 in hidden layers, 0.01 in the policy's
    last, so that it begins close to uniform, and 1 in the value's; biases at 0, and log σ, where actions are vectors,
    at 0. It learns its sizes from the environment that it is used with, or is told them.

    Args:
        hidden: widths of the hidden layers; () for none.
        shared: whether actor and critic share them.
        activation: what follows each hidden layer.
        inputs: numbers in an observation.
        num_actions, action_size: as of an environment; one of them.

    Raises:
        ValueError: if a width is not a positive whole number, or sizes are missing when they are needed.

    >>> import a3cjax, jax, jax.numpy as jnp
    >>> network = a3cjax.networks.MLP(hidden=(16,), inputs=4, num_actions=2)
    >>> logits, value = network.apply(network.init(jax.random.key(0)), jnp.ones(4))
    >>> logits.shape, value.shape
    ((2,), ())
    """

    hidden: tuple[int, ...] = static()
    shared: bool = static()
    activation: Callable[[Array], Array] = static()
    inputs: int | None = static()
    num_actions: int | None = static()
    action_size: int | None = static()

    def __init__(
        self,
        hidden: Sequence[int] = (64, 64),
        shared: bool = True,
        activation: Callable[[Array], Array] = jnp.tanh,
        inputs: int | None = None,
        num_actions: int | None = None,
        action_size: int | None = None,
    ) -> None:
        put = functools.partial(object.__setattr__, self)
        if not isinstance(hidden, Sequence) or isinstance(hidden, str):
            raise ValueError(f"hidden is {hidden!r}, but must be widths such as (64, 64).")
        put("hidden", tuple(check.integer(f"hidden[{i}]", width, 1) for i, width in enumerate(hidden)))
        if not isinstance(shared, bool):
            raise ValueError(f"shared must be True or False, but is {shared!r}.")
        put("shared", shared)
        if not callable(activation):
            raise ValueError(f"activation must be a function of an array, such as jnp.tanh, but is {activation!r}.")
        put("activation", activation)
        for name, value in (("inputs", inputs), ("num_actions", num_actions), ("action_size", action_size)):
            put(name, None if value is None else check.integer(name, value, 1))
        if num_actions is not None and action_size is not None:
            raise ValueError("num_actions and action_size are both given; give the one that the environment has.")

    def fitted(self, environment: Any) -> "MLP":
        """The network for an environment's observations and actions; what it has been told must be theirs."""
        leaves = jax.tree.leaves(shapes_of(environment).observation)
        wanted = {
            "inputs": sum(leaf.size for leaf in leaves),
            "num_actions": environment.num_actions,
            "action_size": environment.action_size,
        }
        for name, value in wanted.items():
            given = getattr(self, name)
            if given not in (None, value):
                raise ValueError(
                    f"{name} of the network is {given}, but {name_of(environment)} has {value}; leave it out, and the "
                    "network takes what the environment has."
                )
        known = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return MLP(**(known | wanted))

    def init(self, key: jax.Array) -> MLPParams:
        """Orthogonal weights."""
        outputs = self.num_actions or self.action_size
        if self.inputs is None or outputs is None:
            raise ValueError(
                "The network has not been told its sizes; give MLP inputs and num_actions or action_size, or give it "
                "to a learner with an environment."
            )
        trunk = list(itertools.pairwise((self.inputs, *self.hidden)))
        width = self.hidden[-1] if self.hidden else self.inputs
        shapes = [*trunk * (1 if self.shared else 2), (width, outputs), (width, 1)]
        gains = [_GAIN] * (len(shapes) - 2) + [_POLICY_GAIN, 1.0]
        # One draw for all layers: each draw of its own takes the compiler a third of a second.
        ends = list(itertools.accumulate(rows * columns for rows, columns in shapes))
        normals = jnp.split(jax.random.normal(key, (ends[-1],), jnp.result_type(float)), ends[:-1])
        *hidden, policy, value = map(_dense, normals, shapes, gains)
        log_std = None if self.action_size is None else jnp.zeros(self.action_size)
        return MLPParams(hidden[: len(trunk)], hidden[len(trunk) :], policy, value, log_std)

    def apply(self, params: MLPParams, observation: Any) -> tuple[Any, Float[Array, ""]]:
        """Logits, or mean and log σ; and the value."""
        x = _in_a_row(observation)
        actor = self._through(params.actor, x)
        critic = actor if self.shared else self._through(params.critic, x)
        policy = _affine(params.policy, actor)
        return policy if params.log_std is None else (policy, params.log_std), _affine(params.value, critic)[0]

    def _through(self, layers: list[Dense], x: Float[Array, " n"]) -> Float[Array, " m"]:
        for layer in layers:
            x = self.activation(_affine(layer, x))
        return x


def _in_a_row(observation: Any) -> Float[Array, " n"]:
    dtype = jnp.result_type(float)
    rows = [jnp.ravel(jnp.asarray(leaf, dtype)) for leaf in jax.tree.leaves(observation)]
    return rows[0] if len(rows) == 1 else jnp.concatenate(rows)


def _affine(layer: Dense, x: Float[Array, " n"]) -> Float[Array, " m"]:
    return x @ layer.weight + layer.bias


def _dense(normals: Float[Array, " weights"], shape: tuple[int, int], gain: float) -> Dense:
    """An orthogonal layer: what Gram and Schmidt make of a normal matrix has the uniform law."""
    inputs, outputs = shape
    columns = normals.reshape(max(shape), min(shape))
    q = lax.fori_loop(0, min(shape), functools.partial(_add_column, columns), jnp.zeros_like(columns))
    return Dense(gain * (q if inputs >= outputs else q.T), jnp.zeros(outputs))


def _add_column(columns: Float[Array, "n m"], j: Int[Array, ""], q: Float[Array, "n m"]) -> Float[Array, "n m"]:
    """Column j less its part in those before it, of length one.

    Not ``jnp.linalg.qr``: where two run at once, each on a thread of a pool of two, jaxlib 0.10 lets them wait for each
    other for ever.
    """
    column = columns[:, j]
    for _ in range(2):  # the second time for what rounding left
        column = column - q @ (column @ q)
    return q.at[:, j].set(column / jnp.linalg.norm(column))
