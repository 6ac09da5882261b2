"""One step of a server's optimiser."""

from typing import Any

import jax
from jaxtyping import Array, Float, Int

from a3cjax._xla.marks import rounded, stage
from a3cjax.learners.optimizers.adopted import Uses, update_of
from a3cjax.learners.optimizers.programs import Program


def changed(optimizer: Any, gradient: Any, memory: Any, params: Any, delay: Int[Array, ""], stale: Any) -> Any:
    """The changes of the parameters, and the optimiser's memory; ``stale`` may be None where it is not used."""
    return _program(optimizer, gradient, memory, params, delay, stale).run()


def stepped(optimizer: Any, gradient: Any, memory: Any, params: Any, delay: Int[Array, ""], stale: Any) -> Any:
    """The parameters after one step, and the optimiser's memory."""
    changes, memory = changed(optimizer, gradient, memory, params, delay, stale)
    return jax.tree.map(lambda leaf, change: leaf + rounded(change).astype(leaf.dtype), params, changes), memory


def multiplier(
    optimizer: Any, uses: Uses, memory: Any, params: Array, delay: Int[Array, ""], stale: Array | None
) -> tuple[Float[Array, ""], Any]:
    """The number by which an optimiser that does nothing else multiplies the gradient, and its memory."""
    shape = jax.ShapeDtypeStruct(params.shape, params.dtype)

    def number(memory, params, delay, stale):
        params, stale = (shape if leaf is None else leaf for leaf in (params, stale))
        return _program(optimizer, shape, memory, params, delay, stale).run_multiplying()

    return stage(number, memory, params if uses.params else None, delay, stale if uses.stale else None)


def stepped_in_part(
    optimizer: Any, gradient: Array, memory: Any, params: Array, delay: Int[Array, ""], stale: Any, whole: Any
) -> tuple[Array, Any]:
    """A part of the parameters after one step of an optimiser that works entry by entry, and its memory.

    ``gradient``, ``params`` and ``stale`` are that part, of parameters like ``whole``.
    """

    def part(gradient, memory, params, delay, stale):
        program = _program(optimizer, whole, memory, whole, delay, None)
        change, memory = program.run_on_part(gradient, params, params if stale is None else stale)
        return params + rounded(change).astype(params.dtype), memory

    return stage(part, gradient, memory, params, delay, stale)


def _program(optimizer: Any, gradient: Any, memory: Any, params: Any, delay: Any, stale: Any) -> Program:
    return Program.of(update_of(optimizer()), gradient, memory, params, delay, params if stale is None else stale)
