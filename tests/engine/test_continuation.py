"""A run continued from its saved state, or after Ctrl-C, has the bits of one that was never stopped."""

import contextlib
import copy
import os
import pickle
import signal
import threading
import time
from typing import Any

import jax
import numpy as np
import pytest

import a3cjax
from a3cjax.engine import driver, way

LAW = a3cjax.compute_times.Exponential(1.0)
KEYS = jax.random.split(jax.random.key(1), 3)
STATES = a3cjax.Record(every=10, metrics={"theta": lambda state: state.theta, "omega": lambda state: state.omega})
wrong: Any = "a state"


@pytest.fixture(scope="module")
def learner():
    mdp = a3cjax.families.synthetic(jax.random.key(0), num_states=6, num_actions=3, num_features=4)
    return a3cjax.A3C(mdp, actor_step=lambda k: 0.5 / (1 + k) ** 0.5, critic_step=0.4)


def schedule_of(history):
    if history == "mailbox":
        return a3cjax.Schedule.from_workers(jax.random.key(0), [LAW] * 4, 60)
    return a3cjax.Schedule.from_law(jax.random.key(0), a3cjax.delays.Uniform(0, 5), 60, num_workers=4)


def quadratic(noise: Any = 1.0):
    return a3cjax.QuadraticSGD(curvature=[1.0, 0.5], step=0.1, noise=noise)


