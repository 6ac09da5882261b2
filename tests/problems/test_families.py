import jax
import jax.numpy as jnp
import numpy as np
import pytest

import a3cjax
from a3cjax import families
from a3cjax.problems.families._parts import to_laws, to_unit_norm, uniform

KEY = jax.random.key(0)


def assert_same(one, other, rtol=1e-6):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-7), one, other)


def test_synthetic_has_the_papers_sizes_by_default():
    mdp = families.synthetic(KEY)
    assert mdp.transition.shape == (100, 5, 100)
    assert mdp.reward.shape == (100, 5)
    assert mdp.features.shape == (100, 10)
    np.testing.assert_allclose(mdp.initial, 0.01, rtol=1e-6)


def test_synthetic_entries_are_uniform_and_the_largest_feature_has_norm_one():
    mdp = families.synthetic(KEY)
    # A row of 100 uniforms sums to 50 ± 2.9, so an entry times 50 is nearly U(0,1): mean ½, variance 1/12. Over 50 000
    # entries the mean has a deviation of 0.0013; the normalisation makes the mean exactly ½.
    entries = 50 * np.asarray(mdp.transition)
    np.testing.assert_allclose(entries.mean(), 0.5, rtol=1e-5)
    np.testing.assert_allclose(entries.var(), 1 / 12, rtol=0.03)
    reward = np.asarray(mdp.reward)
    assert abs(reward.mean() - 0.5) < 5 * np.sqrt(1 / 12 / 500)
    assert reward.min() >= 0
    assert reward.max() < 1
    features = np.asarray(mdp.features)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1).max(), 1, rtol=1e-6)
    # U(0,1) entries scaled by one number: mean to root mean square is √3/2 (deviation about 0.01 over 1000 entries).
    assert abs(features.mean() / np.sqrt((features**2).mean()) - np.sqrt(3) / 2) < 0.04


def test_synthetic_with_more_features_than_states_has_a_critic_gap():
    """Ten features of eight states, as by default: they represent V, and the run's gap falls from ‖ω*‖²."""
    mdp = families.synthetic(KEY, num_states=8)
    optimum = a3cjax.exact.critic_optimum(mdp, np.full((8, 5), 0.2))
    assert a3cjax.exact.approximation_error(mdp, np.full((8, 5), 0.2))[0] < 1e-4
    learner = a3cjax.A3C(mdp, actor_step=0.0, critic_step=0.1)
    record = a3cjax.Record(every=1000, metrics=["critic_error_sq"])
    result = a3cjax.simulate(learner, a3cjax.Schedule.sequential(2000), KEY, record=record)
    gap = np.asarray(result.metrics["critic_error_sq"])
    assert 0 < gap[-1] < gap[0] < float((optimum**2).sum())


def test_synthetic_options():
    mdp = families.synthetic(KEY, 3, 2, 4, 0.5, reward_on="transition", initial=[0.0, 1.0, 0.0])
    assert mdp.reward.shape == (3, 2, 3)
    assert mdp.features.shape == (3, 4)
    assert mdp.initial.tolist() == [0, 1, 0]
    assert mdp.discount == 0.5


@pytest.mark.parametrize("double", [False, True])
def test_random_entries_are_those_of_jax(double):
    """To the bit, of keys of both kinds, of another generator, and traced."""
    with jax.enable_x64(double):
        keys = [KEY, jax.random.PRNGKey(7), jax.random.key(1, impl="rbg")]
        for key, shape in zip(keys, [(3, 4, 2), (5,), (2, 3)], strict=True):
            expected = jax.random.uniform(key, shape, dtype=float)
            for found in (uniform(key, shape), jax.jit(lambda key, shape=shape: uniform(key, shape))(key)):
                assert found.dtype == expected.dtype
                np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("size", [1, 7, 70])
def test_numpy_rounds_as_jax_does(size, double):
    """XLA adds more than 32 numbers in parts, and multiplies with 1/x where x divides several numbers."""
    with jax.enable_x64(double):
        rows = jax.random.uniform(KEY, (4, 5, size), dtype=float)
        np.testing.assert_array_equal(to_laws(rows), rows / rows.sum(-1, keepdims=True))
        scaled = rows[0] / jnp.sqrt((rows[0] ** 2).sum(1).max())
        np.testing.assert_array_equal(to_unit_norm(rows[0]), scaled)
        slip = jnp.asarray(0.3, float)
        left, right = (jnp.roll(jnp.eye(size + 1), by, axis=1) for by in (-1, 1))
        by_hand = jnp.stack([(1 - slip) * left + slip * right, (1 - slip) * right + slip * left], axis=1)
        np.testing.assert_array_equal(families.ring(size + 1, slip=0.3).transition, by_hand)
        stays = jnp.asarray(0.1, float) * jnp.eye(size + 1)[:, None] + (1 - jnp.asarray(0.1, float)) * by_hand
        np.testing.assert_array_equal(families.lazy(families.ring(size + 1, slip=0.3), 0.1).transition, stays)


