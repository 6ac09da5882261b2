"""A saved state knows what it was made from, and its file is believed only if it is whole."""

import dataclasses
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import a3cjax
from a3cjax.engine import origin
from a3cjax.engine.runs import Runs

KEYS = jax.random.split(jax.random.key(1), 2)
SCHEDULE = a3cjax.Schedule.from_law(jax.random.key(0), a3cjax.delays.Uniform(0, 3), 20, num_workers=2)
HALF = 10


def quadratic(step: Any = 0.1, noise: Any = 1.0, start: Any = None):
    return a3cjax.QuadraticSGD(curvature=[1.0, 0.5], step=step, noise=noise, start=start)


@pytest.fixture(scope="module")
def half():
    return a3cjax.simulate(quadratic(), SCHEDULE[:HALF], KEYS).state


def changed(column, value, at):
    columns = {name: np.array(getattr(SCHEDULE, name)) for name in ("worker", "delay", "time")}
    columns[column][at] = value
    return a3cjax.Schedule(**columns, num_workers=2)


OTHERS = {
    "a key": (quadratic(), SCHEDULE, KEYS[::-1], "another key; give the key that it was made with, or go on"),
    "one key of two": (quadratic(), SCHEDULE, KEYS[np.array([0, 0])], "another key;"),
    "a step": (quadratic(0.2), SCHEDULE, KEYS, r"another learner\.step; .*resume=state\.regardless_of\('learner'\)"),
    "a step for each run": (quadratic([0.1, 0.2]), SCHEDULE, KEYS, r"another learner\.step;"),
    "a start": (quadratic(start=[1.0, 2.0]), SCHEDULE, KEYS, r"another learner\.start;"),
    "both": (quadratic(0.2), SCHEDULE, KEYS[::-1], r"another learner\.step and another key;"),
    "the last delay": (quadratic(), changed("delay", 1 - SCHEDULE.delay[9] // 2, 9), KEYS, "another schedule .in its "),
    "a worker": (
        quadratic(),
        changed("worker", 1 - SCHEDULE.worker[0], 0),
        KEYS,
        r"another schedule .in its first 10 rows.*start anew",
    ),
    "a time": (quadratic(), changed("time", 1.5, 1), KEYS, "another schedule"),
    "messages that are averaged": (
        quadratic(),
        a3cjax.Schedule(SCHEDULE.worker, np.zeros(20, int), SCHEDULE.time, num_workers=2, commit=np.arange(20) % 2),
        KEYS,
        "another schedule",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_origin_is_refused_by_name(name, half, tmp_path):
    learner, schedule, keys, sentence = OTHERS[name]
    half.save(tmp_path / "half.npz")
    for state in (half, a3cjax.SavedState.load(tmp_path / "half.npz")):
        with pytest.raises(ValueError, match=f"resume was made with {sentence}"):
            a3cjax.simulate(learner, schedule, keys, history="ring", resume=state)


def test_another_precision_is_refused(half):
    with jax.enable_x64(True), pytest.raises(ValueError, match=r"another precision.*jax_enable_x64.*holds float32"):
        a3cjax.simulate(quadratic(), SCHEDULE, KEYS, resume=half)


def test_another_learner_with_the_same_fields_is_refused(half):
    class Mine(a3cjax.QuadraticSGD):
        pass

    mine: Any = object.__new__(Mine)
    mine.__dict__.update(quadratic().__dict__)
    with pytest.raises(ValueError, match="made with another learner; give the learner"):
        a3cjax.simulate(mine, SCHEDULE, KEYS, resume=half)


def test_what_changes_no_bit_may_change(half, tmp_path):
    """Records, devices, a schedule that goes on longer or otherwise, one for all runs or a batch of the same."""
    half.save(tmp_path / "half.npz")
    state = a3cjax.SavedState.load(tmp_path / "half.npz")
    longer = a3cjax.Schedule.from_law(jax.random.key(0), a3cjax.delays.Uniform(0, 3), 25, num_workers=2)
    otherwise = changed("delay", 0, HALF)
    for schedule in (SCHEDULE, a3cjax.Schedule.stack([SCHEDULE] * 2), longer, otherwise):
        state.check_origin(Runs.of(quadratic(), schedule, KEYS).origin(HALF))
    options: Any = {"record": a3cjax.Record(every=5), "devices": jax.devices()[:1], "progress": False}
    rest = a3cjax.simulate(quadratic(), otherwise, KEYS, resume=state, **options)
    np.testing.assert_array_equal(rest.params.x, a3cjax.simulate(quadratic(), otherwise, KEYS).params.x)


def test_a_step_function_is_what_it_gave_so_far():
    """One that differs at update 9 of 10 is another; one that differs from update 10 on goes on as if always used."""
    mdp = a3cjax.families.synthetic(jax.random.key(0), num_states=3, num_actions=2, num_features=2)

    def learner(last):
        return a3cjax.A3C(mdp, actor_step=lambda k: jnp.where(k <= last, 0.5, 0.1), critic_step=0.1)

    def differs(ours, theirs, counted):
        return origin.differences(origin.learner_parts(ours, counted), origin.learner_parts(theirs, counted))

    assert differs(learner(8), learner(100), 10) == ["learner.actor_step"]
    assert differs(learner(9), learner(100), 10) == []
    assert differs(learner(9), learner(100), 11) == ["learner.actor_step"]
    constant = dataclasses.replace(learner(100), actor_step=0.5)
    assert differs(constant, learner(100), 10) == ["learner.actor_step"]
    # Another problem, and what is made of it, are told by the first: the problem.
    other = dataclasses.replace(constant, mdp=a3cjax.families.lazy(mdp, 0.5))
    assert differs(other, constant, 10) == ["learner.mdp"]
    assert differs(dataclasses.replace(constant, minibatch=2), constant, 10) == ["learner.minibatch"]


def test_a_change_on_purpose(half):
    assert half.regardless_of("learner").fingerprint.keys() == {"precision", "key", "schedule"}
    half.regardless_of("learner", "key").check_origin(Runs.of(quadratic(0.2), SCHEDULE, KEYS[::-1]).origin(HALF))
    with pytest.raises(ValueError, match="resume was made with another key;"):
        half.regardless_of("learner").check_origin(Runs.of(quadratic(0.2), SCHEDULE, KEYS[::-1]).origin(HALF))
    with pytest.raises(ValueError, match="names is 'schedule', but must be one of 'learner', 'key'"):
        half.regardless_of("schedule")


def test_nothing_is_hashed_for_the_same_arrays(monkeypatch):
    def never(*_):
        raise AssertionError("hashed")

    monkeypatch.setattr(origin, "_rows_digest", never)
    state = a3cjax.simulate(quadratic(), SCHEDULE[:HALF], KEYS).state
    a3cjax.simulate(quadratic(), SCHEDULE, KEYS, resume=state)
    copied = a3cjax.Schedule(SCHEDULE.worker.copy(), SCHEDULE.delay.copy(), SCHEDULE.time.copy(), num_workers=2)
    with pytest.raises(AssertionError, match="hashed"):
        a3cjax.simulate(quadratic(), copied, KEYS, resume=state)


def test_functions_are_told_apart_by_what_they_are_made_of():
    """The same text for a function that was made again, whatever its address; another for other constants."""

    def closing_over(step):
        return lambda k: step / (1 + k)

    told = origin._text
    assert told(closing_over(0.5)) == told(closing_over(0.5))
    assert told(closing_over(0.5)) != told(closing_over(0.25))
    assert told(lambda k: k + 1) != told(lambda k: k + 2)
    assert told({"b": {3, 1}, "a": object()}) == told({"b": {1, 3}, "a": object()})
    assert "0x" not in told((object(), closing_over, jnp.sum, dataclasses.field))

    def itself():
        return itself

    assert told(itself) == told(itself)


# --------------------------------------------------------------------------------------------------------------- files


def test_every_type_of_leaf_comes_back(tmp_path):
    keys = jax.random.split(jax.random.key(3), 2)
    leaves: Any = (jnp.array([[0.99], [2.0]], jnp.bfloat16), np.array([1.5, 2.5], np.float16), np.arange(2), keys)
    a3cjax.SavedState(leaves, 4, "ring", 2).save(tmp_path / "state.npz")
    again = a3cjax.SavedState.load(tmp_path / "state.npz")
    assert (again.updates, again.history, again.depth, again.fingerprint) == (4, "ring", 2, {})
    for ours, theirs in zip(again.leaves[:3], leaves[:3], strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(np.asarray(ours, float), np.asarray(theirs, float))
    assert again.leaves[3].dtype == keys.dtype
    np.testing.assert_array_equal(jax.random.key_data(again.leaves[3]), jax.random.key_data(keys))


@pytest.mark.parametrize("kind", ["empty", "half", "text", "array", "schedule"])
def test_a_foreign_or_damaged_file_is_refused(kind, half, tmp_path):
    path = tmp_path / "half.npz"
    half.save(path)
    if kind == "schedule":
        SCHEDULE.save(path)
    elif kind == "array":
        with path.open("wb") as file:
            np.save(file, np.arange(3))
    else:
        path.write_bytes({"empty": b"", "half": path.read_bytes()[:-400], "text": b"a,b\n"}[kind])
    with pytest.raises(
        ValueError, match=r"half\.npz is not a saved simulation \(it .*give a file that SavedState\.save"
    ):
        a3cjax.SavedState.load(path)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"updates": -5}, "updates is -5, but must be at least 0"),
        ({"updates": 2.5}, "updates must be a whole number"),
        ({"depth": -1}, "depth is -1"),
        ({"history": "log"}, "history is 'log', but must be one of 'mailbox', 'ring'"),
        ({"types": ["float32"] * 9}, "leaf_"),
        ({"types": []}, "leaves have no common leading axis, of runs"),
        ({"fingerprint": None}, "it lacks some of its parts"),
    ],
)
def test_a_state_that_cannot_be_is_refused(changes, sentence, half, tmp_path):
    half.save(tmp_path / "half.npz")
    with np.load(tmp_path / "half.npz") as archive:
        arrays = dict(archive)
    arrays["about"] = np.array(json.dumps(json.loads(str(arrays["about"])) | changes))
    np.savez(tmp_path / "forged.npz", **arrays)
    with pytest.raises(ValueError, match=rf"forged\.npz does not hold a whole saved simulation: .*{sentence}"):
        a3cjax.SavedState.load(tmp_path / "forged.npz")


def test_a_file_without_a_fingerprint_is_of_an_earlier_version(tmp_path):
    np.savez(tmp_path / "old.npz", leaf_0=np.zeros((1, 2)), updates=3, history="ring", depth=4)
    with pytest.raises(ValueError, match=r"old\.npz was saved by an earlier version.*start anew"):
        a3cjax.SavedState.load(tmp_path / "old.npz")


def test_a_state_built_by_hand_is_checked():
    leaves: Any = (np.zeros((1, 2)),)
    other: Any = np.zeros((2, 2))
    with pytest.raises(ValueError, match="updates is -5, but must be at least 0"):
        a3cjax.SavedState(leaves, -5, "ring", 1)
    with pytest.raises(ValueError, match="leaves have no common leading axis"):
        a3cjax.SavedState((*leaves, other), 5, "ring", 1)
