"""Stale gradients in a loop of one's own: beside plain Python lists, and beside the engine."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import a3cjax
from a3cjax import Schedule, compute_times, delays
from a3cjax.engine.randomness import key_from_words, proposal_words
from a3cjax.learners.quadratic import QuadraticState
from a3cjax.optax import delayed, mailbox, server_params, stale_params

KEY = jax.random.key(3)
TEAM = [compute_times.Exponential(1.0)] * 4
OWN_READS = Schedule.from_workers(KEY, TEAM, 40)
SCHEDULES = {
    "sequential": Schedule.sequential(40),
    "workers": OWN_READS,
    "latency": Schedule.from_workers(KEY, TEAM, 40, read_latency=0.5),
    "uniform": Schedule.from_law(KEY, delays.Uniform(0, 7), 40, num_workers=3),
    "constant": Schedule.from_law(KEY, delays.Constant(5), 40),
}
HESSIAN = {"w": np.array([[2.0, 0.3], [0.3, 0.5]]), "b": np.array(1.5)}
NOISE = {"w": np.random.default_rng(0).normal(size=(40, 2)), "b": np.random.default_rng(1).normal(size=40)}
START: Any = {"w": jnp.array([1.0, -2.0]), "b": jnp.array(0.5)}


def gradient(params: Any, k: int) -> Any:
    """Of a quadratic, with the noise of update k; NumPy or JAX."""
    return {name: HESSIAN[name] @ params[name] + NOISE[name][k] if params[name].ndim else
            HESSIAN[name] * params[name] + NOISE[name][k] for name in params}  # fmt: skip


def clipped_adamw_by_hand(schedule: Any, clip=1.0, rate=0.05, decay=0.1, b1=0.9, b2=0.999, eps=1e-8):
    """All versions in a list, gradients at the one that the schedule says, clipped, and Adam with decaying weights."""
    versions = [{name: np.asarray(leaf, float) for name, leaf in START.items()}]
    first, second = ({name: np.zeros_like(leaf) for name, leaf in versions[0].items()} for _ in range(2))
    for k, delay in enumerate(np.asarray(schedule.delay)):
        stale = gradient(versions[k - delay], k)
        norm = np.sqrt(sum((leaf**2).sum() for leaf in stale.values()))
        step = {}
        for name, leaf in stale.items():
            leaf = leaf * min(1.0, clip / norm)
            first[name] = b1 * first[name] + (1 - b1) * leaf
            second[name] = b2 * second[name] + (1 - b2) * leaf**2
            mean, square = first[name] / (1 - b1 ** (k + 1)), second[name] / (1 - b2 ** (k + 1))
            step[name] = versions[k][name] - rate * (mean / (np.sqrt(square) + eps) + decay * versions[k][name])
        versions.append(step)
    return versions


@pytest.mark.parametrize("name", ["latency", "uniform"])
def test_a_loop_goes_through_the_versions_that_the_schedule_says(name):
    schedule = SCHEDULES[name]
    versions = clipped_adamw_by_hand(schedule)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), delayed(optax.adamw(0.05, weight_decay=0.1), schedule))
    update = jax.jit(optimizer.update)
    params: Any = START
    state: Any = optimizer.init(START)
    for k, delay in enumerate(schedule.delay):
        assert (int(state[1].worker), int(state[1].delay)) == (schedule.worker[k], delay)
        for held, version in ((params, k - delay), (stale_params(state), k - delay), (server_params(state), k)):
            for leaf in START:
                np.testing.assert_allclose(held[leaf], versions[version][leaf], rtol=1e-4, atol=2e-5)
        changes, state = update(gradient(params, k), state, params)
        params = optax.apply_updates(params, changes)
    for held in (params, server_params(state)):  # in the end the newest
        np.testing.assert_allclose(held["w"], versions[-1]["w"], rtol=1e-4, atol=2e-5)


# Powers of two, so that a product is exact and it does not matter whether a compiler rounds it before it adds.
LEARNER = a3cjax.QuadraticSGD(curvature=[0.5, 1.0, 2.0], step=0.125, noise=0.25)


def message(view, key, worker, turn):
    """What the engine's worker sends: its draws are its own, whoever computes."""
    words = jax.random.key_data(key)
    drawn = proposal_words((words[0], words[1]), worker, turn, 2)
    return LEARNER.propose(QuadraticState(view), (), key_from_words(drawn))[0]


def by_delayed(schedule, key):
    optimizer: Any = delayed(optax.sgd(0.125), schedule)

    def call(loop, turn):
        params, state = loop
        sent = message(stale_params(state), key, state.worker, turn)
        changes, state = optimizer.update(sent, state, params)
        params: Any = optax.apply_updates(params, changes)
        return (params, state), (server_params(state), params - stale_params(state))

    start = LEARNER.start
    return jax.lax.scan(call, (start, optimizer.init(start)), jnp.asarray(schedule.ranks()))[1]


def by_mailbox(schedule, key):
    optimizer: Any = mailbox(optax.sgd(0.125), schedule)

    def call(loop: Any, _: Any) -> Any:
        params, state, turns = loop
        sent = message(params, key, state.worker, turns[state.worker])
        turns = turns.at[state.worker].add(1)
        changes, state = optimizer.update(sent, state, params)
        params = optax.apply_updates(params, changes)
        return (params, state, turns), params

    start: Any = LEARNER.start
    first = schedule.num_workers - 1
    loop = start, optimizer.init(start), jnp.zeros(first + 1, jnp.int32)
    params: Any = jax.lax.scan(call, loop, length=first + schedule.num_updates)[1]
    return params[first:], params[:first] - start


