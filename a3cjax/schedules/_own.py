"""Laws that a user has written: looked at before they are drawn from, and whether or not JAX can look inside them."""

import inspect
import numbers
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from a3cjax._core import check


def check_method(name: str, law: Any, arguments: str) -> None:
    """Refuse a class in place of a law, and a ``sample`` that does not take ``arguments``."""
    if isinstance(law, type):
        raise ValueError(f"{name} is the class {law.__name__}; give a law, as in {law.__name__}(…).")
    try:
        signature = inspect.signature(law.sample)
    except ValueError:  # some callables have none
        return
    try:
        signature.bind(*arguments.split(", "))
    except TypeError as error:
        raise ValueError(
            f"{name} is of the class {type(law).__name__}, whose sample({', '.join(signature.parameters)}) cannot be "
            f"called as sample({arguments})."
        ) from error


def is_data(law: Any) -> bool:
    """Whether ``law`` is a pytree of numbers, which a compiled program can take as it takes arrays."""
    leaves = jax.tree.leaves(law)
    return all(isinstance(leaf, numbers.Number | np.ndarray | np.generic | jax.Array) for leaf in leaves)


def sampled(name: str, law: Any, draw: Callable[[], Any]) -> Any:
    """What ``draw`` gives; what JAX has to say of a ``sample`` that it cannot trace becomes a sentence."""
    what, mend = (
        f"{name}.sample of {type(law).__name__}",
        "use jax.numpy, such as jnp.where, and jax.random with the key",
    )
    try:
        return check.traceable(what, draw, mend)
    except Exception as error:
        if not isinstance(error.__cause__, check.UNTRACEABLE):
            error.add_note(f"Raised by {what}.")
        raise


def check_pure(name: str, law: Any, draw: Callable[[], Any]) -> Any:
    """What ``draw`` gives, having asked twice: one key must give one result."""
    first, second = draw(), draw()
    if check.is_concrete(first, second) and not np.array_equal(np.asarray(first), np.asarray(second), equal_nan=True):
        raise ValueError(
            f"{name}.sample of {type(law).__name__} gave two results for one key; draw from the key alone, with "
            "jax.random, and keep nothing from call to call."
        )
    return first
