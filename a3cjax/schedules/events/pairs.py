"""Times as a float and what rounding it lost, so that the errors of a long sum do not add up."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

# A float, high, and what rounding it lost, low: some 48 bits in float32.
Pair = tuple[Float[Array, "*shape"], Float[Array, "*shape"]]
Triple = tuple[Float[Array, "*shape"], Float[Array, "*shape"], Float[Array, "*shape"]]


def later(a: Pair, b: Pair) -> Pair:
    """The later of two times; of equal ones, the first."""
    keep = ~before(a, b)
    return jnp.where(keep, a[0], b[0]), jnp.where(keep, a[1], b[1])


def before(a: Pair, b: Pair) -> Bool[Array, "*shape"]:
    """a < b, to the last bit: a pair rounds its own sum to its first float, so that equal sums are equal pairs."""
    return (a[0] < b[0]) | ((a[0] == b[0]) & (a[1] < b[1]))


def add(pair: Pair, number: Float[Array, "*shape"]) -> Pair:
    """A pair plus a float."""
    high, error = _two_sum(pair[0], number)
    return _two_sum(high, pair[1] + error)


def add_exactly(three: Triple, number: Float[Array, "*shape"]) -> Triple:
    """Three floats plus a float; the first two are what ``add`` makes of them, the third what that loses."""
    high, error = _two_sum(three[0], number)
    low, rest = _two_sum(three[1], error)
    return *_two_sum(high, low), three[2] + rest


def _two_sum(a: Float[Array, "*shape"], b: Float[Array, "*shape"]) -> Pair:
    """a + b rounded, and what the rounding lost (Knuth)."""
    total = a + b
    from_b = total - a
    return total, (a - (total - from_b)) + (b - from_b)
