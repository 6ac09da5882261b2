"""Compute times by laws that users write, and what is refused as no law, no team or no wait."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import a3cjax

ct = a3cjax.compute_times
from_workers = a3cjax.Schedule.from_workers
KEY = jax.random.key(0)
WAITS: dict[str, Any] = {"read_latency": 0.3, "write_time": 0.02}


def test_a_law_of_the_users_own():
    """Anything with a mean and a sample that JAX can look inside: here the faster of two exponential tries."""

    @jax.tree_util.register_dataclass
    @dataclass
    class Faster:
        mean: float = 0.5

        def sample(self, key):
            return jax.random.exponential(key, (2,)).min()

    schedule = from_workers(KEY, [Faster()] * 4, 4000)
    # 4000 updates at rate 4 / 0.5 take 500, to four standard deviations √4000 / 8 of a sum of exponentials.
    assert schedule.time[-1] == pytest.approx(500, abs=4 * 4000**0.5 / 8)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"key": 0}, "key must be a JAX random key"),
        ({"compute_times": ct.Exponential(1.0)}, r"one law, but must be a list .*, as in \[law\] \* 8"),
        ({"compute_times": []}, "compute_times is empty; give a list with a law for each worker"),
        ({"compute_times": [ct.Exponential(1.0), 2.0]}, r"compute_times\[1\] is 2.0, which has no mean and sample"),
        (
            {"compute_times": [ct.Exponential(jnp.ones(3))]},
            r"compute_times\[0\] samples times of shape \(3,\), but must sample one; use jax.vmap for many",
        ),
        ({"num_updates": 0}, "num_updates is 0, but must be at least 1"),
        ({"num_updates": 2.5}, "num_updates must be a whole number, but is 2.5"),
        ({"read_latency": -1.0}, "read_latency is -1, but must be at least 0"),
        ({"write_time": float("nan")}, "write_time is nan; every entry must be a finite number"),
        ({"write_time": [0.1, 0.2]}, r"write_time has shape \(2,\), but must be one number for all workers"),
    ],
)
def test_bad_arguments_are_refused(change, sentence):
    arguments = {"key": KEY, "compute_times": [ct.Exponential(1.0)], "num_updates": 3} | change
    with pytest.raises(ValueError, match=sentence):
        from_workers(**arguments)


def own_law(sample) -> Any:
    """A plain class, which JAX cannot look inside."""
    return type("Mine", (), {"mean": 1.0, "sample": lambda self, key: sample(key)})()


def test_a_plain_class_draws_as_the_pytree_does():
    """It is compiled anew in each call, so that a change of the object is seen."""

    class Plain:
        mean = 2.0

        def sample(self, key):
            return ct.Exponential(self.mean).sample(key)

    law: Any = Plain()
    cases: list[tuple[float, dict[str, Any]]] = [(2.0, {}), (3.0, {}), (3.0, WAITS)]
    for mean, waits in cases:
        law.mean = mean
        mine = from_workers(KEY, [law, ct.Deterministic(0.9), law], 50, **waits)
        ours = from_workers(KEY, [ct.Exponential(mean), ct.Deterministic(0.9), ct.Exponential(mean)], 50, **waits)
        np.testing.assert_array_equal(mine.delay, ours.delay)
        np.testing.assert_allclose(mine.time, ours.time, rtol=1e-6)


def test_whole_compute_times_are_times():
    np.testing.assert_array_equal(from_workers(KEY, [own_law(lambda key: 2)], 3).time, [2.0, 4.0, 6.0])


STATEFUL = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("sample", "sentence"),
    [
        (lambda key: jnp.ones(1), r"compute_times\[1\] samples times of shape \(1,\), but must sample one"),
        (lambda key: True, r"compute_times\[1\] samples bool, but a compute time must be a positive number"),
        (lambda key: 0.0, r"compute_times\[1\].sample of Mine gave 0.0 at turn 0, but .* positive, finite number"),
        (lambda key: -2, r"compute_times\[1\].sample of Mine gave -2.0 at turn 0"),
        (lambda key: jnp.nan, r"compute_times\[1\].sample of Mine gave nan at turn 0"),
        (lambda key: jnp.inf, r"compute_times\[1\].sample of Mine gave inf at turn 0"),
        (lambda key: 1.0 if jax.random.bits(key) > 9 else 2.0, r"sample of Mine looks at a value while it is compiled"),
        (lambda key: STATEFUL.exponential(), r"sample of Mine gave two results for one key; draw from the key alone"),
    ],
)
@pytest.mark.parametrize("draw", [from_workers, a3cjax.Schedule.barrier], ids=["workers", "barrier"])
def test_a_law_that_draws_no_time_is_refused(draw, sample, sentence):
    with pytest.raises(ValueError, match=sentence):
        draw(KEY, [ct.Deterministic(1.0), own_law(sample)], 5)


def test_the_turn_of_a_bad_time_is_named():
    """Times 1, 1, 1, … until a word of the key is small: the first draw that is, counted by hand."""

    def sample(key):
        return jnp.where(jax.random.uniform(key) < 0.2, jnp.nan, 1.0)

    own = jax.random.fold_in(KEY, 0)
    first = next(t for t in range(100) if jax.random.uniform(jax.random.fold_in(own, t)) < 0.2)
    assert first > 0
    for waits in ({}, WAITS):
        with pytest.raises(ValueError, match=rf"compute_times\[0\].sample of Mine gave nan at turn {first},"):
            from_workers(KEY, [own_law(sample)], 60, **waits)


def test_a_law_of_delays_is_no_law_of_times():
    with pytest.raises(
        ValueError, match=r"Poisson, whose sample\(key, num_updates\) cannot be called as sample\(key\)"
    ):
        from_workers(KEY, [a3cjax.delays.Poisson(2.0)], 3)  # pyright: ignore[reportArgumentType]