def test_what_is_known_is_made_without_a_program(caplog):
    """Of sizes that no other test has: a student's first line should not wait for a compiler."""
    families.ring(3)  # what is compiled once for all
    with jax.log_compiles():
        ring = families.ring(29, slip=0.2, discount=0.7)
        families.lazy(ring, 0.4)
        families.gridworld(3, 13, slip=0.2, initial="uniform")
        a3cjax.FiniteMDP(np.asarray(ring.transition, np.float64), [[0, 1]] * 29, [1 / 29] * 29, 0.9, np.eye(29, 31))
    assert not [record.message for record in caplog.records if "ompil" in record.message]
    with jax.log_compiles():
        assert (jnp.arange(29.0) + 1).shape == (29,)
    assert [record for record in caplog.records if "ompil" in record.message]  # which would have been told


@pytest.mark.parametrize(
    "draw",
    [lambda key: families.synthetic(key, 6, 2, 3), lambda key: families.garnet(key, 6, 2, 3, num_features=3)],
    ids=["synthetic", "garnet"],
)
def test_random_families_under_jit_and_vmap(draw):
    keys = jax.random.split(KEY, 3)
    batch = jax.jit(jax.vmap(draw))(keys)
    for i in range(3):
        assert_same(jax.tree.map(lambda leaf, i=i: leaf[i], batch), draw(keys[i]))
    assert not np.allclose(batch.transition[0], batch.transition[1])
    assert not np.allclose(batch.reward[0], batch.reward[1])


def test_random_families_are_double_under_x64(x64):
    mdp = families.garnet(jax.random.key(0), 6, 2, 3)
    assert mdp.transition.dtype == jnp.float64
    np.testing.assert_allclose(mdp.transition.sum(-1), 1, rtol=1e-14)


def test_garnet_has_distinct_uniform_successors_with_uniform_spacings():
    mdp = families.garnet(KEY, 8, 500, 3)
    probabilities = np.asarray(mdp.transition)
    assert (np.count_nonzero(probabilities, axis=-1) == 3).all()
    # Each of the 8 states is among the 3 successors with probability 3/8: deviation √(15/64/4000) = 0.0077.
    assert np.abs((probabilities > 0).mean((0, 1)) - 3 / 8).max() < 5 * 0.0077
    # A spacing of three has the law Beta(1, 2): mean 1/3 and second moment 1/6 (deviation 0.19/√12000 = 0.0017).
    spacings = probabilities[probabilities > 0]
    assert abs((spacings**2).mean() - 1 / 6) < 5 * 0.0018


def test_garnet_with_one_branch_is_deterministic():
    mdp = families.garnet(KEY, 5, 2, 1)
    assert set(np.unique(mdp.transition)) == {0.0, 1.0}
    np.testing.assert_array_equal(mdp.features, np.eye(5))


def test_garnet_draws_features_if_asked():
    features = families.garnet(KEY, 5, 2, 2, num_features=3, reward_on="transition").features
    np.testing.assert_allclose(np.linalg.norm(features, axis=1).max(), 1, rtol=1e-6)
    assert features.shape == (5, 3)


def test_ring_by_hand():
    mdp = families.ring(4, slip=0.25)
    left = [[0, 0.25, 0, 0.75], [0.75, 0, 0.25, 0], [0, 0.75, 0, 0.25], [0.25, 0, 0.75, 0]]
    right = [[0, 0.75, 0, 0.25], [0.25, 0, 0.75, 0], [0, 0.25, 0, 0.75], [0.75, 0, 0.25, 0]]
    np.testing.assert_array_equal(mdp.transition[:, 0], left)
    np.testing.assert_array_equal(mdp.transition[:, 1], right)
    np.testing.assert_array_equal(mdp.reward, [[1, 1], [0, 0], [0, 0], [0, 0]])


def test_ring_has_the_documented_spectrum():
    # Going right with q = 0.3 · 0.1 + 0.7 · 0.9 = 0.66 everywhere.
    size, pi = 7, np.tile([0.3, 0.7], (7, 1))
    kernel = np.einsum("sa,sat->st", pi, families.ring(size, slip=0.1).transition)
    angle = 2 * np.pi * np.arange(size) / size
    expected = np.cos(angle) + 1j * (2 * 0.66 - 1) * np.sin(angle)
    found = np.linalg.eigvals(kernel)
    assert np.abs(found[:, None] - expected).min(1).max() < 1e-6
    assert np.abs(found[:, None] - expected).min(0).max() < 1e-6


def test_ring_of_two_has_one_neighbour():
    np.testing.assert_allclose(families.ring(2, slip=0.3).transition, [[[0, 1], [0, 1]], [[1, 0], [1, 0]]], rtol=1e-6)


@pytest.mark.parametrize(("size", "count"), [(8, 1), (8, 4), (8, 5), (8, 8), (7, 7), (2, 2)])
def test_ring_features_are_independent_and_of_norm_at_most_one(size, count):
    features = np.asarray(families.ring(size, num_features=count).features)
    assert features.shape == (size, count)
    assert np.linalg.matrix_rank(features, tol=1e-3) == count
    np.testing.assert_allclose(np.linalg.norm(features, axis=1).max(), 1, rtol=1e-6)


