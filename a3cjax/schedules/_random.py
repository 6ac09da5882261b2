"""Random numbers made from whole 32-bit words, cheap enough to be drawn one at a time inside a scan.

``jax.random`` makes a float32 uniform from 23 bits, so that an exponential variate made from it never exceeds 16 and a
rare, long delay has the wrong probability. Here every inversion uses a full word: exponential variates reach 22.9 and
are accurate, in relative terms, down to 1e-10.

The generator is JAX's own, Threefry-2x32 with 20 rounds (Salmon et al., SC 2011): ``fold_in`` gives the very keys of
``jax.random.fold_in``. It is written out round by round because the compiled loop that JAX uses on a CPU costs more
than the rounds themselves when one word is wanted. Keys of another generator go through ``jax.random``.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, UInt32

from a3cjax._xla.threefry import threefry2x32

Words = tuple[UInt32[Array, "*shape"], UInt32[Array, "*shape"]]


def random_key(key: Any) -> Key[Array, ""]:
    """``key`` as one typed key, or a ValueError; raw pairs of words (``jax.random.PRNGKey``) are wrapped."""
    dtype = getattr(key, "dtype", None)
    if dtype is None or not (jnp.issubdtype(dtype, jax.dtypes.prng_key) or dtype == jnp.uint32):
        raise ValueError(f"key must be a JAX random key such as jax.random.key(0), but is {key!r}.")
    typed = key if jnp.issubdtype(dtype, jax.dtypes.prng_key) else jax.random.wrap_key_data(jnp.asarray(key))
    if typed.shape:
        raise ValueError(f"key has shape {typed.shape}, but one key is needed; use jax.vmap to draw for many keys.")
    return typed


def fold_in(key: Key[Array, ""], number: Int[Array, ""]) -> Key[Array, ""]:
    """The key that ``jax.random.fold_in(key, number)`` gives."""
    if jax.random.key_impl(key) != "threefry2x32":
        return jax.random.fold_in(key, number)
    return jax.random.wrap_key_data(jnp.stack(words(key, number)), impl="threefry2x32")


def words(key: Key[Array, ""], number: Int[Array, ""] | int = 0) -> Words:
    """Two independent words, the ``number``-th pair of ``key``."""
    if jax.random.key_impl(key) != "threefry2x32":
        first, second = jax.random.bits(jax.random.fold_in(key, number), (2,), jnp.uint32)
        return first, second
    data = jax.random.key_data(key)
    return threefry2x32((data[0], data[1]), (jnp.uint32(0), jnp.asarray(number, jnp.uint32)))


def uniform(word: UInt32[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Uniform on (0, 1]: (word + 1/2) / 2**32, rounded to the float type; near 0 all 32 bits count."""
    return (word.astype(jnp.result_type(float)) + 0.5) * 2.0**-32


def exponential(word: UInt32[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Exponential of mean one, −log u; the half with u > 1/2 goes through log1p, so that small values are accurate."""
    return jnp.where(word < jnp.uint32(1 << 31), -jnp.log(uniform(word)), -jnp.log1p(-uniform(~word)))


def normal(first: UInt32[Array, "*shape"], second: UInt32[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Standard normal by the polar form of Box and Muller (1958), up to 6.7 standard deviations."""
    angle = uniform(second) * (2 * math.pi)
    return jnp.sqrt(2 * exponential(first)) * jnp.cos(angle)


def below(word: UInt32[Array, "*shape"], count: Int[Array, ""] | int) -> Int[Array, "*shape"]:
    """Uniform on {0, …, count − 1}: the high word of word · count, put together from 16-bit halves."""
    many = jnp.asarray(count).astype(jnp.uint32)
    half = jnp.uint32(0xFFFF)
    word_high, word_low, many_high, many_low = word >> 16, word & half, many >> 16, many & half
    middle = word_high * many_low + ((word_low * many_low) >> 16)
    carry = (middle & half) + word_low * many_high
    return (word_high * many_high + (middle >> 16) + (carry >> 16)).astype(jnp.int32)
