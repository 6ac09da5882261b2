"""Schedule.from_workers with waits and cores: whose draws they are, what they are without effect, what is refused."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import a3cjax
from a3cjax.schedules.events.cores import Cores, Rules

ct, waits = a3cjax.compute_times, a3cjax.waits
from_workers = a3cjax.Schedule.from_workers
KEY = jax.random.key(0)
TEAM = [ct.Exponential(1.0), ct.Exponential(0.7), ct.Exponential(0.4)]
DRAWS = 8000  # of each law, more than are used, so that every test draws them by one program
TICK = 149  # every float32 is a whole multiple of 2^-149
SOMETIMES, MEASURED = waits.Sometimes(0.25, ct.Exponential(2.0)), waits.Empirical([0.0, 0.0, 0.5, 1.25])
LAWS = [SOMETIMES, MEASURED, waits.Sometimes(0.9, ct.Exponential(0.3))]


@jax.jit
def drawn(law, key):
    return jax.vmap(lambda t: law.sample(jax.random.fold_in(key, t)))(jnp.arange(DRAWS))


def draws_of(key, laws):
    """Worker i's times as the documentation defines them, in ticks."""
    return [
        list(map(in_ticks, np.asarray(drawn(law, jax.random.fold_in(key, i)))[:500].tolist()))
        for i, law in enumerate(laws)
    ]


def in_ticks(time):
    numerator, denominator = float(np.float32(time)).as_integer_ratio()
    return numerator * (1 << TICK) // denominator


def followed(computing, waiting, num_updates, latency=0.0, write=0.0, cores=None, q=None):
    """The loop, which test_cores_model.py holds to the model, fed with these times."""
    rules = Rules(
        num_updates,
        in_ticks(latency),
        in_ticks(write),
        cores or len(computing),
        q if q is None else in_ticks(q),
    )
    computing = [iter(times).__next__ for times in computing]
    waiting = None if waiting is None else [iter(times).__next__ for times in waiting]
    team = Cores(rules, computing, waiting)
    team.run()
    return team.worker, team.delay, [landed / (1 << TICK) for landed in team.landed]


def assert_follows(schedule, columns):
    for name, column in zip(("worker", "delay", "time"), columns, strict=True):
        np.testing.assert_array_equal(getattr(schedule, name), column)


# ------------------------------------------------------------------------------------------------------------- draws


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"read_latency": 0.3, "write_time": 0.1},
        {"cores": 2, "time_slice": 0.3},
        {"read_latency": 0.3, "write_time": 0.1, "cores": 1, "time_slice": 0.2},
        {"cores": 2},
    ],
    ids=str,
)
def test_waits_are_drawn_from_the_key_the_worker_and_the_turn(options):
    """w(i, t) = law.sample(fold_in(fold_in(fold_in(key, 2³² − 1), i), t)), c(i, t) as in workers.py."""
    computing = draws_of(KEY, TEAM)
    waiting = draws_of(jax.random.fold_in(KEY, 2**32 - 1), LAWS)
    names = {"read_latency": "latency", "write_time": "write", "cores": "cores", "time_slice": "q"}
    schedule = from_workers(KEY, TEAM, 200, wait=LAWS, **options)
    assert_follows(schedule, followed(computing, waiting, 200, **{names[name]: x for name, x in options.items()}))


def test_one_law_or_number_is_every_workers():
    law = LAWS[0]
    assert_follows(from_workers(KEY, TEAM, 200, wait=law), columns(from_workers(KEY, TEAM, 200, wait=[law] * 3)))
    assert_follows(from_workers(KEY, TEAM, 200, wait=0.5), columns(from_workers(KEY, TEAM, 200, wait=[0.5] * 3)))
    mixed: list[Any] = [0.5, ct.Deterministic(0.5), np.float32(0.5)]
    fixed = from_workers(KEY, TEAM, 200, wait=mixed)
    assert_follows(from_workers(KEY, TEAM, 200, wait=0.5), columns(fixed))


def columns(schedule):
    return schedule.worker, schedule.delay, schedule.time


def test_a_shorter_schedule_begins_a_longer_one():
    draw = partial(from_workers, KEY, TEAM, wait=LAWS, cores=2, time_slice=0.3, write_time=0.1)
    assert_follows(draw(num_updates=77), [column[:77] for column in columns(draw(num_updates=200))])


