"""Intervals beside closed forms, SciPy's, Fieller's quadratic, and how often they cover."""

import math

import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from a3cjax.studies import mean_interval, power_law, proportion_interval, ratio_of_means
from a3cjax.studies.frame.statistics import log_reach
from a3cjax.studies.knee.interval import knee_interval

# -------------------------------------------------------------------------------------------------------------- means


def test_of_two_entries_the_interval_is_the_textbooks():
    # s = √2, so s/√2 = 1, and t_1 = tan(π · 0.475) = 12.706: a Cauchy law's quantile.
    t = math.tan(math.pi * 0.475)
    assert mean_interval([[4.0, 6.0], [-1.0, -3.0]])._asdict() == {
        "value": pytest.approx([5, -2]),
        "low": pytest.approx([5 - t, -2 - t]),
        "high": pytest.approx([5 + t, -2 + t]),
    }


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
@pytest.mark.parametrize("sample", [[1.0, 2.0, 3.0], [0.0, 1.0, 5.0, 6.0], [-7.0, -1.0, 0.0, 0.0, 1.0, 7.0]])
def test_of_a_symmetric_sample_it_is_students(sample, confidence):
    ends = scipy.stats.ttest_1samp(sample, 0).confidence_interval(confidence)
    assert mean_interval(sample, confidence=confidence)[1:] == pytest.approx((ends.low, ends.high))


@pytest.mark.parametrize("sample", [[1.0, 2.0, 9.0], [0.1, 0.2, 0.2, 0.5, 3.0], [-8.0, -1.0, 0.0, 0.0]])
def test_of_a_skewed_sample_its_ends_are_where_halls_polynomial_is_students_quantile(sample):
    # Hall (1992): with g = m_3/m_2^(3/2), T + g T²/(3√n) + g² T³/(27 n) + g/(6√n) is ±t at the ends.
    n, x = len(sample), np.array(sample)
    g = scipy.stats.skew(x)
    error = x.std(ddof=1) / math.sqrt(n)

    def hall(mu):
        t = (x.mean() - mu) / error
        return t + g * t**2 / (3 * math.sqrt(n)) + g**2 * t**3 / (27 * n) + g / (6 * math.sqrt(n))

    quantile = scipy.stats.t(n - 1).ppf(0.975)
    width = 1000 * error
    expected = [
        scipy.optimize.brentq(lambda mu, y=y: hall(mu) - y, x.mean() - width, x.mean() + width, xtol=1e-13)
        for y in (quantile, -quantile)
    ]
    assert mean_interval(sample)[1:] == pytest.approx(expected)


def test_cells_that_do_not_vary_are_exact():
    for n in (2, 3, 4, 7, 10, 32):
        cells = np.repeat(np.arange(1, 229)[:, None] * 0.1, n, axis=1)
        for part in mean_interval(cells):
            assert np.array_equal(part, cells[:, 0])
    assert ratio_of_means(np.full(7, 0.1), np.full(10, 0.1)) == (1, 1, 1)
    law = power_law([1, 2, 4], [np.full(n, 0.1) for n in (3, 7, 10)])
    assert law.low == law.exponent == law.high == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("value", [0.1, 0.7348, -3.3, 1e-300, 1e300, 5e-324])
@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_cells_that_vary_by_an_ulp_hold_their_mean(value, n):
    # Every pattern of value and its neighbour; warnings are errors.
    patterns = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    cells = np.where(patterns, np.nextafter(value, np.inf), value)
    mean, low, high = mean_interval(cells)
    assert ((low <= mean) & (mean <= high)).all()
    # As patterns of 0 and 1 have it, in units of an ulp, but for the rounding of the mean, by up to one, and of an end.
    ulp = np.nextafter(value, np.inf) - value
    exact = mean_interval(patterns)
    for end, expected in zip((low, high), exact[1:], strict=True):
        if value != 5e-324:  # whose deviations are rounded too
            assert np.abs((end - value) / ulp - expected).max() <= 1.5
    assert ((mean >= cells.min(1)) & (mean <= cells.max(1))).all()
    if value > 0 and value != 5e-324:
        for row in cells[1:-1]:
            ratio, law = ratio_of_means(row, cells[1]), power_law([1, 2], [row, cells[1]])
            assert ratio.low <= ratio.value <= ratio.high
            assert law.low <= law.exponent <= law.high


