"""Programs of simulations that come later, compiled while an earlier one is."""

import contextlib
import contextvars
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import numpy as np

from a3cjax.engine import Record
from a3cjax.engine.history.protocol import Kind
from a3cjax.engine.simulate import compile_ahead
from a3cjax.engine.tiles import cores_to_use, for_a_thread
from a3cjax.schedules import Schedule
from a3cjax.studies.frame.beside import GLANCE

Ready = Callable[[int], None]


@contextlib.contextmanager
def compiled_ahead(
    calls: Sequence[tuple[Any, Schedule, Any]], record: Record, *, first_too: bool = False
) -> Iterator[Ready]:
    """Within, programs of calls with other learners than the first are compiled on another core.

    With ``first_too`` those of the first are, too, and two at a time: for whoever has yet to draw the schedules, and
    gives others with the same programs. Each call is a learner, a schedule and keys. What is yielded waits for the
    programs of the i-th call, and is asked before it is simulated, lest two threads compile the same. An error is left
    to the call itself to raise.
    """
    kinds = [_kind(*call) for call in calls]
    later = {kind: call for kind, call in zip(kinds, calls, strict=True) if first_too or kind != kinds[0]}
    if not later or cores_to_use() == 1:
        yield lambda i: None
        return
    pool = ThreadPoolExecutor(2 if first_too else 1)
    context, compile_one = contextvars.copy_context, for_a_thread(compile_ahead)
    compiled: dict[Any, Future[None]] = {
        kind: pool.submit(context().run, compile_one, *call, record) for kind, call in later.items()
    }

    def ready(i: int) -> None:
        while (one := compiled.get(kinds[i])) is not None and not one.done():
            wait((one,), GLANCE)

    try:
        yield ready
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _kind(learner: Any, schedule: Schedule, keys: Any) -> Any:
    """Calls of one kind need the same programs."""
    given = schedule.num_workers, bool(np.all(schedule.own_reads)), schedule.commit is None, schedule.weight is None
    return Kind.of(learner), np.shape(schedule.worker), given, np.shape(keys)
