"""Rules in the learners, beside NumPy loops that keep all versions; sparse and dense, mailbox and ring."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.tree_util import Partial

import a3cjax
from a3cjax import networks, remedies
from a3cjax.environments import Finite
from a3cjax.learners.optimizers import Uses

K, N = 24, 3
KEY = jax.random.key(2)
SCHEDULE = a3cjax.Schedule.from_workers(jax.random.key(1), [a3cjax.compute_times.Exponential(1.0)] * N, K)
LAST = a3cjax.Record(every=K, metrics=[])
ALPHA, BETA, LAM, FAR, BOUND = 0.4, 0.3, 5.0, 0.15, 2
SGD = optax.sgd(0.1)
wrong: Any = 3


def slowed(rule, step):
    return optax.chain(rule, remedies.scale_by_delay("inverse"), optax.scale(-step))


def corrected(lam, step):
    return slowed(remedies.compensate(lam), step)


@pytest.fixture(scope="module")
def mdp():
    return a3cjax.families.synthetic(jax.random.key(0), num_states=5, num_actions=3, num_features=4, discount=0.8)


def replayed(mdp, samples, move_theta, move_omega):
    """Eq. (13)'s directions at the versions that were read, and what the two functions make of them, in float64.

    ``move(k, direction, now, then, delay)`` gives the change.
    """
    reward, features = np.asarray(mdp.reward, float), np.asarray(mdp.features, float)
    thetas, omegas = [np.zeros((5, 3))], [np.zeros(4)]

    def error(x, omega):
        s, a, after = x
        where = (s, a) if reward.ndim == 2 else (s, a, after)
        return reward[where] + float(mdp.discount) * features[after] @ omega - features[s] @ omega

    for k, delay in enumerate(np.asarray(SCHEDULE.delay)):
        theta, omega = thetas[k - delay], omegas[k - delay]
        critic, actor = (tuple(int(leaf[k]) for leaf in one) for one in (samples.critic, samples.actor))
        law = np.exp(theta[actor[0]])
        direction = np.zeros((5, 3))
        direction[actor[0]] = error(actor, omega) * (np.eye(3)[actor[1]] - law / law.sum())
        g = error(critic, omega) * features[critic[0]]
        thetas.append(thetas[k] + move_theta(k, direction, thetas[k], theta, delay))
        omegas.append(omegas[k] + move_omega(k, g, omegas[k], omega, delay))
    return thetas[-1], omegas[-1]


def compensated(step):
    """−α/max(τ,1) (g + λ g² (θ_k − θ_{k−τ})) with g = −direction."""

    def move(k, direction, now, then, delay):
        return -step / max(delay, 1) * (-direction + LAM * direction**2 * (now - then))

    return move


def near(step, seen):
    def move(k, direction, now, then, delay):
        seen.append(np.linalg.norm(now - then) <= FAR)
        return step / max(delay, 1) * direction * seen[-1]

    return move


class WithMomentum:
    """v ← ½ v + g, of what was not dropped."""

    def __init__(self, step):
        self.step, self.trace = step, 0.0

    def __call__(self, k, direction, now, then, delay):
        self.trace = 0.5 * self.trace + direction * (delay <= BOUND)
        return self.step * self.trace


def simulated(learner, history: Any = "mailbox", key=KEY, **options):
    return a3cjax.simulate(learner, SCHEDULE, key, history=history, record=LAST, **options)


def test_a_remedy_in_eq_13_that_sees_one_row(mdp):
    """DC-ASGD for both, over the delay: entry by entry, so the message takes its row of θ along, and ω.

    With whole tables the numbers are the same to the bit, in the ring, in a batch with another step for each run.
    """
    learner = a3cjax.A3C(
        mdp, actor_optimizer=Partial(corrected, LAM, ALPHA), critic_optimizer=Partial(corrected, LAM, BETA)
    )
    assert learner.uses == (Uses(stale=True, params=True, multiplies=False, entrywise=True),) * 2
    assert not learner.needs_stale
    found = simulated(learner, transitions=True)
    theta, omega = replayed(mdp, found.transitions, compensated(ALPHA), compensated(BETA))
    np.testing.assert_allclose(found.params.theta, theta, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.params.omega, omega, rtol=1e-4, atol=1e-6)
    plain, _ = replayed(mdp, found.transitions, lambda k, v, *_: ALPHA * v, lambda k, v, *_: BETA * v)
    assert np.abs(plain - theta).max() > 0.01

    steps = jnp.array([0.1, ALPHA, 0.2])
    whole = a3cjax.A3C(
        mdp, actor_optimizer=Partial(corrected, LAM, steps), critic_optimizer=Partial(corrected, LAM, BETA)
    )
    object.__setattr__(whole, "uses", (Uses(stale=True, params=True), Uses(stale=True, params=True)))
    assert whole.needs_stale
    batch = simulated(whole, "ring", jax.random.split(KEY, 3).at[1].set(KEY))
    assert batch.params.theta[1].tolist() == found.params.theta.tolist()
    assert batch.params.omega[1].tolist() == found.params.omega.tolist()


def test_a_remedy_in_eq_13_that_multiplies_and_one_that_sees_the_table(mdp):
    """``drop_far`` multiplies by 0 or 1 and looks at whole views; momentum moves all rows at every update."""
    dropping = optax.chain(remedies.drop_above(BOUND), optax.trace(0.5), optax.scale(-BETA))
    learner = a3cjax.A3C(mdp, actor_optimizer=slowed(remedies.drop_far(FAR), ALPHA), critic_optimizer=dropping)
    assert learner.uses == (Uses(stale=True, params=True, multiplies=True), Uses())
    assert learner.needs_stale
    found = simulated(learner, transitions=True)
    kept = []
    theta, omega = replayed(mdp, found.transitions, near(ALPHA, kept), WithMomentum(BETA))
    assert 3 < sum(kept) < K - 3
    np.testing.assert_allclose(found.params.theta, theta, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.params.omega, omega, rtol=1e-4, atol=1e-6)
    ring = simulated(learner, "ring")
    assert ring.params.theta.tolist() == found.params.theta.tolist()
    assert ring.params.omega.tolist() == found.params.omega.tolist()


def test_what_a_chain_is_found_to_do(mdp):
    """One number, entry by entry, or neither; and what it looks at."""
    many, one_row = Uses(multiplies=True, entrywise=True), Uses(entrywise=True)
    for optimizer, uses in (
        (optax.sgd(0.1), many),
        (optax.sgd(optax.linear_schedule(1.0, 0.0, 10)), many),
        (slowed(remedies.adaptive_window(1, 8), 0.1), many),
        (slowed(remedies.drop_above(2), 0.1), many),
        (optax.chain(remedies.drop_far(1.0), optax.sgd(0.1)), Uses(True, True, multiplies=True)),
        (optax.chain(optax.scale_by_sign(), optax.scale(-1.0)), one_row),
        (optax.chain(remedies.compensate(), optax.sgd(0.1)), Uses(True, True, entrywise=True)),
        (optax.chain(remedies.gap_aware(), optax.sgd(0.1)), Uses(True, True)),
        (optax.sgd(0.1, momentum=0.9), Uses()),
        (optax.adam(0.1), Uses()),
        (
            optax.stateless(lambda g, _: jax.tree.map(lambda x: 1 / (2 + x), g)),
            Uses(),
        ),  # entry by entry, but not zero where g is
        (optax.stateless(lambda g, _: jax.tree.map(lambda x: x + 1, g)), Uses()),
        (optax.adamw(0.1), Uses(params=True)),
        (optax.chain(remedies.clip_by_norm(1.0), optax.sgd(0.1)), Uses()),
        (optax.chain(optax.add_noise(0.1, 0.5, KEY), optax.sgd(0.1)), Uses()),
        (optax.chain(optax.add_decayed_weights(0.1), optax.sgd(0.1)), Uses(params=True)),
    ):
        learner = a3cjax.A3C(mdp, critic_step=0.1, actor_optimizer=optimizer)
        assert learner.uses == (uses, Uses()), optimizer


def test_in_a_quadratic():
    """x ← x − ½/max(τ,1) (g + λ g² (x_k − x_{k−τ})), the gradient h x at what was read; dropped where that is far."""
    h = np.array([0.5, 1.5])
    chain = optax.chain(remedies.drop_far(1.0), slowed(remedies.compensate(LAM), 0.5))
    learner = a3cjax.QuadraticSGD(h, start=[1.0, -2.0], optimizer=chain)
    assert learner.needs_stale
    versions, dropped = [np.array([1.0, -2.0])], 0
    for k, delay in enumerate(np.asarray(SCHEDULE.delay)):
        now, then = versions[k], versions[k - delay]
        g = h * then * (np.linalg.norm(now - then) <= 1)
        dropped += not g.any()
        versions.append(now - 0.5 / max(delay, 1) * (g + LAM * g**2 * (now - then)))
    assert 0 < dropped < K / 2
    found, ring = simulated(learner), simulated(learner, "ring")
    np.testing.assert_allclose(found.params.x, versions[-1], rtol=1e-4, atol=1e-6)
    assert ring.params.x.tolist() == found.params.x.tolist()
    barrier = a3cjax.Schedule.barrier(jax.random.key(1), [a3cjax.compute_times.Exponential(1.0)] * N, 4)
    with pytest.raises(ValueError, match="averages messages, and QuadraticSGD needs the stale view of each"):
        a3cjax.simulate(learner, barrier, KEY)


def test_in_a_network(mdp):
    """Beside ``a3cjax.optax.delayed`` around the same chain: both hand over the delay, the stale view and the newest.

    The gradients are those of the loss at the stale parameters for the rollout that the engine has logged.
    """
    chain = slowed(remedies.compensate(LAM), ALPHA)
    learner = a3cjax.ActorCritic(
        Finite(mdp, restart=0), networks.Tabular(), chain, rollout=1, discount=0.8, entropy=0.0
    )
    assert learner.needs_stale
    found = simulated(learner, transitions=True)
    optimizer = a3cjax.optax.delayed(chain, SCHEDULE)
    params = learner.init(KEY).params
    state = optimizer.init(params)

    @jax.jit
    def update(state, params, rollout):
        gradient = learner._gradient(a3cjax.optax.stale_params(state), rollout)
        changes, state = optimizer.update(gradient, state, params)
        return state, optax.apply_updates(params, changes)

    for k in range(K):
        state, params = update(state, params, jax.tree.map(lambda leaf, k=k: leaf[k], found.transitions))
    for ours, theirs in zip(jax.tree.leaves(found.params), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_averages_need_no_stale_view(mdp):
    learner = a3cjax.A3C(mdp, critic_step=0.1, actor_optimizer=optax.chain(remedies.compensate(), optax.sgd(0.1)))
    barrier = a3cjax.Schedule.barrier(jax.random.key(1), [a3cjax.compute_times.Exponential(1.0)] * N, 4)
    with pytest.raises(ValueError, match="averages messages, and A3C needs the stale view of each"):
        a3cjax.simulate(learner, barrier, KEY)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda mdp: a3cjax.A3C(mdp), "actor_step and actor_optimizer are both left out; give one of them, a step"),
        (lambda mdp: a3cjax.A3C(mdp, 0.1), "critic_step and critic_optimizer are both left out"),
        (lambda mdp: a3cjax.A3C(mdp, 0.1, 0.1, critic_optimizer=SGD), "critic_step and critic_optimizer are both give"),
        (lambda mdp: a3cjax.A3C(mdp, 0.1, critic_optimizer=wrong), "critic_optimizer is 3, but must be an optimiser"),
        (
            lambda mdp: a3cjax.A3C(mdp, 0.1, critic_optimizer=Partial(slowed, SGD, 0.1)),
            "critic_optimizer.* is <function .*>, but a Partial's arguments must be numbers, one or one for each",
        ),
        (lambda mdp: a3cjax.QuadraticSGD([1.0]), "step and optimizer are both left out"),
        (lambda mdp: a3cjax.QuadraticSGD([1.0], 0.1, optimizer=SGD), "step and optimizer are both given"),
        (lambda mdp: a3cjax.QuadraticSGD([1.0], optimizer=optax.adam), "optimizer is the function adam, which makes"),
    ],
)  # fmt: skip
def test_a_step_or_an_optimizer(mdp, make, message):
    with pytest.raises(ValueError, match=message):
        make(mdp)
