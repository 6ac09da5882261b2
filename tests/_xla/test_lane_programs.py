"""A run's program interpreted for lanes, against JAX's own vmap of it: the same numbers.

All small programs make one kernel of eight lanes in Pallas' interpreter, so that the compiler is called once.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from a3cjax._xla.lane_programs import run
from a3cjax._xla.lane_tables import Buffer, Layout, Place
from a3cjax._xla.lane_values import DoesNotFit, Lanes, entries_of, over
from a3cjax._xla.marks import write_row

LANES = 8
NARROW, WIDE = (4,), (5, 14)  # in registers, and in memory


def results_of(function, x, table, i, layout: Layout = "beside"):
    """``function(x, table, i)`` for every lane, of [lanes, …] arrays, as the kernel has it."""
    program, shapes = jax.make_jaxpr(function, return_shape=True)(x[0], table[0], i[0])
    outputs = [Place(leaf.shape, np.dtype(leaf.dtype), "beside") for leaf in jax.tree.leaves(shapes)]
    layouts: list[Layout] = ["beside", layout, "beside"]
    places = [Place(a.shape[1:], np.dtype(a.dtype), lies) for a, lies in zip((x, table, i), layouts, strict=True)]

    def load(ref, address, mask):
        return triton.load(ref.at[address], mask=mask, other=None if mask is None else np.zeros((), ref.dtype)[()])

    def store(ref, address, entry, mask):
        triton.store(ref.at[address], entry, mask=mask)

    def kernel(*refs):
        lanes = Lanes(LANES, lax.iota(jnp.int32, LANES), load, store)
        pairs = zip(places, (refs[0], refs[3], refs[2]), strict=True)
        given = [Buffer(place, ref, lanes, LANES).table() for place, ref in pairs]
        given = [entries_of(given[0]), given[1], entries_of(given[2])]
        for place, ref, value in zip(outputs, refs[4:], run(lanes, program, given), strict=True):
            out = Buffer(place, ref, lanes, LANES)
            over(value, lambda index, entry, out=out: out.store(index, entry() if callable(entry) else entry))

    laid = [place.lay(a) for place, a in zip(places, (x, table, i), strict=True)]
    shape = [jax.ShapeDtypeStruct(laid[1].shape, laid[1].dtype), *(place.memory(LANES) for place in outputs)]
    call = pl.pallas_call(kernel, out_shape=shape, input_output_aliases={1: 0}, interpret=True)
    memory = jax.jit(call)(*laid)[1:]
    made = [place.unlay(part, LANES) for place, part in zip(outputs, memory, strict=True)]
    return jax.tree.unflatten(jax.tree.structure(shapes), made)


def inputs():
    """Numbers of either sign, a table of positive ones, and an index below 4, of each lane's own."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(LANES, *NARROW)), jnp.float32)
    table = jnp.asarray(rng.random((LANES, *WIDE)), jnp.float32)
    return x, table, jnp.asarray(rng.integers(0, 4, LANES), jnp.int32)


def scanned(x, table, i):
    carry, rows = lax.scan(lambda c, row: (c + row[0], c * row), x[0], table[:3, :2])
    return carry, rows, lax.fori_loop(0, 40, lambda t, c: c + table[t % 5, i], x[1])


def counted(x, table, i):
    """Turns that differ from lane to lane, and a branch within."""

    def turn(state):
        n, total = state
        return n + 1, total + lax.cond(n == 1, lambda: x[0], lambda: table[n, i])

    return lax.while_loop(lambda state: state[0] < i, turn, (jnp.int32(0), x[2]))


def keyed(x, table, i):
    key = jax.random.fold_in(jax.random.wrap_key_data(jnp.stack([i, i + 7]).astype(jnp.uint32)), i)
    one, other = jax.random.split(key)
    return jax.random.bits(one, (2,)), jax.random.key_data(other)


