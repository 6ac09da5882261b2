import jax
import jax.numpy as jnp
import numpy as np
import pytest

import a3cjax


def parts(**changes):
    """A valid MDP with S = 2, A = 3, d = 2, as plain arrays, with some of them changed."""
    transition = np.full((2, 3, 2), 0.5)
    transition[0, 1] = [0.25, 0.75]
    good = {
        "transition": transition,
        "reward": np.arange(6.0).reshape(2, 3),
        "initial": np.array([0.5, 0.5]),
        "discount": 0.9,
        "features": np.array([[0.6, 0.8], [0.0, 0.5]]),
    }
    return good | changes


def spoiled(name, where, value):
    array = np.array(parts()[name], dtype=float)
    array[where] = value
    return {name: array}


def test_sizes_are_read_off_the_arrays():
    mdp = a3cjax.FiniteMDP(**parts())
    assert (mdp.num_states, mdp.num_actions, mdp.num_features) == (2, 3, 2)


def test_arrays_are_single_by_default(x32):
    mdp = a3cjax.FiniteMDP(**parts())
    assert {leaf.dtype for leaf in jax.tree.leaves(mdp)} == {jnp.dtype("float32")}
    assert len(jax.tree.leaves(mdp)) == 5


def test_arrays_are_double_under_x64(x64):
    mdp = a3cjax.FiniteMDP(**parts())
    assert {leaf.dtype for leaf in jax.tree.leaves(mdp)} == {jnp.dtype("float64")}


def test_expected_reward_of_a_reward_on_actions_is_the_reward():
    np.testing.assert_array_equal(a3cjax.FiniteMDP(**parts()).expected_reward(), np.arange(6.0).reshape(2, 3))


def test_expected_reward_averages_over_the_next_state():
    reward = np.zeros((2, 3, 2))
    reward[0, 1] = [4.0, 8.0]
    mdp = a3cjax.FiniteMDP(**parts(reward=reward))
    assert mdp.expected_reward()[0, 1] == 0.25 * 4 + 0.75 * 8
    assert jnp.count_nonzero(mdp.expected_reward()) == 1


def test_reward_at_reads_either_kind_of_reward_at_traced_indices():
    on_transition = np.arange(12.0).reshape(2, 3, 2)
    by_action, by_transition = a3cjax.FiniteMDP(**parts()), a3cjax.FiniteMDP(**parts(reward=on_transition))
    at = jax.jit(lambda mdp, s, a, t: mdp.reward_at(s, a, t))
    for s, a, t in np.ndindex(2, 3, 2):
        assert at(by_action, s, a, t) == 3 * s + a
        assert at(by_transition, s, a, t) == on_transition[s, a, t]


def test_reward_at_takes_arrays_of_indices_and_batches_of_mdps():
    mdp = a3cjax.FiniteMDP(**parts())
    s, a = jnp.array([0, 1, 1]), jnp.array([2, 0, 1])
    np.testing.assert_array_equal(mdp.reward_at(s, a, s), [2, 3, 4])
    double = jax.tree.map(lambda x: jnp.stack([x, 2 * x]), mdp)
    np.testing.assert_array_equal(jax.vmap(lambda m: m.reward_at(1, 2, 0))(double), [5, 10])


def test_mdps_can_be_built_under_vmap():
    build = jax.vmap(lambda discount: a3cjax.FiniteMDP(**parts(discount=discount)))
    np.testing.assert_allclose(build(jnp.array([0.1, 0.7])).discount, [0.1, 0.7], rtol=1e-6)


def test_traced_values_are_not_checked_but_their_shapes_are():
    # A discount of 2 cannot be seen under jit; three initial states can. Laws are divided by their sums all the same.
    assert jax.jit(lambda discount: a3cjax.FiniteMDP(**parts(discount=discount)))(2.0).discount == 2
    assert jax.jit(lambda law: a3cjax.FiniteMDP(**parts(initial=law)))(jnp.full(2, 2.0)).initial.tolist() == [0.5, 0.5]
    with pytest.raises(ValueError, match=r"initial has shape \(3,\), but must have shape \(2\)"):
        jax.jit(lambda law: a3cjax.FiniteMDP(**parts(initial=law)))(jnp.full(3, 1 / 3))


@pytest.mark.parametrize("traced", [False, True])
def test_rows_off_by_more_than_rounding_are_divided_by_their_sums(traced):
    transition = np.array(parts()["transition"])
    transition[1, 2] = [0.3, 0.700009]
    transition[0, 0] = [0.1, 0.9]  # rounded, off one by less than an ulp: stays
    given = parts(transition=transition, initial=[0.250009, 0.75])
    if traced:
        mdp = jax.jit(lambda laws: a3cjax.FiniteMDP(**parts(**laws)))(
            {name: jnp.asarray(given[name], float) for name in ("transition", "initial")}
        )
    else:
        mdp = a3cjax.FiniteMDP(**given)
    rounding = 1e-7 if mdp.initial.dtype == jnp.float32 else 1e-15
    np.testing.assert_allclose(mdp.transition[1, 2], np.array([0.3, 0.700009]) / 1.000009, rtol=rounding)
    np.testing.assert_allclose(mdp.initial, np.array([0.250009, 0.75]) / 1.000009, rtol=rounding)
    assert mdp.transition[0, 0].tolist() == jnp.array([0.1, 0.9]).tolist()


