"""A CPU without kernels: for learners some of whose operations the compiler of kernels does not support."""

from collections.abc import Callable
from typing import Any

from a3cjax._xla.backend import Backend
from a3cjax._xla.stored import stored

# At level 3, the usual one, loops over 40 lanes and fewer are unrolled, and then not vectorised.
FOR_CPU: dict[str, Any] = {"xla_backend_optimization_level": 2}


class Loops(Backend):
    """Stages are stored. Every operation is a kernel of its own, which costs a call, so tiles are wide."""

    name = "loops"
    compiler_options = FOR_CPU
    pads_blocks = True
    most_lanes = {"mailbox": 512, "ring": 256, "versions": 16}  # noqa: RUF012

    def stage(self, function: Callable[..., Any], *args: Any) -> Any:
        """A stored call."""
        return stored(function, *args)


LOOPS = Loops()
