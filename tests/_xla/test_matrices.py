"""A CPU's loops for networks: tiles that fit a cache, and rows that are whole networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from a3cjax._xla.backend import compiling_for
from a3cjax._xla.fitting import multiplies_matrices
from a3cjax._xla.marks import read_row, row_of, write_row
from a3cjax._xla.matrices import matrices
from a3cjax.engine.layout import Layout

TABLES = jnp.arange(3 * 5 * 2 * 4, dtype=jnp.float32).reshape(3, 5, 2, 4)  # of three runs, five rows of [2, 4]
ROWS = -1 - jnp.arange(3 * 2 * 4, dtype=jnp.float32).reshape(3, 2, 4)


@pytest.mark.parametrize("index", [jnp.int32(3), jnp.array([4, 0, 3])])
def test_rows_are_read_and_written_where_they_are(index):
    """One place for all runs is a slice, without the gather and scatter of places of their own."""
    axis = None if index.ndim == 0 else 0

    def both(tables, index, rows):
        with compiling_for(matrices(100_000)):
            return (
                jax.vmap(read_row, in_axes=(0, axis))(tables, index),
                jax.vmap(write_row, in_axes=(0, axis, 0))(tables, index, rows),
            )

    read, written = jax.jit(both)(TABLES, index, ROWS)
    places = np.broadcast_to(index, 3)
    expected = np.array(TABLES)
    np.testing.assert_array_equal(read, expected[np.arange(3), places])
    expected[np.arange(3), places] = ROWS
    np.testing.assert_array_equal(written, expected)
    text = jax.jit(both).lower(TABLES, index, ROWS).as_text()
    assert ("gather" in text, "scatter" in text) == (axis == 0, axis == 0)


def test_scalars_are_one_row():
    with compiling_for(matrices(100_000)):
        np.testing.assert_array_equal(row_of([jnp.uint32(7), jnp.uint32(1), jnp.uint32(9)]), [7, 1, 9])


def test_tiles_hold_what_a_cache_does():
    """600 kB of views, in whole powers of two: 32 networks of 4,675 numbers, 8 of 17,539, at least eight of any."""
    assert [matrices(4 * size).lanes for size in (4675, 17_539, 1_000_000, 1)] == [32, 8, 8, 256]
    assert matrices(400) == matrices(404)
    assert (
        Layout.of(64, 1, "versions", 16, matrices(70_000)).tiles,
        Layout.of(1, 1, "ring", 1, matrices(4)).lanes,
    ) == (8, 1)
    layout = Layout.of(67, 2, "versions", 16, matrices(20_000))
    assert (layout.tiles % 2, layout.tiles * layout.lanes >= 67) == (0, True)


def test_products_are_found_wherever_they_are():
    """In a loop, say; a sum of products that is written out is none."""

    def loop(x):
        return jax.lax.fori_loop(0, 3, lambda _, y: y @ x, x)

    assert multiplies_matrices(loop, jnp.eye(2))
    assert multiplies_matrices(jax.vmap(lambda x: jnp.convolve(x, x)), jnp.ones((2, 3)))
    assert not multiplies_matrices(lambda x: (x * x).sum(), jnp.ones(3))
