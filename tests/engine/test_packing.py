"""Pytrees as rows of words, and back, bit for bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from a3cjax.engine.history.packing import Packing

BITS = np.random.default_rng(0).integers(0, 2**64, 12, dtype=np.uint64, endpoint=False)


SMALL = ("float32", "int32", "uint32", "bool", "uint8", "int16", "int8")


@pytest.mark.parametrize("dtype", [*SMALL, "float64", "int64", "uint64"])
@pytest.mark.usefixtures("x64")
def test_any_bits_come_back(dtype):
    """Arbitrary bit patterns, NaNs among them, survive; small types take a word each and 64-bit ones two."""
    words = 1 if dtype in SMALL else 2
    raw = (BITS % 2).astype(bool) if dtype == "bool" else BITS.astype(f"uint{8 * np.dtype(dtype).itemsize}").view(dtype)
    leaf = jnp.asarray(raw.reshape(3, 4))
    packing = Packing(leaf)
    assert packing.width == 12 * words
    row = packing.pack(leaf)
    assert (row.shape, row.dtype) == ((12 * words,), jnp.uint32)
    back = packing.unpack(row)
    assert (back.shape, back.dtype) == (leaf.shape, leaf.dtype)
    assert np.asarray(back).tobytes() == np.asarray(leaf).tobytes()


def test_trees_of_several_kinds_and_of_nothing():
    """Words are laid out leaf after leaf: 2 + 1 + 3 + 1 = 7 of them; no leaves need none."""
    tree = {"a": jnp.array([1.5, -0.0]), "b": (jnp.bool_(True), jnp.array([-1, 2, 3])), "c": jnp.uint32(7)}
    packing = Packing(tree)
    assert packing.width == 7
    row = packing.pack(tree)
    assert row.tolist() == [0x3FC00000, 0x80000000, 1, 0xFFFFFFFF, 2, 3, 7]
    back = packing.unpack(row)
    assert jax.tree.structure(back) == jax.tree.structure(tree)
    for ours, theirs in zip(jax.tree.leaves(back), jax.tree.leaves(tree), strict=True):
        assert np.asarray(ours).tobytes() == np.asarray(theirs).tobytes()
    nothing = Packing(())
    assert (nothing.width, nothing.pack(()).shape, nothing.unpack(jnp.zeros(0, jnp.uint32))) == (0, (0,), ())
