"""Learners that keep typed JAX keys: in a state, a view, a message or among their own leaves.

The engine moves and keeps plain arrays. So such a learner is given to it in a wrapping that hands out the words of each
key, and makes a key of them again before a method of the learner sees it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from a3cjax._core.tree import static
from a3cjax.engine.history.protocol import Kind, shapes_of
from a3cjax.learners.protocol import AbstractLearner, apply_message, gather_message, samples_of, without_samples


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
        if tree is None or (isinstance(tree, tuple) and not tree):
            return tree
        leaves, structure = jax.tree.flatten(tree)
        pairs = zip(leaves, self.of_leaves, strict=True)
        return jax.tree.unflatten(
            structure,
            [leaf if kind is None else jax.random.wrap_key_data(jnp.asarray(leaf), impl=kind) for leaf, kind in pairs],
        )


def is_key(leaf: Any) -> bool:
    """Whether an array is one of typed keys."""
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def words(tree: Any) -> Any:
    """A pytree with the words [..., w] of each key in its place."""
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if is_key(leaf) else leaf, tree)


class WithoutKeys(AbstractLearner):
    """A learner whose methods take and give words where its own take and give typed keys."""

    inner: Any  # the learner, with words for keys among its leaves
    of_inner: Generators = static()
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
        if not any(map(is_key, jax.tree.leaves((learner, state, view, worker, message)))):
            return learner
        parts = (learner, state, view, worker, message, without_samples(message), samples)
        return cls(words(learner), *map(Generators.of, parts))

    num_words: ClassVar[Any] = property(lambda self: self.inner.num_words)
    needs_stale: ClassVar[Any] = property(lambda self: self.inner.needs_stale)
    run_scalars: ClassVar[Any] = property(lambda self: tuple(f"inner.{name}" for name in self.inner.run_scalars))
    metric_names: ClassVar[Any] = property(lambda self: self.inner.metric_names)
    measures_together: ClassVar[Any] = property(lambda self: self.inner.measures_together)
    worker_metric_names: ClassVar[Any] = property(lambda self: self.inner.worker_metric_names)
    delay_metric_names: ClassVar[Any] = property(lambda self: self.inner.delay_metric_names)

    @property
    def learner(self) -> Any:
        """The learner itself."""
        return self.of_inner.keys(self.inner)

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

    def apply(self, state: Any, message: Any, delay: Any, stale: Any = None) -> Any:
        """The server's side."""
        given = self.of_state.keys(state), self._message(message), delay, self.of_view.keys(stale)
        return words(apply_message(self.learner, *given))

    def measure(self, state: Any, names: tuple[str, ...], key: Any) -> dict[str, Any]:
        """Of a state."""
        return self.learner.measure(self.of_state.keys(state), names, key)

    def measure_workers(self, workers: Any, names: tuple[str, ...]) -> dict[str, Any]:
        """Of all workers' own states."""
        return self.learner.measure_workers(self.of_worker.keys(workers), names)

    def measure_delay(self, stale: Any, view: Any, samples: Any, names: tuple[str, ...]) -> dict[str, Any]:
        """Of one update."""
        views = self.of_view.keys(stale), self.of_view.keys(view)
        return self.learner.measure_delay(*views, self.of_samples.keys(samples), names)

    def changed_rows(self, message: Any) -> Any:
        """The rows of tables that a message changes."""
        return self.learner.changed_rows(self._message(message))

    def at_hand(self, message: Any, view: Any) -> Any:
        """Both, for ``gather``: what the learner makes of them may hold other keys than its messages do."""
        return message, view

    def gather(self, sums: Any, message: Any, delay: Any, stale: Any = None) -> Any:
        """Sums, which are of floats, with one more message that ``at_hand`` has given."""
        sent, view = self._message(message[0]), self.of_view.keys(message[1])
        return gather_message(self.learner, sums, sent, delay, self.of_view.keys(stale), view)

    def apply_mean(self, state: Any, mean: Any, delay: Any) -> Any:
        """One update by a mean."""
        return words(self.learner.apply_mean(self.of_state.keys(state), mean, delay))

    def shown(self, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """A function of the learner's state as one of the engine's."""
        return _Shown(function, self.of_state)

    def _message(self, message: Any) -> Any:
        """A message of the learner's own."""
        return (self.of_bare if samples_of(message) is None else self.of_message).keys(message)


@dataclass(frozen=True)
class _Shown:
    function: Callable[[Any], Any]
    of_state: Generators

    def __call__(self, state: Any) -> Any:
        return self.function(self.of_state.keys(state))
