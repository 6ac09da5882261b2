"""Exceptions that carry results travel: between processes, and as copies."""

import copy
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import jax
import numpy as np
import pytest

import a3cjax
from a3cjax.studies import StudyInterrupted

# x ← x (1 − 1e30): about −1e30 after one update, infinite after two.
LEARNER = a3cjax.QuadraticSGD(curvature=[1.0], step=1e30)
SCHEDULE = a3cjax.Schedule.sequential(4)


def raised():
    with pytest.raises(a3cjax.Diverged) as caught:
        a3cjax.simulate(LEARNER, SCHEDULE, jax.random.key(0))
    return caught.value


@pytest.mark.parametrize("kind", [a3cjax.Diverged, a3cjax.Interrupted, StudyInterrupted])
@pytest.mark.parametrize("travel", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy])
def test_an_exception_travels_with_its_message_notes_and_result(kind, travel):
    held = "result" if kind is not StudyInterrupted else "study"
    result: Any = raised().result
    error = kind("what happened", result)
    error.add_note("seen twice")
    other = travel(error)
    assert type(other) is kind
    assert (str(other), other.__notes__) == ("what happened", ["seen twice"])
    assert (
        getattr(other, held).metrics["objective"].tolist()[:1] == getattr(error, held).metrics["objective"].tolist()[:1]
    )
    assert int(getattr(other, held).nonfinite_from) == 2
    assert getattr(other, held).state.fingerprint == getattr(error, held).state.fingerprint


def test_a_run_that_diverges_in_a_process_of_a_pool_is_told():
    """It used to end the pool's thread that unpickles, and the caller waited for ever."""
    key: Any = np.array([0, 0], np.uint32)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        future = pool.submit(a3cjax.simulate, LEARNER, SCHEDULE, key)
        with pytest.raises(a3cjax.Diverged, match="not finite at the record after update 2") as caught:
            future.result(timeout=120)
    assert int(caught.value.result.nonfinite_from) == 2
