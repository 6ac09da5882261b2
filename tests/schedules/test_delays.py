"""Each law of delays against scipy's probabilities, and its validation."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import a3cjax
from a3cjax.schedules.delays import DelayLaw

delays = a3cjax.delays

LAWS = {
    "uniform": (delays.Uniform(3, 9), stats.randint(3, 10)),
    "geometric 0.3": (delays.Geometric(0.3), stats.geom(1 / 1.3, loc=-1)),
    "geometric 7": (delays.Geometric(7.0), stats.geom(1 / 8, loc=-1)),
    "poisson 0.5": (delays.Poisson(0.5), stats.poisson(0.5)),
    "poisson 7": (delays.Poisson(7.0), stats.poisson(7.0)),
    "poisson 12": (delays.Poisson(12.0), stats.poisson(12.0)),
    "poisson 40": (delays.Poisson(40.0), stats.poisson(40.0)),
    "poisson 2000": (delays.Poisson(2000.0), stats.poisson(2000.0)),
    "zipf 1.5": (delays.Zipf(1.5, max=100), stats.zipfian(1.5, 100)),
    "zipf 0": (delays.Zipf(0.0, max=5), stats.randint(1, 6)),
}


@partial(jax.jit, static_argnums=2)
def draw(law, key, num_updates):
    """One compilation for all the laws of a class."""
    return law.sample(key, num_updates)


def chi_square(values, distribution):
    """Pearson's statistic over cells that expect at least 20, and its 1 − 1e-4 quantile."""
    count = len(values)
    low, high = int(distribution.ppf(1e-9)), int(distribution.ppf(1 - 1e-9))
    cells = np.arange(min(low, values.min()), max(high, values.max()) + 1)
    expected = count * distribution.pmf(cells)
    observed = np.bincount(values - cells[0], minlength=len(cells))
    # Consecutive cells are pooled until each expects at least 20; what is left joins the last.
    group = np.floor(np.cumsum(expected) / 20).astype(int)
    group = np.minimum(group, group[-1] - 1)
    names, index = np.unique(group, return_inverse=True)
    pooled_expected = np.bincount(index, expected)
    pooled_observed = np.bincount(index, observed)
    statistic = ((pooled_observed - pooled_expected) ** 2 / np.maximum(pooled_expected, 1e-300)).sum()
    return statistic, stats.chi2(len(names) - 1).ppf(1 - 1e-4)


@pytest.mark.parametrize("name", LAWS)
def test_law_has_the_probabilities_it_is_named_after(name):
    law, distribution = LAWS[name]
    values = np.asarray(draw(law, jax.random.key(1), 200_000))
    assert values.dtype == np.int32
    statistic, bound = chi_square(values, distribution)
    assert statistic < bound
    assert law.mean == pytest.approx(distribution.mean(), rel=1e-5)


def test_constant_cyclic_and_empirical():
    key = jax.random.key(0)
    np.testing.assert_array_equal(delays.Constant(4).sample(key, 3), [4, 4, 4])
    np.testing.assert_array_equal(delays.Cyclic([3, 1]).sample(key, 5), [3, 1, 3, 1, 3])
    law = delays.Empirical([0, 5, 5, 5])
    assert (law.mean, delays.Cyclic([3, 1]).mean, delays.Constant(4).mean) == (3.75, 2, 4)
    # Each is 5 with probability 3/4: four standard deviations of 30 000 draws are 0.01.
    assert np.mean(law.sample(key, 30_000) == 5) == pytest.approx(0.75, abs=0.01)


def test_mean_zero_is_no_delay():
    for law in (delays.Geometric(0.0), delays.Poisson(0.0)):
        assert not np.asarray(draw(law, jax.random.key(0), 500)).any()


@pytest.mark.parametrize("name", LAWS)
def test_a_shorter_sample_begins_a_longer_one(name):
    law, _ = LAWS[name]
    np.testing.assert_array_equal(draw(law, jax.random.key(2), 50), draw(law, jax.random.key(2), 500)[:50])


