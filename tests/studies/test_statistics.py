import numpy as np
import pytest
import scipy.stats

from a3cjax.studies import first_crossing, ratio_of_means


def test_a_crossing_is_interpolated_between_the_record_below_and_the_record_above():
    # From 0.25 at 100 to 0.75 at 200, so 0.5 is met at 150 and 0.7 at 190.
    curve = [0.0, 0.25, 0.75, 1.0]
    updates = [0, 100, 200, 300]
    assert first_crossing(curve, 0.5).at(updates) == pytest.approx(150)
    assert first_crossing(curve, 0.7).at(updates) == pytest.approx(190)


def test_the_same_crossing_is_found_on_every_axis():
    crossing = first_crossing([[0.0, 1.0, 2.0], [0.0, 3.0, 6.0]], 1.5)
    # Run 0 meets 1.5 halfway through its second interval, run 1 halfway through its first.
    assert crossing.at([0, 10, 20]).tolist() == [15, 5]
    assert crossing.at([[0, 1, 4], [0, 2, 9]]).tolist() == [2.5, 1]


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ([0.0, 0.2, 0.4], np.nan),  # never
        ([0.0, 0.5, 0.4], 10.0),  # at a record exactly, and lost again
        ([0.0, 0.9, 0.1, 0.9], 50 / 9),  # the first of two
        ([0.6, 0.7, 0.8], 0.0),  # from the start
        ([0.0, np.nan, 0.6], 20.0),  # nothing to interpolate from
        ([0.0, 0.4, np.nan], np.nan),  # stopped being finite before
    ],
)
def test_the_first_time_that_a_half_is_met(curve, expected):
    found = first_crossing(curve, 0.5).at(np.arange(len(curve)) * 10.0)
    assert found == pytest.approx(expected, nan_ok=True)


def test_the_interval_of_a_ratio_agrees_with_fieller():
    # For independent normal samples Fieller's theorem gives the exact interval of a ratio of means: the values ρ for
    # which |x̄ − ρȳ| ≤ z sqrt(s_x²/n + ρ² s_y²/m), a quadratic in ρ.
    rng = np.random.default_rng(1)
    x, y = rng.normal(20.0, 3.0, 200), rng.normal(5.0, 0.5, 150)
    z = scipy.stats.norm.ppf(0.975)
    vx, vy = x.var(ddof=1) / x.size, y.var(ddof=1) / y.size
    low, high = np.sort(np.roots([y.mean() ** 2 - z**2 * vy, -2 * x.mean() * y.mean(), x.mean() ** 2 - z**2 * vx]))
    ratio = ratio_of_means(x, y)
    assert ratio.value == x.mean() / y.mean()
    width = high - low
    assert ratio.low == pytest.approx(low, abs=0.1 * width)
    assert ratio.high == pytest.approx(high, abs=0.1 * width)


def test_the_interval_covers_as_often_as_it_says():
    # 300 studies with a true ratio of 4: the number whose 90 % interval misses is binomial(300, p) with p a little
    # above 0.1 in samples of 25, so 17 to 55 is the range of four standard deviations around p from 0.1 to 0.13.
    rng = np.random.default_rng(2)
    misses = 0
    for _ in range(300):
        ratio = ratio_of_means(rng.normal(8, 1, 25), rng.normal(2, 0.3, 25), confidence=0.9, resamples=499)
        misses += not ratio.low <= 4 <= ratio.high
    assert 10 <= misses <= 55


def test_both_samples_are_resampled():
    rng = np.random.default_rng(3)
    steady, shaky = np.full(40, 2.0), rng.normal(2.0, 0.4, 40)
    for pair in ((steady, shaky), (shaky, steady)):
        ratio = ratio_of_means(*pair)
        assert ratio.low < ratio.value < ratio.high


def test_what_cannot_be_known_is_nan():
    assert np.isnan(ratio_of_means([1.0, np.nan], [1.0, 2.0])).all()
    value, low, high = ratio_of_means([3.0], [2.0])
    assert value == 1.5
    assert np.isnan(low)
    assert np.isnan(high)
    assert ratio_of_means([4.0, 4.0], [2.0, 2.0]) == (2.0, 2.0, 2.0)


def test_of_pairs_the_pairs_are_resampled():
    # x = 3y + noise of deviation .5: by the delta method Var(x̄/ȳ) ≈ .25/(n ȳ²), which independent resampling, that
    # adds the variance of y twice over, would make 9·4·2/.25 times as large.
    rng = np.random.default_rng(4)
    y = rng.normal(10, 2, 400)
    x = 3 * y + rng.normal(0, 0.5, 400)
    ratio = ratio_of_means(x, y, paired=True)
    assert ratio.high - ratio.low == pytest.approx(2 * 1.96 * 0.5 / (20 * 10), rel=0.15)
    assert ratio.low < 3 + 5 * 0.0025
    assert ratio.high > 3 - 5 * 0.0025
    assert ratio_of_means(3 * y, y, paired=True) == pytest.approx((3, 3, 3))
