"""Parts of a study side by side: all are called, the first exception ends it, and Ctrl-C is told to all of them."""

import functools
import signal
import threading

import jax
import jax.numpy as jnp
import pytest

import a3cjax.engine.tiles as tiles
from a3cjax.engine.host import interruptible
from a3cjax.studies.frame.beside import beside


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    """As on a machine with two cores, whatever this one has."""
    monkeypatch.setattr("a3cjax.studies.frame.beside.cores_to_use", lambda: 2)


def test_parts_go_side_by_side_with_the_callers_precision():
    both, seen = threading.Barrier(2, timeout=30), []

    def part(name, progress):
        assert progress is False  # one bar stands for all
        both.wait()  # neither could pass alone
        seen.append((name, jnp.zeros(1).dtype))

    with jax.enable_x64(True):
        beside([functools.partial(part, name) for name in "abcd"], "letters", None, most=9)
    assert sorted(name for name, _ in seen) == list("abcd")
    assert {str(dtype) for _, dtype in seen} == {"float64"}


@pytest.mark.parametrize(("cores", "most"), [(1, 9), (2, 1.9)])
def test_one_after_the_other_where_there_is_one_core_or_room_for_one(monkeypatch, cores, most):
    monkeypatch.setattr("a3cjax.studies.frame.beside.cores_to_use", lambda: cores)
    seen = []

    def part(name, progress):
        seen.append((name, progress, threading.current_thread()))

    beside([functools.partial(part, name) for name in "abc"], "letters", None, most)
    assert seen == [(name, None, threading.main_thread()) for name in "abc"]


def test_the_first_exception_is_raised_once_all_that_had_begun_are_over():
    begun, over, failed = [], [], threading.Event()

    def part(n, progress):
        begun.append(n)
        if n == 1:
            failed.set()
            raise ArithmeticError(f"part {n}")
        assert failed.wait(30)
        threading.Event().wait(0.01)  # time enough to be told that no more are wanted
        over.append(n)

    with pytest.raises(ArithmeticError, match="part 1"):
        beside([functools.partial(part, n) for n in range(300)], "numbers", None, most=9)
    assert sorted([*over, 1]) == sorted(begun)
    assert len(begun) < 300


def test_ctrl_c_is_told_to_all_that_have_begun_and_none_begins_any_more():
    both, told, begun = threading.Barrier(2, timeout=30), [], []

    def part(n, progress):
        begun.append(n)
        with interruptible() as interrupted:
            assert not interrupted()
            if both.wait() == 0:
                signal.raise_signal(signal.SIGINT)  # handled in the main thread, whoever raises it
            for _ in range(3000):
                if interrupted():
                    told.append(n)
                    raise KeyboardInterrupt
                threading.Event().wait(0.01)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            beside([functools.partial(part, n) for n in range(6)], "numbers", None, most=9)
    finally:
        signal.signal(signal.SIGINT, before)
    assert sorted(told) == sorted(begun) == [0, 1]  # two threads: either may be the first to begin
    with interruptible() as interrupted:
        assert not interrupted()  # forgotten again


def test_a_thread_of_the_users_own_hears_of_nothing():
    heard = []

    def own():
        with interruptible() as interrupted:
            heard.append(interrupted())

    with interruptible():
        thread = threading.Thread(target=own)
        thread.start()
        thread.join()
    assert heard == [False]
    assert tiles.cores_to_use() >= 1