def test_the_interval_moves_turns_and_scales_with_its_sample():
    sample = np.random.default_rng(0).exponential(size=(20, 5))
    mean, low, high = mean_interval(sample)
    assert (low < mean).all()
    assert (mean < high).all()
    for moved, expected in (
        (sample * 2.0**-900, (low * 2.0**-900, high * 2.0**-900)),  # squares would be zero
        (sample * 2.0**900, (low * 2.0**900, high * 2.0**900)),  # and infinite
        (-sample, (-high, -low)),
        (sample + 3, (low + 3, high + 3)),
    ):
        for end, wanted in zip(mean_interval(moved)[1:], expected, strict=True):
            assert end == pytest.approx(wanted, rel=1e-12)


def test_the_mean_is_in_its_interval_whatever_is_asked_for():
    # With T = 0 Hall's Y is a/6 = 0.13, and t_7 for 5 % is 0.065.
    mean, low, high = mean_interval([0.0] * 7 + [1.0], confidence=0.05)
    assert low <= mean <= high
    assert low < high


def test_a_mean_that_cannot_be_known_is_nan():
    mean, low, high = mean_interval([[1.0, np.nan], [1.0, np.inf], [1.0, 2.0]])
    assert np.array_equal(mean, [np.nan, np.inf, 1.5], equal_nan=True)
    assert np.isnan(low).tolist() == np.isnan(high).tolist() == [True, True, False]
    one = mean_interval([[3.0], [4.0]])
    assert one.value.tolist() == [3, 4]
    assert np.isnan(one.low).all()
    assert np.isnan(one.high).all()


# ------------------------------------------------------------------------------------------------------------- ratios


def test_the_interval_of_a_ratio_is_the_delta_methods():
    # Relative variances of the means: of (9, 11) 1/100; of (4, 5, 6) 1/3/25 = 1/75. Their shares of the sum, 7/300,
    # are 3/7 and 4/7, so f = 1/((3/7)²/2 + (4/7)²/3) − 1 = 294/59 − 1.
    reach = scipy.stats.t(294 / 59 - 1).ppf(0.975) * math.sqrt(7 / 300)
    ratio = ratio_of_means([9.0, 11.0], [4.0, 5.0, 6.0])
    assert ratio == pytest.approx((2, 2 * math.exp(-reach), 2 * math.exp(reach)))
    # A sample that does not vary leaves the other's degrees of freedom.
    reach = scipy.stats.t(2).ppf(0.95) * math.sqrt(1 / 75)
    ratio = ratio_of_means([10.0] * 9, [4.0, 5.0, 6.0], confidence=0.9)
    assert ratio == pytest.approx((2, 2 * math.exp(-reach), 2 * math.exp(reach)))


def test_the_interval_of_a_ratio_of_pairs_is_that_of_their_residuals():
    # x − 2y = 1, −1, 0, so s = 1; x̄ = 10.
    reach = scipy.stats.t(2).ppf(0.975) / math.sqrt(3) / 10
    ratio = ratio_of_means([9.0, 9.0, 12.0], [4.0, 5.0, 6.0], paired=True)
    assert ratio == pytest.approx((2, 2 * math.exp(-reach), 2 * math.exp(reach)))
    # Pairs on a line have no residuals but for rounding.
    for y in np.random.default_rng(0).uniform(1, 2, (100, 2)):
        three = ratio_of_means(3 * y, y, paired=True)
        assert three.low == three.value == three.high == pytest.approx(3)


