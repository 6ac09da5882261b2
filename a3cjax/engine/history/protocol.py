"""What the exact histories share.

A history decides how a proposal gets to see version k − τ_k. It is written for one run (``loop.py`` maps it over
runs) and has

- ``proposal_offset``: which of its worker's proposals is made at an update, counted from the one that it writes;
- ``versions_beside``: like the carry's ``past``, or for all of it, whether versions lie side by side, as in
  ``version_store.py``;
- ``start(learner, run_key)``: the carry before the first update, its slots empty;
- ``first_slot(learner, run_key, i)``: what worker i's slot holds before the first update;
- ``enter(learner, carry, k)``: called between updates, whenever k is a multiple of the chunk;
- ``step(learner, carry, k, event)``: update k; returns the carry, the samples that the update used, and the view that
  it was computed from (nothing unless the history keeps views).
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Int, UInt32

from a3cjax._xla.marks import stage
from a3cjax.engine.contract import Checks, as_arrays
from a3cjax.engine.history.conditional import chosen, if_any
from a3cjax.engine.history.packing import Packing
from a3cjax.engine.randomness import INIT_SERVER, INIT_WORKER, derived_key, key_from_words
from a3cjax.learners.protocol import apply_message


class Carry(NamedTuple):
    """Everything that an update reads or writes, for one run."""

    state: Any
    slots: Any  # of the workers, a row for each: [N, width] words, or each leaf [N, …]
    past: Any


class Event(NamedTuple):
    """Update k: who made it, how stale it was, and the random words of the proposal that is made at it.

    ``commit``, where messages are averaged, says whether it is one (1) or waits (0). ``weight``, where messages are
    discarded, says whether it counts (1) or not (0). ``write`` and ``read``, where versions have slots, are those of
    version k and of version k − τ_k.
    """

    worker: Int[Array, ""]
    delay: Int[Array, ""]
    words: UInt32[Array, " num_words"]
    commit: Int[Array, ""] | None = None
    weight: Int[Array, ""] | None = None
    write: Int[Array, ""] | None = None
    read: Int[Array, ""] | None = None


def words_per_proposal(learner: Any) -> int:
    """Words that the engine makes for each proposal: the learner's, or the two of a JAX key."""
    return learner.num_words or 2


def first_state(learner: Any, run_key: UInt32[Array, "2"]) -> Any:
    """The server's state before the first update."""
    return as_arrays(learner.init(derived_key((run_key[0], run_key[1]), 0, INIT_SERVER)))


def first_worker_state(learner: Any, run_key: UInt32[Array, "2"], worker: Int[Array, ""]) -> Any:
    """A worker's state before its first proposal."""
    return as_arrays(learner.init_worker(derived_key((run_key[0], run_key[1]), worker, INIT_WORKER)))


def viewed(learner: Any, state: Any) -> Any:
    """What a worker that reads now copies."""
    return as_arrays(learner.view(state))


def propose(learner: Any, view: Any, worker_state: Any, words: UInt32[Array, " num_words"]) -> tuple[Any, Any]:
    """The learner's proposal, handed its words or the key made of them."""
    return as_arrays(
        learner.propose(view, worker_state, words if learner.num_words else key_from_words([words[0], words[1]]))
    )


def update(learner: Any, state: Any, message: Any, event: Event, stale: Any) -> Any:
    """The server's state after a message that was computed from the view ``stale``; as it was if that is discarded."""
    if event.weight is None:
        return as_arrays(apply_message(learner, state, message, event.delay, stale))
    return if_any(event.weight, _counted, (learner, message, event.delay, stale, event.weight), state)


def _counted(given: tuple[Any, ...], state: Any) -> Any:
    """An update; nothing at all for a run whose message is discarded."""
    learner, message, delay, stale, weight = given
    return chosen(weight, as_arrays(apply_message(learner, state, message, delay, stale)), state)


class Kind(NamedTuple):
    """Learners of one structure and of the same shapes: what is traced for one holds for all."""

    structure: Any
    leaves: tuple[tuple[tuple[int, ...], Any], ...]
    precision: Any

    @classmethod
    def of(cls, learner: Any) -> "Kind":
        """The kind of a learner, which may be traced."""
        leaves, structure = jax.tree.flatten(jax.tree.map(jnp.asarray, learner))
        return cls(structure, tuple((leaf.shape, leaf.dtype) for leaf in leaves), jnp.result_type(float))

    def shapes(self) -> list[jax.ShapeDtypeStruct]:
        """Of the learner's leaves."""
        return [jax.ShapeDtypeStruct(*leaf) for leaf in self.leaves]


class Shapes(NamedTuple):
    """Shapes of what a proposal is made from, and of its message."""

    state: Any
    view: Any
    worker_state: Any
    words: Any
    message: Any
    outside: Any  # whether the learner's methods use traced values that are no leaves of it


@functools.lru_cache(maxsize=64)
def shapes_of(kind: Kind) -> Shapes:
    """The shapes for learners of this kind, found once: to trace a proposal takes a while.

    Raises:
        ValueError: if a method returns something else than the learner's other methods gave it to begin with.
    """

    def proposed(leaves):
        learner = jax.tree.unflatten(kind.structure, leaves)
        key = jax.random.key(0)
        checks = Checks(learner)
        state, worker_state = (
            checks.arrays("init", learner.init(key)),
            checks.arrays("init_worker", learner.init_worker(key)),
        )
        checks.some("init", state)
        view, words = checks.arrays("view", learner.view(state)), jnp.zeros((words_per_proposal(learner),), jnp.uint32)
        draws = words if learner.num_words else key_from_words([words[0], words[1]])
        message, after = checks.pair(learner.propose(view, worker_state, draws))
        checks.same("propose", "worker_state", checks.arrays("propose", after), "init_worker", worker_state)
        message = checks.arrays("propose", message)
        checks.rows(view, message)
        return Shapes(state, view, worker_state, words, message, outside=())

    program, shapes = jax.make_jaxpr(proposed, return_shape=True)(kind.shapes())
    return shapes._replace(outside=any(isinstance(value, Tracer) for value in program.consts))


def slot_at_start(learner: Any, packing: Packing, run_key: UInt32[Array, "2"], worker: Int[Array, ""]) -> Any:
    """The slot of a worker that has not proposed yet: its own state at the start."""
    return stage(packing.pack, first_worker_state(learner, run_key, worker))
