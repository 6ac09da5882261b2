"""The cipher against JAX's own, and whose words are whose."""

import jax
import jax.extend.random
import jax.numpy as jnp
import numpy as np
import pytest

from a3cjax._xla.threefry import bits
from a3cjax.engine.randomness import (
    derived_key,
    key_from_words,
    proposal_words,
    run_key_words,
    threefry2x32,
    words_of_proposals,
)


def words_of(key):
    return tuple(jax.random.key_data(key))


@pytest.mark.parametrize(
    ("key", "counter", "words"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_known_answers(key, counter, words):
    """The vectors that the authors of the cipher publish with Random123 (kat_vectors, threefry2x32 20)."""
    as_words = [jnp.uint32(x) for x in (*key, *counter)]
    assert tuple(int(x) for x in threefry2x32((as_words[0], as_words[1]), (as_words[2], as_words[3]))) == words


@pytest.mark.parametrize("implementation", ["threefry2x32", "rbg"])
def test_bits_are_those_of_jax(implementation):
    """Written out, alone and for several keys at once; keys of another generator go through JAX."""
    keys = jax.random.split(jax.random.key(3, impl=implementation), 2)
    np.testing.assert_array_equal(bits(keys[0], 5), jax.random.bits(keys[0], (5,), jnp.uint32))
    both = jax.vmap(lambda key: jax.random.bits(key, (5,), jnp.uint32))(keys)
    np.testing.assert_array_equal(jax.vmap(lambda key: bits(key, 5))(keys), both)


def test_the_cipher_is_that_of_jax_for_any_counter():
    """JAX's own threefry_2x32 ciphers a vector of first counter words followed by one of second ones."""
    high, low = jax.random.bits(jax.random.key(1), (2, 50), jnp.uint32)
    key = jax.random.key(7)
    ours = threefry2x32(words_of(key), (high, low))
    theirs = jax.extend.random.threefry_2x32(jax.random.key_data(key), jnp.concatenate([high, low]))
    np.testing.assert_array_equal(jnp.concatenate(ours), theirs)


def test_random_bits_are_the_cipher_folded():
    """``jax.random.bits(key, (n,))`` is the exclusive or of the two words of counter (0, i), for i < n."""
    key = jax.random.key(3)
    counter = jnp.zeros(20, jnp.uint32), jnp.arange(20, dtype=jnp.uint32)
    first, second = threefry2x32(words_of(key), counter)
    np.testing.assert_array_equal(first ^ second, jax.random.bits(key, (20,), jnp.uint32))


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_no_two_proposals_share_a_word(count):
    """The cipher permutes counters, so different (worker, pair, turn) never give the same pair of words."""
    worker, turn = (grid.ravel() for grid in np.meshgrid(np.arange(40), np.arange(30)))
    words = proposal_words(words_of(jax.random.key(0)), jnp.asarray(worker), jnp.asarray(turn), count)
    assert [word.shape for word in words] == [(1200,)] * count
    pairs = [np.stack(words[i : i + 2], axis=1) for i in range(0, count - 1, 2)]
    if pairs:
        assert len(np.unique(np.concatenate(pairs), axis=0)) == 1200 * len(pairs)
    # Single words may collide as any random words do: n²/2³³ = .01 pairs of them for n = 9600.
    assert len(np.unique(np.concatenate(words))) > 1200 * count - 5


def test_words_are_a_function_of_key_worker_and_turn():
    """Asked for alone or among others, and with different run keys side by side."""
    key, other = jax.random.split(jax.random.key(5))
    together = proposal_words(words_of(key), jnp.arange(6), jnp.array([3, 1, 4, 1, 5, 9]), 4)
    alone = proposal_words(words_of(key), jnp.int32(4), jnp.int32(5), 4)
    assert [int(x[4]) for x in together] == [int(x) for x in alone]
    both = jnp.stack([jax.random.key_data(key), jax.random.key_data(other)])
    lanes = proposal_words((both[:, 0], both[:, 1]), jnp.array([4, 4]), jnp.array([5, 5]), 4)
    assert [int(x[0]) for x in lanes] == [int(x) for x in alone]
    assert all(int(x[0]) != int(x[1]) for x in lanes)


@pytest.mark.parametrize("count", [3, 16, 17, 40])
def test_many_words_at_once_are_the_words_one_by_one(count):
    """Of proposal (i, t) words 2p and 2p + 1 are the cipher of (i·⌈n/2⌉ + p, t), however many are made at once."""
    worker, turn = np.array([[0, 3], [7, 2], [5, 5]]), np.array([[4, 1], [0, 9], [2, 6]])
    key = words_of(jax.random.key(6))
    at = words_of_proposals(key, jnp.asarray(worker), jnp.asarray(turn), count)
    pair = np.arange(-(-count // 2), dtype=np.uint32)[:, None, None]
    counter = worker.astype(np.uint32) * np.uint32(len(pair)) + pair, np.broadcast_to(turn, (len(pair), 3, 2))
    first, second = threefry2x32(key, tuple(jnp.asarray(part, jnp.uint32) for part in counter))
    expected = np.empty((2 * len(pair), 3, 2), np.uint32)
    expected[::2], expected[1::2] = first, second
    np.testing.assert_array_equal(at(()), expected[:count])
    np.testing.assert_array_equal(at(1), expected[:count, 1])


def test_bits_of_the_words_are_fair():
    """Each of the 32 bits of 4 words over 8000 proposals: a count of Binomial(8000, ½), 128 of them within 4.5 σ."""
    worker, turn = (grid.ravel() for grid in np.meshgrid(np.arange(80), np.arange(100)))
    words = np.stack(proposal_words(words_of(jax.random.key(11)), jnp.asarray(worker), jnp.asarray(turn), 4))
    ones = ((words[:, :, None] >> np.arange(32, dtype=np.uint32)) & 1).sum(1, dtype=int)
    assert np.abs(ones - 4000).max() < 4.5 * np.sqrt(2000)


def test_a_run_key_may_be_raw_typed_or_of_another_kind():
    """Threefry keys are used as they are; four words d of another kind give cipher(d0, d1; d2, d3), batched or not."""
    typed = jax.random.key(9)
    np.testing.assert_array_equal(run_key_words(typed), jax.random.key_data(typed))
    np.testing.assert_array_equal(run_key_words(jax.random.PRNGKey(9)), jax.random.key_data(typed))
    batch = jax.random.split(jax.random.key(9, impl="rbg"), 3)
    d = jax.random.key_data(batch[1])
    np.testing.assert_array_equal(run_key_words(batch[1]), threefry2x32((d[0], d[1]), (d[2], d[3])))
    np.testing.assert_array_equal(run_key_words(batch)[1], run_key_words(batch[1]))
    assert run_key_words(jax.random.split(typed, 4)).shape == (4, 2)


def test_derived_keys_are_made_of_the_cipher():
    """The key of (worker 2, turn 7) holds the cipher's words for the counter (2, 7)."""
    words = words_of(jax.random.key(0))
    key = derived_key(words, 2, 7)
    expected = threefry2x32(words, (jnp.uint32(2), jnp.uint32(7)))
    assert jax.random.key_data(key).tolist() == [int(x) for x in expected]
    assert jax.random.key_data(key_from_words(expected)).tolist() == jax.random.key_data(key).tolist()
