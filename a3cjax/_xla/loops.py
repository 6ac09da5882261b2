"""A CPU without kernels: for learners some of whose operations the compiler of kernels does not support."""

from collections.abc import Callable
from typing import Any

from a3cjax._xla.backend import Backend, shared_by_few
from a3cjax._xla.compiler import FOR_CPU
from a3cjax._xla.stored import stored


class Loops(Backend):
    """Stages are stored. Every operation is a kernel of its own, which costs a call, so tiles are wide."""

    name = "loops"
    compiler_options = FOR_CPU
    pads_blocks = True
    most_lanes = {"mailbox": 512, "ring": 256, "versions": 16}  # noqa: RUF012

    def tiles(self, runs: int, shares: int, history: str, num_workers: int) -> tuple[int, int]:
        """Few lanes as a power of two."""
        tiles, lanes = super().tiles(runs, shares, history, num_workers)
        return tiles, shared_by_few(lanes)

    def stage(self, function: Callable[..., Any], *args: Any) -> Any:
        """A stored call."""
        return stored(function, *args)


LOOPS = Loops()
