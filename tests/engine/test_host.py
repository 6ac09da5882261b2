"""What Ctrl-C means to a program is the program's to say; and a bar needs somebody who looks."""

import io
import signal
import sys
import time

import jax
import pytest

import a3cjax
from a3cjax.engine.host import at_work, interruptible, progress_bar


@pytest.fixture
def handler():
    """Sets SIGINT's handler; the one of before comes back."""
    before = signal.getsignal(signal.SIGINT)
    yield lambda handler: signal.signal(signal.SIGINT, handler)
    signal.signal(signal.SIGINT, before)


def press():
    signal.raise_signal(signal.SIGINT)


def test_the_first_press_is_remembered_and_the_second_stops(handler):
    handler(signal.default_int_handler)
    with interruptible() as interrupted:
        assert not interrupted()
        press()
        assert interrupted()
        with pytest.raises(KeyboardInterrupt):
            press()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with interruptible() as interrupted:
        assert not interrupted()  # a new context begins anew


def test_a_program_that_ignores_it_is_not_interrupted(handler):
    handler(signal.SIG_IGN)
    with interruptible() as interrupted:
        press()
        assert not interrupted()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_a_handler_of_the_users_own_is_called(handler):
    seen = []
    handler(lambda number, frame: seen.append(number))
    with interruptible() as interrupted:
        press()
        press()
        assert seen == [signal.SIGINT, signal.SIGINT]
        assert not interrupted()  # it returned: the work goes on


def test_its_keyboard_interrupt_stops_and_another_exception_passes(handler):
    seen = []

    def own(number, frame):
        seen.append(number)
        raise [KeyboardInterrupt, TimeoutError][len(seen) - 1]

    handler(own)
    with interruptible() as interrupted:
        press()
        assert interrupted()
        with pytest.raises(TimeoutError):
            press()
    assert seen == [signal.SIGINT, signal.SIGINT]
    assert signal.getsignal(signal.SIGINT) is own


def test_a_handler_that_is_set_meanwhile_stays(handler):
    handler(signal.default_int_handler)
    with interruptible():
        handler(signal.SIG_IGN)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_what_was_pressed_outside_stops_a_simulation_before_it_begins(handler):
    handler(signal.default_int_handler)
    learner = a3cjax.QuadraticSGD(curvature=[1.0], step=0.1)
    with interruptible() as interrupted:
        press()
        with pytest.raises(KeyboardInterrupt) as stop:
            a3cjax.simulate(learner, a3cjax.Schedule.sequential(5), jax.random.key(0))
        assert not isinstance(stop.value, a3cjax.Interrupted)  # there is nothing to hold
        assert interrupted()


class NoTerminal:
    def write(self, text):
        raise AssertionError(text)


class Closed(io.StringIO):
    def __init__(self):
        super().__init__()
        self.close()


@pytest.mark.parametrize("stream", [None, NoTerminal(), Closed(), object()])
@pytest.mark.parametrize("progress", [None, False])
def test_no_bar_where_nobody_looks(stream, progress, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream)
    with progress_bar(progress, 0, 10, 1) as report, at_work("drawing", progress):
        report(10)


@pytest.mark.parametrize("stream", [None, Closed(), object()])
def test_no_bar_where_none_can_be(stream, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream)
    with progress_bar(True, 0, 10, 1) as report:
        report(10)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_bar_says_that_it_compiles_until_the_first_block_is_done(monkeypatch):
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_bar(None, 0, 1000, 4) as report:
        until = time.monotonic() + 10
        while "compiling 1,000 updates × 4 runs" not in terminal.getvalue():  # while this thread is busy
            assert time.monotonic() < until
        before = len(terminal.getvalue())
        report(400)
        time.sleep(0.3)
    after = terminal.getvalue()[before:].rpartition("compiling")[2]
    assert "1,000 updates × 4 runs" in after
    assert "40 %" in after


def test_what_is_quick_shows_nothing(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_bar(None, 0, 1000, 4) as report:
        report(1000)
    with at_work("drawing schedules", None):
        pass
    time.sleep(0.6)  # nor later
    assert terminal.getvalue() == ""
