"""What a long computation owes whoever waits for it: a line that says what is going on, and a clean stop at Ctrl-C."""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from a3cjax._core.terminal import is_terminal

if TYPE_CHECKING:
    from rich.progress import Progress

_PATIENCE = 0.5  # seconds before a line shows, so that what is quick leaves no flicker


class _Presses:
    """Whether Ctrl-C was pressed; one for the main thread, shared by contexts that are nested."""

    held = False
    pressed = False


_presses = _Presses()
_asked: ContextVar[Callable[[], bool] | None] = ContextVar("asked", default=None)


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Within, the first Ctrl-C is remembered, to be asked for where it is safe to stop; a second one stops at once.

    What Ctrl-C means is the program's to say. Where it ignores SIGINT (as it must under ``nohup``), leaves it to the
    system or handles it outside Python, nothing changes. A handler of its own is called: if it raises
    KeyboardInterrupt, as Python's usual one does, that is what is remembered; another exception passes through; and if
    it returns, the work goes on. Contexts may be nested: the outermost one's presses count in all of them, and in
    other threads where ``heeding`` says so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield _asked.get() or (lambda: False)
        return
    if _presses.held:
        yield lambda: _presses.pressed
        return
    usual = signal.getsignal(signal.SIGINT)
    if not callable(usual):
        yield lambda: False
        return

    def remember(number: int, frame: Any) -> None:
        try:
            usual(number, frame)
        except KeyboardInterrupt:
            if _presses.pressed:
                raise
            _presses.pressed = True

    _presses.held, _presses.pressed = True, False
    signal.signal(signal.SIGINT, remember)
    try:
        yield lambda: _presses.pressed
    finally:
        if signal.getsignal(signal.SIGINT) is remember:  # and not one that was set meanwhile
            signal.signal(signal.SIGINT, usual)
        _presses.held = False


@contextlib.contextmanager
def heeding(interrupted: Callable[[], bool]) -> Iterator[None]:
    """Within, in a thread that works for the main one: ``interruptible`` asks what the main thread's context says."""
    before = _asked.set(interrupted)
    try:
        yield
    finally:
        _asked.reset(before)


@contextlib.contextmanager
def progress_bar(progress: bool | None, done: int, total: int, runs: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, which says that the first block is being compiled until ``report(done)`` is called."""
    if not _wanted(progress):
        yield lambda done: None
        return
    from a3cjax._core import displays

    bar = displays.bar_of_share()
    what = f"{total:,} updates × {runs:,} runs"
    task = bar.add_task(f"compiling {what}", total=None)

    def report(done: int) -> None:
        bar.update(task, description=what, completed=done, total=total)

    with _shown(bar, at_once=bool(progress)):
        yield report


@contextlib.contextmanager
def bar_of_parts(what: str, total: int, progress: bool | None) -> Iterator[Callable[[], None]]:
    """A bar on standard error for simulations that go on side by side; what it yields is called after each."""
    if not _wanted(progress):
        yield lambda: None
        return
    from a3cjax._core import displays

    bar = displays.bar_of_count()
    task = bar.add_task(f"compiling and simulating {what}", total=total)
    with _shown(bar, at_once=bool(progress)):
        yield lambda: bar.advance(task)


@contextlib.contextmanager
def at_work(what: str, progress: bool | None) -> Iterator[None]:
    """A line on standard error that says what is being done, where a simulation would show its bar."""
    if not _wanted(progress):
        yield
        return
    from a3cjax._core import displays

    line = displays.dots()
    line.add_task(what, total=None)
    with _shown(line, at_once=bool(progress)):
        yield


def _wanted(progress: bool | None) -> bool:
    """Whether to show anything: if asked for, or by default on a terminal; never where nothing can be written."""
    if progress is None:
        return is_terminal(sys.stderr)
    return progress and hasattr(sys.stderr, "write") and not getattr(sys.stderr, "closed", False)


@contextlib.contextmanager
def _shown(display: "Progress", *, at_once: bool) -> Iterator[None]:
    """Show the display, on a clock of its own, for what it tells of may keep this thread busy for long."""
    lock, over = threading.Lock(), False

    def show() -> None:
        with lock, contextlib.suppress(OSError):
            if not over:
                display.start()

    timer = threading.Timer(_PATIENCE, show)
    timer.daemon = True
    if at_once:
        show()
    else:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
        with lock, contextlib.suppress(OSError):
            over = True
            if display.live.is_started:
                display.stop()
