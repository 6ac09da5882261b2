"""What simulate refuses before it runs, each in a sentence that names the thing and the mend."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import a3cjax

KEY = jax.random.key(0)
TEN = a3cjax.Schedule.sequential(12)
MDP = a3cjax.families.synthetic(jax.random.key(1), num_states=5, num_actions=2, num_features=3)


class Methods:
    """x_{k+1} = x_k − rate · x, the smallest learner; subclasses say what is wrong with them."""

    num_words = 0
    rate: Any

    def init(self, key):
        return {"x": jnp.float32(1.0)}

    def init_worker(self, key):
        return ()

    def view(self, state):
        return state

    def propose(self, view, worker_state, key):
        return self.rate * view["x"], worker_state

    def apply(self, state, message, delay):
        return {"x": state["x"] - message}


def registered(**members) -> Any:
    """A pytree with one field, ``rate``, and these members."""
    cls = type("Mine", (Methods,), {"__annotations__": {"rate": Any}, **members})
    return jax.tree_util.register_dataclass(dataclasses.dataclass(frozen=True)(cls))


def run(learner: Any, **options: Any):
    return a3cjax.simulate(learner, TEN, KEY, **options)


def test_a_plain_class_is_told_how_to_become_a_pytree():
    plain = type("Plain", (Methods,), {"rate": 0.5})()
    with pytest.raises(ValueError, match=r"learner is a Plain, which is no pytree.*@jax.tree_util.register_dataclass"):
        run(plain)
    assert float(run(registered()(0.5)).params["x"]) == 0.5**12


@pytest.mark.parametrize("leaf", ["fast", lambda k: k], ids=["a string", "a function"])
def test_a_leaf_that_is_no_number_is_named(leaf):
    with pytest.raises(
        ValueError, match=r"learner.rate of Mine is .*, which is neither a number nor an array; register"
    ):
        run(registered()(leaf))


@pytest.mark.parametrize("record", [["objective"], "objective"], ids=["list", "string"])
def test_a_record_must_be_a_record(record):
    learner = a3cjax.QuadraticSGD([1.0], 0.5)
    with pytest.raises(ValueError, match=r"must be a Record; use record=a3cjax.Record\(metrics=\['objective'\]\)"):
        run(learner, record=record)


@pytest.mark.parametrize(
    ("measured", "sentence"),
    [
        ({}, r"Mine.measure was asked for \('size',\), but returned nothing; return 'size' too, or take it out of the"),
        ({"sizes": 1.0}, r"but returned 'sizes'; return 'size' too"),
        ({"size": jnp.ones(2)}, r"Mine.measure returned 'size' of shape \(2,\), but a learner's metric is one number"),
        (None, r"Mine.measure must return a dict of metrics by name, but returned a NoneType"),
    ],
)
def test_measure_keeps_its_promise(measured, sentence):
    learner = registered(metric_names=("size",), measure=lambda self, state, names: measured)(0.5)
    with pytest.raises(ValueError, match=sentence):
        run(learner)


def test_measure_may_say_more_than_it_was_asked_for():
    learner = registered(metric_names=("size",), measure=lambda self, state, names: {"size": state["x"], "more": 1})(
        0.5
    )
    assert list(run(learner).metrics) == ["size", "mean_delay"]


def test_a_python_if_in_a_metric_is_named():
    learner = a3cjax.QuadraticSGD([1.0], 0.5)
    metrics = {"mine": lambda state: 1.0 if state.x[0] > 0 else 0.0}
    with pytest.raises(ValueError, match=r"the metric 'mine' looks at a value while it is compiled.*jnp.where"):
        run(learner, record=a3cjax.Record(metrics=metrics))
    with pytest.raises(ValueError, match=r"the metric 'mine' is a str, but must be a number or an array"):
        run(learner, record=a3cjax.Record(metrics={"mine": lambda state: "large"}))


@pytest.mark.parametrize("step", ["actor_step", "critic_step"])
@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (lambda k: 0.1 - 0.01 * k, r"{}\(11\) is -0.01, but a step must be finite and at least 0"),
        (lambda k: jnp.where(k == 11, jnp.nan, 0.1), r"{}\(11\) is nan"),
        (lambda k: 1.0 / (5 - k), r"{}\(5\) is inf"),
        (optax.linear_schedule(0.1, -0.1, 10), r"{}\(6\) is -0.02"),
    ],
    ids=["negative", "nan", "infinite", "optax"],
)
def test_a_step_that_turns_bad_later_is_refused(step, function, sentence):
    """0.1 − 0.11 at k = 11; 0.1 − 6 · 0.02 at k = 6. The last of twelve updates is number 11."""
    steps: Any = {"actor_step": 0.1, "critic_step": 0.1} | {step: function}
    learner = a3cjax.A3C(MDP, **steps)
    with pytest.raises(ValueError, match=sentence.format(step)):
        run(learner)


def test_a_step_is_looked_at_as_far_as_the_schedule_goes():
    """Zero at k = 10, negative at 11, which eleven updates, 0 to 10, never ask for; far ones are looked at as well."""
    learner = a3cjax.A3C(MDP, actor_step=lambda k: 0.1 * (10 - k), critic_step=0.1)
    assert np.isfinite(a3cjax.simulate(learner, TEN[:11], KEY).params.theta).all()
    far = a3cjax.A3C(MDP, actor_step=lambda k: jnp.where(k == 70_000, -1.0, 0.1), critic_step=0.1)
    with pytest.raises(ValueError, match=r"actor_step\(70000\) is -1"):
        a3cjax.simulate(far, a3cjax.Schedule.sequential(70_001), KEY)


def test_a_python_if_in_a_step_is_refused_where_it_is_given():
    with pytest.raises(ValueError, match=r"actor_step looks at a value while it is compiled.*jnp.where.*optax"):
        a3cjax.A3C(MDP, actor_step=lambda k: 0.1 if k < 10 else 0.01, critic_step=0.1)


def test_one_value_per_run_needs_run_scalars():
    rates = jnp.array([0.5, 0.25])
    with pytest.raises(
        ValueError, match=r"learner.rate of Mine has shape \(2,\), which every run gets whole.*run_scalars"
    ):
        run(registered()(rates))
    both = run(registered(run_scalars=("rate",))(rates))
    np.testing.assert_array_equal(both.params["x"], np.array([0.5, 0.75], np.float32) ** 12)


def test_the_field_that_should_be_one_number_is_named_and_no_other():
    """``offset`` is as long as x, and right; another mistake than a shape is told for what it is."""
    members = {
        "__annotations__": {"offset": Any, "rate": Any},
        "init": lambda self, key: {"x": jnp.ones(2)},
        "propose": lambda self, view, worker_state, key: (self.rate * (view["x"] - self.offset), worker_state),
    }
    with pytest.raises(
        ValueError, match=r"learner.rate of Mine has shape \(3,\).* then an update fails: .*run_scalars"
    ):
        run(registered(**members)(jnp.zeros(2), jnp.ones(3)))
    members["init"] = lambda self, key: {"x": jnp.ones(2, jnp.int32)}
    with pytest.raises(
        ValueError, match=r"^apply of a Mine returns state\['x'\] as float32\[2\], but init gives int32"
    ):
        run(registered(**members)(jnp.zeros(2), 0.5))


def test_a_vector_that_is_no_run_axis_is_used_whole():
    """x − x Σ rate, with rates that sum to a half."""
    cls = registered(propose=lambda self, view, worker_state, key: (self.rate.sum() * view["x"], worker_state))
    assert float(run(cls(jnp.array([0.25, 0.25]))).params["x"]) == 0.5**12
