"""Everything there is keeps its contract; what does not is told so."""

import jax
import jax.numpy as jnp
import optax
import pytest
from jax.tree_util import Partial

import a3cjax
from a3cjax import compute_times, delays
from a3cjax.testing import check_compute_time, check_delay_law, check_environment, check_learner

EVERYTHING = ("pytree", "pure", "replay", "histories", "batch", "resume", "metrics", "run axes", "averages")


def mdp():
    return a3cjax.families.synthetic(jax.random.key(0), num_states=5, num_actions=2, num_features=3)


def a3c(**options):
    return a3cjax.A3C(mdp(), actor_step=0.2, critic_step=0.1, radius=3.0, **options)


def regulator(lqr):
    return a3cjax.A3C(lqr, actor_step=1e-4, critic_step=1e-3, theta=lqr.optimal_gain() / 2)


class Momentum(a3cjax.AbstractLearner):
    """An optimiser from a library with hyper-parameters that may differ from run to run, and workers that count."""

    optimizer: Partial

    run_scalars = ("optimizer",)
    metric_names = ("distance",)
    worker_metric_names = ("proposals",)

    def init(self, key):
        x = jnp.array([1.0, -2.0])
        return x, self.optimizer().init(x)

    def init_worker(self, key):
        return jnp.int32(0)

    def view(self, state):
        return state[0]

    def propose(self, view, worker_state, key):
        return view + 0.1 * jax.random.normal(key, view.shape), worker_state + 1

    def apply(self, state, message, delay, stale=None):
        x, memory = state
        change, memory = self.optimizer().update(message, memory, x)
        return x + change, memory

    def measure(self, state, names, key):
        return {"distance": jnp.sum(state[0] ** 2)}

    def measure_workers(self, workers, names):
        return {"proposals": workers.sum()}


class Compensated(a3cjax.AbstractLearner):
    """x ← x − step (m + λ m² (x − stale)), which needs the view that the message came from."""

    step: jax.Array
    needs_stale = True
    run_scalars = ("step",)

    def init(self, key):
        return jnp.array([1.0, -2.0])

    def init_worker(self, key):
        return ()

    def view(self, state):
        return state

    def propose(self, view, worker_state, key):
        return view + 0.1 * jax.random.normal(key, view.shape), worker_state

    def apply(self, state, message, delay, stale=None):
        return state - self.step * (message + 0.5 * message**2 * (state - stale))

    def gather(self, sums, message, delay, stale=None):
        weighted = (message + 0.5 * message**2 * stale) / (1 + delay)
        return weighted if sums is None else sums + weighted

    def apply_mean(self, state, mean, delay):
        return state - self.step * mean


def actor_critic():
    optimizer = Partial(optax.sgd, learning_rate=jnp.float32(0.1))
    environment, network = a3cjax.environments.Finite(mdp()), a3cjax.networks.Tabular()
    return a3cjax.ActorCritic(environment, network, optimizer, rollout=2, evaluation_episodes=2, evaluation_steps=4)


LEARNERS = {
    "actor-critic": actor_critic,
    "quadratic": lambda: a3cjax.QuadraticSGD(curvature=[1.0, 2.0], step=0.1, noise=0.5),
    "markov": lambda: a3c(),
    "lqr": lambda: regulator(a3cjax.families.double_integrator()),
    "optimiser": lambda: Momentum(Partial(optax.sgd, learning_rate=jnp.float32(0.1), momentum=jnp.float32(0.5))),
    "stale view": lambda: Compensated(jnp.float32(0.1)),
    "wrapped": lambda: a3cjax.WrappedLearner(a3cjax.QuadraticSGD(curvature=[1.0], step=0.1, noise=0.5)),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_every_learner_keeps_the_contract(name):
    done = check_learner(LEARNERS[name](), num_updates=12)
    left_out = {"stale view": {"metrics", "averages"}}.get(
        name, set() if name in ("quadratic", "optimiser", "wrapped", "actor-critic") else {"averages"}
    )
    assert set(done) == set(EVERYTHING) - left_out


LAWS = [
    delays.Constant(2), delays.Uniform(0, 5), delays.Geometric(3.0), delays.Poisson(2.5), delays.Zipf(2.0, 50),
    delays.Cyclic([0, 3, 1]), delays.Empirical([0, 1, 1, 4]),
]  # fmt: skip
TIMES = [
    compute_times.Deterministic(2.0), compute_times.Exponential(1.5), compute_times.Lognormal(1.0, 0.7),
    compute_times.Gamma(2.0, 0.5), compute_times.Pareto(1.0, 3.5), compute_times.Uniform(0.5, 1.5),
    compute_times.Empirical([1.0, 2.0, 4.0]), compute_times.Stretches([1.0, 2.0, 4.0]),
]  # fmt: skip


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_every_law_of_delays_keeps_its_contract(law):
    check_delay_law(law, num_updates=3000)


@pytest.mark.parametrize("law", TIMES, ids=lambda law: type(law).__name__)
def test_every_law_of_compute_times_keeps_its_contract(law):
    check_compute_time(law, draws=3000)


ENVIRONMENTS = {
    "cart-pole": a3cjax.environments.CartPole,
    "pendulum": a3cjax.environments.Pendulum,
    "finite": lambda: a3cjax.environments.Finite(mdp()),
}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_environment_keeps_its_contract(name):
    done = check_environment(ENVIRONMENTS[name](), num_steps=64)
    assert done == ("pytree", "spaces", "shapes", "finite", "pure", "batch")


CALLS = []


class Hidden(Momentum):
    """Remembers between calls what it should not."""

    def view(self, state):
        CALLS.append(None)
        return state[0] + 0.1 * len(CALLS)


class Promising(Momentum):
    """Promises a metric more than it measures."""

    metric_names = ("distance", "height")


class Widening(Momentum):
    """Returns another shape than it was handed."""

    def propose(self, view, worker_state, key):
        return view, jnp.stack([worker_state, worker_state])


class TooLarge:
    """A law with a mean that is not its own."""

    mean = 3.0

    def sample(self, key, num_updates):
        return jnp.ones(num_updates, jnp.int32)


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (Hidden, r"\(pure\): view, called again"),
        (Promising, "height"),
        (Widening, r"\(pure\): propose returns a state"),
    ],
)
def test_a_broken_learner_is_told_what_it_breaks(kind, sentence):
    with pytest.raises(ValueError, match=sentence):
        check_learner(kind(Partial(optax.sgd, learning_rate=jnp.float32(0.1))))


def test_a_law_is_told_that_its_mean_is_another():
    with pytest.raises(ValueError, match=r"TooLarge\.mean is 3, but 4000 draws average 1 ± 0"):
        check_delay_law(TooLarge())