@pytest.mark.parametrize("name", LAWS)
def test_a_program_that_draws_sooner_draws_the_same(name, monkeypatch):
    from a3cjax.schedules import _law

    def columns():
        schedule = a3cjax.Schedule.from_law(jax.random.key(3), LAWS[name][0], 2000, num_workers=3)
        return schedule.worker, schedule.delay

    quickly = columns()
    monkeypatch.setattr(_law, "_LONG", 1999)
    monkeypatch.delattr(_law, "_sooner_compiled")
    np.testing.assert_array_equal(columns(), quickly)


def test_parameters_are_traced():
    """One trace serves every mean, and a law is drawn under vmap as it is alone."""
    key, means, traces = jax.random.key(0), [3.0, 30.0], []

    @jax.jit
    def draw_one(law):
        traces.append(law)
        return law.sample(key, 500)

    alone = [draw_one(delays.Poisson(mean)) for mean in means]
    assert len(traces) == 1
    together = jax.jit(jax.vmap(lambda mean: delays.Poisson(mean).sample(key, 500)))(jnp.array(means))
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".npy"])
def test_values_come_from_files(tmp_path, suffix):
    path = tmp_path / f"delays{suffix}"
    if suffix == ".npy":
        np.save(path, np.array([0, 2, 1]))
    else:
        path.write_text("delay\n0\n2\n1\n" if suffix == ".csv" else "0 2 1")
    np.testing.assert_array_equal(delays.Cyclic(path).values, [0, 2, 1])
    np.testing.assert_array_equal(delays.Empirical(path).values, [0, 2, 1])


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: delays.Constant(-1), "value is -1, but must be at least 0"),
        (lambda: delays.Constant(1.5), "value is 1.5, but must be a whole number"),
        (lambda: delays.Constant("long"), "value must hold whole numbers, but is 'long'"),
        (lambda: delays.Constant(2**31), "value is 2147483648, but must be at most 2147483647"),
        (lambda: delays.Uniform(3, 2), "high is 2, but must be at least low, which is 3"),
        (lambda: delays.Geometric(-1.0), "mean is -1, but must be at least 0"),
        (lambda: delays.Poisson(float("inf")), "mean is inf; every entry must be a finite number"),
        (lambda: delays.Zipf(-0.5, max=3), "exponent is -0.5, but must be at least 0"),
        (lambda: delays.Zipf(1.0, max=0), "max is 0, but must be at least 1"),
        (lambda: delays.Cyclic([]), r"values has shape \(0,\), but must be a vector"),
        (lambda: delays.Cyclic([1, -2]), r"values\[1\] is -2.0, but must be at least 0"),
        (lambda: delays.Empirical([0.5]), r"values\[0\] is 0.5, but must be a whole number"),
    ],
)
def test_bad_parameters_are_refused(build, sentence):
    with pytest.raises(ValueError, match=sentence):
        build()


def test_every_law_meets_the_protocol():
    laws = [delays.Constant(1), delays.Cyclic([1]), delays.Empirical([1]), *(law for law, _ in LAWS.values())]
    assert all(isinstance(law, DelayLaw) for law in laws)


# --------------------------------------------------------------------------------------------------- laws of one's own


def own_law(sample) -> Any:
    """A plain class, which JAX cannot look inside."""
    return type("Mine", (), {"mean": 1.0, "sample": lambda self, key, num_updates: sample(key, num_updates)})()


@pytest.mark.parametrize(
    "sample",
    [
        lambda key, n: jnp.full(n, 2),
        lambda key, n: np.full(n, 2, np.uint8),
        lambda key, n: np.full(n, 2, np.int64),
        lambda key, n: [2] * n,
    ],
    ids=["jax", "uint8", "int64", "list"],
)
def test_a_plain_class_may_use_any_whole_numbers(sample):
    """min(2, k), and more than 256 of them, which do not fit the narrowest."""
    schedule = a3cjax.Schedule.from_law(jax.random.key(0), own_law(sample), 300)
    np.testing.assert_array_equal(schedule.delay, np.minimum(2, np.arange(300)))


