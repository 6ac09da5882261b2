"""Times as whole numbers of a tick, a power of two: sums and comparisons without any rounding.

A number of ticks is four words, the most significant first, in two's complement: 128 bits beside float32, 256 beside
float64. The tick is so small that the greatest time only just fits.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int32, UInt

Words = tuple[UInt[Array, "*shape"], ...]

_COUNT = 4


def tick_below(latest: Float[Array, ""]) -> Int32[Array, ""]:
    """The tick for times up to some 8 · ``latest``, as the power of two that it is of the smallest positive float."""
    bits, fraction = _layout(latest.dtype)
    return jnp.maximum(_exponent(latest) + fraction + 5 - _COUNT * bits, 0)


def total(tick: Int32[Array, ""], parts: Sequence[Float[Array, "*shape"]]) -> Words:
    """The sum of floats in ticks; of a float, what is below a tick is cut off."""
    words = _words(tick, parts[0])
    for part in parts[1:]:
        words = add_words(words, _words(tick, part))
    return words


def at_most(a: Words, b: Words) -> Bool[Array, "*shape"]:
    """a ≤ b, for times that are not negative."""
    holds = a[-1] <= b[-1]
    for x, y in zip(reversed(a[:-1]), reversed(b[:-1]), strict=True):
        holds = (x < y) | ((x == y) & holds)
    return holds


def as_float(words: Any, tick: Any, least: int) -> Any:
    """Ticks as the nearest float: float64 for NumPy words, else the float as wide as a word. Never negative.

    ``least`` is the exponent of the smallest positive float of those that the ticks were counted from.
    """
    xp: Any = np if isinstance(words[0], np.ndarray) else jnp
    if xp is np and words[0].dtype == np.uint32:
        words = [(words[i].astype(np.uint64) << 32) | words[i + 1] for i in range(0, len(words), 2)]
    bits = words[0].dtype.itemsize * 8
    zero = xp.zeros_like(words[0])
    words, exponent = [*words, zero, zero], xp.zeros(words[0].shape, np.int32) + (len(words) - 1) * bits
    for _ in range(len(words) - 3):  # until the first word is not empty
        empty = words[0] == 0
        words = [xp.where(empty, after, word) for word, after in zip(words, [*words[1:], zero], strict=True)]
        exponent = xp.where(empty, exponent - bits, exponent)
    top, after = words[0], words[1]
    step = bits // 2
    while step:  # until its first bit is set
        room = (top >> (bits - step)) == 0
        top = xp.where(room, (top << step) | (after >> (bits - step)), top)
        after = xp.where(room, after << step, after)
        exponent = xp.where(room, exponent - step, exponent)
        step //= 2
    rest = after != 0
    for word in words[2:]:
        rest = rest | (word != 0)
    # The last of a word's bits are beyond a float's: set, they say that the sum is not at the middle of two floats.
    top = top | rest.astype(top.dtype)
    wide = np.float64 if xp is np or bits == 64 else np.float32
    return xp.ldexp(top.astype(wide), exponent + tick + least)


def smallest_exponent(dtype: Any) -> int:
    """e of 2^e, the smallest positive (subnormal) float."""
    info = jnp.finfo(dtype)
    return int(info.minexp) - int(info.nmant)


def _words(tick: Int32[Array, ""], number: Float[Array, "*shape"]) -> Words:
    bits, fraction = _layout(number.dtype)
    unsigned = jnp.uint32 if bits == 32 else jnp.uint64
    pattern = jax.lax.bitcast_convert_type(number, unsigned)
    exponent = _exponent(number)
    mantissa = pattern & unsigned((1 << fraction) - 1)
    mantissa = jnp.where(exponent > 0, mantissa | unsigned(1 << fraction), mantissa)
    place = jnp.maximum(exponent, 1) - 1 - tick  # of the mantissa's last bit
    cut = jnp.minimum(jnp.maximum(-place, 0), bits - 1).astype(unsigned)
    mantissa, place = mantissa >> cut, jnp.maximum(place, 0)
    word, shift = place // bits, (place % bits).astype(unsigned)
    low, high = mantissa << shift, (mantissa >> unsigned(1)) >> (unsigned(bits - 1) - shift)
    flip = jnp.where(number < 0, ~unsigned(0), unsigned(0))
    words = [
        jnp.where(word == i, low, jnp.where(word == i - 1, high, unsigned(0))) ^ flip for i in reversed(range(_COUNT))
    ]
    return add_words(tuple(words), None, flip & unsigned(1))


def add_words(a: Words, b: Words | None, carry: Any = None) -> Words:
    """a + b + carry, ``b`` and ``carry`` being nothing if they are None."""
    carry = jnp.zeros_like(a[0]) if carry is None else carry
    out = []
    for i in reversed(range(_COUNT)):
        plain = a[i] if b is None else a[i] + b[i]
        result = plain + carry
        carry = ((plain < a[i]) | (result < plain)).astype(a[i].dtype)
        out.append(result)
    return tuple(reversed(out))


def _exponent(number: Float[Array, "*shape"]) -> Int32[Array, "*shape"]:
    """The exponent as it is written in the float: 0 for a subnormal one."""
    bits, fraction = _layout(number.dtype)
    unsigned = jnp.uint32 if bits == 32 else jnp.uint64
    pattern = jax.lax.bitcast_convert_type(jnp.abs(number), unsigned)
    return (pattern >> fraction).astype(jnp.int32)


def _layout(dtype: Any) -> tuple[int, int]:
    """A float's bits, and those of its fraction."""
    info = jnp.finfo(dtype)
    return int(info.bits), int(info.nmant)