@pytest.mark.parametrize(
    ("loop", "name"),
    [(by_delayed, "workers"), (by_delayed, "uniform"), (by_mailbox, "workers")],
)
def test_every_iterate_is_the_engines_to_the_bit(loop, name):
    """Compiled, three runs side by side. The loop's own sums are a rounding off at most; a mailbox waits at first."""
    schedule, keys = SCHEDULES[name], jax.random.split(KEY, 3)
    record = a3cjax.Record(every=1, metrics={"x": lambda state: state.x})
    wanted = a3cjax.simulate(LEARNER, schedule, keys, record=record).metrics["x"]
    found, off = jax.jit(jax.vmap(functools.partial(loop, schedule)))(keys)
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_allclose(off, 0, atol=1e-7 if loop is by_delayed else 0)


def test_versions_take_as_much_memory_as_are_alive():
    """N workers hold N versions, whatever the largest delay; a constant delay τ holds τ + 1."""
    slow = Schedule.from_workers(KEY, [compute_times.Pareto(1.0, 1.5)] * 8, 3000)
    assert slow.max_delay > 100
    for schedule, copies in ((slow, 8), (SCHEDULES["constant"], 6), (SCHEDULES["sequential"], 1)):
        state: Any = delayed(optax.sgd(0.1), schedule).init(START)
        assert state.past["w"].shape == (copies, 2)


def test_the_optimisers_own_state_waits_too():
    """Adam counts K updates in K + N − 1 calls, and noise that is drawn with a key of the optimiser's goes on."""
    optimizer = mailbox(optax.chain(optax.add_noise(0.1, 0.0, jax.random.key(0)), optax.adam(0.1)), OWN_READS)
    params: Any = START
    state: Any = optimizer.init(START)
    update = jax.jit(optimizer.update)
    for call in range(43):
        changes, state = update(gradient(params, 0), state, params)
        assert (call < 3) == (float(changes["b"]) == 0)
        params = optax.apply_updates(params, changes)
    assert int(state.inner[0].count) == int(state.inner[1][0].count) == 40


@pytest.mark.parametrize(("make", "calls"), [(delayed, 40), (mailbox, 43)])
def test_the_schedule_ends(make, calls):
    """One call more is an error where the count is known, and NaN for ever where it is not."""
    optimizer: Any = make(optax.sgd(0.1), OWN_READS)

    def go(loop: Any, _: Any) -> Any:
        params, state = loop
        changes, state = optimizer.update(params, state, params)
        return (optax.apply_updates(params, changes), state), params

    params: Any
    (params, state), _ = jax.lax.scan(go, (START, optimizer.init(START)), length=calls)
    assert bool(jnp.isfinite(params["w"]).all())
    with pytest.raises(ValueError, match=rf"The schedule ends after {'40' if make is delayed else '43 calls, 3 that'}"):
        optimizer.update(START, state, params)
    (params, _), before = jax.lax.scan(go, (params, state), length=3)
    assert bool(jnp.isfinite(before["b"][0]))
    assert bool(jnp.isnan(before["b"][1:]).all() and jnp.isnan(params["w"]).all())


WRONG: Any = "adam"
BARRIER = Schedule.barrier(KEY, TEAM, 5)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: delayed(optax.adam, OWN_READS), r"inner is the function adam, but must be an optax transformation"),  # type: ignore[arg-type]
        (lambda: mailbox(WRONG, OWN_READS), r"inner is 'adam', but must be an optax transformation, such as"),
        (lambda: delayed(optax.sgd(0.1), 3), r"schedule is 3, but must be an a3cjax.Schedule"),  # type: ignore[arg-type]
        (lambda: delayed(optax.sgd(0.1), Schedule.stack([OWN_READS] * 2)), r"is a batch of 2, .*; give schedule\[b\]"),
        (lambda: delayed(optax.sgd(0.1), BARRIER), r"schedule averages messages .*; use a3cjax.simulate"),
        (
            lambda: jax.eval_shape(lambda key: delayed(optax.sgd(0.1), Schedule.from_workers(key, TEAM, 5)), KEY),
            r"schedule is being traced, .*; draw it outside of jit and vmap",
        ),
        (
            lambda: mailbox(optax.sgd(0.1), Schedule([0, 1, 0], [0, 1, 0], [1.0, 2.0, 3.0])),
            r"delay\[2\] is 0, but worker 0, which last wrote update 0, would have 1 .*use a3cjax.optax.delayed",
        ),
        (
            lambda: mailbox(optax.sgd(0.1), Schedule([0, 1], [0, 0], [1.0, 2.0])),
            r"schedule.delay\[1\] is 0, but worker 1, which last wrote never, would have 1",
        ),
        (
            lambda: delayed(optax.sgd(0.1), OWN_READS).init({"n": jnp.int32(3)}),
            r"params\['n'\] is of int32, which has no gradient",
        ),
        (
            lambda: mailbox(optax.sgd(0.1), OWN_READS).init(np.broadcast_to(np.float32(0), 10**13)),
            r"The number of workers is 4, which takes about .*; use fewer workers",
        ),
        (
            lambda: delayed(optax.sgd(0.1), OWN_READS).update(START, delayed(optax.sgd(0.1), OWN_READS).init(START)),
            r"update needs the loop's parameters; call update\(gradient, state, params\)",
        ),
        (
            lambda: mailbox(optax.sgd(0.1), OWN_READS).update(
                {"w": jnp.zeros(2, jnp.bfloat16), "b": jnp.zeros(())}, mailbox(optax.sgd(0.1), OWN_READS).init(START)
            ),
            r"gradient\['w'\] is bfloat16\[2\], but its parameter is float32\[2\]",
        ),
        (lambda: server_params(optax.adam(0.1).init(START)), r"state holds no states of a3cjax.optax.delayed"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
