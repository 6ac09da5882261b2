"""Functions that do the same are one, and those that do not are never taken for each other."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from a3cjax._core.interning import interned
from a3cjax._core.tree import pytree, static

SCALE = 2.0
KEYS = jax.random.key(0), jax.random.key(1)
OPTIMISERS = {
    "sgd": lambda rate: optax.sgd(rate),
    "adam": lambda rate: optax.adam(rate),
    "schedule": lambda rate: optax.adamw(optax.cosine_decay_schedule(rate, 100)),
    "chain": lambda rate: optax.chain(optax.clip_by_global_norm(1.0), optax.rmsprop(rate, momentum=0.9)),
    "injected": lambda rate: optax.inject_hyperparams(optax.adam)(learning_rate=rate),
    "own": lambda rate: lambda k: rate / jnp.sqrt(1 + k),
}


@pytest.mark.parametrize("name", OPTIMISERS)
def test_made_again_it_is_the_same_and_with_another_number_another(name):
    make = OPTIMISERS[name]
    first = interned(make(0.125))
    assert interned(make(0.125)) is first
    assert interned(make(0.25)) is not first


def test_what_a_function_can_see_tells_it_apart():
    """Globals, defaults, arrays and signs of zero; a list that has changed since; what can change unseen."""

    def by_global():
        return lambda x: SCALE * x

    global SCALE
    before = interned(by_global())
    SCALE = 3.0
    assert interned(by_global()) is not before
    SCALE = 2.0
    assert interned(by_global()) is before

    def closing(value):
        return lambda: value

    def default(value):
        return lambda x=value: x

    for make in (closing, default):
        for one, other in (
            (0.0, -0.0),
            (1, 1.0),
            (1, True),
            (jnp.ones(2), jnp.zeros(2)),
            (np.ones(2), np.ones((2, 1))),
            KEYS,
        ):
            assert interned(make(one)) is not interned(make(other))
        assert interned(make(jnp.ones(2))) is interned(make(jnp.ones(2)))
    held = [1, 2]
    first = interned(closing(held))
    held.append(3)
    second = interned(closing([1, 2]))
    assert second is not first
    assert second() == [1, 2]

    class Settings:
        rate = 1.0

    settings = Settings()
    assert interned(closing(settings)) is not interned(closing(settings))


@pytree
class Held:
    """Something with an optimiser."""

    x: jax.Array
    optimizer: object = static()


def test_an_equal_object_is_not_compiled_again():
    traced = []

    @jax.jit
    def f(held):
        traced.append(None)
        return held.x

    for rate in (0.125, 0.125, 0.25):
        f(Held(jnp.ones(()), optax.adam(rate)))
    assert len(traced) == 2
