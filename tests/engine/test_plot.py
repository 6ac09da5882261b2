"""What is drawn of a result is what was recorded: lines, bands and words are read off the figure."""

from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import scipy.stats
from matplotlib import pyplot as plt

import a3cjax

mpl.use("Agg")
STEPS, SEEDS = [0.1, 0.2], [0, 1, 2]
RUNS = {"step": STEPS, "seed": SEEDS}
UPDATES = np.array([5, 10, 15, 20], np.int32)
TABLE = np.random.default_rng(0).random((6, 4)) + 1


def made(**changes) -> Any:
    """Two steps × three seeds, in this order."""
    parts: dict[str, Any] = {
        "params": {"x": np.zeros((6, 1))},
        "updates": UPDATES,
        "time": np.tile(UPDATES * 0.5, (6, 1)),
        "metrics": {"objective": TABLE, "mean_delay": np.full((6, 4), 2.0)},
        "transitions": None,
        "nonfinite_from": np.full(6, -1),
    }
    return a3cjax.Result(**(parts | changes), state=None, num_updates=20)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def words(legend):
    return [text.get_text() for text in legend.get_texts()]


def test_means_over_seeds_with_their_intervals():
    (ax,) = made().plot("objective", RUNS).axes
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_yscale()) == ("updates", "objective", "linear")
    assert words(ax.get_legend()) == ["step = 0.1", "step = 0.2"]
    assert ax.get_legend().get_title().get_text() == "mean, 95 % interval over seed"
    symmetric = np.array([[1.0, 2.0, 3.0]] * 4).T  # of which the interval is 2 ± t s/√3, s = 1
    (ax,) = made(metrics={"objective": np.concatenate([symmetric, TABLE[:3]])}).plot(runs=RUNS).axes
    reach = scipy.stats.t(2).ppf(0.975) / np.sqrt(3)
    np.testing.assert_allclose(ax.lines[0].get_data(), [UPDATES, np.full(4, 2)])
    np.testing.assert_allclose(ax.lines[1].get_ydata(), TABLE[:3].mean(0))
    corners = ax.collections[0].get_paths()[0].vertices
    assert corners[:, 1].min() == pytest.approx(2 - reach)
    assert corners[:, 1].max() == pytest.approx(2 + reach)


def test_single_lines_against_time():
    times = np.arange(24.0).reshape(6, 4)
    (ax,) = made(time=times).plot("objective", RUNS, over=(), against="time").axes
    assert len(ax.lines) == 6
    assert not ax.collections
    for b, line in enumerate(ax.lines):
        np.testing.assert_array_equal(line.get_data(), [times[b], TABLE[b]])
    assert words(ax.get_legend())[4] == "step = 0.2, seed = 1"
    assert ax.get_xlabel() == "virtual time [unit of compute times]"
    (ax,) = made(time=times).plot("objective", RUNS, against="time").axes
    np.testing.assert_array_equal(ax.lines[1].get_xdata(), times[3:].mean(0))
    assert ax.get_xlabel().endswith(", mean over runs")
    (ax,) = made().plot("objective", RUNS, against="time").axes
    assert ax.get_xlabel().endswith("times]")


def test_a_panel_for_each_metric_and_one_legend():
    figure = made().plot(runs=RUNS)
    assert [ax.get_ylabel() for ax in figure.axes] == ["objective", "mean_delay [updates]"]
    assert [words(legend) for legend in figure.legends] == [["step = 0.1", "step = 0.2"]]
    assert all(ax.get_legend() is None for ax in figure.axes)


def test_vectors_have_a_line_for_each_entry_and_parts_their_names():
    metrics = {"both": {"x": np.arange(8.0).reshape(4, 2), "y": np.ones(4)}, "long": np.zeros((4, 9))}
    one = made(params={}, time=UPDATES * 1.0, metrics=metrics, nonfinite_from=np.int32(-1))
    figure = one.plot()
    assert [ax.get_ylabel() for ax in figure.axes] == ["both.x", "both.y"]
    assert words(figure.axes[0].get_legend()) == ["[0]", "[1]"]
    np.testing.assert_array_equal(figure.axes[0].lines[1].get_ydata(), [1, 3, 5, 7])
    assert figure.get_suptitle() == "Not drawn: long (9 entries)"
    assert len(one.plot("both").axes) == 2
    with pytest.raises(ValueError, match=r"at most 6 real entries to draw, but long \(9 entries\); record those"):
        one.plot("long")


def test_equal_runs_of_many_share_a_colour():
    many = made(
        time=UPDATES * 1.0, metrics={"x": np.arange(80.0).reshape(20, 4)}, nonfinite_from=np.full(20, -1), params={}
    )
    (ax,) = many.plot("x", {"step": STEPS, "seed": range(10)}, over=()).axes
    assert len({line.get_color() for line in ax.lines}) == 2
    assert words(ax.get_legend()) == ["step = 0.1", "step = 0.2"]
    (ax,) = many.plot("x", {"step": range(20)}).axes
    assert len({tuple(line.get_color()) for line in ax.lines}) == 20
    assert len(words(ax.get_legend())) == 5
    (ax,) = many.plot("x").axes
    assert len(ax.lines) == 1
    assert ax.get_legend().get_title().get_text() == "mean, 95 % interval over run"


def test_what_is_not_finite_is_told_and_a_wide_range_is_logarithmic():
    values = np.geomspace(1, 1e4, 24).reshape(6, 4)
    (ax,) = made(metrics={"x": values}).plot(runs=RUNS, over=()).axes
    assert ax.get_yscale() == "log"
    values[4, 2:] = np.nan
    (ax,) = made(metrics={"x": values}).plot(runs=RUNS).axes
    assert np.isnan(ax.lines[1].get_ydata()).tolist() == [False, False, True, True]
    assert ax.get_title(loc="right") == "2 of 8 values are not finite"


def test_into_axes_of_ones_own():
    figure, ax = plt.subplots()
    assert made().plot("objective", RUNS, ax=ax) is figure
    assert len(ax.lines) == 2


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"metric": "objectives"}, "metric names 'objectives', which was not recorded; there is objective, mean_delay"),
        ({"over": "sed"}, "over names the axis 'sed', but the result has 'step', 'seed'; see runs"),
        ({"against": "clock"}, "against is 'clock', but must be one of"),
        ({"confidence": 95}, "confidence is 95"),
        ({"ax": 0}, "ax takes one metric, but metric names objective, mean_delay; choose one"),
    ],
)
def test_what_cannot_be_drawn_is_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        made().plot(runs=RUNS, **options)


def test_too_many_lines_too_few_runs_and_no_records_are_refused():
    many = made(time=UPDATES * 1.0, metrics={"x": np.zeros((300, 4))}, nonfinite_from=np.full(300, -1), params={})
    with pytest.raises(ValueError, match="x would have 300 lines, and nobody tells so many apart; name an axis"):
        many.plot(over=())
    with pytest.raises(ValueError, match="over names the axis 'one', along which there is one run"):
        made().plot(runs={"one": [0], "seed": range(6)}, over="one")
    none = made(updates=UPDATES[:0], time=np.zeros((6, 0)), metrics={"x": np.zeros((6, 0))})
    with pytest.raises(ValueError, match="holds no record to draw"):
        none.plot()