PROGRAMS = {
    "arithmetic": lambda x, t, i: (jnp.exp(x) / (1 + x**2), jnp.where(x > 0, x, -i), jnp.clip(x, -0.5, 0.5), x // 2),
    "bits": lambda x, t, i: lax.bitcast_convert_type(x, jnp.uint32) >> 3 ^ i.astype(jnp.uint32),
    "shapes": lambda x, t, i: (x.reshape(2, 2).T, x[::-1], jnp.concatenate([x, x[1:]]), jnp.pad(x, (1, 2)), x[::2]),
    "long": lambda x, t, i: (2 * t.T.reshape(7, 10)[i] + 1, jnp.concatenate([t, t[1:3]])[i + 3]),
    "reduced": lambda x, t, i: (t.sum(), t.max(), x.min(), jnp.argmax(x), jnp.cumsum(x), x.prod(), (x > 0).any()),
    "products": lambda x, t, i: (x @ t[1:, :3], jnp.outer(x, x) @ x),
    "rows": lambda x, t, i: (t[i], t[2], t[i, i], x[i], t[jnp.stack([i, 0]), jnp.stack([1, i])]),
    "windows": lambda x, t, i: (lax.dynamic_slice(t, (i, 2 * i), (2, 3)), lax.dynamic_slice(x, (i + 2,), (3,))),
    "outside": lambda x, t, i: (t.at[i + 3].get(mode="fill"), x.at[i + 3].get(mode="clip"), t.at[i + 3].get()),
    "updated registers": lambda x, t, i: (x.at[i].set(7), x.at[i].add(1), x.at[i + 3].set(9, mode="drop")),
    "updated long": lambda x, t, i: (t * 2).at[i, :4].set(x)[:2, 1:6],
    "dense": lambda x, t, i: (jnp.zeros((5, 14)).at[i, :2].set(1) * 3 + t)[:, :3].sum(1),
    "scans": scanned,
    "loops": counted,
    "keys": keyed,
    "stacks": lambda x, t, i: (jnp.stack([x, 2 * x], axis=1), jnp.split(x, 2)),
    "rounded": lambda x, t, i: (jnp.round(i - x), jnp.round(i * 0.5), lax.round(i * 0.5), jnp.floor(x), jnp.sign(x)),
}


@functools.cache
def together():
    """What every program makes of the inputs: in the kernel, and mapped."""

    def all_of(x, table, i):
        return {name: program(x, table, i) for name, program in PROGRAMS.items()}

    given = inputs()
    return results_of(all_of, *given), jax.jit(jax.vmap(all_of))(*given)


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_lanes_make_of_a_program_is_what_vmap_makes(name):
    ours, theirs = (part[name] for part in together())
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("layout", ["beside", "apart"])
def test_a_table_is_written_in_place(layout):
    """Two rows of it one after the other, in a loop that not all lanes take, and then read."""

    def written(x, table, i):
        table = write_row(table, i, jnp.concatenate([x, x, x, x[:2]]))

        def turn(n, table):
            return table.at[n, n].add(10.0)

        return 2 * lax.fori_loop(0, i, lambda n, t: t + n, lax.fori_loop(0, i, turn, table)), x

    given = inputs()
    ours, theirs = results_of(written, *given, layout=layout), jax.vmap(written)(*given)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "program",
    [
        lambda x, table, i: write_row(table, i, 2 * table[i])[0] + table[i],  # what has been overwritten
        lambda x, table, i: write_row(table, i, table[i][::-1])[0].sum() + jnp.sort(x)[0],  # no rule
        lambda x, table, i: jnp.linalg.solve(table[:4, :4], x),
        lambda x, table, i: lax.fori_loop(0, i, lambda n, t: t[:, ::-1] + 1.0, table)[0],  # not in place
    ],
)
def test_what_does_not_fit_is_refused(program):
    with pytest.raises(DoesNotFit):
        results_of(program, *inputs())


def test_a_long_row_may_read_only_what_it_replaces():
    """Doubled in place; turned around it would read what it has just written."""
    stored = []
    lanes = Lanes(1, 0, lambda *_: np.float32(3), lambda ref, address, entry, mask: stored.append(address))
    table = Buffer(Place((100,), np.dtype(np.float32), "shared"), None, lanes, 1).table()
    table.put((3,), lambda: 2 * table.read((3,)))
    with pytest.raises(DoesNotFit):
        table.put((3,), lambda: table.read((4,)))
    assert stored == [3]
