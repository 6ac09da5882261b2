"""What a learner may ask for beyond the five methods, each by a number that can be derived by hand."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.tree_util import Partial

import a3cjax
from a3cjax import Record, Schedule
from a3cjax._xla.cpu_kernel import CPU_KERNEL
from a3cjax._xla.loops import LOOPS
from a3cjax.engine import driver
from a3cjax.learners.wrapped import adopted

KEY = jax.random.key(0)
BY_LAW = Schedule([0] * 6, [0, 1, 2, 0, 3, 1], range(1, 7))  # by hand
BY_WORKERS = Schedule([0, 1, 0, 1, 0, 1], [0, 1, 1, 1, 1, 1], range(1, 7))  # each reads after its own write


class Counting(a3cjax.AbstractLearner):
    """x ← x + 1, so that a view is the number of its version; the server sums what it is told of the stale ones."""

    needs_stale = True
    metric_names = ("drawn",)
    worker_metric_names = ("proposals", "busiest")

    def init(self, key):
        return jnp.float32(0), jnp.float32(0), jnp.float32(0)

    def init_worker(self, key):
        return jnp.int32(0)

    def view(self, state):
        return state[0]

    def propose(self, view, worker_state, key):
        return view, worker_state + 1

    def apply(self, state, message, delay, stale=None):
        version, stale_sum, off = state
        return version + 1, stale_sum + stale, off + jnp.abs(stale - message) + jnp.abs(version - delay - stale)

    def gather(self, sums, message, delay, stale=None):
        one = jnp.stack([delay.astype(jnp.float32), stale, message])
        return one if sums is None else sums + one

    def apply_mean(self, state, mean, delay):
        version, stale_sum, off = state
        return version + 1, stale_sum + mean[1], off + mean[0] + jnp.abs(mean[1] - mean[2])

    def measure(self, state, names, key):
        return {"drawn": jax.random.uniform(key)}

    def measure_workers(self, workers, names):
        return {"proposals": workers.sum(), "busiest": workers.argmax()}


def ended(result):
    """The server's state of one run."""
    assert result.state is not None
    return [float(leaf[0]) for leaf in result.state.leaves[:3]]


@pytest.mark.parametrize(
    ("schedule", "history", "stale_sum"),
    [(BY_LAW, "ring", 0 + 0 + 0 + 3 + 1 + 4), (BY_WORKERS, "ring", 0 + 0 + 1 + 2 + 3 + 4), (BY_WORKERS, "mailbox", 10)],
)
def test_the_view_that_a_message_came_from_is_that_of_version_k_less_its_delay(schedule, history, stale_sum):
    """Σ (k − τ_k), and no view that is not the message's own or not of that version."""
    assert ended(a3cjax.simulate(Counting(), schedule, KEY, history=history)) == [6, stale_sum, 0]


def test_averages_are_told_each_messages_delay_and_view():
    """Pairs with delays (0, 0), (1, 0): their means are 0 and ½; both read versions 0, 0 and 0, 1: means 0 and ½."""
    schedule = Schedule([0, 1, 0, 1], [0, 0, 1, 0], range(1, 5), commit=[0, 1, 0, 1])
    assert ended(a3cjax.simulate(Counting(), schedule, KEY)) == [2, 0.5, 0.5]


def test_workers_are_measured_and_metrics_have_draws_of_their_own():
    """The mailbox's workers have proposed once more each than they have written: at the start."""
    record = Record(every=2, metrics=["proposals", "busiest", "drawn"])
    keys = jax.random.split(KEY, 3)
    ring, mailbox = (
        a3cjax.simulate(Counting(), BY_WORKERS[:6], keys, record=record, history=h) for h in ("ring", "mailbox")
    )
    assert ring.metrics["proposals"].tolist() == [[2, 4, 6]] * 3
    assert mailbox.metrics["proposals"].tolist() == [[4, 6, 8]] * 3
    drawn = np.asarray(ring.metrics["drawn"])
    assert len(np.unique(drawn)) == 9
    np.testing.assert_array_equal(drawn, mailbox.metrics["drawn"])
    alone = a3cjax.simulate(Counting(), BY_WORKERS[:6], keys[1], record=record, history="ring")
    np.testing.assert_array_equal(drawn[1], alone.metrics["drawn"])


class Together(a3cjax.WrappedLearner):
    """Measured side by side."""

    measures_together = True


def test_measured_together_it_is_the_same_but_for_rounding():
    inner = a3cjax.QuadraticSGD(curvature=[1.0, 2.0], step=[0.1, 0.2, 0.3], noise=1.0)
    one, other = (a3cjax.simulate(own, BY_LAW, KEY, record=Record(every=3)) for own in (inner, Together(inner)))
    np.testing.assert_array_equal(one.params.x, other.params.x)
    np.testing.assert_allclose(one.metrics["objective"], other.metrics["objective"], rtol=1e-6)


