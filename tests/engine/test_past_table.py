"""The log of a table's past against a list of whole tables, kept in NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from a3cjax._xla import marks, version_store, versions
from a3cjax._xla.backend import ACCELERATOR, compiling_for
from a3cjax._xla.cpu_kernel import CPU_KERNEL
from a3cjax._xla.loops import LOOPS
from a3cjax.engine.history.past_table import BLOCK, Log, PastTable

STATES, ACTIONS, UPDATES = 6, 2, 12 * BLOCK


def changes(r: int) -> tuple[np.ndarray, np.ndarray]:
    """Versions [UPDATES+1, S, A] of a table and the rows [UPDATES, r] that each update changes.

    Row 5 never changes, row 4 once, early, and so stays for longer than any log; an update may name a row twice.
    """
    rng = np.random.default_rng(r)
    rows = rng.integers(0, 4, (UPDATES, r))
    rows[3, 0] = 4
    versions = [rng.normal(size=(STATES, ACTIONS)).astype(np.float32)]
    for changed in rows:
        table = versions[-1].copy()
        table[changed] += rng.normal(size=(r, ACTIONS)).astype(np.float32)
        versions.append(table)
    return np.array(versions), rows.astype(np.int32)


@functools.partial(jax.jit, static_argnums=0)
def step(past: PastTable, kept: Log, now: jax.Array, k: jax.Array, taus: jax.Array) -> tuple[Log, jax.Array]:
    """Enter and keep version k; all rows of the versions k − τ, [taus, S, A]."""
    kept = past.keep(past.enter(kept, k), now, k)
    row = jax.vmap(lambda tau, s: past.read(kept, k - tau, k).row(s), (None, 0))
    return kept, jax.vmap(row, (0, None))(taus, jnp.arange(STATES))


def replay(past: PastTable, kept: Log, begin: int, end: int, versions, rows, oldest: int = 0) -> Log:
    """Updates ``begin`` to ``end``; every version that can be asked for, from ``oldest`` on, is as NumPy has it."""
    for k in range(begin, end):
        taus = np.arange(past.depth)
        kept, read = step(past, kept, versions[k], jnp.int32(k), jnp.minimum(taus, k - oldest))
        np.testing.assert_array_equal(read, versions[k - np.minimum(taus, k - oldest)])
        kept = past.note(kept, jnp.asarray(rows[k]), jnp.int32(k))
    return kept


@pytest.mark.parametrize("r", [1, 3])
@pytest.mark.parametrize("depth", [1, 2, BLOCK, BLOCK + 1, 3 * BLOCK + 3])
def test_every_version_that_can_be_asked_for(depth, r):
    versions, rows = changes(r)
    past = PastTable(depth, jax.ShapeDtypeStruct((STATES, ACTIONS), jnp.float32), r)
    replay(past, past.start(jnp.asarray(versions[0])), 0, UPDATES, versions, rows)


def test_of_many_rows_of_an_update_the_last_counts():
    """As many as are found in a loop: nine of four rows, so that each update names rows twice."""
    versions, rows = changes(9)
    past = PastTable(4, jax.ShapeDtypeStruct((STATES, ACTIONS), jnp.float32), 9)
    replay(past, past.start(jnp.asarray(versions[0])), 0, 3 * BLOCK + 3, versions, rows)


@pytest.mark.parametrize("r", [1, 2])
@pytest.mark.parametrize("cut", [0, 1, 5, BLOCK, 6 * BLOCK + 3])
@pytest.mark.parametrize(("before", "after"), [(3, 4 * BLOCK), (4 * BLOCK, 3), (2 * BLOCK, 3 * BLOCK), (5, 5)])
def test_a_store_of_another_depth_goes_on(before, after, cut, r):
    """Versions that both stores reach are the same; nothing older is asked for."""
    versions, rows = changes(r)
    leaf = jax.ShapeDtypeStruct((STATES, ACTIONS), jnp.float32)
    first, second = PastTable(before, leaf, r), PastTable(after, leaf, r)
    kept = replay(first, first.start(jnp.asarray(versions[0])), 0, cut, versions, rows)
    batch = second.adopt(jax.tree.map(lambda x: np.asarray(x)[None], kept), cut)
    shapes = jax.eval_shape(second.start, leaf)
    assert [(x.shape[1:], x.dtype) for x in batch] == [(x.shape, x.dtype) for x in shapes]
    kept = jax.tree.map(lambda x: jnp.asarray(x[0]), batch)
    replay(second, kept, cut, UPDATES, versions, rows, oldest=max(0, cut - before + 1))


def test_a_whole_version_is_its_rows():
    versions, rows = changes(1)
    past = PastTable(2 * BLOCK, jax.ShapeDtypeStruct((STATES, ACTIONS), jnp.float32), 1)
    kept = replay(past, past.start(jnp.asarray(versions[0])), 0, 30, versions, rows)
    kept, _ = step(past, kept, versions[30], jnp.int32(30), jnp.arange(1))
    np.testing.assert_array_equal(jnp.asarray(past.read(kept, jnp.int32(19), jnp.int32(30))), versions[19])


@pytest.mark.parametrize(("states", "dtype"), [(1000, np.uint16), (1 << 16, np.int32)])
def test_places_are_noted_in_two_bytes_where_they_fit(states, dtype):
    past = PastTable(100, jax.ShapeDtypeStruct((states, 1), jnp.float32), 1)
    assert jax.eval_shape(past.start, past.leaf).found.dtype == dtype


def in_a_loop(store, version):
    """Entry ``version``, read in a loop of one turn."""
    everything, lanes, lane = versions.all_runs(store)
    read = functools.partial(marks.read_row, everything)
    return jax.lax.fori_loop(0, 1, lambda i, _: read((version + i) * lanes + lane), jnp.zeros(store.shape[1:]))


@pytest.mark.parametrize("lanes", [1, 3, 8])
@pytest.mark.parametrize("width", [1, 5, 40])
def test_versions_that_lie_side_by_side(lanes, width):
    """Read and written at a place for all lanes or one for each, whole or in part: against NumPy's indexing."""
    rng = np.random.default_rng(width)
    each, own = np.arange(lanes), rng.integers(0, 6, lanes).astype(np.int32)
    store = rng.normal(size=(lanes, 6, width)).astype(np.float32)
    value = store[each, own]
    np.testing.assert_array_equal(version_store.runs_first(version_store.versions_first(store), lanes), store)

    def all_at_once(store, own, value):  # one program, which is compiled sooner than eight
        return (
            jax.vmap(versions.read_version)(store, own),
            jax.vmap(versions.read_version, (0, None))(store, jnp.int32(4)),
            jax.vmap(in_a_loop)(store, own),
            jax.vmap(lambda s: versions.read_versions(s, jnp.int32(3), 2))(store),
            jax.vmap(lambda s: versions.read_entries(s, jnp.int32(4), jnp.int32(0), 1))(store),
            jax.vmap(versions.write_each)(store, own[:, None], -value[:, None]),
            jax.vmap(versions.write_version, (0, None, 0))(store, jnp.int32(2), -value),
            jax.vmap(versions.write_entries, (0, None, None, 0))(store, jnp.int32(3), width - 1, -value[:, :1]),
        )

    for backend in (CPU_KERNEL, LOOPS, ACCELERATOR):
        with compiling_for(backend):
            made = jax.jit(lambda *given: all_at_once(*given))(store, own, value)  # traced anew for each backend
        read, common, looked_up, two, part, *new = made
        np.testing.assert_array_equal(read, store[each, own])
        np.testing.assert_array_equal(common, store[:, 4])
        np.testing.assert_array_equal(looked_up, store[each, own])
        np.testing.assert_array_equal(two, store[:, 3:5])
        np.testing.assert_array_equal(part, store[:, 4, :1])
        places = [(each, own), (each, 2), (each, 3, slice(width - 1, width))]
        for written, place, values in zip(new, places, (-value, -value, -value[:, :1]), strict=True):
            expected = store.copy()
            expected[place] = values
            np.testing.assert_array_equal(written, expected)
