"""Blocks one after the other in this process, beside others that work in the same folder."""

import time
from collections.abc import Sequence

from a3cjax.engine.host import interruptible
from a3cjax.sweeps.job import Block
from a3cjax.sweeps.reports import Report
from a3cjax.sweeps.store import Store

_PATIENCE = 0.2  # seconds between two looks at what another process does


class Stopped(KeyboardInterrupt):
    """Ctrl-C among blocks: the message says what is kept."""


def make(store: Store, block: Block) -> None:
    """Make one block and keep it."""
    began = time.monotonic()
    arrays = store.job.make(*block)
    store.save(block, arrays, time.monotonic() - began)


def make_all(store: Store, blocks: Sequence[Block], report: Report) -> None:
    """Make what is missing of the blocks; those that another process is making are waited for, and made if it dies.

    Raises:
        Stopped: on Ctrl-C; the block in hand is lost, those before are kept.
    """
    left = list(blocks)
    with interruptible() as pressed:
        while left:
            waiting = []
            for block in left:
                if pressed():
                    raise Stopped(stopped(store))
                with store.claimed(block) as ours:
                    if not ours:
                        waiting.append(block)
                        continue
                    for gap in store.gaps(block):
                        _make_unless_stopped(store, gap)
                report.now()
            if len(waiting) == len(left):
                report.waiting(len(waiting))
                time.sleep(_PATIENCE)
            left = [block for block in waiting if store.gaps(block)]


def stopped(store: Store) -> str:
    """What is said at Ctrl-C."""
    done, job = store.job.count - store.missing(), store.job
    return (
        f"Interrupted; {done:,} of {job.count:,} {job.unit}s are kept in {store.folder}, and the same command goes on "
        "from there."
    )


def _make_unless_stopped(store: Store, block: Block) -> None:
    try:
        make(store, block)
    except KeyboardInterrupt as error:
        raise Stopped(stopped(store)) from error
