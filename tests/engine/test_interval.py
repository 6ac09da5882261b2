"""Means with intervals: each axis is found by its name, and what is not known is told."""

import warnings

import numpy as np
import pytest
import scipy.stats
import xarray as xr

import a3cjax

# Two cells of five runs: one that is symmetric, so that the interval is x̄ ± t s/√n, and one that does not vary.
CELLS = np.array([[1.0, 2.0, 3.0, 4.0, 5.0], [7.0] * 5])
REACH = scipy.stats.t(4).ppf(0.975) * np.sqrt(2.5 / 5)  # s² of 1 … 5 is 10/4


def array(values, *names):
    labels = {name: np.arange(size) * 10 for name, size in zip(names, np.shape(values), strict=True)}
    return xr.DataArray(values, labels, names, name="objective", attrs={"units": "1"})


def test_the_axis_is_found_by_name_or_number():
    expected = [[3.0, 7.0], [3.0 - REACH, 7.0], [3.0 + REACH, 7.0]]
    np.testing.assert_allclose(a3cjax.interval(CELLS, -1), expected)
    np.testing.assert_allclose(a3cjax.interval(CELLS.T, over=0), expected)
    named = a3cjax.interval(array(CELLS.T, "seed", "step"), over="seed")
    np.testing.assert_allclose(named, expected)
    assert named.low.dims == ("step",)
    assert named.low.step.values.tolist() == [0, 10]
    assert (named.low.name, named.low.attrs) == ("objective", {"units": "1"})
    narrower = a3cjax.interval(CELLS, 1, confidence=0.5)
    np.testing.assert_allclose(narrower.high[0] - 3, scipy.stats.t(4).ppf(0.75) * np.sqrt(0.5))


def test_several_axes_are_pooled():
    cube = np.random.default_rng(0).standard_normal((3, 4, 2))
    flat = a3cjax.interval(np.moveaxis(cube, 1, 0).reshape(4, 6), over=1)
    np.testing.assert_allclose(a3cjax.interval(cube, (0, 2)), flat)
    np.testing.assert_allclose(a3cjax.interval(array(cube, "a", "b", "c"), ("c", "a")), flat)


def test_a_dataset_keeps_its_variables_and_axes():
    data = xr.Dataset(
        {"x": array(CELLS, "step", "seed"), "count": array(np.arange(10, dtype=np.int32).reshape(5, 2), "seed", "z")}
    ).assign_coords(time=("seed", np.arange(5.0)), half=("step", [0.5, 1.0]))
    mean, low, high = a3cjax.interval(data, "seed")
    np.testing.assert_allclose([mean.x, low.x, high.x], a3cjax.interval(CELLS, 1))
    assert mean["count"].values.tolist() == [4, 5]
    assert set(low.coords) == {"step", "half", "z"}
    assert high.sizes == {"step": 2, "z": 2}


def test_it_covers_what_it_says():
    """4000 samples of 6 normal values: 95 ± 1.4 %, four standard errors."""
    sample = array(np.random.default_rng(1).standard_normal((6, 4000)) + 3, "seed", "cell")
    _, low, high = a3cjax.interval(sample, "seed")
    assert float(((low <= 3) & (high >= 3)).mean()) == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / 4000))


def test_what_is_not_known_is_told():
    cells = np.vstack([CELLS, CELLS])
    cells[2, 0], cells[3, 1] = np.nan, np.inf
    with pytest.warns(
        UserWarning, match=r"objective holds a NaN or an infinity in 2 of 4 means, the first \[2\]; they"
    ):
        parts = a3cjax.interval(array(cells, "step", "seed"), "seed")
    assert np.isnan(np.array(parts))[:, 2:].all()
    assert np.isfinite(np.array(parts))[:, :2].all()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        a3cjax.interval(cells[2], 0)
    assert "in 1 of 1 means, the first the only one" in str(told[0].message)
    assert told[0].filename == __file__


@pytest.mark.parametrize(
    ("values", "over", "words"),
    [
        (array(CELLS, "step", "seed"), "sed", "over names the axis 'sed', but objective has 'step', 'seed'; give one"),
        (xr.Dataset({"a": ("seed", [1.0, 2.0]), "b": ("z", [1.0])}), "seed", "'seed', but b has 'z'"),
        (CELLS, "seed", "over is 'seed', but the axes of an array have numbers; use over=0"),
        (CELLS, 2, "over is 2, but values has 2 axes"),
        (CELLS, -3, "over is -3, but must be at least -2"),
        (CELLS, (0, -2), r"over is \[0, 0\], but must name each axis once"),
        (CELLS[:, :1], 1, "values has 1 entry along 1, which tells nothing of how far a mean may be off"),
        (CELLS > 2, 1, r"values holds True and False, .*proportion_interval"),
        (np.array(["a", "b"]), 0, "values holds <U1, and an interval is of real numbers"),
    ],
)
def test_what_has_no_interval_is_refused(values, over, words):
    with pytest.raises(ValueError, match=words):
        a3cjax.interval(values, over)


def test_a_confidence_is_between_0_and_1():
    with pytest.raises(ValueError, match="confidence is 95, but must be less than 1"):
        a3cjax.interval(CELLS, 1, confidence=95)
