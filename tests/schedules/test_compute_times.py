"""Each law of compute times against scipy's distribution function, and its validation."""

import jax
import numpy as np
import pytest
from scipy import stats

import a3cjax
from a3cjax.schedules.compute_times import ComputeTime

ct = a3cjax.compute_times


def lognormal(mean, cv):
    sigma2 = np.log1p(cv**2)
    return stats.lognorm(np.sqrt(sigma2), scale=mean * np.exp(-sigma2 / 2))


CONTINUOUS = {
    "exponential": (ct.Exponential(2.0), stats.expon(scale=2.0)),
    "uniform": (ct.Uniform(1.0, 4.0), stats.uniform(1.0, 3.0)),
    "lognormal .2": (ct.Lognormal(3.0, cv=0.2), lognormal(3.0, 0.2)),
    "lognormal 2": (ct.Lognormal(3.0, cv=2.0), lognormal(3.0, 2.0)),
    "gamma .5": (ct.Gamma(2.0, cv=0.5), stats.gamma(4.0, scale=0.5)),
    "gamma 1": (ct.Gamma(2.0, cv=1.0), stats.gamma(1.0, scale=2.0)),
    "gamma 2": (ct.Gamma(2.0, cv=2.0), stats.gamma(0.25, scale=8.0)),
    "pareto": (ct.Pareto(3.0, shape=1.5), stats.pareto(1.5, scale=1.0)),
}


def samples(law, count=100_000, seed=0):
    return np.asarray(draw(law, jax.random.split(jax.random.key(seed), count)))


@jax.jit
def draw(law, keys):
    """One compilation for all the laws of a class."""
    return jax.vmap(law.sample)(keys)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_law_is_the_distribution_it_is_named_after(name):
    """Kolmogorov and Smirnov: P(√n D > 2.23) = 2 exp(−2 · 2.23²) ≈ 1e-4."""
    law, distribution = CONTINUOUS[name]
    drawn = samples(law)
    assert drawn.min() > 0
    assert np.sqrt(len(drawn)) * stats.kstest(drawn, distribution.cdf).statistic < 2.23
    assert law.mean == pytest.approx(distribution.mean())


@pytest.mark.parametrize("name", CONTINUOUS)
def test_scaled_multiplies_every_draw(name):
    law, _ = CONTINUOUS[name]
    assert law.scaled(10.0).mean == pytest.approx(10 * law.mean)
    np.testing.assert_allclose(samples(law.scaled(10.0), 100), 10 * samples(law, 100), rtol=2e-6)


def test_deterministic_and_empirical():
    assert set(samples(ct.Deterministic(2.5), 10)) == {2.5}
    assert ct.Deterministic(2.5).scaled(2).mean == 5
    law = ct.Empirical([1.0, 1.0, 4.0])
    assert law.mean == 2
    # Each draw is 4 with probability 1/3: four standard deviations of 30 000 draws are 0.0109.
    assert (samples(law, 30_000) == 4).mean() == pytest.approx(1 / 3, abs=0.0109)
    np.testing.assert_array_equal(law.scaled(3.0).values, [3.0, 3.0, 12.0])


def test_lognormal_without_spread_is_deterministic():
    np.testing.assert_allclose(samples(ct.Lognormal(2.0, cv=0.0), 5), 2.0, rtol=1e-6)


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".npy"])
def test_empirical_reads_files(tmp_path, suffix):
    path = tmp_path / f"times{suffix}"
    if suffix == ".npy":
        np.save(path, np.array([0.5, 1.5]))
    else:
        path.write_text("seconds  # measured\n0.5\n1.5\n" if suffix == ".txt" else "0.5,1.5\n")
    np.testing.assert_array_equal(ct.Empirical(path).values, [0.5, 1.5])
    np.testing.assert_array_equal(ct.Empirical(str(path)).values, [0.5, 1.5])


def test_a_file_that_is_not_numbers_is_refused(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("k,tau\n0,1\n")
    with pytest.raises(ValueError, match=r"table.csv, line 1: 'k,tau' has a comma or semicolon; give one column"):
        ct.Empirical(path)


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: ct.Deterministic(0.0), "mean is 0, but must be greater than 0"),
        (lambda: ct.Exponential(-1.0), "mean is -1, but must be greater than 0"),
        (lambda: ct.Exponential(float("nan")), "mean is nan; every entry must be a finite number"),
        (lambda: ct.Lognormal(1.0, cv=-0.1), "cv is -0.1, but must be at least 0"),
        (lambda: ct.Gamma(1.0, cv=0.0), "cv is 0, but must be greater than 0"),
        (lambda: ct.Pareto(1.0, shape=1.0), "shape is 1, but must be greater than 1"),
        (lambda: ct.Uniform(2.0, 2.0), "high is 2.0, but must be greater than low, which is 2.0"),
        (lambda: ct.Uniform(-1.0, 2.0), "low is -1, but must be at least 0"),
        (lambda: ct.Empirical([]), r"values has shape \(0,\), but must be a vector of at least one number"),
        (lambda: ct.Empirical([1.0, -2.0]), r"values\[1\] is -2, but must be greater than 0"),
        (lambda: ct.Empirical(["fast"]), "values must be numbers or the path of a file of numbers"),
        (lambda: ct.Exponential(1.0).scaled(0.0), "factor is 0, but must be greater than 0"),
    ],
)
def test_bad_parameters_are_refused(build, sentence):
    with pytest.raises(ValueError, match=sentence):
        build()


def test_every_law_meets_the_protocol():
    laws = [ct.Deterministic(1.0), ct.Empirical([1.0]), *(law for law, _ in CONTINUOUS.values())]
    assert all(isinstance(law, ComputeTime) for law in laws)
