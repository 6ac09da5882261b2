"""A result as a dataset: every number is where its names say, and on the disk too."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import a3cjax

STEPS, SEEDS = [0.5, 0.25], [3, 5, 8]
SCHEDULE = a3cjax.Schedule.sequential(4)
RECORD = a3cjax.Record(every=2, metrics={"x": lambda state: state.x})


def learner(step):
    return a3cjax.QuadraticSGD(curvature=[1.0], step=step, noise=1.0)


@pytest.fixture(scope="module")
def result():
    """Two steps × three keys, in this order."""
    keys = jnp.stack([jax.random.key(seed) for seed in SEEDS] * 2)
    return a3cjax.simulate(learner(jnp.repeat(jnp.array(STEPS), 3)), SCHEDULE, keys, record=RECORD)


def test_numbers_are_found_by_name(result, tmp_path):
    """Those of each run alone, in memory and in a file."""
    runs = result.to_xarray({"step": STEPS, "seed": SEEDS})
    assert dict(runs.sizes) == {"step": 2, "seed": 3, "record": 2, "x_0": 1, "params.x_0": 1}
    assert runs.updates.values.tolist() == [2, 4]
    for step, seed in ((0.5, 5), (0.25, 3), (0.25, 8)):
        alone = a3cjax.simulate(learner(step), SCHEDULE, jax.random.key(seed), record=RECORD)
        one = runs.sel(step=step, seed=seed)
        np.testing.assert_array_equal(one.x, alone.metrics["x"])
        np.testing.assert_array_equal(one["params.x"], alone.params.x)
    assert len(np.unique(runs.x.values)) == 12
    assert runs.nonfinite_from.dims == ("step", "seed")
    assert (runs.attrs["num_updates"], runs.attrs["backend"]) == (4, result.backend)
    runs.to_netcdf(tmp_path / "runs.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "runs.nc", engine="h5netcdf") as kept:
        xr.testing.assert_identical(kept.load(), runs)


def test_axes_have_names_of_their_own_where_none_are_given(result):
    assert result.to_xarray().x.dims == ("run", "record", "x_0")
    assert result.to_xarray("seed").seed.values.tolist() == list(range(6))
    alone = jax.tree.map(lambda leaf: leaf if leaf.shape == (2,) else leaf[0], result)
    assert alone.to_xarray().x.dims == ("record", "x_0")
    with pytest.raises(ValueError, match="runs has no effect on the result of one run"):
        alone.to_xarray("seed")


def test_trees_have_dots_in_their_names_and_samples_updates(result):
    given: dict[str, Any] = {
        "params": result.params,
        "updates": result.updates,
        "time": np.tile(np.arange(2.0), (6, 1)),
        "metrics": {"both": {"size": np.zeros((6, 2)), "pair": (np.ones((6, 2)), np.ones((6, 2, 2)))}},
        "transitions": {"state": np.arange(24).reshape(6, 4)},
        "nonfinite_from": result.nonfinite_from,
    }
    made = a3cjax.Result(**given, state=None, num_updates=4)
    runs = made.to_xarray()
    assert runs["both.size"].dims == ("run", "record")
    assert runs["both.pair.1"].dims == ("run", "record", "both.pair.1_0")
    assert runs["transitions.state"].dims == ("run", "update")
    assert runs.time.dims == ("run", "record")


wrong: Any = 3


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ({"step": STEPS, "seed": range(4)}, "runs has 2 × 4 labels, but the result has 6 runs"),
        ({"step": [STEPS], "seed": range(6)}, r"runs\['step'\] must be a list of labels"),
        (wrong, "runs must be a grid, a name, or a dict from each axis' name to its labels, but is 3"),
        ("record", "'record' names an axis of runs or a metric"),
        ("x", "'x' names an axis of runs or a metric"),
    ],
)
def test_what_cannot_be_laid_out_is_refused(result, runs, words):
    with pytest.raises(ValueError, match=words):
        result.to_xarray(runs)


def test_a_traced_result_has_no_numbers():
    with pytest.raises(ValueError, match="a result has no numbers to put into a dataset while it is traced"):
        jax.jit(lambda key: a3cjax.simulate(learner(0.5), SCHEDULE, key, record=RECORD).to_xarray())(jax.random.key(0))
