"""The word-level generator against JAX's own, and the inversions at the ends of their range."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a3cjax.schedules import _random


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_fold_in_gives_the_keys_of_jax(impl):
    key = jax.random.key(7, impl=impl)
    for number in (0, 1, 12345, 2**31 - 1):
        ours = jax.random.key_data(_random.fold_in(key, jnp.int32(number)))
        np.testing.assert_array_equal(ours, jax.random.key_data(jax.random.fold_in(key, number)))


def test_words_are_the_blocks_of_the_key():
    """Pair n is the block with counter n, which is also what folding n into the key gives."""
    key = jax.random.key(3)
    pair = jnp.stack(_random.words(key, 5))
    np.testing.assert_array_equal(pair, jax.random.key_data(jax.random.fold_in(key, 5)))


@settings(deadline=None, max_examples=200)
@given(word=st.integers(0, 2**32 - 1), count=st.integers(1, 2**31 - 1))
def test_below_is_the_whole_part_of_word_times_count(word, count):
    assert int(_random.below(jnp.uint32(word), count)) == word * count >> 32


def test_exponential_is_accurate_at_both_ends():
    """−log((w + ½) / 2³²) for the smallest, middle and largest words, in float64, to a few float32 roundings."""
    words = np.array([0, 1, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1], np.uint32)
    tail = (~words).astype(np.float64) + 0.5
    exact = -np.log1p(-tail / 2**32)
    np.testing.assert_allclose(_random.exponential(jnp.asarray(words)), exact, rtol=1e-6)


def test_raw_keys_are_wrapped():
    raw = jax.random.PRNGKey(4)
    np.testing.assert_array_equal(jax.random.key_data(_random.random_key(raw)), raw)


@pytest.mark.parametrize("bad", [0, None, np.zeros(2)])
def test_what_is_not_a_key_is_refused(bad):
    with pytest.raises(ValueError, match=r"key must be a JAX random key such as jax.random.key\(0\)"):
        _random.random_key(bad)


def test_many_keys_are_refused():
    with pytest.raises(ValueError, match=r"key has shape \(3,\), but one key is needed; use jax.vmap"):
        _random.random_key(jax.random.split(jax.random.key(0), 3))
