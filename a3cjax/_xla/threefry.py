"""The one cipher behind every random word: JAX's own, written out so that it fuses and vectorises."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Key, UInt32

from a3cjax._xla.marks import stage_words

Words = UInt32[Array, "*batch"]

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def bits(key: Key[Array, ""], count: int) -> UInt32[Array, " count"]:
    """What ``jax.random.bits(key, (count,))`` gives; keys of another generator go through it."""
    if jax.random.key_impl(key) != "threefry2x32":
        return jax.random.bits(key, (count,), jnp.uint32)
    first, second = jax.random.key_data(key)
    counter = jnp.zeros(count, jnp.uint32), jnp.arange(count, dtype=jnp.uint32)
    x, y = stage_words(threefry2x32, (first, second), counter)
    return x ^ y


def derived_keys(key: Key[Array, ""], numbers: np.ndarray) -> Key[Array, " n"]:
    """``jax.random.fold_in(key, n)`` for each number, which are the keys of ``jax.random.split`` for 0, 1, …, too.

    Of a known key NumPy makes them: to compile a program for each count takes longer than all that is drawn from them.

    >>> import jax, numpy as np
    >>> derived_keys(jax.random.key(1), np.arange(3))[2] == jax.random.fold_in(jax.random.key(1), 2)
    Array(True, dtype=bool)
    """
    if not is_known(key):
        return jax.vmap(lambda number: jax.random.fold_in(key, number))(jnp.asarray(numbers))
    return jax.random.wrap_key_data(jax.device_put(_derived_words(key, numbers)), impl="threefry2x32")


def split(key: Key[Array, ""], count: int) -> Sequence[Key[Array, ""]]:
    """The keys of ``jax.random.split``, one by one; of a known key NumPy makes them.

    >>> import jax
    >>> split(jax.random.key(1), 3)[2] == jax.random.split(jax.random.key(1), 3)[2]
    Array(True, dtype=bool)
    """
    if not is_known(key):
        return list(jax.random.split(key, count))
    each = _derived_words(key, np.arange(count))
    return [jax.random.wrap_key_data(jax.device_put(words), impl="threefry2x32") for words in each]


def _derived_words(key: Key[Array, ""], numbers: np.ndarray) -> np.ndarray:
    first, second = np.asarray(jax.random.key_data(key))[:, None]
    words = rounds((first, second), (np.zeros(len(numbers), np.uint32), numbers.astype(np.uint32)))
    return np.stack(words, axis=-1)


def is_known(key: Key[Array, ""]) -> bool:
    """Whether NumPy can make what JAX would make of a key: its words are known, and the generator is this one."""
    return (
        not isinstance(key, Tracer)
        and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
        and jax.random.key_impl(key) == "threefry2x32"
        and jax.config.jax_threefry_partitionable  # pyright: ignore[reportAttributeAccessIssue]
    )


@functools.partial(jax.jit, inline=True)  # traced once for each shape
def threefry2x32(key: tuple[Words, Words], counter: tuple[Words, Words]) -> tuple[Words, Words]:
    """Twenty rounds of threefry-2x32 (Salmon et al., SC 2011), unrolled, elementwise over broadcast arrays.

    >>> import jax, jax.numpy as jnp
    >>> from a3cjax._xla.threefry import threefry2x32
    >>> words = threefry2x32((jnp.uint32(0), jnp.uint32(0)), (jnp.uint32(0), jnp.uint32(0)))
    >>> [hex(int(word)) for word in words]
    ['0x6b200159', '0x99ba4efe']
    """
    return rounds(key, counter)


def rounds(key: tuple[Any, Any], counter: tuple[Any, Any]) -> tuple[Any, Any]:
    """``threefry2x32`` of arrays of JAX's or NumPy's; of NumPy's scalars an overflow would be told."""
    schedule = (key[0], key[1], key[0] ^ key[1] ^ np.uint32(0x1BD11BDA))
    x, y = counter[0] + schedule[0], counter[1] + schedule[1]
    for group in range(5):
        for distance in _ROTATIONS[group % 2]:
            x = x + y
            y = x ^ ((y << distance) | (y >> (32 - distance)))
        x = x + schedule[(group + 1) % 3]
        y = y + schedule[(group + 2) % 3] + np.uint32(group + 1)
    return x, y