@pytest.mark.parametrize("far", [np.uint32(2**32 - 1), np.int64(2**40), np.uint64(2**63)])
def test_delays_beyond_32_bits_reach_to_the_start(far):
    """They would be negative, or small, as int32."""
    schedule = a3cjax.Schedule.from_law(jax.random.key(0), own_law(lambda key, n: np.full(n, far)), 5)
    np.testing.assert_array_equal(schedule.delay, np.arange(5))


def test_a_plain_class_is_called_again_when_it_has_changed():
    class Mine:
        mean = 1

        def sample(self, key, num_updates):
            return jnp.full(num_updates, self.mean)

    law: Any = Mine()
    for mean in (1, 3):
        law.mean = mean
        assert a3cjax.Schedule.from_law(jax.random.key(0), law, 9).max_delay == mean
        traced = jax.jit(lambda key: a3cjax.Schedule.from_law(key, law, 9).delay)(jax.random.key(0))
        assert int(traced.max()) == mean


STATEFUL = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("sample", "sentence"),
    [
        (lambda key, n: jnp.full(n, 2.5), "law.sample of Mine gave float32, but delays are whole numbers of updates"),
        (lambda key, n: [2.0] * n, "law.sample of Mine gave float64, but delays are whole numbers"),
        (lambda key, n: jnp.ones(n, bool), "law.sample of Mine gave bool, but delays are whole numbers"),
        (lambda key, n: jnp.ones(1, int), r"gave delays of shape \(1,\), but must give one for each update, \(6,\)"),
        (lambda key, n: jnp.ones((n, 1), int), r"gave delays of shape \(6, 1\), but must give one"),
        (lambda key, n: 3, r"gave delays of shape \(\), but must give one"),
        (lambda key, n: jnp.arange(n) - 1, "law.sample of Mine gave -1 for update 0, but a delay must be at least 0"),
        (lambda key, n: np.full(n, -(2**40)), "law.sample of Mine gave -2147483648 for update 0"),
        (lambda key, n: STATEFUL.integers(0, 9, n), "law.sample of Mine gave two results for one key"),
    ],
)
def test_a_law_that_draws_no_delays_is_refused(sample, sentence):
    with pytest.raises(ValueError, match=sentence):
        a3cjax.Schedule.from_law(jax.random.key(0), own_law(sample), 6)


def test_what_a_law_of_ones_own_raises_says_where():
    with pytest.raises(ZeroDivisionError) as raised:
        a3cjax.Schedule.from_law(jax.random.key(0), own_law(lambda key, n: 1 // 0), 6)
    assert raised.value.__notes__ == ["Raised by law.sample of Mine."]


def test_a_pytree_of_ones_own_is_compiled_and_looked_at_too():
    @jax.tree_util.register_dataclass
    @dataclasses.dataclass
    class Mine:
        mean: float
        how: str = "whole"  # a leaf that is no number: JAX's own refusal used to be the answer

        def sample(self, key, num_updates):
            return jnp.full(num_updates, 2 if self.how == "whole" else 2.0)

    assert a3cjax.Schedule.from_law(jax.random.key(0), Mine(2.0), 9).max_delay == 2
    with pytest.raises(ValueError, match=r"law.sample of Mine gave float32"):
        a3cjax.Schedule.from_law(jax.random.key(0), Mine(2.0, "half"), 9)


def test_a_python_if_in_a_law_is_named():
    @jax.tree_util.register_dataclass
    @dataclasses.dataclass
    class Mine:
        mean: float

        def sample(self, key, num_updates):
            return jnp.full(num_updates, 2 if self.mean > 1 else 3)

    with pytest.raises(ValueError, match=r"law.sample of Mine looks at a value while it is compiled"):
        a3cjax.Schedule.from_law(jax.random.key(0), Mine(2.0), 9)


def test_a_law_of_times_is_no_law_of_delays():
    with pytest.raises(ValueError, match=r"whose sample\(key\) cannot be called as sample\(key, num_updates\)"):
        a3cjax.Schedule.from_law(jax.random.key(0), a3cjax.compute_times.Exponential(1.0), 9)  # pyright: ignore[reportArgumentType]