def test_a_norm_of_one_in_single_precision_is_accepted():
    features = np.random.default_rng(0).normal(size=(2, 7)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    a3cjax.FiniteMDP(**parts(features=features))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (spoiled("transition", (1, 2), [0.5, 0.4]), r"transition\[1, 2\] sums to 0\.9, not 1; divide it by its sum"),
        (spoiled("transition", (1, 2), [1.5, -0.5]), r"transition\[1, 2, 1\] is -0\.5; .* must not be negative"),
        (spoiled("transition", (0, 1, 0), np.nan), r"transition\[0, 1, 0\] is nan; .* finite"),
        (
            {"transition": np.full((2, 3, 4), 0.25)},
            r"transition has shape \(2, 3, 4\), but must have shape \(S, A, S\)",
        ),
        ({"transition": np.full((2, 2), 0.5)}, r"transition has shape \(2, 2\), but must have shape \(any, any, any\)"),
        ({"transition": np.zeros((2, 0, 2))}, r"transition has shape \(2, 0, 2\); give at least one state and one"),
        ({"transition": "dense"}, r"transition must be an array of numbers, but is 'dense'"),
        (spoiled("reward", (1, 0), np.inf), r"reward\[1, 0\] is inf; .* finite"),
        ({"reward": np.zeros((3, 2))}, r"reward has shape \(3, 2\), but must have shape \(2, 3\)"),
        ({"reward": np.zeros((2, 3, 3))}, r"reward has shape \(2, 3, 3\), but must have shape \(2, 3, 2\)"),
        ({"reward": np.zeros(2)}, r"reward has shape \(2,\), but must have shape"),
        ({"initial": np.array([0.5, 0.6])}, r"initial sums to 1\.1, not 1; divide it by its sum"),
        ({"initial": np.array([1.5, -0.5])}, r"initial\[1\] is -0\.5; probabilities must not be negative"),
        ({"initial": np.ones(1)}, r"initial has shape \(1,\), but must have shape \(2\)"),
        ({"discount": 1.0}, r"discount is 1, but must be less than 1"),
        ({"discount": -0.1}, r"discount is -0\.1, but must be at least 0"),
        ({"discount": np.nan}, r"discount is nan"),
        ({"discount": [0.5, 0.5]}, r"discount has shape \(2,\), but must have shape \(\)"),
        (
            spoiled("features", 1, [3.0, 4.0]),
            r"features\[1\] has l2 norm 5, but .* at most 1; divide the features by 5",
        ),
        ({"features": np.ones((3, 1))}, r"features has shape \(3, 1\), but must have shape \(2, any\)"),
        ({"features": np.ones((2, 0))}, r"features has shape \(2, 0\); give every state at least one feature"),
        (spoiled("features", (0, 1), np.nan), r"features\[0, 1\] is nan"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        a3cjax.FiniteMDP(**parts(**changes))


@pytest.mark.parametrize(("discount", "lost"), [(0.99, None), (0.999, None), (0.9999, "6e-04"), (0.99999, "6e-03")])
def test_a_discount_that_single_precision_keeps_badly_is_told(discount, lost, x32, recwarn):
    # The rounding of float32 is 2⁻²⁴ = 6e-8; 1/(1 − γ) is 1e4 at .9999.
    a3cjax.FiniteMDP(**parts(discount=discount))
    a3cjax.LQR([[0.5]], [[1.0]], [[1.0]], [[1.0]], [[1.0]], discount=discount)
    told = [str(warning.message) for warning in recwarn]
    assert len(told) == (0 if lost is None else 2)
    for sentence, warning in zip(told, recwarn, strict=False):
        assert f"discount is {discount}, and float32 keeps it to 6e-08" in sentence
        assert f"may be off by {lost} of their size" in sentence
        assert 'jax.config.update("jax_enable_x64", True)' in sentence
        assert warning.filename == __file__
    recwarn.clear()


def test_double_precision_keeps_any_discount_in_use(x64):
    assert float(a3cjax.FiniteMDP(**parts(discount=0.999999)).discount) == 0.999999


def test_a_discount_that_rounds_to_one_is_refused(x32):
    with pytest.raises(ValueError, match=r"discount is 1, but must be less than 1"):
        a3cjax.FiniteMDP(**parts(discount=1 - 1e-9))
