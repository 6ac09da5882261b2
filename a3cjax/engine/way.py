"""How blocks of updates are taken on a backend, as far as that is not the same on all of them."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from a3cjax._xla.backend import Backend
from a3cjax.engine.layout import Layout
from a3cjax.engine.loop import advance
from a3cjax.engine.plan import Block, Plan
from a3cjax.engine.runs import Runs

BLOCK_WORK = 1 << 22  # run-updates per call and core: a fraction of a second, the grain of progress and Ctrl-C


class Way:
    """The usual one: through the loop that XLA compiles, which is handed all columns of the schedule.

    A backend with a loop of its own has a subclass, which ``driver.WAYS`` names. ``advance``: the program, which takes
    what ``loop.advance`` takes and gives what that gives.
    """

    advance: ClassVar[Callable[..., Any]] = staticmethod(advance)

    def takes(self, plan: Plan, runs: Runs, platform: str) -> bool:
        """Whether these runs go this way, in place of the usual one, on "cpu", "gpu" or "tpu"."""
        del plan, runs, platform
        return False

    def compiler_options(self, backend: Backend) -> Mapping[str, Any] | None:
        """What ``advance`` is compiled with."""
        return backend.compiler_options

    def block_work(self, plan: Plan, own_schedules: bool) -> int:
        """Run-updates of a call, for each core or device."""
        del plan, own_schedules
        return BLOCK_WORK

    def block(
        self, plan: Plan, runs: Runs, layout: Layout, first: int, updates: int, room: dict[int, np.ndarray]
    ) -> Block:
        """A stretch of the schedule, as ``advance`` takes it; see ``Runs.block``."""
        return runs.block(layout, first, updates, plan.chunk(runs.one_learner(), layout.lanes), room)
