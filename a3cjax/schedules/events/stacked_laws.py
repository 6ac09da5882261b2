"""The workers' laws of compute times as one table from which any worker's any draw is made."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32, Key

from a3cjax._core import check
from a3cjax._core.tree import pytree, static
from a3cjax.schedules import _own, _random, waits
from a3cjax.schedules import compute_times as laws_of_ours
from a3cjax.schedules.compute_times import ComputeTime, Stretches

_OURS = tuple(getattr(laws_of_ours, name) for name in laws_of_ours.__all__ if name != "ComputeTime")
_MAY_BE_ZERO = tuple(getattr(waits, name) for name in waits.__all__)


class StackedLaws(NamedTuple):
    """The workers' laws, with those of one class (and one shape of parameters) stacked.

    With ``spare`` there are places for 16, 32 or 64 workers at least, so that schedules of fewer share a compiled
    program. Who is not there has the first law, and what it draws is not used.
    """

    laws: tuple[Any, ...]
    kind: Any  # [places], which stack worker i's law is in
    place: Any  # [kinds, places], where in that stack; 0 in the others

    def draw(self, key: Key[Array, ""], worker: Int32[Array, ""], turn: Int32[Array, ""]) -> Float[Array, ""]:
        """c(i, t), from ``key``, the worker's own."""
        draw = _random.fold_in(key, turn)

        def sample(law, place):
            own = jax.tree.map(lambda leaf: leaf[place[worker]], law)
            return own.sample_turn(key, turn) if isinstance(own, Stretches) else own.sample(draw)

        samples = map(sample, self.laws, self.place)
        float_type = jnp.result_type(float)
        return jax.lax.select_n(jnp.asarray(self.kind)[worker], *(jnp.asarray(s, float_type) for s in samples))


def stack_laws(
    compute_times: Sequence[ComputeTime], key: Key[Array, ""], spare: bool = False, name: str = "compute_times"
) -> StackedLaws:
    """Stack the laws, having checked that they are laws; ``name`` is what the user calls them."""
    of_whom = "generator" if name == "generators" else "worker"
    if isinstance(compute_times, ComputeTime):
        raise ValueError(f"{name} is one law, but must be a list with a law for each {of_whom}, as in [law] * 8.")
    if not compute_times:
        raise ValueError(f"{name} is empty; give a list with a law for each {of_whom}, as in [law] * 8.")
    stacks: dict[Any, list[Any]] = {}
    kind, place = [], []
    opaque: dict[int, _Opaque] = {}
    for i, law in enumerate(compute_times):
        if not isinstance(law, ComputeTime):
            raise ValueError(f"{name}[{i}] is {law!r}, which has no mean and sample; see a3cjax.compute_times.")
        if isinstance(law, _MAY_BE_ZERO) and name != "wait":
            raise ValueError(
                f"{name}[{i}] is waits.{type(law).__name__}, whose times may be 0, but a compute time must be "
                "positive; use a law of a3cjax.compute_times."
            )
        if i == 0 or law is not compute_times[i - 1]:  # one object many times over is looked at once
            _check_sample(f"{name}[{i}]", law, key)
        if not _own.is_data(law):
            law = opaque.setdefault(id(law), _Opaque(_Once(law)))
        leaves, structure = jax.tree.flatten(law)
        signature = (structure, tuple(map(np.shape, leaves)))
        stack = stacks.setdefault(signature, [])
        kind.append(list(stacks).index(signature))
        place.append(len(stack))
        stack.append(law)
    places = _places if spare else lambda count: count
    kinds, place = (np.pad(np.array(x, np.int32), (0, places(len(x)) - len(x))) for x in (kind, place))
    where = np.where(kinds == np.arange(len(stacks))[:, None], place, 0).astype(np.int32)
    xp = np if check.is_concrete(compute_times) else jnp
    filled = [stack + [stack[0]] * (places(len(stack)) - len(stack)) for stack in stacks.values()]
    laws = tuple(jax.tree.map(lambda *leaves: xp.stack(leaves), *stack) for stack in filled)
    return StackedLaws(laws, kinds, where)


def _places(count: int) -> int:
    return next((places for places in (16, 32, 64) if places >= count), count)


def are_watched(compute_times: Sequence[ComputeTime]) -> bool:
    """Whether a user has written one of the laws, so that its times are to be looked at; ours are what they are."""
    return not all(isinstance(law, _OURS) for law in compute_times)


def check_drawn(compute_times: Sequence[ComputeTime], worker: Any, drawn: Any) -> None:
    """Refuse a compute time that is not positive and finite; each worker's are in the order of its turns."""
    if not check.is_concrete(worker, drawn):
        return
    drawn = np.asarray(drawn)
    worker = np.minimum(worker, len(compute_times) - 1)  # after a NaN nobody is the first
    bad = ~(np.isfinite(drawn) & (drawn > 0)) & ~np.array([isinstance(law, _OURS) for law in compute_times])[worker]
    if bad.any():
        k = int(np.argmax(bad))
        i = int(worker[k])
        raise ValueError(
            f"compute_times[{i}].sample of {type(compute_times[i]).__name__} gave {drawn[k]} at turn "
            f"{int(np.sum(worker[:k] == i))}, but a compute time must be a positive, finite number."
        )


class _Once:
    """A law that is not data, equal to nothing else: what it has become by the next call is then compiled anew."""

    def __init__(self, law: Any):
        self.law = law


@pytree
class _Opaque:
    """A law that JAX cannot look inside, as part of the program."""

    once: _Once = static()

    def sample(self, key: Key[Array, ""]) -> Float[Array, ""]:
        return self.once.law.sample(key)


def _check_sample(name: str, law: Any, key: Key[Array, ""]) -> None:
    """Refuse a law whose sample is not one time, cannot be compiled, or gives two times for one key."""
    _own.check_method(name, law, "key")
    sample = jax.tree.leaves(_own.sampled(name, law, lambda: jax.eval_shape(law.sample, key)))
    shapes = [leaf.shape for leaf in sample]
    if shapes != [()]:
        listed = ", ".join(map(str, shapes))
        raise ValueError(f"{name} samples times of shape {listed}, but must sample one; use jax.vmap for many.")
    if not (jnp.issubdtype(sample[0].dtype, jnp.floating) or jnp.issubdtype(sample[0].dtype, jnp.integer)):
        raise ValueError(f"{name} samples {sample[0].dtype}, but a compute time must be a positive number.")
    if not isinstance(law, _OURS) and check.is_concrete(law, key):
        _own.check_pure(name, law, lambda: _own.sampled(name, law, lambda: law.sample(key)))