class Optimised(a3cjax.AbstractLearner):
    """x ← x + what an optimiser makes of x."""

    optimizer: Any
    fixed: Any = a3cjax.static()

    run_scalars = ("optimizer",)

    def init(self, key):
        return jnp.ones(2), self.fixed.init(jnp.ones(2))

    def init_worker(self, key):
        return ()

    def view(self, state):
        return state[0]

    def propose(self, view, worker_state, key):
        return view, worker_state

    def apply(self, state, message, delay, stale=None):
        scaled, memory = self.fixed.update(message, state[1])
        change, _ = self.optimizer().update(scaled, self.optimizer().init(message))
        return state[0] + change, memory


def test_an_optimisers_rate_may_differ_from_run_to_run_and_an_equal_one_is_not_compiled_again():
    """(1 − rate)³ for each run; a new optax object, made with the same numbers, finds the program that there is."""
    schedule, rates = Schedule.sequential(3), jnp.array([0.1, 0.5])

    def run(momentum):
        learner = Optimised(Partial(optax.sgd, learning_rate=rates), optax.trace(momentum))
        return a3cjax.simulate(learner, schedule, KEY).params

    np.testing.assert_allclose(run(0.0), np.array([[0.9**3] * 2, [0.5**3] * 2]), rtol=1e-6)
    compiled = [driver.programs(backend).advance for backend in (CPU_KERNEL, LOOPS)]
    programs = [each._cache_size() for each in compiled]
    run(0.0)
    assert [each._cache_size() for each in compiled] == programs
    assert not np.allclose(run(0.5), run(0.0))


class Halving(a3cjax.WrappedLearner):
    """Half of each message counts."""

    def apply(self, state, message, delay, stale=None):
        return self.learner.apply(state, jax.tree.map(lambda leaf: leaf / 2, message), delay)


class Unchanged(a3cjax.WrappedLearner):
    """An apply of its own, whatever it does."""

    def apply(self, state, message, delay, stale=None):
        return self.learner.apply(state, message, delay)


def test_a_wrapper_loses_nothing_and_is_not_passed_by():
    """Metrics, run axes and averages; where the inner learner averages in its own way, the wrapper has to say how."""
    inner = a3cjax.QuadraticSGD(curvature=[1.0], step=[0.2, 0.4])
    plain = a3cjax.QuadraticSGD(curvature=[1.0], step=[0.1, 0.2])
    pairs = Schedule([0, 1, 0, 1], [0, 0, 1, 0], range(1, 5), commit=[0, 1, 0, 1])
    for schedule in (BY_LAW, pairs):
        one, other = (a3cjax.simulate(own, schedule, KEY, record=Record(every=2)) for own in (Halving(inner), plain))
        np.testing.assert_allclose(one.metrics["objective"], other.metrics["objective"], rtol=1e-6)
        assert one.metrics.keys() == other.metrics.keys()
    mdp = a3cjax.families.ring(4)
    with pytest.raises(ValueError, match="Unchanged changes apply but not apply_mean, by which a mean of A3C"):
        a3cjax.simulate(Unchanged(a3cjax.A3C(mdp, 0.1, 0.1)), pairs, KEY)


def test_a_learner_says_what_the_best_is_or_that_nobody_knows():
    """One state, of whose actions the better is worth 3 at every step: J* = 3 in the paper's normalisation."""
    mdp = a3cjax.FiniteMDP(jnp.ones((1, 2, 1)), jnp.array([[[0.0], [3.0]]]), jnp.ones(1), 0.5, jnp.ones((1, 1)))
    learner = a3cjax.A3C(mdp, 0.1, 0.1)
    assert learner.optimum("objective") == Halving(learner).optimum("objective") == pytest.approx(3)
    plain = jax.tree_util.register_dataclass(dataclasses.dataclass(frozen=True)(type("Plain", (Methods,), {})))
    for other in (Counting(), Halving(learner), adopted(plain())):
        assert np.isnan(other.optimum("critic_error_sq"))
    told = type("Told", (plain,), {"optimum": lambda self, metric: 7.0})
    assert adopted(told()).optimum("distance") == 7


class Methods:
    """The five, in a class of its own."""

    init = init_worker = view = propose = apply = lambda self, *args: ()


class Unwilling(Counting):
    """Needs stale views, and has no way to average."""

    gather = a3cjax.AbstractLearner.gather
    apply_mean = a3cjax.AbstractLearner.apply_mean


def test_a_learner_that_needs_stale_views_is_told_what_averages_need():
    pairs = Schedule([0, 1], [0, 0], [1, 2], commit=[0, 1])
    with pytest.raises(ValueError, match=r"Unwilling needs the stale view of each, .*give Unwilling gather"):
        a3cjax.simulate(Unwilling(), pairs, KEY)


def test_what_is_no_learner_is_told_what_is_missing():
    class Half:
        def init(self, key):
            return 0

    for learner, sentence in (
        (a3cjax.QuadraticSGD, "learner is the class QuadraticSGD; give an instance"),
        (Partial(Half), "has no method init nor init_worker nor view nor propose nor apply"),
    ):
        with pytest.raises(ValueError, match=sentence):
            a3cjax.simulate(learner, BY_LAW, KEY)
    with pytest.raises(TypeError, match="abstract"):
        a3cjax.AbstractLearner()  # type: ignore[abstract]