@pytest.mark.parametrize("paired", [False, True])
def test_for_many_entries_it_agrees_with_fieller(paired):
    # The values ρ for which |x̄ − ρȳ| ≤ z sqrt((s_x² − 2ρ s_xy + ρ² s_y²)/n), a quadratic in ρ; s_xy = 0 if independent.
    rng, n = np.random.default_rng(1), 800
    y = rng.normal(5.0, 0.5, n)
    x = (4 * y if paired else 20) + rng.normal(0, 3.0, n)
    z = scipy.stats.norm.ppf(0.975)
    (vx, vxy), (_, vy) = np.cov(x, y) / n
    vxy = vxy if paired else 0
    low, high = np.sort(
        np.roots([y.mean() ** 2 - z**2 * vy, -2 * (x.mean() * y.mean() - z**2 * vxy), x.mean() ** 2 - z**2 * vx])
    )
    ratio = ratio_of_means(x, y, paired=paired)
    assert ratio.value == x.mean() / y.mean()
    assert ratio[1:] == pytest.approx((low, high), abs=0.01 * (high - low))


def test_negative_means_have_ratios_too():
    x, y = np.array([9.0, 11.0, 13.0]), np.array([4.0, 5.0, 7.0])
    for paired in (False, True):
        value, low, high = ratio_of_means(x, y, paired=paired)
        assert ratio_of_means(-x, -y, paired=paired) == pytest.approx((value, low, high))
        assert ratio_of_means(-x, y, paired=paired) == pytest.approx((-value, -high, -low))


def test_a_ratio_that_cannot_be_known_is_nan():
    for paired in (False, True):
        assert np.isnan(ratio_of_means([1.0, np.nan], [1.0, 2.0], paired=paired)).all()
        assert np.isnan(ratio_of_means([1.0, 2.0], [1.0, -1.0], paired=paired)).all()
        assert ratio_of_means([0.0, 0.0], [1.0, 2.0], paired=paired) == (0, 0, 0)
        value, low, high = ratio_of_means([3.0], [2.0], paired=paired)
        assert value == 1.5
        assert math.isnan(low)
        assert math.isnan(high)
    value, low, high = ratio_of_means([1.0, -1.0], [1.0, 2.0])
    assert value == 0
    assert math.isnan(low)
    assert math.isnan(high)
    # Lost in noise: 0.5 ± 1e4 · 12.7 over 1.
    assert ratio_of_means([-9999.0, 10000.0], [1.0, 1.0]) == (0.5, 0, math.inf)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: mean_interval(1.0), r"sample has shape \(\), but must have at least one entry"),
        (lambda: mean_interval(np.ones((3, 0))), r"sample has shape \(3, 0\), but must have at least one entry"),
        (lambda: mean_interval([1.0, 2.0], confidence=95), "confidence is 95, but must be less than 1"),
        (lambda: ratio_of_means([], [1.0]), r"numerator has shape \(0,\), but must have at least one entry"),
        (lambda: ratio_of_means([1.0], np.ones((2, 2))), r"denominator has shape \(2, 2\), but must have one axis"),
        (
            lambda: ratio_of_means([1.0, 2.0], [1.0], paired=True),
            "numerator has 2 entries and denominator 1, but pairs",
        ),
        (lambda: ratio_of_means([1.0], [1.0], confidence=0), "confidence is 0, but must be greater than 0"),
        (lambda: power_law([1, 0], [[1.0], [1.0]]), r"x\[1\] is 0, but must be greater than 0"),
        (lambda: power_law([2, 2], [[1.0], [1.0]]), "x holds 2 only, but a slope needs two different values"),
        (lambda: power_law([1, 2], [[1.0]]), "x has 2 entries and there are 1 samples"),
        (lambda: power_law([1, 2], [[1.0], []]), r"samples\[1\] has shape \(0,\)"),
        (lambda: power_law([1, 2], [[1.0], [2.0]], confidence=1), "confidence is 1, but must be less than 1"),
        (lambda: proportion_interval(9, 8), "successes is 9, but must be at most 8"),
        (lambda: proportion_interval([1, -1], 8), r"successes\[1\] is -1, but must be at least 0"),
        (lambda: proportion_interval(0, 0), "trials is 0, but must be at least 1"),
    ],
)
def test_bad_input_is_one_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


