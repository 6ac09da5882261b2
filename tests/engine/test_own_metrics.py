"""Metrics of one's own that are dicts, tuples and vectors: each part is recorded as a metric alone would be."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot

import a3cjax

mpl.use("Agg")


class Size(NamedTuple):
    largest: Any
    total: Any


def tree(state):
    return {"size": Size(jnp.abs(state.x).max(), state.x.sum()), "pair": (state.x[0], state.x), "count": [jnp.int32(3)]}


SCHEDULE = a3cjax.Schedule.sequential(6)
RECORD = a3cjax.Record(every=2, metrics={"tree": tree, "x": lambda state: state.x})
LEARNER = a3cjax.QuadraticSGD(curvature=[1.0, 0.5], step=0.5, noise=1.0)
KEYS = jax.random.split(jax.random.key(0), 4)


@pytest.fixture(scope="module")
def batch():
    return a3cjax.simulate(LEARNER, SCHEDULE, KEYS, record=RECORD)


def hold(metrics):
    """The tree that is made of x, which is recorded beside it."""
    x, found = metrics["x"], metrics["tree"]
    expected = {
        "size": Size(np.abs(x).max(-1), x[..., 0] + x[..., 1]),
        "pair": (x[..., 0], x),
        "count": [np.full(x.shape[:-1], 3, np.int32)],
    }
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    assert found["count"][0].dtype == np.int32


def test_each_part_is_recorded_in_every_run(batch):
    assert batch.metrics["x"].shape == (4, 3, 2)
    assert len(np.unique(batch.metrics["x"])) == 4 * 6
    hold(batch.metrics)


def test_runs_that_were_resumed_have_the_same(batch):
    half = a3cjax.simulate(LEARNER, SCHEDULE[:3], KEYS, record=RECORD)
    hold(half.metrics)
    rest = a3cjax.simulate(LEARNER, SCHEDULE, KEYS, record=RECORD, resume=half.state)
    joined = jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), half.metrics, rest.metrics)
    jax.tree.map(np.testing.assert_array_equal, joined, batch.metrics)


def test_inside_jit_they_have_the_same_shapes(batch):
    found = jax.eval_shape(lambda keys: a3cjax.simulate(LEARNER, SCHEDULE, keys, record=RECORD).metrics, KEYS)
    assert jax.tree.structure(found) == jax.tree.structure(batch.metrics)
    jax.tree.map(lambda x, y: np.testing.assert_equal((x.shape, x.dtype), (y.shape, y.dtype)), found, batch.metrics)


def test_a_result_prints_keeps_draws_and_names_each_part(batch, tmp_path):
    assert "metrics['tree']['size'].largest  float32[4, 3]" in repr(batch)
    runs = batch.to_xarray("seed")
    assert runs["tree.pair.1"].dims == ("seed", "record", "tree.pair.1_0")
    np.testing.assert_array_equal(runs["tree.size.total"], batch.metrics["tree"]["size"].total)
    batch.save(tmp_path / "batch.nc", state=False)
    kept = a3cjax.Result.load(tmp_path / "batch.nc").metrics["tree"]
    np.testing.assert_array_equal(kept["size"].total, batch.metrics["tree"]["size"].total)
    np.testing.assert_array_equal(kept["pair"][1], batch.metrics["x"])
    figure: Any = batch.plot("tree")
    assert [ax.get_ylabel() for ax in figure.axes] == [
        "tree.count.0", "tree.pair.0", "tree.pair.1", "tree.size.largest", "tree.size.total"
    ]  # fmt: skip
    pyplot.close(figure)


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        (lambda state: {}, r"the metric 'mine' is \{\}, in which there is no number to record"),
        (lambda state: None, "the metric 'mine' is None, in which there is no number"),
        (
            lambda state: {"a": (1.0, "word")},
            r"the metric 'mine'\['a'\]\[1\] is a str, but must be a number or an array",
        ),
        (lambda state: [jax.random.key(0)], r"the metric 'mine'\[0\] is a JAX key, which cannot be recorded"),
    ],
)
def test_what_holds_no_numbers_is_refused(metric, words):
    with pytest.raises(ValueError, match=words):
        a3cjax.simulate(LEARNER, SCHEDULE, KEYS[0], record=a3cjax.Record(every=2, metrics={"mine": metric}))


def test_a_learners_own_metric_stays_a_number():
    class Told(a3cjax.WrappedLearner):
        metric_names = ("both",)

        def measure(self, state, names, key):
            return {"both": {"a": state.x[0]}}

    with pytest.raises(ValueError, match="returned a dict for 'both', but a learner's metric is one number"):
        a3cjax.simulate(Told(LEARNER), SCHEDULE, KEYS[0])
