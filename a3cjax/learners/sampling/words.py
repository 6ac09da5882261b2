"""Draws from 32-bit words: uniform numbers, alias tables, softmax actions.

Each draw takes one whole word: shorter pieces would bias a law on 100 states by up to 0.15 %.
"""

import functools
import itertools
import operator
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, UInt32

from a3cjax._core.check import is_concrete
from a3cjax._xla.marks import read_row, staged

_UNROLLED_ACTIONS = 64  # up to here a running sum is written out, which keeps it in registers


def unit(word: UInt32[Array, "*batch"]) -> Float[Array, "*batch"]:
    """A word as a number in [0, 1), cut off after as many digits as the working precision has: 1 is never reached."""
    dtype = jnp.result_type(float)
    bits = min(32, jnp.finfo(dtype).nmant + 1)
    return (word >> (32 - bits)).astype(dtype) * jnp.asarray(2.0**-bits, dtype)


def cut(words: UInt32[Array, " n"], *counts: int) -> Iterator[UInt32[Array, "*count"]]:
    """The words in turn: one by itself where the count is 1, else a piece of that length."""
    for end, count in zip(itertools.accumulate(counts), counts, strict=True):
        yield words[end - 1] if count == 1 else words[end - count : end]


@staged
def normal(words: UInt32[Array, "*batch"]) -> Float[Array, "*batch"]:
    """Standard normal draws, √2·erf⁻¹ of u, with u at the middles of 2²⁴ equal cells of (−1, 1) (float64: of 2³²).

    The law is symmetric and lies on 2²⁴ points, none beyond ±5.42 (float64: 6.34): what a normal variable has there,
    6e-8 of the mass, is moved to the last point. Variance and fourth moment are short of 1 and 3 by 1e-7 and 6e-6, as a
    sum over all points shows; in float32 a point is up to 6e-6 (relative) from where erf⁻¹ should put it.
    """
    dtype = jnp.result_type(float)
    bits = min(32, jnp.finfo(dtype).nmant + 1)
    if bits == 32:
        middles = (words.astype(dtype) + 0.5) * 2.0**-31 - 1
    else:
        # 2j + 1 − 2²⁴ is odd and below 2²⁴ in size, so every step is exact.
        odd = ((words >> (32 - bits)) << 1).astype(jnp.int32) + (1 - (1 << bits))
        middles = odd.astype(dtype) * 2.0**-bits
    return jnp.sqrt(jnp.asarray(2, dtype)) * lax.erf_inv(middles)


def alias_table(law: Float[Array, "*rows n"]) -> UInt32[Array, "cells 2"]:
    """Walker's alias tables of every row of ``law``, stacked: cell (row·n + column) holds (threshold, alias).

    A draw from a row picks a column uniformly and keeps it if a second uniform word is below the threshold,
    otherwise takes the alias. Built in float64, so each law is met to about 2⁻³² per entry.
    """
    cells = jax.ShapeDtypeStruct((law.size, 2), jnp.uint32)
    if is_concrete(law):
        return jax.device_put(_build_alias(np.asarray(law)))
    return jax.pure_callback(lambda p: _build_alias(np.asarray(p)), cells, law, vmap_method="sequential")


def alias_draw(
    table: UInt32[Array, "cells 2"], row: Int[Array, ""] | int, n: int, word: UInt32[Array, ""]
) -> Int[Array, ""]:
    """One draw from row ``row`` of a table of laws on {0, …, n−1}.

    word·n is a 64-bit number: its high half is the column, its low half the uniform word within the column.
    """
    high, low = word >> 16, word & jnp.uint32(0xFFFF)
    column = ((high * jnp.uint32(n) + ((low * jnp.uint32(n)) >> 16)) >> 16).astype(jnp.int32)
    within = word * jnp.uint32(n)
    cell = read_row(table, row * n + column)
    return jnp.where(within < cell[0], column, cell[1].astype(jnp.int32))


