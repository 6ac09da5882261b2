"""A grid's runs are all combinations, and each is the run that its labels say."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import a3cjax

STEPS = (0.5, 0.25)
KEYS = jax.random.split(jax.random.key(3), 3)
SCHEDULES = {
    "N=1": a3cjax.Schedule.sequential(6),
    "N=2": a3cjax.Schedule(worker=[0, 1, 1, 0, 1, 1], delay=[0, 1, 1, 2, 1, 0], time=range(6)),
}
ONE = SCHEDULES["N=1"]
RECORD = a3cjax.Record(every=3, metrics={"x": lambda state: state.x})


def learner(step):
    return a3cjax.QuadraticSGD(curvature=[1.0], step=step, noise=1.0)


@pytest.fixture(scope="module")
def runs():
    return a3cjax.grid(step=STEPS, key=KEYS, schedule=SCHEDULES)


def test_all_combinations_the_last_axis_fastest(runs):
    assert len(runs) == 12
    assert runs.sizes == {"step": 2, "key": 3, "schedule": 2}
    product = itertools.product(STEPS, jax.random.key_data(KEYS).tolist(), SCHEDULES.values())
    for b, (step, key, schedule) in enumerate(product):
        assert runs.step[b] == step
        assert jax.random.key_data(runs["key"])[b].tolist() == key
        for name in ("worker", "delay", "time"):
            np.testing.assert_array_equal(getattr(runs.schedule[b], name), getattr(schedule, name))
    fresh = a3cjax.Schedule(runs.schedule.worker, runs.schedule.delay, runs.schedule.time)
    np.testing.assert_array_equal(runs.schedule.ranks(), fresh.ranks())
    np.testing.assert_array_equal(runs.schedule.own_reads, fresh.own_reads)


@pytest.fixture(scope="module")
def result(runs):
    return a3cjax.simulate(learner(runs.step), runs.schedule, runs.key, record=RECORD)


def test_each_run_is_the_one_that_its_labels_say(runs, result, tmp_path):
    named = result.to_xarray(runs)
    assert named.x.dims == ("step", "key", "schedule", "record", "x_0")
    assert len(np.unique(named.x.values[:, :, 1])) == 12
    for step, key, schedule in ((0.5, 1, "N=1"), (0.25, 2, "N=2"), (0.25, 0, "N=1")):
        options: Any = {"record": RECORD, "history": "ring", "depth": 4}
        alone = a3cjax.simulate(learner(step), SCHEDULES[schedule], KEYS[key], **options)
        np.testing.assert_array_equal(named.x.sel(step=step, key=key, schedule=schedule), alone.metrics["x"])
    result.save(tmp_path / "runs.nc", runs)
    assert a3cjax.Result.load(tmp_path / "runs.nc").to_xarray().identical(named)


def test_what_may_be_along_an_axis():
    """Whole numbers, arrays of more axes, pytrees, batches and lists of schedules, functions with numbers in them."""
    scale = jax.tree_util.Partial(jnp.multiply)
    runs = a3cjax.grid(
        seed=range(2),
        start=np.eye(3),
        tree=[{"a": 1.0, "b": np.zeros(2)}, {"a": 2.0, "b": np.ones(2)}],
        law={"low": {"p": 0.1}, "high": {"p": 0.9}},
        schedule=list(SCHEDULES.values()),
        rate=[jax.tree_util.Partial(scale, 2.0), jax.tree_util.Partial(scale, 3.0)],
    )
    assert len(runs) == 96
    labels = {name: values.tolist() for name, values in runs.labels.items()}
    assert labels["seed"] == labels["tree"] == labels["schedule"] == labels["rate"] == [0, 1]
    assert (labels["start"], labels["law"]) == ([0, 1, 2], ["low", "high"])
    assert runs.seed.tolist() == [0] * 48 + [1] * 48
    assert runs.start.shape == (96, 3)
    assert runs.start[16].tolist() == [0, 1, 0]
    assert (runs.tree["a"][8], runs.tree["b"][8].tolist()) == (2, [1, 1])
    assert runs.law["p"][4] == np.float32(0.9)
    assert jax.vmap(lambda rate, x: rate(x))(runs.rate, runs.seed + 1.0)[-2:].tolist() == [4, 6]
    assert dir(runs) == sorted(["labels", "law", "rate", "schedule", "seed", "sizes", "start", "tree"])
    batch = a3cjax.Schedule.stack(list(SCHEDULES.values()))
    assert a3cjax.grid(schedule=batch).schedule[1].delay.tolist() == SCHEDULES["N=2"].delay.tolist()


def test_a_grid_inside_jit_has_places_for_labels():
    assert jax.jit(lambda steps: a3cjax.grid(step=steps, key=KEYS).step)(jnp.ones(2)).shape == (6,)
    assert a3cjax.grid(step=np.array([0.1, 0.25], np.float32)).labels["step"].tolist() == [0.1, 0.25]


def test_it_prints_its_axes():
    assert repr(a3cjax.grid(a=(0.5, 1.0), seed=range(9))) == (
        "Grid of 2 × 9 = 18 runs, the last axis fastest\n  a     0.5, 1.0\n  seed  0, 1, 2, 3, 4, 5, …"
    )


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ({}, "grid has no axis"),
        ({"step": ()}, "step is empty; give at least one value"),
        ({"step": 0.1}, r"step is 0\.1, which is one value and not several along an axis; what all runs share"),
        ({"key": KEYS[0]}, "key is key.*, which is one value"),
        ({"schedule": ONE}, r"schedule is Schedule\(6 updates by 1 workers\), which is one value"),
        ({"sampling": "iid"}, "sampling is 'iid', which is one value"),
        ({"sampling": ("iid", "markov")}, r"sampling\[0\] is 'iid', which is part of the program and cannot differ"),
        ({"step": {"slow": jnp.sqrt}}, r"step\['slow'\] is sqrt, which is part of the program.*or a function whose"),
        ({"step": (0.1, 0.2, 0.1)}, r"step\[2\] is 0\.1 a second time"),
        ({"schedule": [ONE, ONE[:4]]}, r"schedule\[1\] has shape \(4,\), .*schedule\[:4\]"),
        ({"start": [np.ones(2), np.ones(3)]}, r"start\[1\] is \[1\.0, 1\.0, 1\.0\], but start\[0\] is \[1\.0, 1\.0\]"),
        ({"tree": [{"a": 1}, {"b": 1}]}, r"tree\[1\] is \{'b': 1\}, but tree\[0\] is \{'a': 1\}"),
        ({"labels": (1, 2)}, "an axis cannot be named 'labels', which a grid has already"),
    ],
)  # fmt: skip
def test_what_makes_no_grid_is_refused(axes, words):
    with pytest.raises(ValueError, match=words):
        a3cjax.grid(**axes)


def test_another_grid_than_the_results_is_refused(runs, result):
    with pytest.raises(ValueError, match="runs has 3 × 2 labels, but the result has 12 runs"):
        result.to_xarray(a3cjax.grid(key=KEYS, step=STEPS))
    with pytest.raises(AttributeError, match="the grid has no axis 'steps'; it has step, key, schedule"):
        _ = runs.steps
    with pytest.raises(AttributeError, match="'step' cannot be set"):
        runs.step = 3
