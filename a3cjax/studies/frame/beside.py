"""Simulations of other programs side by side: while one is being compiled, which keeps one core busy, another runs."""

import contextvars
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait

from a3cjax.engine.host import bar_of_parts, heeding, interruptible
from a3cjax.engine.tiles import cores_to_use, for_a_thread

GLANCE = 0.2  # seconds that the main thread waits before it looks for Ctrl-C, where that does not wake it

Part = Callable[[bool | None], None]


def beside(parts: Sequence[Part], what: str, progress: bool | None, most: float) -> None:
    """Call every part, as many at once as there are cores, ``most`` at most.

    A part is called with the ``progress`` that its simulations take: one bar stands for those that are side by side.
    Their bits do not depend on what else is going on. Ctrl-C ends all that have begun, and none begins any more.

    Raises:
        BaseException: what a part raised, the first of them in their order, once all that had begun are over.
    """
    width = int(max(1, min(cores_to_use(), len(parts), most)))
    if width == 1:
        for part in parts:
            part(progress)
        return

    def call(part: Part, interrupted: Callable[[], bool], advance: Callable[[], None]) -> None:
        if interrupted():
            raise KeyboardInterrupt
        with heeding(interrupted):
            part(False)
        advance()

    with (
        interruptible() as interrupted,
        bar_of_parts(what, len(parts), progress) as advance,
        ThreadPoolExecutor(width) as pool,
    ):
        calls: list[Future[None]] = []
        for part in parts:
            calls.append(pool.submit(contextvars.copy_context().run, for_a_thread(call), part, interrupted, advance))
        try:
            done, left = wait(calls, GLANCE, FIRST_EXCEPTION)
            while left and not any(one.exception() for one in done):
                done, left = wait(calls, GLANCE, FIRST_EXCEPTION)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    for one in calls:
        if not one.cancelled():
            one.result()
    if interrupted():
        raise KeyboardInterrupt
