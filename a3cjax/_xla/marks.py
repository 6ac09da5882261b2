"""The marks that formulas carry for the compilers: the whole vocabulary, and what each word means.

None changes what is computed, but for the last digit. On a CPU, XLA runs every fused operation as a kernel of its own,
called by an interpreter, and fuses cheap arithmetic into each kernel that uses its result. For a loop of a hundred
small operations the calls cost as much as the work, and the arithmetic is done several times over. So a formula says
where it may be cut, how products are rounded, and that a row is a row:

- ``stage(f, x)``, or ``@staged`` above f: compute f once and store the result; nothing is fused across its border;
- ``kernel(f, n, x)``: compile all of f, loops included, to one function of machine code;
- ``rounded(x · y) + z``: round the product before it is added, wherever it stands;
- ``dot(x, y)``: a sum of products in an order that never changes;
- ``opaque(x)``: values that the compiler must not know, even where they are constants;
- ``read_row``, ``write_row``, ``read_difference``, ``reshape``, ``row_of``: rows of tables, a place for every run.

How a word is carried out is the backend's matter (``backend.py``).
"""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Num

from a3cjax._xla.backend import current

P = ParamSpec("P")
T = TypeVar("T")

_FOLD, _MOST_BLOCKS = 8, 64  # a sum is written out up to 8·64 terms


def stage(function: Callable[..., T], *args: Any) -> T:
    """``function(*args)``, computed once and stored before anything uses it."""
    return current().stage(function, *args)


def staged(function: Callable[P, T]) -> Callable[P, T]:
    """``function``, every call of which is a stage; its arguments are given by position.

    >>> import jax.numpy as jnp
    >>> @staged
    ... def shifted(x, by):
    ...     return x + by
    >>> int(shifted(jnp.int32(1), jnp.int32(2)))
    3
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return current().stage(functools.partial(function, **kwargs) if kwargs else function, *args)

    return call


def stage_words(function: Callable[..., tuple[Array, Array]], *args: Any) -> tuple[Array, Array]:
    """``stage`` for a function that makes two arrays of 32-bit words together."""
    return current().stage_words(function, *args)


def kernel(function: Callable[..., T], count: Int[Array, ""], *args: Any) -> T:
    """``function(count, *args)``, compiled to one kernel where the backend has kernels.

    ``count`` is not negative nor a constant of the program: the length of the loop, say. What may be a constant among
    large inputs has to be ``opaque``.
    """
    return current().kernel(function, count, *args)


def rounded(product: Array) -> Array:
    """A product that is to be added to something, rounded first.

    Compilers of kernels make one operation of a product and a sum, which rounds once, in some shapes of a loop and not
    in others; then a run's bits would depend on how many are beside it.
    """
    return current().rounded(product)


def dot(x: Float[Array, "*rows n"], y: Float[Array, "*#rows n"]) -> Float[Array, "*rows"]:
    """Σ_j x_j y_j over the last axis, always in the same order, and without a reduction, which no kernel can hold.

    Products eight apart are added first, as vectors.
    """
    columns = x.shape[-1]
    blocks = columns // _FOLD
    if blocks > _MOST_BLOCKS:
        return jnp.sum(rounded(x * y), axis=-1)

    def fold(x, y):
        return functools.reduce(operator.add, (part(slice(_FOLD * i, _FOLD * (i + 1)), x, y) for i in range(blocks)))

    def part(where, x, y):
        return rounded(x[..., where] * y[..., where])

    rest = part(slice(_FOLD * blocks, columns), x, y)
    entries = [rest[..., j] for j in range(columns - _FOLD * blocks)]
    if blocks:
        folded = stage(fold, x, y)
        entries = [folded[..., j] for j in range(_FOLD)] + entries
    return functools.reduce(operator.add, entries)


def opaque(tree: T) -> T:
    """``tree`` as values that the compiler cannot know, even where they are constants of the caller's program.

    What is known is folded into the arithmetic, which then rounds otherwise.
    """
    return current().opaque(tree)


def read_row(table: Array, index: Int[Array, ""]) -> Array:
    """Row ``index`` of a table, which must exist."""
    return current().read_row(table, index)


def write_row(table: Array, index: Int[Array, ""], row: Array) -> Array:
    """The table with another row ``index``, which must exist."""
    return current().write_row(table, index, row)


def read_difference(
    table: Num[Array, "n d"], index: Int[Array, ""], other: Num[Array, "m d"], other_index: Int[Array, ""]
) -> Num[Array, " d"]:
    """Row ``index`` of a table less row ``other_index`` of another."""
    return current().read_difference(table, index, other, other_index)


def reshape(x: Array, shape: tuple[int, ...]) -> Array:
    """``x.reshape(shape)``, with runs that stay where they are."""
    return current().reshape(x, shape)


def row_of(entries: Sequence[Array]) -> Array:
    """Scalars as one row."""
    return current().row_of(entries)