def test_a_law_of_the_users_own_is_drawn_and_looked_at():
    def own(sample) -> Any:
        return type("Mine", (), {"mean": 1.0, "sample": lambda self, key: sample(key)})()

    mine = own(lambda key: jnp.maximum(ct.Exponential(1.0).sample(key) - 0.5, 0))
    assert (from_workers(KEY, TEAM, 50, wait=mine).delay >= 0).all()
    with pytest.raises(ValueError, match=r"wait\[1\].sample of Mine gave -1.0 at turn 0, but a wait must be a finite"):
        from_workers(KEY, TEAM, 50, wait=[0.0, own(lambda key: -1.0), 0.0])
    with pytest.raises(ValueError, match=r"wait\[2\] samples times of shape \(2,\), but must sample one"):
        from_workers(KEY, TEAM, 50, wait=[0.0, 1.0, own(lambda key: jnp.ones(2))])
    with pytest.raises(ValueError, match=r"compute_times\[0\].sample of Mine gave 0.0 at turn 0, but a compute time"):
        from_workers(KEY, [own(lambda key: 0.0)], 50, wait=1.0)


# ----------------------------------------------------------------------------------------------------- without effect


@pytest.mark.parametrize("plain", [{}, {"read_latency": 0.3, "write_time": 0.1}], ids=str)
def test_a_core_for_each_worker_gives_the_plain_schedule(plain):
    free = from_workers(KEY, TEAM, 200, **plain)
    for options in ({"cores": 3}, {"cores": 64, "time_slice": 0.1}, {"cores": 3, "time_slice": math.inf}):
        assert_follows(from_workers(KEY, TEAM, 200, **plain, **options), columns(free))


@pytest.mark.parametrize("plain", [{}, {"latency": 0.3}, {"latency": 0.3, "write": 0.1}, {"write": 0.5}], ids=str)
def test_the_loop_is_the_plain_program(plain):
    """The events of workers.py, with times as they are: without waits its program rounds to what a clock shows."""
    names = {"latency": "read_latency", "write": "write_time"}
    free = from_workers(KEY, TEAM, 200, **{names[name]: x for name, x in plain.items()})
    worker, delay, time = followed(draws_of(KEY, TEAM), None, 200, **plain)
    np.testing.assert_array_equal(free.worker, worker)
    np.testing.assert_array_equal(free.delay, delay)
    np.testing.assert_allclose(free.time, time, rtol=0 if plain else 1e-6)


def test_a_wait_of_none_is_the_plain_schedule_where_writes_take_no_time():
    free, waiting = (
        from_workers(KEY, TEAM, 200, read_latency=0.3),
        from_workers(KEY, TEAM, 200, read_latency=0.3, wait=0),
    )
    assert_follows(waiting, columns(free))
    assert from_workers(KEY, TEAM, 200, wait=0.0).own_reads


def test_slices_without_end_are_none():
    draw = partial(from_workers, KEY, TEAM, 200, wait=LAWS[2], cores=2)
    assert_follows(draw(time_slice=math.inf), columns(draw()))


