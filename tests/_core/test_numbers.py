"""Numbers that NumPy knows become JAX's without a program for each shape, and are what JAX would make of them."""

import decimal
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from a3cjax._core import check

DRAWS = np.random.default_rng(0).normal(size=(7, 9))
GIVEN = {
    "a number": 0.1,
    "a whole number": 3,
    "a boolean": True,
    "NumPy's": np.float64(0.1),
    "of half precision": np.float16(0.1),
    "double precision": DRAWS,
    "large and small": DRAWS * 10.0 ** np.arange(-32, 31, 7),
    "too large": [1e300, 1.0],
    "whole numbers": np.arange(5)[::-1],
    "bytes in another order": DRAWS.astype(">f8"),
    "lists": [[1, 2.5], [3, 4]],
    "arrays in a list": [np.arange(2.0), np.arange(2)],
    "JAX's": jnp.arange(3),
    "JAX's in a list": [jnp.float32(1), 2.0],
    "nothing": (),
    "NaN": float("nan"),
    "rows of unequal length": [[1], [2, 3]],
    "None": None,
    "None in a list": [None, 1.0],
    "text": "0.5",
    "text in an array": np.array(["1"]),
    "complex": np.array([1j]),
    "masked": np.ma.masked_array([1.0, 2.0], [False, True]),
    "objects": np.array([None, 1.0]),
    "dates": np.array(["2026-01-01"], "datetime64[D]"),
    "of eight bits and a short exponent": np.asarray(jnp.arange(3, dtype=jnp.bfloat16)),
    "a record": np.zeros(2, [("x", float), ("y", int)]),
    "a decimal": decimal.Decimal(1),
    "a dictionary": {1: 2.0},
    "too large for any": 10**400,
}


def outcome(convert, value):
    """The array to the bit, or the error, with the warnings."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            array = convert(value)
        except (TypeError, ValueError, OverflowError) as error:
            return type(error), str(error)
        what = array.shape, array.dtype, array.weak_type, np.asarray(array).tobytes()
        return (*what, {str(one.message) for one in told})


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("name", GIVEN)
def test_the_same_numbers_and_errors_as_jax(name, double):
    with jax.enable_x64(double):
        expected = outcome(lambda value: jnp.asarray(value, jnp.result_type(float)), GIVEN[name])
        assert outcome(check.floats, GIVEN[name]) == expected


def test_a_traced_number_stays_traced():
    assert jax.jit(lambda x: check.floats([x, 2.0]).sum())(1) == 3


def test_nothing_is_compiled(caplog):
    with jax.log_compiles():
        for value in (0.1, [[1, 2]] * 37, np.ones((3, 41)), np.arange(43)):
            check.floats(value)
    assert not [record.message for record in caplog.records if "ompil" in record.message]