def test_gridworld_by_hand():
    # Cells 0 1 / 2 3, goal 3. With slip 0.2 a move succeeds with 0.8 + 0.05, and each other direction has 0.05.
    mdp = families.gridworld(2, 2, slip=0.2)
    np.testing.assert_allclose(mdp.transition[0, 1], [0.1, 0.85, 0.05, 0], rtol=1e-6)  # up and left stay
    np.testing.assert_allclose(mdp.transition[1, 0], [0.05, 0.9, 0, 0.05], rtol=1e-6)  # up is a wall, so is right
    np.testing.assert_allclose(mdp.transition[2, 3], [0.05, 0, 0.9, 0.05], rtol=1e-6)  # left is a wall, so is down
    np.testing.assert_array_equal(mdp.transition[3], np.tile([1, 0, 0, 0], (4, 1)))
    np.testing.assert_array_equal(mdp.reward.sum(1), [0, 0, 0, 4])


def test_gridworld_options():
    mdp = families.gridworld(2, 3, goal=(0, 1), initial="uniform", features=np.full((6, 1), 0.5))
    np.testing.assert_allclose(mdp.transition[1], 1 / 6, rtol=1e-6)
    assert mdp.reward[:, 0].tolist() == [0, 1, 0, 0, 0, 0]
    assert mdp.num_features == 1
    assert families.gridworld(1, 2, initial=[0.0, 1.0]).initial.tolist() == [0, 1]


def test_parameters_of_the_deterministic_families_may_be_traced():
    base = families.garnet(KEY, 5, 2, 2)
    for build in (
        lambda x: families.ring(5, slip=x),
        lambda x: families.gridworld(2, 3, slip=x, discount=x),
        lambda x: families.lazy(base, x),
    ):
        assert_same(jax.jit(build)(0.3), build(0.3))


def test_lazy_mixes_the_kernel_with_the_identity():
    mdp = families.garnet(KEY, 4, 2, 2)
    slow = families.lazy(mdp, 0.75)
    for s, a in np.ndindex(4, 2):
        np.testing.assert_allclose(slow.transition[s, a], 0.75 * np.eye(4)[s] + 0.25 * mdp.transition[s, a], rtol=1e-6)
    assert_same(slow.reward, mdp.reward)
    assert_same(families.lazy(mdp, 0.0), mdp)


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: families.synthetic(KEY, 0), r"num_states is 0, but must be at least 1"),
        (lambda: families.synthetic(KEY, 2.0), r"num_states must be a whole number, but is 2\.0"),  # pyright: ignore
        (lambda: families.synthetic(KEY, 3, 0), r"num_actions is 0"),
        (lambda: families.synthetic(KEY, 3, 2, 0), r"num_features is 0"),
        (lambda: families.synthetic(KEY, 3, reward_on="state"), r"reward_on is 'state', but must be one of 'action'"),  # pyright: ignore
        (lambda: families.synthetic(KEY, 3, initial="corner"), r"initial is 'corner', but must be one of 'uniform'"),
        (lambda: families.synthetic(KEY, 3, initial=[1.0]), r"initial has shape \(1,\), but must have shape \(3\)"),
        (lambda: families.synthetic(KEY, 3, discount=1.0), r"discount is 1, but must be less than 1"),
        (lambda: families.garnet(KEY, 3, 2, 4), r"branching is 4, but there are only 3 states to move to"),
        (lambda: families.garnet(KEY, 3, 2, 0), r"branching is 0, but must be at least 1"),
        (lambda: families.garnet(KEY, 3, 2, 2, num_features=0), r"num_features is 0"),
        (lambda: families.ring(1), r"num_states is 1, but must be at least 2"),
        (lambda: families.ring(3, slip=1.1), r"slip is 1\.1, but must be at most 1"),
        (lambda: families.ring(3, slip=[0.1, 0.2]), r"slip has shape \(2,\), but must have shape \(\)"),
        (lambda: families.ring(3, num_features=4), r"num_features is 4, but must be at most the number of states, 3"),
        (lambda: families.gridworld(0, 3), r"height is 0, but must be at least 1"),
        (lambda: families.gridworld(2, 3, slip=-0.1), r"slip is -0\.1, but must be at least 0"),
        (lambda: families.gridworld(2, 3, goal=(2, 0)), r"goal is \(2, 0\), but must be a cell .* of 2 by 3"),
        (lambda: families.gridworld(2, 3, initial="middle"), r"initial is 'middle', but must be one of 'corner', 'un"),
        (lambda: families.gridworld(2, 3, initial=[1.0]), r"initial has shape \(1,\), but must have shape \(6\)"),
        (lambda: families.lazy(families.ring(3), 1.0), r"stay is 1, but must be less than 1"),
        (lambda: families.lazy(families.ring(3), -0.5), r"stay is -0\.5, but must be at least 0"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(build, sentence):
    with pytest.raises(ValueError, match=sentence):
        build()


def test_every_family_is_public():
    finite = {"garnet", "gridworld", "lazy", "ring", "synthetic"}
    assert set(a3cjax.families.__all__) == finite | {"double_integrator", "random_lqr"}
