"""The workers' laws of compute times as one table from which any worker's any draw is made."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32, Key

from a3cjax import _check
from a3cjax.schedules import _random
from a3cjax.schedules.compute_times import ComputeTime


class Team(NamedTuple):
    """The workers' laws, with those of one class (and one shape of parameters) stacked."""

    laws: tuple[Any, ...]
    kind: Any  # [N], which stack worker i's law is in
    place: Any  # [kinds, N], where in that stack; 0 in the others

    def draw(self, key: Key[Array, ""], worker: Int32[Array, ""], turn: Int32[Array, ""]) -> Float[Array, ""]:
        """c(i, t), from ``key``, the worker's own."""
        draw = _random.fold_in(key, turn)

        def sample(law, place):
            return jax.tree.map(lambda leaf: leaf[place[worker]], law).sample(draw)

        samples = map(sample, self.laws, self.place)
        float_type = jnp.result_type(float)
        return jax.lax.select_n(jnp.asarray(self.kind)[worker], *(jnp.asarray(s, float_type) for s in samples))


def team_of(compute_times: Sequence[ComputeTime], key: Key[Array, ""]) -> Team:
    """Stack the laws, having checked that they are laws."""
    if isinstance(compute_times, ComputeTime):
        raise ValueError("compute_times is one law, but must be a list with a law for each worker, as in [law] * 8.")
    if not compute_times:
        raise ValueError("compute_times is empty; give a list with a law for each worker, as in [law] * 8.")
    stacks: dict[Any, list[Any]] = {}
    kind, place = [], []
    for i, law in enumerate(compute_times):
        if not isinstance(law, ComputeTime):
            raise ValueError(f"compute_times[{i}] is {law!r}, which has no mean and sample; see a3cjax.compute_times.")
        leaves, structure = jax.tree.flatten(law)
        if i == 0 or law is not compute_times[i - 1]:  # one object many times over is looked at once
            _check_sample(f"compute_times[{i}]", law, leaves, key)
        signature = (structure, tuple(map(np.shape, leaves)))
        stack = stacks.setdefault(signature, [])
        kind.append(list(stacks).index(signature))
        place.append(len(stack))
        stack.append(law)
    kinds = np.array(kind, np.int32)
    places = np.where(kinds == np.arange(len(stacks))[:, None], np.array(place), 0).astype(np.int32)
    xp = np if _check.is_concrete(compute_times) else jnp
    laws = tuple(jax.tree.map(lambda *leaves: xp.stack(leaves), *stack) for stack in stacks.values())
    return Team(laws, kinds, places)


def _check_sample(name: str, law: Any, leaves: list[Any], key: Key[Array, ""]) -> None:
    """Refuse a law that JAX cannot look inside, or whose sample is not one time."""
    if any(leaf is law for leaf in leaves):
        raise ValueError(f"{name} is a {type(law).__name__}, which is not a pytree; register it with JAX.")
    sample = jax.eval_shape(law.sample, key)
    if sample.shape != ():
        raise ValueError(f"{name} samples times of shape {sample.shape}, but must sample one; use jax.vmap for many.")
