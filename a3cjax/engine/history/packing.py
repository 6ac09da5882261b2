"""A pytree as one row of 32-bit words, so that a worker's slot is read and written in one piece.

A mailbox of N slots holds several small arrays per slot. Kept apart, each costs a gather and a scatter of its own per
update, and a cache line of its own once N is large; packed, a slot is one contiguous row.
"""

import math
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, UInt32

from a3cjax._xla.lanes import SHORT
from a3cjax._xla.marks import reshape, row_of

T = TypeVar("T")


class Packing(Generic[T]):
    """The layout of pytrees like ``example`` (arrays or shape structs) in a row of ``width`` words."""

    def __init__(self, example: T) -> None:
        leaves, self._structure = jax.tree.flatten(example)
        self._leaves = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves]
        self._sizes = [math.prod(leaf.shape) * max(1, np.dtype(leaf.dtype).itemsize // 4) for leaf in leaves]
        self.width = sum(self._sizes)

    def pack(self, tree: T) -> UInt32[Array, " width"]:
        """The words of ``tree``, bit for bit."""
        rows = [_to_words(leaf) for leaf in jax.tree.leaves(tree)]
        if not rows:
            return jnp.zeros((0,), jnp.uint32)
        if self.width <= SHORT:
            return row_of([row[j] for row in rows for j in range(row.shape[0])])
        return jnp.concatenate(rows)

    def unpack(self, row: UInt32[Array, " width"]) -> T:
        """The inverse of ``pack``."""
        leaves: list[Any] = []
        start = 0
        for leaf, size in zip(self._leaves, self._sizes, strict=True):
            leaves.append(_from_words(row[start : start + size], leaf))
            start += size
        return jax.tree.unflatten(self._structure, leaves)


def _to_words(leaf: Array) -> UInt32[Array, " words"]:
    if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
        leaf = jnp.stack([leaf.real, leaf.imag], axis=-1)
    if leaf.dtype.itemsize < 4:  # booleans, small integers and the bits of small floats take a word each
        leaf = (leaf if _narrow_bits(leaf.dtype) is None else _as(_narrow_bits(leaf.dtype), leaf)).astype(jnp.uint32)
    if leaf.dtype == jnp.uint32:
        return reshape(leaf, (leaf.size,))
    words = _as(jnp.uint32, leaf)  # 64-bit numbers give two words
    return reshape(words, (words.size,))


def _from_words(words: UInt32[Array, " words"], like: jax.ShapeDtypeStruct) -> Array:
    dtype = np.dtype(like.dtype)
    if jnp.issubdtype(dtype, jnp.complexfloating):
        parts = jax.ShapeDtypeStruct((*like.shape, 2), jnp.finfo(dtype).dtype)
        both = _from_words(words, parts)
        return lax.complex(both[..., 0], both[..., 1])
    if dtype.itemsize < 4:
        bits = _narrow_bits(dtype)
        return reshape(words.astype(dtype) if bits is None else _as(dtype, words.astype(bits)), like.shape)
    if dtype == np.uint32:
        return reshape(words, like.shape)
    if dtype.itemsize == 8:
        words = reshape(words, (words.size // 2, 2))
    return reshape(_as(dtype, words), like.shape)


def _narrow_bits(dtype: Any) -> Any:
    """The whole numbers that hold the bits of a small float."""
    return f"uint{jnp.finfo(dtype).bits}" if jnp.issubdtype(dtype, jnp.floating) else None


def _as(dtype: Any, x: Array) -> Array:
    return lax.bitcast_convert_type(x, dtype)
