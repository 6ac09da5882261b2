"""What learners, laws and problems print as."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import a3cjax
from a3cjax import QuadraticSGD
from a3cjax._core.text import text_of


def step(k):
    return 1 / (k + 1)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (a3cjax.compute_times.Exponential(2.0), "Exponential(mean=2.0)"),
        (a3cjax.delays.Uniform(0, 9), "Uniform(low=0, high=9)"),
        (a3cjax.compute_times.Empirical([1, 2, 3, 4, 5]), "Empirical(values=float64[5])"),
        (QuadraticSGD([1, 2], 0.5), "QuadraticSGD(curvature=[1.0, 2.0], step=0.5, noise=0.0, start=[1.0, 1.0])"),
        ((jnp.float32(0.1),), "(0.1,)"),
        ([jnp.zeros((2, 0)), None], "[float32[2, 0], None]"),
        (jax.random.key(0), "key<fry>[]"),
        (step, "step"),
        (jax.jit(step), "step"),
        (jax.tree_util.Partial(step), "step"),
        (functools.partial(step, k=jnp.arange(9)), "partial(step, k=int32[9])"),
        ({"a": np.array([True, False])}, "{'a': [True, False]}"),
    ],
)  # fmt: skip
def test_small_numbers_are_shown_and_arrays_have_shapes(value, text):
    assert text_of(value) == text


def test_a_learner_fits_a_screen_and_says_what_it_was_made_with():
    mdp = a3cjax.families.ring(5)
    lines = repr(a3cjax.A3C(mdp, actor_step=0.25, critic_step=step, prior=a3cjax.Prior.uniform(0.5, 5, 2))).splitlines()
    assert lines[:3] == ["A3C(", "    mdp=FiniteMDP(", "        transition=float32[5, 2, 5],"]
    for line in ("    actor_step=0.25,", "    critic_step=step,", "        discount=0.9,"):
        assert line in lines
    assert "    prior=Prior(weight=0.5, states=float32[5], policy=float32[5, 2])," in lines
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 100
    assert not any("sampler" in line for line in lines)  # which it makes itself


def test_what_is_traced_has_a_shape():
    said = []
    jax.jit(lambda mean: said.append(repr(a3cjax.compute_times.Exponential(mean))) or mean)(jnp.float32(2.0))
    assert said == ["Exponential(mean=float32[])"]
