"""Random words that belong to the worker.

Word w of worker i's t-th proposal is a function of (run key, i, t, w) alone: the threefry-2x32 cipher, keyed by the
run's key, of a counter that spells (i, w, t). So results do not depend on how runs are batched, tiled or chunked, nor
on who happens to write in between, and two schedules can be compared on common random numbers.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, UInt32

from a3cjax._xla.marks import stage_words
from a3cjax._xla.threefry import Words, threefry2x32

INIT_WORKER = 0xFFFFFFFF  # proposals count from 0, so these never meet one
INIT_SERVER = 0xFFFFFFFE
MEASURE = 0xFFFFFFFD

_WORD_BY_WORD = 16  # up to so many words are arrays of their own; of hundreds, the program grows long in the compiler


def proposal_words(
    run_key: tuple[Words, Words], worker: Int[Array, "*batch"], turn: Int[Array, "*batch"], count: int
) -> list[Words]:
    """The first ``count`` words of each worker's ``turn``-th proposal, a list of arrays of the batch's shape."""
    both = _pairs(run_key, worker, turn, count)
    return [words[i] for i in range(-(-count // 2)) for words in both][:count]


def words_of_proposals(
    run_key: tuple[Words, Words], worker: Int[Array, "*batch"], turn: Int[Array, "*batch"], count: int
) -> Callable[..., UInt32[Array, "count *rest"]]:
    """``proposal_words`` as one array for each index into the batch, ``()`` for all of it."""
    if count <= _WORD_BY_WORD:
        words = proposal_words(run_key, worker, turn, count)
        return lambda at: jnp.stack([word[at] for word in words])
    first, second = _pairs(run_key, worker, turn, count)

    def joined(at):
        index = (slice(None), *at) if isinstance(at, tuple) else (slice(None), at)
        both = jnp.stack((first[index], second[index]), axis=1)
        return both.reshape(-1, *both.shape[2:])[:count]

    return joined


def _pairs(run_key: tuple[Words, Words], worker: Array, turn: Array, count: int) -> tuple[Words, Words]:
    """The even and the odd words, [pairs, *batch]."""
    pairs = -(-count // 2)
    pair = jnp.arange(pairs, dtype=jnp.uint32).reshape(pairs, *(1,) * worker.ndim)
    first = worker.astype(jnp.uint32) * jnp.uint32(pairs)
    return stage_words(threefry2x32, run_key, (first + pair, turn.astype(jnp.uint32)))


def derived_key(run_key: tuple[Words, Words], worker: Int[Array, ""] | int, turn: Int[Array, ""] | int) -> jax.Array:
    """A JAX key of worker's ``turn``-th proposal, for learners that draw with ``jax.random``."""
    return key_from_words(stage_words(threefry2x32, run_key, (jnp.uint32(worker), jnp.uint32(turn))))


def measuring_key(run_key: UInt32[Array, "2"], updates: Int[Array, ""]) -> jax.Array:
    """The JAX key with which a run is measured after so many updates; no proposal draws from it."""
    counter = updates.astype(jnp.uint32), jnp.uint32(MEASURE)
    return key_from_words(threefry2x32((run_key[0], run_key[1]), counter))


def key_from_words(words: Sequence[Words]) -> jax.Array:
    """Two words as a typed JAX key."""
    return jax.random.wrap_key_data(jnp.stack(list(words), axis=-1), impl="threefry2x32")


def run_key_words(key: jax.Array) -> UInt32[Array, "*batch 2"]:
    """A user's key (or batch of keys), typed or raw, of any implementation, as the two words that key a run."""
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        key = jax.random.wrap_key_data(key)
    data = jax.random.key_data(key)
    if data.shape[-1] == 2:
        return data
    # Not the key's own bits, because some kinds of keys give other bits in a batch than alone.
    words = threefry2x32((data[..., 0], data[..., 1]), (data[..., -2], data[..., -1]))
    return jnp.stack(words, axis=-1)
