"""What the benchmark of compile times calls all combinations, and every pair."""

import inspect
import itertools

import jax
import numpy as np
import pytest

import a3cjax
from a3cjax.engine.plan import HISTORIES
from a3cjax.learners.a3c.estimators import ESTIMATORS
from a3cjax.learners.corrections import CORRECTIONS
from a3cjax.learners.optimizers import adopted_optimizer
from a3cjax.learners.sampling import SAMPLERS
from benchmarks.combinations import (
    DEFAULT,
    ENGINE,
    LEARNER,
    OPTIMIZERS,
    OPTIONS,
    SHAPELESS,
    WITHIN,
    made,
    refusal,
    schedule_of,
)
from benchmarks.covering import covering, neighbours
from benchmarks.options import chosen


@pytest.mark.parametrize(("function", "options"), [(a3cjax.A3C, LEARNER), (a3cjax.simulate, OPTIONS)])
def test_every_parameter_is_an_option_or_shapes_no_program(function, options):
    parameters = set(inspect.signature(function).parameters)
    unknown = {name for name in parameters if WITHIN.get(name, name) not in options and name not in SHAPELESS}
    assert not unknown, "a value of each has to be an option in benchmarks/combinations.py"
    assert not parameters & set(SHAPELESS) & set(options)


def test_all_names_that_an_option_may_have_are_among_its_values():
    assert set(LEARNER["sampling"]) == set(SAMPLERS)
    assert {name.partition(",")[0] for name in LEARNER["estimator"]} == set(ESTIMATORS)
    corrections = {name.partition(", ")[2] for name in LEARNER["gradient"]}
    assert corrections == {"", *CORRECTIONS} - {"decoupled"}  # which A3C always refuses
    assert set(ENGINE["history"]) == set(HISTORIES)


def test_the_ways_use_all_that_an_optimiser_may_use():
    # Whether it multiplies by one number, goes entry by entry, and looks at what is stale.
    theta = jax.ShapeDtypeStruct((3, 2), np.float32)
    made = {way: adopted_optimizer(optimizer(0.1), theta)[1] for way, optimizer in OPTIMIZERS.items()}
    assert {
        way: (uses.multiplies, uses.entrywise and not uses.multiplies, uses.stale) for way, uses in made.items()
    } == {
        "sgd": (True, False, False),
        "window": (True, False, False),
        "compensate": (False, True, True),
        "adam": (False, False, False),
        "drop_far": (True, False, True),
    }
    assert set(LEARNER["actor"]) == set(LEARNER["critic"]) == {"number", "function", *OPTIMIZERS}


def test_a_combination_is_made_of_what_it_says():
    other = {"prior": True, "minibatch": 4, "estimator": "reinforce, horizon 1", "scalars": "each", "runs": 4}
    call = made(DEFAULT | other | {"schedules": "each", "critic": "function", "history": "ring", "record": "delays"})
    learner = call.learner
    assert (learner.minibatch, learner.estimator, learner.horizon) == (4, "reinforce", 1)
    assert learner.prior.weight.shape == learner.actor_step.shape == call.keys.shape == (4,)
    assert learner.critic_step(1) < learner.critic_step(0)
    assert call.schedule.batch_shape == (4,)
    assert call.options["history"] == "ring"
    assert set(learner.delay_metric_names) < set(call.options["record"].metrics)


def test_schedules_are_of_three_kinds_and_fit_every_history_that_takes_them():
    plain, averaged, discarded = (schedule_of(name) for name in ENGINE["schedule"])
    assert (plain.commit, plain.weight, plain.num_updates) == (None, None, 200)
    assert (averaged.num_updates, discarded.num_updates) == (100, 160)
    assert [bool(one.own_reads) for one in (plain, discarded)] == [True, True]
    assert plain.delay[:6].tolist() == [0, 1, 2, 3, 3, 3]


def test_what_the_library_refuses_is_refused():
    averaged = DEFAULT | {"schedule": "commit", "history": "ring"}
    for row, says in (
        (DEFAULT, None),
        (averaged, None),
        (averaged | {"history": "mailbox"}, "commit column"),
        (averaged | {"actor": "drop_far"}, "stale view"),
        (DEFAULT | {"gradient": "fresh", "estimator": "reinforce"}, "fresh"),
    ):
        why = refusal(row)
        assert why is None if says is None else says in str(why)


def test_all_combinations_of_some_options_are_the_product_less_what_is_refused():
    rows, refused = chosen(["history", "schedule", "x64"], 2)
    assert len(rows) + len(refused) == 3 * 3 * 2
    commits = {"history": "mailbox", "schedule": "commit"}
    assert set(refused) == {(*commits.items(), ("x64", x64)) for x64 in (False, True)}
    assert len({tuple(row.items()) for row in rows}) == len(rows)


SMALL = {"a": (0, 1), "b": (0, 1, 2), "c": (0, 1), "d": ("x", "y", "z")}


def _refuses(row):
    if row["a"] == 1 and row["b"] == 2:
        return "a and b"
    if row["c"] == 1 and row["a"] == 0:
        return "c needs a"
    return None


@pytest.mark.parametrize("strength", [1, 2, 3])
def test_a_cover_holds_what_an_accepted_combination_holds_and_gives_up_the_rest(strength):
    start = {name: values[0] for name, values in SMALL.items()}
    rows, given_up = covering(SMALL, strength, _refuses, start)
    accepted = [
        row
        for values in itertools.product(*SMALL.values())
        if _refuses(row := dict(zip(SMALL, values, strict=True))) is None
    ]

    def held(some):
        return {part for row in some for part in itertools.combinations(row.items(), strength)}

    assert all(_refuses(row) is None for row in rows)
    assert held(rows) == held(accepted)
    every = held(dict(zip(SMALL, values, strict=True)) for values in itertools.product(*SMALL.values()))
    assert set(given_up) == every - held(accepted)
    assert len(rows) < len(accepted)


def test_neighbours_differ_in_one_option():
    row = {"a": 1, "b": 2, "c": 0, "d": "y"}
    found = list(neighbours(SMALL, row))
    assert len(found) == 1 + 2 + 1 + 2
    assert all(sum(row[name] != other[name] for name in SMALL) == 1 for other in found)