def softmax_draw(logits: Float[Array, " A"], word: UInt32[Array, ""]) -> tuple[Int[Array, ""], Float[Array, " A"]]:
    """An action drawn from softmax(logits) by inversion, and the probabilities, apart where they are few.

    The action is the number of partial sums of exp(logits) that u·(total) reaches, the last one left out, so it is
    below A whatever is rounded.
    """
    num_actions = logits.shape[0]
    if num_actions > _UNROLLED_ACTIONS:
        weights = jnp.exp(logits - jnp.max(logits))
        sums = jnp.cumsum(weights)
        action = jnp.sum((unit(word) * sums[-1] >= sums[:-1]).astype(jnp.int32))
        return action, weights / sums[-1]

    @staged
    def largest(logits):
        # Not jnp.maximum, which takes care of NaN; here one makes all weights NaN anyway.
        return functools.reduce(lambda x, y: jnp.where(x > y, x, y), (logits[a] for a in range(num_actions)))

    @staged
    def exponentials(logits, top):
        return jnp.exp(logits - top)

    def partial_sums(weights):
        return itertools.accumulate(weights[a] for a in range(num_actions))

    @staged
    def choose(weights, word):
        *sums, total = partial_sums(weights)
        point = unit(word) * total
        return functools.reduce(operator.add, ((point >= s).astype(jnp.int32) for s in sums), jnp.int32(0))

    @staged
    def normalise(weights):
        *_, total = partial_sums(weights)
        # A division rounds the same wherever it is fused; a product could become part of a fused multiply-add.
        return weights / total

    weights = exponentials(logits, largest(logits))
    return choose(weights, word), normalise(weights)


def softmax(logits: Float[Array, " A"]) -> Float[Array, " A"]:
    """The probabilities that ``softmax_draw`` draws with, bit for bit."""
    return softmax_draw(logits, jnp.uint32(0))[1]


def geometric(word: UInt32[Array, ""], discount: Float[Array, ""], most: int) -> Int[Array, ""]:
    """min(T, most) with P(T ≥ t) = γᵗ: the number of steps since the actor's chain last restarted."""
    age = jnp.floor(jnp.log(jnp.maximum(unit(word), 2.0**-33)) / jnp.log(discount))
    return jnp.clip(jnp.where(discount > 0, age, 0), 0, most).astype(jnp.int32)


def law_draw(weights: Float[Array, " n"], word: UInt32[Array, ""]) -> Int[Array, ""]:
    """A draw from an unnormalised law on {0, …, n−1} by inversion, for laws that are used once.

    Partial sums are rounded, so an entry without weight is passed over explicitly.
    """
    sums = jnp.cumsum(weights)
    beyond = (sums > unit(word) * sums[-1]) & (weights > 0)
    last = weights.shape[0] - 1 - jnp.argmax(weights[::-1] > 0)
    return jnp.where(beyond.any(), jnp.argmax(beyond), last).astype(jnp.int32)


def _build_alias(law: np.ndarray) -> np.ndarray:
    """All rows at once: sweep the columns, each step finishing one column of every row.

    With columns in ascending order, ``low`` and ``high`` close in from both ends. The column in hand, lighter than
    1/n, is topped up by column ``high``; when that leaves ``high`` itself too light it is next in hand.
    """
    n = law.shape[-1]
    rows = law.reshape(-1, n).astype(np.float64)
    rows = rows * (n / rows.sum(-1, keepdims=True))
    order = np.argsort(rows, axis=-1, kind="stable")
    mass = np.take_along_axis(rows, order, -1)
    keep = np.ones_like(mass)
    other = np.broadcast_to(np.arange(n), mass.shape).copy()
    each = np.arange(len(mass))
    hand, low, high = (np.full(len(mass), start) for start in (0, 1, n - 1))
    for _ in range(n - 1):
        keep[each, hand] = np.clip(mass[each, hand], 0, 1)
        other[each, hand] = high
        mass[each, high] -= 1 - keep[each, hand]
        light = mass[each, high] < 1
        hand = np.where(light, high, low)
        high = np.where(light, high - 1, high)
        low = np.where(light, low, low + 1)
        high, low = np.maximum(high, 0), np.minimum(low, n - 1)
    threshold = np.empty_like(keep)
    alias = np.empty_like(order)
    np.put_along_axis(threshold, order, keep, -1)
    np.put_along_axis(alias, order, np.take_along_axis(order, other, -1), -1)
    words = np.minimum(np.rint(threshold * 2.0**32), 2.0**32 - 1).astype(np.uint32)
    alias = np.where(threshold >= 1, np.arange(n), alias)  # a full column never leaves
    return np.stack([words.reshape(-1), alias.reshape(-1).astype(np.uint32)], -1)