# ----------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"time_slice": 0.5}, "time_slice is 0.5, which has no effect where no cores are shared; give cores"),
        ({"cores": 0}, "cores is 0, but must be at least 1"),
        ({"cores": 1.5}, "cores must be a whole number, but is 1.5"),
        ({"cores": 2, "time_slice": 0.0}, "time_slice is 0.0, but must be greater than 0"),
        ({"cores": 2, "time_slice": 1e-60}, "time_slice is 1e-60, but must be greater than 0 .as float32"),
        ({"cores": 2, "time_slice": -1}, "time_slice is -1, but must be at least 0"),
        ({"cores": 2, "time_slice": [1, 2]}, r"time_slice has shape \(2,\), but must be one number"),
        ({"cores": 2}, "cores is 2, and 3 of 3 workers have no wait, so that without a time slice .* give time_slice"),
        ({"cores": 1, "wait": [0.0, 1.0, 1.0]}, "cores is 1, and 1 of 3 workers have no wait"),
        ({"cores": 1, "wait": waits.Empirical([0.0])}, "3 of 3 workers have no wait"),
        ({"wait": -0.5}, "wait is -0.5, but must be at least 0"),
        ({"wait": math.inf}, "wait is inf; every entry must be a finite number"),
        ({"wait": "long"}, "wait must be a number, but is 'long'"),
        ({"wait": [1.0, 2.0]}, "wait has 2 entries for 3 workers; give one law or number for all, or one for each"),
        ({"wait": [1.0, -1.0, 1.0]}, r"wait\[1\] is -1, but must be at least 0"),
        ({"wait": [1.0, [1.0], 1.0]}, r"wait\[1\] is \[1.0\], but must be one law or number"),
        ({"wait": [1.0, None, 1.0]}, r"wait\[1\] (must be a number|is nan)"),
        ({"wait": ct.Exponential}, "wait is the class Exponential; give a law|wait must be a number"),
        ({"wait": 1.0, "read_latency": -1.0}, "read_latency is -1, but must be at least 0"),
        ({"wait": 1.0, "num_updates": 0}, "num_updates is 0, but must be at least 1"),
        ({"wait": 1.0, "key": 3}, "key must be a JAX random key"),
        ({"wait": 1.0, "compute_times": []}, "compute_times is empty"),
        ({"cores": 2, "compute_times": ct.Exponential(1.0)}, "compute_times is one law, but must be a list"),
        ({"compute_times": [waits.Empirical([1.0])]}, r"compute_times\[0\] is waits.Empirical, whose times may be 0"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(options, sentence):
    arguments = {"key": KEY, "compute_times": TEAM, "num_updates": 3} | options
    with pytest.raises(ValueError, match=sentence):
        from_workers(**arguments)


@pytest.mark.parametrize("options", [{"wait": 0.5}, {"cores": 2, "time_slice": 0.5}], ids=str)
def test_nothing_may_be_traced(options):
    with pytest.raises(ValueError, match="is being traced; draw it outside of jit and vmap"):
        jax.eval_shape(lambda key: from_workers(key, TEAM, 20, **options), KEY)


# -------------------------------------------------------------------------------------------------------- laws of waits


def test_laws_of_waits_have_their_mass_at_nothing():
    sometimes, measured = np.asarray(drawn(SOMETIMES, KEY)), np.asarray(drawn(MEASURED, KEY))
    assert (sometimes > 0).mean() == pytest.approx(0.25, abs=4 * (0.25 * 0.75 / DRAWS) ** 0.5)
    assert sometimes[sometimes > 0].mean() == pytest.approx(2.0, abs=4 * 2 / (DRAWS / 4) ** 0.5)
    values, counts = np.unique(measured, return_counts=True)
    np.testing.assert_array_equal(values, [0.0, 0.5, 1.25])
    np.testing.assert_allclose(counts / DRAWS, [0.5, 0.25, 0.25], atol=4 * 0.5 / DRAWS**0.5)
    assert (SOMETIMES.mean, MEASURED.mean) == (0.5, 0.4375)
    np.testing.assert_allclose(drawn(SOMETIMES.scaled(3.0), KEY), 3 * sometimes, rtol=1e-6)
    np.testing.assert_allclose(drawn(MEASURED.scaled(3.0), KEY), 3 * measured, rtol=1e-6)
    law = ct.Exponential(1.0)
    assert not np.any(drawn(waits.Sometimes(0.0, law), KEY))
    np.testing.assert_array_equal(drawn(waits.Sometimes(1.0, law), KEY), drawn(law, KEY))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: waits.Empirical([0.5, -1.0]), r"values\[1\] is -1, but must be at least 0"),
        (lambda: waits.Empirical([]), "values has shape .0,., but must be a vector of at least one number"),
        (lambda: waits.Sometimes(1.5, ct.Exponential(1.0)), "share is 1.5, but must be at most 1"),
        (lambda: waits.Sometimes(0.5, 1.0), "law is 1.0, which has no mean and sample; see a3cjax.compute_times"),
        (lambda: waits.Sometimes(0.5, ct.Exponential), "law is the class Exponential; give a law"),
    ],
)
def test_what_is_no_law_of_waits_is_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
