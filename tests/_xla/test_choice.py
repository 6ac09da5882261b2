"""A quick way and a general one, and programs that have only the quick one."""

import jax
import jax.numpy as jnp
import numpy as np

from a3cjax._xla.choice import either, general_left_out, is_left_out
from a3cjax._xla.compiler import quickly_compiled
from a3cjax.problems.fixed_point import td_fixed_point

halves = either(lambda x: (x / 2, jnp.int32(1)), lambda x: (-x / 2, jnp.int32(2)))


def test_without_the_general_way_what_needs_it_is_nan():
    x, holds = jnp.array([2.0, 4.0, 6.0]), jnp.array([True, False, True])
    with general_left_out():
        assert is_left_out()
        value, which = jax.jit(jax.vmap(halves))(holds, x)
        np.testing.assert_array_equal(value, [1, np.nan, 3])
        np.testing.assert_array_equal(which, [1, 0, 1])
        one, _ = jax.jit(lambda x: halves(False, x))(x[0])
        assert np.isnan(one)
    assert not is_left_out()
    value, which = jax.vmap(halves)(holds, x)
    np.testing.assert_array_equal(value, [1, -2, 3])
    np.testing.assert_array_equal(which, [1, 2, 1])


def test_a_function_that_was_traced_without_its_general_way_has_it_elsewhere():
    """The same shapes, in programs of their own and as parts of others, before and after."""

    @quickly_compiled
    def half(holds, x):
        return halves(holds, x)[0]

    def within(holds, x):
        with general_left_out():
            return half(holds, x)

    given = jnp.bool_(False), jnp.float32(8)
    for _ in range(2):
        assert np.isnan(jax.jit(within)(*given))
        assert float(half(*given)) == -4
        assert float(jax.jit(lambda *given: half(*given))(*given)) == -4


def test_a_singular_critic_is_left_to_the_general_way():
    """One feature twice, as in the doctest: ω is known in the span alone, and elsewhere without a decomposition."""
    twice = jnp.array([[1.0, 1.0], [0.5, 0.5]])
    singular = -0.5 * twice.T @ twice / 2, jnp.array([0.5, 0.5]), twice, jnp.full(2, 0.5)
    regular = -jnp.eye(2), jnp.array([0.5, 0.25]), jnp.eye(2), jnp.full(2, 0.5)

    def within(*system):
        with general_left_out():
            return td_fixed_point(*system)

    assert np.isnan(jax.jit(within)(*singular)).all()
    np.testing.assert_allclose(jax.jit(within)(*regular), [0.5, 0.25], rtol=1e-6)
    np.testing.assert_allclose(td_fixed_point(*singular), [0.8, 0.8], rtol=1e-6)
    assert "svd" not in jax.jit(within).lower(*regular).as_text()
    assert "svd" in jax.jit(lambda *system: td_fixed_point(*system)).lower(*regular).as_text()
