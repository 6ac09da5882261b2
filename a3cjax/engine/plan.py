"""What of a simulation is part of the compiled program."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from a3cjax._xla.backend import ACCELERATOR, Backend, compiling_for
from a3cjax._xla.cpu_kernel import CPU_KERNEL
from a3cjax._xla.fitting import fits_kernel, multiplies_matrices
from a3cjax._xla.loops import LOOPS
from a3cjax._xla.matrices import matrices
from a3cjax.engine.history.discarding import DiscardingRing
from a3cjax.engine.history.gathering import GatheringRing
from a3cjax.engine.history.mailbox import Mailbox
from a3cjax.engine.history.past_table import BLOCK
from a3cjax.engine.history.protocol import Kind, propose, shapes_of, words_per_proposal
from a3cjax.engine.history.ring import Ring
from a3cjax.engine.history.versions import GatheringVersions, Versions
from a3cjax.engine.measure import Shown
from a3cjax.engine.randomness import key_from_words
from a3cjax.learners.protocol import apply_message, gather_message

HISTORIES = {"mailbox": Mailbox, "ring": Ring, "versions": Versions}
GATHERING = {"ring": GatheringRing, "versions": GatheringVersions}
DISCARDING = HISTORIES | {"ring": DiscardingRing}
CHUNK_WORDS = 1 << 13  # random words made at once, per tile: 32 KiB


class Block(NamedTuple):
    """A stretch of the schedule that begins at a multiple of the chunk and is padded by two chunks at its end.

    A batch's has a leading axis of tiles. Tiles and lanes are 1 when all runs share it.
    """

    worker: Int[Array, "*tiles lanes updates"]
    delay: Int[Array, "*tiles lanes updates"]
    turn: Int[Array, "*tiles lanes updates"]
    commit: Int[Array, "*tiles lanes updates"] | None = None  # 1 or 0, where messages are averaged
    weight: Int[Array, "*tiles lanes updates"] | None = None  # 1 or 0, where messages are discarded
    write: Int[Array, "*tiles lanes updates"] | None = None  # slots, where versions have them
    read: Int[Array, "*tiles lanes updates"] | None = None


@dataclass(frozen=True)
class Plan:
    """Sizes and choices that shape the program: two simulations with equal plans share one."""

    history: str
    num_workers: int
    depth: int
    segment: int
    metrics: tuple[tuple[str, str | Callable[..., Any]], ...]  # of a state
    delay_metrics: tuple[tuple[str, str], ...]  # of the last update before a record
    log: bool
    axes: tuple[int | None, ...]  # of the learner's leaves: 0 where they carry a run axis
    backend: Backend
    gathers: bool = False  # the schedule has a commit column
    discards: bool = False  # it has a weight column
    of_workers: bool = False  # some metric is of the workers' own states
    apart: bool = False  # metrics are measured by a program of their own, of the states that the loop shows

    def build(self, learner: Any) -> Any:
        """The history for this learner, as one run sees it."""
        kinds = GATHERING if self.gathers else DISCARDING if self.discards else HISTORIES
        kind = kinds[self.history]
        samples = self.log or bool(self.delay_metrics)
        return kind(learner, self.num_workers, self.depth, samples, self.keeps_views(learner))

    def keeps_views(self, learner: Any) -> bool:
        """Whether somebody asks for the view that a message was computed from."""
        return bool(self.delay_metrics) or learner.needs_stale

    def shown_of_a_run(self, learner: Any) -> Shown:
        """Shapes of what its metrics look at."""
        shapes = shapes_of(Kind.of(learner))
        workers = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct((self.num_workers, *leaf.shape), leaf.dtype), shapes.worker_state
        )
        return Shown(shapes.state, workers if self.of_workers else ())

    def chunk(self, learner: Any, lanes: int) -> int:
        """Updates whose random words are made at once, a power of two."""
        if self.backend.draws_in_place:
            return BLOCK
        most = CHUNK_WORDS // (words_per_proposal(learner) * lanes)
        return 1 << max(0, most.bit_length() - 1)

    def one_for_all(self, lanes: int) -> bool:
        """Whether a tile's lanes share one event, given how many a block has events for; a whole network is then read
        and written in one piece."""
        return self.history == "versions" and lanes == 1


def backend_for(learner: Any, platform: str, gathers: bool = False) -> Backend:
    """What to compile this learner's loop for: one CPU kernel if all that it does can be part of one."""
    return ACCELERATOR if platform != "cpu" else _backend_on_cpu(Kind.of(learner), gathers)


@functools.lru_cache(maxsize=64)
def _backend_on_cpu(kind: Kind, gathers: bool) -> Backend:
    def update(leaves, state, view, worker_state, words, count):
        learner = jax.tree.unflatten(kind.structure, leaves)
        message, worker_state = propose(learner, view, worker_state, words)
        first, delay = learner.init_worker(key_from_words([count, count])), jnp.int32(0)
        if gathers:
            return (
                learner.apply_mean(state, gather_message(learner, None, message, delay, view, view), delay),
                worker_state,
                first,
            )
        return apply_message(learner, state, message, delay, view), worker_state, first

    with compiling_for(CPU_KERNEL):
        *given, _, _ = shapes = shapes_of(kind)
        arguments = kind.shapes(), *given, jax.ShapeDtypeStruct((), jnp.uint32)
        if fits_kernel(update, *arguments):
            return CPU_KERNEL
        if multiplies_matrices(update, *arguments):
            return matrices(sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes.view)))
        return LOOPS