# ----------------------------------------------------------------------------------------------------------- coverage


@pytest.mark.parametrize("entries", [2, 3, 4, 8, 32])
@pytest.mark.parametrize("variances", [1, 2, 4])
def test_two_samples_of_different_spread_are_covered_as_often_as_promised(entries, variances):
    """The exact coverage for small relative deviations, where log means are normal, as an integral.

    With d = n − 1 and θ the first sample's share of the variance σ² of the difference, estimates v_1 = σ²θ χ²_d/d and
    v_2 alike have a ratio that is F(d, d) times θ/(1 − θ), and independently of it v_1 d/(θσ²) + v_2 d/((1 − θ)σ²) is
    χ² with 2d degrees of freedom. So with c = v_1/(v_1 + v_2) given, the difference over √(v_1 + v_2) is t_2d times
    √((c/θ + (1 − c)/(1 − θ))/2).
    """
    d, theta = entries - 1, variances / (1 + variances)
    odds = scipy.stats.f(d, d).ppf((np.arange(2000) + 0.5) / 2000) * theta / (1 - theta)
    c = odds / (1 + odds)
    quantile = log_reach(np.ones(2), np.stack([c, 1 - c], -1), d, 0.95)
    wide = np.sqrt((c / theta + (1 - c) / (1 - theta)) / 2)
    covered = 1 - 2 * scipy.stats.t(2 * d).sf(quantile / wide).mean()
    assert 0.94 < covered < 0.965


def coverages(draw, n, times):
    """How many of ``times`` intervals hold the truth, for samples of n whose entries ``draw`` makes, of mean one."""
    x = draw((4, times, n))
    _, low, high = mean_interval(x[0])
    found = {"mean": int(((low <= 1) & (high >= 1)).sum())}

    def count(interval, truth):
        return sum(low <= truth <= high for low, high in map(interval, range(times)))

    found["ratio"] = count(lambda i: ratio_of_means(x[0, i], 3 * x[1, i])[1:], 1 / 3)
    both = (x[0] + x[1]) / 2
    found["pairs"] = count(lambda i: ratio_of_means(both[i], x[1, i], paired=True)[1:], 1)
    at = np.array([1.0, 10.0, 100.0, 1000.0])
    found["slope"] = count(lambda i: power_law(at, list(at[:, None] ** -0.4 * x[:, i]))[1:3], -0.4)
    # Efficiencies 1, 0.75, 0.25: a knee of 8 workers, half-way between 4 and 16 on a logarithmic scale.
    updates = np.array([90.0, 120.0, 360.0])[:, None] * np.moveaxis(x[:3], 0, 1)
    _, low, high = knee_interval(updates, np.array([1, 4, 16]), 0.5, 0.95)
    return found | {"knee": int(((low <= 8) & (high >= 8)).sum())}


@pytest.mark.parametrize("n", [2, 3, 8])
@pytest.mark.parametrize("law", ["normal", "lognormal"])
def test_intervals_cover_as_often_as_they_say(law, n):
    # 94 to 96.5 % of normal values of deviation 0.2, and 92 % or more of lognormal(0.5) ones; beside these four
    # deviations of a binomial law. A percentile bootstrap, and BCa's, cover 51 to 65 % at n = 2 and 87 % at 8.
    rng, times = np.random.default_rng(n), 1000
    draws = {
        "normal": lambda size: rng.normal(1, 0.2, size),
        "lognormal": lambda size: rng.lognormal(-0.125, 0.5, size),
    }
    least, most = {"normal": (0.94, 0.965), "lognormal": (0.92, 0.975)}[law]
    for statistic, covered in coverages(draws[law], n, times).items():
        for bound, side in ((least, -1), (most, 1)):
            end = bound * times + side * 4 * math.sqrt(times * bound * (1 - bound))
            assert side * (covered - end) <= 0, f"{statistic}: {covered} of {times}"
