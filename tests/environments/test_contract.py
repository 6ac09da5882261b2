"""What an environment is told that breaks the contract, by the learner and by the check."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from a3cjax.environments import AbstractEnvironment, CartPole, Environment, Step
from a3cjax.environments.adopted import OpaqueEnvironment, adopted, shapes_of
from a3cjax.testing import check_environment


class Walk(AbstractEnvironment):
    """Left or right; each subclass breaks one promise."""

    num_actions = 2

    def reset(self, key):
        return jnp.int32(0), jnp.zeros(2)

    def step(self, key, state, action):
        state = state + 2 * jnp.asarray(action, jnp.int32) - 1
        return Step(state, jnp.full(2, state, jnp.float32), jnp.float32(1), jnp.abs(state) > 2, jnp.bool_(False))


class Growing(Walk):
    def step(self, key, state, action):
        return super().step(key, state, action)._replace(observation=jnp.zeros(3))


class Retyping(Walk):
    def step(self, key, state, action):
        return super().step(key, state, action)._replace(state=jnp.float32(state))


class Restructured(Walk):
    def step(self, key, state, action):
        return super().step(key, state, action)._replace(state=(state,))


class Vectors(Walk):
    def step(self, key, state, action):
        return super().step(key, state, action)._replace(reward=jnp.zeros(2))


class Four(Walk):
    def step(self, key, state, action) -> Any:
        return tuple(super().step(key, state, action))[:4]


class Alone(Walk):
    def reset(self, key) -> Any:
        return jnp.int32(0)


class Looking(Walk):
    def step(self, key, state, action):
        return super().step(key, state, action if state > 0 else 0)


class Spaceless(Walk):
    num_actions = None


class Both(Walk):
    action_size = 1


class Unpaid(Walk):
    def step(self, key, state, action):
        step = super().step(key, state, action)
        return step._replace(reward=jnp.where(step.state == 2, jnp.nan, 1))


class Hopeful(Walk):
    endless = False

    def step(self, key, state, action):
        step = super().step(key, state, action)
        return step._replace(terminated=jnp.bool_(False), truncated=step.terminated)


class Eternal(Walk):
    endless = False

    def step(self, key, state, action):
        return super().step(key, state, action)._replace(terminated=jnp.bool_(False))


CALLS = []


class Remembering(Walk):
    def reset(self, key):
        CALLS.append(None)
        return jnp.int32(0), jnp.full(2, float(len(CALLS)))


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (
            Growing,
            r"step of Growing returns observation as float32\[3\], but reset gives float32\[2\]; shapes and dtypes",
        ),
        (Retyping, r"step of Retyping returns state as float32\[\], but reset gives int32\[\]"),
        (Restructured, r"step of Restructured returns a state of another structure than reset does"),
        (Vectors, r"step of Vectors returns reward as float32\[2\], but it must be one number"),
        (Four, r"step of Four must return an a3cjax.environments.Step\(state, .*\), but returns a tuple of 4"),
        (Alone, r"reset of Alone must return a pair, \(state, observation\), but returns int32\[\]"),
        (Looking, r"step of Looking looks at a value while it is compiled"),
        (Spaceless, r"Spaceless, which has neither num_actions nor action_size; give it num_actions if"),
        (Both, r"Both, which has both num_actions and action_size"),
        (Unpaid, r"Unpaid does not keep the contract of an environment \(finite\): reward is nan at step \d+"),
        (Hopeful, r"\(ends\): endless is False, but step \d+ truncates an episode"),
        (Eternal, r"\(ends\): endless is False, but none of 64 steps terminates an episode"),
        (Remembering, r"\(pure\): step 0, taken again with the same keys, gives another observation"),
    ],
)
def test_an_environment_is_told_what_it_breaks(kind, sentence):
    with pytest.raises(ValueError, match=sentence):
        check_environment(kind(), num_steps=64)


def test_what_is_none_is_told_so():
    for thing, sentence in (
        (CartPole, r"environment is the class CartPole; give an instance, such as CartPole\(\)"),
        ("CartPole-v1", r"environment is a str, which has no method reset nor step; derive it from"),
    ):
        with pytest.raises(ValueError, match=sentence):
            adopted(thing)


class Plain:
    """No pytree: JAX takes it as a whole, and so does the program."""

    num_actions = 2
    endless = False
    reset, step = Walk.reset, lambda self, key, state, action: Walk().step(key, state, action)


@dataclasses.dataclass
class Unhashable(Plain):
    data: list


def test_a_class_that_is_no_pytree_is_part_of_the_program():
    assert isinstance(Plain(), Environment)
    held = adopted(Plain())
    assert isinstance(held, OpaqueEnvironment)
    assert (held.num_actions, held.action_size, held.endless, jax.tree.leaves(held)) == (2, None, False, [])
    assert shapes_of(held).observation.shape == (2,)
    assert check_environment(Plain(), num_steps=64) == ("spaces", "shapes", "finite", "ends", "pure", "batch")
    with pytest.raises(
        ValueError, match=r"Unhashable, which JAX cannot look inside and which cannot be hashed; derive"
    ):
        adopted(Unhashable([]))