def assert_joined(first, second, whole):
    """The parts' records in turn, and the second part's end, are those of the whole."""
    for name in whole.metrics:
        joined = np.concatenate([first.metrics[name], second.metrics[name]], axis=1)
        np.testing.assert_array_equal(joined, whole.metrics[name], err_msg=name)
    np.testing.assert_array_equal(np.append(first.updates, second.updates), whole.updates)
    np.testing.assert_array_equal(np.concatenate([first.time, second.time], axis=-1), whole.time)
    for ours, theirs in zip(jax.tree.leaves(second.params), jax.tree.leaves(whole.params), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    samples = jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), first.transitions, second.transitions)
    for ours, theirs in zip(jax.tree.leaves(samples), jax.tree.leaves(whole.transitions), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("history", ["mailbox", "ring"])
@pytest.mark.parametrize("cut", [30, 43])
def test_a_run_goes_on_from_a_file(history, cut, learner, tmp_path):
    """Cut at a record or between two, saved to disk, loaded, and continued along the whole schedule."""
    schedule = schedule_of(history)
    whole = a3cjax.simulate(learner, schedule, KEYS, record=STATES, transitions=True)
    first = a3cjax.simulate(learner, schedule[:cut], KEYS, record=STATES, transitions=True)
    assert first.state is not None
    first.state.save(tmp_path / "state.npz")
    state = a3cjax.SavedState.load(tmp_path / "state.npz")
    assert (state.updates, state.history) == (cut, history)
    second = a3cjax.simulate(learner, schedule, KEYS, record=STATES, transitions=True, resume=state)
    assert second.updates.tolist() == list(range(cut // 10 * 10 + 10, 61, 10))
    assert_joined(first, second, whole)
    assert os.listdir(tmp_path) == ["state.npz"]  # and no temporary file is left behind


def test_a_schedule_may_go_on_with_longer_delays():
    """The prefix has delay 0 and so a ring of one version; the delays of the rest do not reach before the cut."""
    delay = np.r_[np.zeros(20, int), np.minimum(np.arange(20), 5)]
    schedule = a3cjax.Schedule(np.zeros(40, int), delay, np.arange(40))
    first = a3cjax.simulate(quadratic(), schedule[:20], KEYS, history="ring")
    second = a3cjax.simulate(quadratic(), schedule, KEYS, resume=first.state)
    np.testing.assert_array_equal(second.params.x, a3cjax.simulate(quadratic(), schedule, KEYS).params.x)


@pytest.mark.parametrize("history", ["mailbox", "ring"])
def test_a_state_that_nobody_has_looked_at_is_a_state(history, learner):
    """The leaves are put together when they are asked for; copies, pickles and tree maps have them."""

    def fresh() -> Any:
        return a3cjax.simulate(learner, schedule_of(history), KEYS, record=STATES, transitions=True).state

    leaves = fresh().leaves
    others = fresh(), copy.copy(fresh()), pickle.loads(pickle.dumps(fresh())), jax.tree.map(np.asarray, fresh())
    for other in others:
        for ours, theirs in zip(other.leaves, leaves, strict=True):
            assert ours.shape[0] == len(KEYS)
            np.testing.assert_array_equal(ours, theirs)
    looked_at = fresh()
    assert looked_at.leaves is looked_at.leaves
    with pytest.raises(AttributeError, match="no attribute 'leaf'"):
        _ = looked_at.leaf


def test_going_on_where_nothing_is_left():
    """Resumed at its own end a run has no more records and the same parameters."""
    schedule = schedule_of("mailbox")
    done = a3cjax.simulate(quadratic(), schedule, KEYS)
    again = a3cjax.simulate(quadratic(), schedule, KEYS, resume=done.state)
    assert again.updates.size == 0
    assert again.metrics["objective"].shape == (3, 0)
    np.testing.assert_array_equal(again.params.x, done.params.x)


# ------------------------------------------------------------------------------------------------------------- Ctrl-C


@pytest.fixture
def press(monkeypatch):
    """Blocks of ten updates of three runs, and SIGINT during the n-th of them, as often as asked."""

    def during(block, times=1):
        advance, calls = driver._advance, []

        def watched(*args, **rest):
            calls.append(1)
            if len(calls) == block:
                for _ in range(times):
                    os.kill(os.getpid(), signal.SIGINT)
                    time.sleep(0.1)  # the main thread handles it, and two that are waiting would count as one
            return advance(*args, **rest)

        monkeypatch.setattr(driver, "_advance", watched)

    monkeypatch.setattr(way, "BLOCK_WORK", 10 * 4)  # lanes, one of them idle
    return during


@pytest.mark.parametrize("history", ["mailbox", "ring", "versions"])
def test_ctrl_c_leaves_what_was_done(history, learner, press, monkeypatch):
    """Pressed during the third block of ten updates: thirty are done, and the rest gives the bits of the whole.

    What the rest reads was known to the schedule of versions. One case joins samples too.
    """
    schedule = schedule_of(history)
    options: Any = {"record": STATES, "transitions": True}
    if history != "mailbox":
        learner, options = quadratic(), {"record": a3cjax.Record(every=10, metrics={"x": lambda state: state.x})}
    whole = a3cjax.simulate(learner, schedule, KEYS, history=history, **options)
    handler = signal.getsignal(signal.SIGINT)
    press(block=3)
    with pytest.raises(a3cjax.Interrupted, match="after 30 of 60 updates") as caught:
        a3cjax.simulate(learner, schedule, KEYS, history=history, **options)
    assert signal.getsignal(signal.SIGINT) is handler
    assert isinstance(caught.value, KeyboardInterrupt)
    first = caught.value.result
    assert first.updates.tolist() == [10, 20, 30]
    assert first.state is not None
    monkeypatch.undo()
    second = a3cjax.simulate(learner, schedule, KEYS, resume=first.state, **options)
    assert_joined(first, second, whole)


def test_a_second_ctrl_c_stops_at_once(press):
    handler = signal.getsignal(signal.SIGINT)
    press(block=2, times=2)
    with pytest.raises(KeyboardInterrupt) as caught:
        a3cjax.simulate(quadratic(), schedule_of("mailbox"), KEYS)
    assert not isinstance(caught.value, a3cjax.Interrupted)
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_simulation_in_a_thread_leaves_signals_alone():
    """Only the main thread may set handlers; elsewhere a simulation runs without."""
    results = []
    thread = threading.Thread(target=lambda: results.append(a3cjax.simulate(quadratic(), schedule_of("mailbox"), KEYS)))
    thread.start()
    thread.join()
    np.testing.assert_array_equal(
        results[0].params.x, a3cjax.simulate(quadratic(), schedule_of("mailbox"), KEYS).params.x
    )


# --------------------------------------------------------------------------------------------------------- bad input


@pytest.fixture(scope="module")
def half():
    return a3cjax.simulate(quadratic(), schedule_of("mailbox")[:30], KEYS).state


def other_cases(state):
    mailbox, ring = schedule_of("mailbox"), schedule_of("ring")
    three = a3cjax.QuadraticSGD(curvature=[1.0, 0.5, 2.0], step=0.1)
    more = a3cjax.Schedule(mailbox.worker, mailbox.delay, mailbox.time, num_workers=5)
    return {
        "another dimension": (three, mailbox, KEYS, {}, r"made with another learner\.curvature"),
        "other runs": (quadratic(), mailbox, KEYS[:2], {}, "holds 3 runs, but there are 2; give the number of runs"),
        "other workers": (quadratic(), more, KEYS, {}, "where .*is needed; give the learner, the number of runs"),
        "a shorter schedule": (quadratic(), mailbox[:20], KEYS, {}, "after update 30, but the schedule has 20"),
        "another history": (quadratic(), mailbox, KEYS, {"history": "ring"}, "resume was saved with 'mailbox'"),
        "a schedule of another kind": (quadratic(), ring, KEYS, {}, "does not read right after its own write"),
    }


@pytest.mark.parametrize("name", other_cases(None))
def test_a_state_of_something_else_is_refused(name, half):
    learner, schedule, keys, options, message = other_cases(half)[name]
    with pytest.raises(ValueError, match=message):
        a3cjax.simulate(learner, schedule, keys, resume=half, **options)


def test_another_learner_is_refused(half, learner):
    with pytest.raises(ValueError, match="another learner"):
        a3cjax.simulate(learner, schedule_of("mailbox"), KEYS, resume=half)


def test_what_is_not_a_state_is_refused(tmp_path):
    with pytest.raises(ValueError, match="resume"):
        a3cjax.simulate(quadratic(), schedule_of("mailbox"), KEYS, resume=wrong)
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(ValueError, match=r"other\.npz is not a saved simulation"):
        a3cjax.SavedState.load(tmp_path / "other.npz")
    with pytest.raises(FileNotFoundError):
        a3cjax.SavedState.load(tmp_path / "nothing.npz")


def test_a_save_that_fails_leaves_the_old_file(half, tmp_path, monkeypatch):
    path = tmp_path / "state.npz"
    half.save(path)
    before = path.read_bytes()

    def full(*args, **kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez", full)
    with contextlib.suppress(OSError):
        half.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["state.npz"]
