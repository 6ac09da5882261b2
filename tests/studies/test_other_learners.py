"""Studies of learners that are no actor-critic, by a metric of their own."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import a3cjax
from a3cjax import QuadraticSGD, studies


class Halving(a3cjax.AbstractLearner):
    """x ← (1 − step) x without noise, so that the distance after k updates is (1 − step)^k where no delay is."""

    step: Any
    metric_names = ("distance",)
    run_scalars = ("step",)

    def init(self, key):
        return jnp.ones(1)

    def init_worker(self, key):
        return ()

    def view(self, state):
        return state

    def propose(self, view, worker_state, key):
        return view, worker_state

    def apply(self, state, message, delay, stale=None):
        return state - self.step * message

    def measure(self, state, names, key):
        return {"distance": jnp.abs(state[0])}

    def optimum(self, metric):
        return 0.0


def test_speedup_meets_a_value_from_above(tmp_path):
    # Alone: ½ at the first update, ¼ at the second; linear between them, the target .3 is met at 1 + .2/.25 = 1.8. Two
    # workers' first messages are both from the start, ½ each, so that after two updates nothing is left: at 1 + .2/.5.
    study = studies.speedup(
        Halving(0.5), metric="distance", target_value=0.3, workers=(1, 2), seeds=2, num_updates=40, record_every=1,
        compute_times=a3cjax.compute_times.Deterministic(1.0),
    )  # fmt: skip
    one, two = study.rows
    assert (one.sampling, one.updates_to_target, one.speedup) == ("as given", pytest.approx(1.8), 1)
    assert two.updates_to_target == pytest.approx(1.4)
    assert two.speedup == pytest.approx(2 * 1.8 / 1.4)
    assert study.curves.distance.attrs["long_name"] == "distance"
    assert "critic_error_sq" not in study.curves
    assert study.curves.attrs["title"] == "Speedup of asynchronous Halving with the number of workers"
    assert "At the start distance = 1; the target is 0.3, 70% of the way to the optimum 0." in study.summary()
    assert study.facts()["target_share"] == pytest.approx(0.7)
    study.save(tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


def test_a_share_of_the_way_to_the_optimum_is_the_same_target():
    options: Any = dict(metric="distance", workers=(1,), seeds=1, num_updates=20, record_every=1)
    share = studies.speedup(Halving(0.5), target=0.7, **options)
    value = studies.speedup(Halving(0.5), target_value=0.3, **options)
    assert share.curves.attrs["target_distance"] == pytest.approx(0.3)
    assert share.rows[0].updates_to_target == pytest.approx(value.rows[0].updates_to_target)


def test_compare_multiplies_the_steps_that_there_are(tmp_path):
    # Equal workers, N = 2: the barrier's mean of equal gradients is one of them, so a round is one update of step ½, or
    # of step 1, which is there at once; a round takes a unit of time.
    laws = {"equal": a3cjax.compute_times.Deterministic(1.0)}
    study = studies.compare(
        Halving(0.5),
        metric="distance",
        target_value=0.3,
        workers=(2,),
        laws=laws,
        seeds=2,
        num_samples=40,
        record_every=2,
    )
    free, barrier, scaled = study.rows
    assert barrier.updates_to_target == pytest.approx(1.8)
    assert barrier.time_to_target == pytest.approx(1.8)
    assert scaled.updates_to_target == pytest.approx(0.7)  # from 1 to 0 in one update
    assert free.reached == 2
    study.save(tmp_path)
    assert "equal, N = 2" in study.summary()


def test_a_sweep_finds_the_stability_limit_of_the_quadratic(tmp_path):
    # x_{k+1} = x_k − step x_{k−τ} is stable below 2 at τ = 0, and below 2 sin(π/10) = 0.618 at τ = 2.
    study = studies.sweep(
        QuadraticSGD([1.0], step=0.1), laws=["constant"], delays=(0, 2), factors=(5, 7, 18, 22), seeds=1,
        num_updates=400, metric="distance_sq", gap="distance_sq",
    )  # fmt: skip
    assert [(line.stable_up_to, line.diverging_from) for line in study.delays] == [(18, 22), (5, 7)]
    assert study.delays[0].best is not None
    assert study.delays[0].best.objective == min(row.objective for row in study.rows[:4])  # the smaller the better
    assert "with a distance_sq of more than 10 times the start's 1" in study.summary()
    study.save(tmp_path)
    assert "β" not in study.table()


def test_rates_are_those_of_the_steps_that_are_given(tmp_path):
    # Without noise Σ_k (1 − c/√K)^(2k) is K^(1/2)/(2c) or so, and its average falls like K^(−1/2).
    study = studies.rates(
        QuadraticSGD([1.0], step=0.1), num_updates=(400, 1600, 6400), delays=[0], metrics=["distance_sq"],
        steps={"step": (1.0, 0.5)}, seeds=2, record_every=1,
    )  # fmt: skip
    (row,) = study.rows
    assert row.quantity == "distance_sq"
    assert row.slope == pytest.approx(-0.5, abs=0.03)
    assert np.isnan(row.bound)
    counts = study.curves.num_updates.values
    step = 1 / np.sqrt(counts)
    exact = [((1 - a) ** (2 * np.arange(1, n + 1))).mean() for a, n in zip(step, counts, strict=True)]
    np.testing.assert_allclose(study.curves.distance_sq.values[0, 0, :, 0], exact, rtol=1e-4)
    assert "step = 1 K^(-0.5)" in study.summary()
    study.save(tmp_path)


@pytest.mark.parametrize(
    ("run", "sentence"),
    [
        (lambda: studies.speedup(Halving(0.1)), "Halving, which has no metric 'objective', but distance; name one"),
        (
            lambda: studies.speedup(Halving(0.1), metric="distance", sampling="iid"),
            "has no field sampling; leave it out",
        ),
        (
            lambda: studies.speedup(QuadraticSGD([1.0], 0.1)),
            "does not say what the best objective is; give target_value",
        ),
        (lambda: studies.speedup(Halving(0.1), metric="distance", target_value=1.0), "which the start has already"),
        (lambda: studies.compare(QuadraticSGD([1.0], 0.1), metric="gap"), "has no metric 'gap'"),
        (lambda: studies.sweep(Halving(0.1)), "has no metric 'objective'"),
        (
            lambda: studies.sweep(Halving(0.1), metric="distance", gap="distance", scale="actor"),
            "scale is 'actor', but Halving has no actor_step",
        ),
        (lambda: studies.rates(Halving(0.1), metrics=["distance"]), "needs steps, from its fields"),
        (
            lambda: studies.rates(Halving(0.1), metrics=["distance"], steps={"pace": (1.0, 0.5)}),
            r"steps\['pace'\] is \(1.0, 0.5\); name a field of Halving",
        ),
    ],
)
def test_a_learner_that_lacks_something_is_told_what(run, sentence):
    with pytest.raises(ValueError, match=sentence):
        run()


def test_the_metric_of_an_actor_critic_may_be_another():
    learner = a3cjax.A3C(a3cjax.families.ring(3, discount=0.5), actor_step=0.01, critic_step=0.3)
    start = float(learner.measure(learner.init(jax.random.key(0)), ("critic_error_sq",))["critic_error_sq"])
    study = studies.speedup(
        learner, metric="critic_error_sq", target_value=start / 2, sampling="markov", workers=(1,), seeds=1,
        num_updates=200,
    )  # fmt: skip
    assert study.rows[0].sampling == "markov"
    assert study.reached == (1,)
    assert "objective" not in study.curves
