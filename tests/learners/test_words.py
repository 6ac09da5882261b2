"""Draws from 32-bit words: alias tables, softmax actions, inversion."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from a3cjax.learners.sampling.words import alias_draw, alias_table, law_draw, softmax_draw, unit

WORDS = jax.random.bits(jax.random.key(0), (200_000,), jnp.uint32)
RNG = np.random.default_rng(0)


def laws(n):
    """Smooth, sparse, nearly degenerate, uniform and steep laws on n outcomes."""
    sparse = RNG.dirichlet(np.ones(n)) * (RNG.random(n) < 0.5)
    sparse[RNG.integers(n)] += 1
    nearly = np.full(n, 1e-7)
    nearly[-1] = 1
    rows = [RNG.dirichlet(np.ones(n)), sparse, nearly, np.ones(n), 0.5 ** np.arange(n), np.eye(n)[0]]
    return np.array([row / row.sum() for row in rows])


def reconstructed(table, rows, n):
    """The law that a table stands for: a cell keeps threshold/2³² of its 1/n and sends the rest to its alias."""
    cells = np.asarray(table).astype(np.int64).reshape(rows, n, 2)
    law = np.zeros((rows, n))
    for row in range(rows):
        for column, (threshold, alias) in enumerate(cells[row]):
            law[row, column] += threshold / 2**32 / n
            law[row, alias] += (1 - threshold / 2**32) / n
    return law


@pytest.mark.parametrize("n", [1, 2, 3, 7, 100])
@pytest.mark.usefixtures("x64")
def test_an_alias_table_stands_for_its_law(n):
    """Each cell rounds its threshold by at most 2⁻³² (a full one to 2³² − 1), so no entry is off by more than 2⁻³⁰."""
    law = laws(n)
    table = alias_table(jnp.asarray(law))
    assert (table.shape, table.dtype) == ((len(law) * n, 2), jnp.uint32)
    found = reconstructed(table, len(law), n)
    assert np.abs(found - law).max() < 2.0**-30
    assert (found[law == 0] == 0).all()  # what is impossible stays so


def test_an_alias_table_can_be_made_inside_jit():
    law = jnp.asarray(laws(7), jnp.float32)
    np.testing.assert_array_equal(jax.jit(alias_table)(law), alias_table(law))


@pytest.mark.parametrize("n", [1, 3, 5, 100])
def test_a_draw_reads_one_word_as_column_and_remainder(n):
    """column = ⌊word·n / 2³²⌋ and within = word·n mod 2³², in exact integers, on random words and the extremes."""
    law = laws(n)[:1]
    table = alias_table(jnp.asarray(law, jnp.float32))
    words = np.concatenate([np.asarray(WORDS[:500]), [0, 1, 2**31, 2**32 - 1]]).astype(np.uint32)
    drawn = jax.vmap(lambda word: alias_draw(table, 0, n, word))(jnp.asarray(words))
    cells = np.asarray(table).astype(object)
    product = words.astype(object) * n
    expected = [
        column if within < cells[column, 0] else cells[column, 1]
        for column, within in ((int(p) >> 32, int(p) & 0xFFFFFFFF) for p in product)
    ]
    assert drawn.tolist() == expected


def test_alias_draws_follow_each_row():
    """χ² of 200 000 draws from each of six rows; where the law is zero nothing is drawn."""
    law = laws(9)
    table = alias_table(jnp.asarray(law, jnp.float32))
    draw = jax.jit(jax.vmap(lambda row, word: alias_draw(table, row, 9, word), in_axes=(None, 0)))
    for row in range(len(law)):
        counts = np.bincount(draw(row, WORDS), minlength=9)
        possible = law[row] * len(WORDS) >= 5
        assert counts[law[row] == 0].sum() == 0
        if possible.sum() > 1:
            expected = law[row][possible] / law[row][possible].sum() * counts[possible].sum()
            assert stats.chisquare(counts[possible], expected).pvalue > 1e-3


@pytest.mark.parametrize("num_actions", [2, 5, 70])
def test_softmax_draws_follow_the_softmax(num_actions):
    """The probabilities are the softmax, and χ² of 200 000 actions."""
    logits = jnp.asarray(RNG.standard_normal(num_actions), jnp.float32)
    actions, law = jax.jit(jax.vmap(lambda word: softmax_draw(logits, word)))(WORDS)
    weights = np.exp(np.asarray(logits, np.float64))
    law = np.asarray(law)[:, 0] if isinstance(law, tuple) else np.asarray(law)[0]
    np.testing.assert_allclose(law, weights / weights.sum(), rtol=1e-5)
    counts = np.bincount(actions, minlength=num_actions)
    assert stats.chisquare(counts, len(WORDS) * weights / weights.sum()).pvalue > 1e-3


@pytest.mark.parametrize(
    ("logits", "possible"),
    [([0.0, 200.0, -200.0], {1}), ([-1e4, 1e4, 1e4], {1, 2}), ([0.0], {0}), ([-np.inf, 0.0], {1})],
)
def test_what_has_no_probability_is_not_drawn(logits, possible):
    """With logits 200 apart e⁻²⁰⁰ is zero in float32. Words 0 and 2³² − 1 are no exception."""
    words = jnp.concatenate([WORDS[:1000], jnp.array([0, 2**32 - 1], jnp.uint32)])
    actions, _ = jax.vmap(lambda word: softmax_draw(jnp.asarray(logits), word))(words)
    assert set(actions.tolist()) == possible


def test_a_state_that_is_never_visited_is_not_drawn():
    """Weights (1, 1, 0) and the same extreme words."""
    words = jnp.array([0, 2**31, 2**32 - 1], jnp.uint32)
    assert jax.vmap(lambda word: law_draw(jnp.array([1.0, 1.0, 0.0]), word))(words).tolist() == [0, 1, 1]


def test_inversion_follows_an_unnormalised_law():
    """χ² of 200 000 draws from weights (1, 0, 2, 5): in eighths."""
    counts = np.bincount(jax.vmap(lambda word: law_draw(jnp.array([1.0, 0, 2, 5]), word))(WORDS), minlength=4)
    assert counts[1] == 0
    assert stats.chisquare(counts[[0, 2, 3]], len(WORDS) * np.array([1, 2, 5]) / 8).pvalue > 1e-3


def test_a_word_as_a_number():
    """word / 2³² cut off after the 24 digits of float32, so never one."""
    words = jnp.array([0, 1, 2**8, 2**31, 3 << 30, 2**32 - 1], jnp.uint32)
    assert unit(words).tolist() == [0.0, 0.0, 2.0**-24, 0.5, 0.75, 1 - 2.0**-24]
