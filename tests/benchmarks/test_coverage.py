"""What the benchmark of coverage counts."""

import math

import numpy as np
import pytest
import scipy.stats

from benchmarks import coverage
from benchmarks.coverage import LAWS, SIZES, STATISTICS


@pytest.mark.parametrize("law", LAWS)
def test_every_law_has_mean_one(law):
    # Four samples of 4000 · 5 entries; the greatest deviation is the exponential's, 1, so 5 standard errors are 0.018.
    draws = LAWS[law](np.random.default_rng(0), (4, 4000, 5))
    assert draws.shape == (4, 4000, 5)
    assert np.abs(draws.mean((1, 2)) - 1).max() < 5 * math.sqrt(1 / 20_000)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_half_is_covered_half_of_the_time(statistic):
    # 32 normal values are enough for any interval of 50 %; 400 of them vary by 2.5 %, and four deviations are allowed.
    share = coverage.coverage(statistic, "normal, 0.1", 32, repetitions=400, confidence=0.5, seed=0)
    assert share == pytest.approx(0.5, abs=4 * 0.025)


def test_it_counts_as_students_law_says(monkeypatch):
    # With quantiles of 80 % in the place of 95 %'s the mean of two normal values is covered 80 % of the time.
    monkeypatch.setattr("a3cjax._core.statistics.t_quantile", lambda freedom, confidence: scipy.stats.t(1).ppf(0.9))
    share = coverage.coverage("mean", "normal, 0.3", 2, repetitions=4000, confidence=0.95, seed=0)
    assert share == pytest.approx(0.8, abs=4 * math.sqrt(0.8 * 0.2 / 4000))


def test_the_table_has_a_line_for_each_statistic_and_law_and_its_error():
    header, *lines = coverage.report(repetitions=10, confidence=0.9, seed=0)
    assert (
        header == "Per cent of 10 intervals of 90 % that hold the truth, ± 9.49 (a standard error)"
    )  # √(0.9 · 0.1/10)
    assert [line[:22].strip() for line in lines] == [
        name for statistic in STATISTICS for name in ("", statistic, *LAWS)
    ]
    for line in lines:
        if line[:22].strip() in LAWS:
            assert len(line[22:].split()) == len(SIZES)
