"""Learners that keep typed JAX keys: in a state, a view, a message or among their own leaves.

The engine moves and keeps plain arrays. So such a learner is given to it in a wrapping that hands out the words of each
key, and makes a key of them again before a method of the learner sees it.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from a3cjax._tree import pytree, static
from a3cjax.engine.histories import Kind, samples_of, shapes_of


@dataclass(frozen=True)
class Generators:
    """Of the keys among a pytree's leaves; None for leaves that are no keys."""

    of_leaves: tuple[Any, ...]

    @classmethod
    def of(cls, tree: Any) -> "Generators":
        """Those in a pytree of arrays or shape structs."""
        found: list[Any] = []

        def look(*leaves):
            found.extend(jax.random.key_impl(leaf) if is_key(leaf) else None for leaf in leaves)

        jax.eval_shape(look, *jax.tree.leaves(tree))
        return cls(tuple(found))

    def keys(self, tree: Any) -> Any:
        """A pytree of words with keys where they belong; what the engine looks up row by row is looked up whole."""
        if tree is None:
            return None
        leaves, structure = jax.tree.flatten(tree)
        pairs = zip(leaves, self.of_leaves, strict=True)
        return jax.tree.unflatten(
            structure,
            [leaf if own is None else jax.random.wrap_key_data(jnp.asarray(leaf), impl=own) for leaf, own in pairs],
        )


def is_key(leaf: Any) -> bool:
    """Whether an array is one of typed keys."""
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def words(tree: Any) -> Any:
    """A pytree with the words [..., w] of each key in its place."""
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if is_key(leaf) else leaf, tree)


@pytree
class WithoutKeys:
    """A learner whose methods take and give words where its own take and give typed keys."""

    own: Any  # the learner, with words for keys among its leaves
    of_own: Generators = static()
    of_state: Generators = static()
    of_view: Generators = static()
    of_worker: Generators = static()
    of_message: Generators = static()
    of_bare: Generators = static()  # a message without its samples
    of_samples: Generators = static()

    @classmethod
    def around(cls, learner: Any) -> Any:
        """The learner as the engine takes it: itself if no key is kept anywhere."""
        state, view, worker, _, message, _ = shapes_of(Kind.of(learner))
        samples = samples_of(message)
        bare = message if samples is None else message._replace(samples=None)
        if not any(map(is_key, jax.tree.leaves((learner, state, view, worker, message)))):
            return learner
        parts = (learner, state, view, worker, message, bare, samples)
        return cls(words(learner), *map(Generators.of, parts))

    @property
    def learner(self) -> Any:
        """The learner itself."""
        return self.of_own.keys(self.own)

    def __getattr__(self, name: str) -> Any:
        # What a learner may have or not, its metrics and the like, is asked for with hasattr.
        if name.startswith("_") or "own" not in self.__dict__:
            raise AttributeError(name)
        found = getattr(self.learner, name)
        return functools.partial(_WITH_KEYS[name], self, found) if name in _WITH_KEYS else found

    def init(self, key: jax.Array) -> Any:
        """Server state before the first update."""
        return words(self.learner.init(key))

    def init_worker(self, key: jax.Array) -> Any:
        """One worker's own state."""
        return words(self.learner.init_worker(key))

    def view(self, state: Any) -> Any:
        """What a worker copies when it reads."""
        return words(self.learner.view(self.of_state.keys(state)))

    def propose(self, view: Any, worker_state: Any, key: Any) -> tuple[Any, Any]:
        """The worker's side."""
        return words(self.learner.propose(self.of_view.keys(view), self.of_worker.keys(worker_state), key))

    def apply(self, state: Any, message: Any, delay: Any) -> Any:
        """The server's side."""
        return words(self.learner.apply(self.of_state.keys(state), self.message(message), delay))

    def message(self, message: Any) -> Any:
        """A message of the learner's own."""
        return (self.of_bare if samples_of(message) is None else self.of_message).keys(message)

    def shown(self, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """A function of the learner's state as one of the engine's."""
        return _Shown(function, self.of_state)


@dataclass(frozen=True)
class _Shown:
    function: Callable[[Any], Any]
    of_state: Generators

    def __call__(self, state: Any) -> Any:
        return self.function(self.of_state.keys(state))


def _measure_delay(of: WithoutKeys, measure: Any, stale: Any, view: Any, samples: Any, names: Any) -> Any:
    return measure(of.of_view.keys(stale), of.of_view.keys(view), of.of_samples.keys(samples), names)


# The learner's optional methods; ``measure`` and ``apply_mean`` are handed a state, ``gather`` sums of floats.
_WITH_KEYS: dict[str, Callable[..., Any]] = {
    "measure": lambda of, measure, state, names: measure(of.of_state.keys(state), names),
    "measure_delay": _measure_delay,
    "changed_rows": lambda of, changed_rows, message: changed_rows(of.message(message)),
    "gather": lambda of, gather, sums, message: gather(sums, of.message(message)),
    "apply_mean": lambda of, apply_mean, state, mean, delay: words(apply_mean(of.of_state.keys(state), mean, delay)),
}
