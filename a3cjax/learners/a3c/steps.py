"""The steps of the actor and the critic: a number, a function of the update count, or an optimiser."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from numpy.typing import ArrayLike

from a3cjax._core import check
from a3cjax._xla.marks import read_row, write_row
from a3cjax.learners.optimizers import Uses, adopted_optimizer, multiplier, one_of_both, stepped, stepped_in_part

Step = ArrayLike | Callable[[Any], Any]


class Way(NamedTuple):
    """How parameters are moved: with a step, or by an optimiser, and what that uses."""

    step: Any
    optimizer: Any
    uses: Uses

    @classmethod
    def of(cls, whose: str, step: Step | None, optimizer: Any, params: Array) -> "Way":
        """Of the "actor" or the "critic", looked at."""
        one_of_both(f"{whose}_step", step, f"{whose}_optimizer", optimizer)
        if optimizer is None:
            return cls(_step(f"{whose}_step", step), None, Uses())
        return cls(None, *adopted_optimizer(optimizer, params, f"{whose}_optimizer", f"the {whose}'s"))

    def keeps_rows(self, one_row: bool) -> bool:
        """Whether what a direction does not touch stays, and nobody looks at all of a stale view.

        ``one_row``: whether a direction is one row of a table.
        """
        return self.optimizer is None or (self.uses.multiplies and not self.uses.stale) or self.in_one_row(one_row)

    def in_one_row(self, one_row: bool) -> bool:
        """Whether the optimiser is shown that row alone."""
        return one_row and self.uses.entrywise and not self.uses.multiplies

    def start(self, params: Array) -> Any:
        """The optimiser's memory of nothing."""
        return () if self.optimizer is None else self.optimizer().init(params)

    def __call__(
        self,
        params: Array,
        memory: Any,
        ascend: Callable[[Array, Any], Array],
        updates: Int[Array, ""],
        delay: Int[Array, ""],
        stale: Array | None,
        only: tuple[Array, Array] | None = None,
    ) -> tuple[Array, Any]:
        """The parameters further along a direction, and the memory; ``ascend(x, c)`` is x + c · direction.

        ``only``, if given, is the one row that the direction changes, and by what; then ``stale`` is that row too.

        To an optimiser the negative direction is the gradient, and its changes are added.
        """
        if self.optimizer is None:
            return ascend(params, at(self.step, updates)), memory
        if self.uses.multiplies:
            factor, memory = multiplier(self.optimizer, self.uses, memory, params, delay, stale)
            return ascend(params, -factor), memory
        if only is not None:
            row, change = only
            part, whole = read_row(params, row), jax.ShapeDtypeStruct(params.shape, params.dtype)
            part, memory = stepped_in_part(self.optimizer, -change, memory, part, delay, stale, whole)
            return write_row(params, row, part), memory
        gradient = ascend(jnp.zeros_like(params), -jnp.ones((), params.dtype))
        return stepped(self.optimizer, gradient, memory, params, delay, stale)


def at(step: Any, updates: Int[Array, ""]) -> Float[Array, ""]:
    """The step of the current update count."""
    return jnp.asarray(step(updates), jnp.result_type(float)) if callable(step) else step


def _step(name: str, value: Any) -> Any:
    if callable(value):
        try:
            first = jnp.asarray(value(jnp.int32(0)))
        except Exception as error:
            raise ValueError(
                f"{name} must be a function of the update count, but {name}(0) failed: {error}."
            ) from error
        check.traceable(name, lambda: jax.eval_shape(value, jnp.int32(0)), check.STEP_MEND)
        if first.shape != ():
            raise ValueError(f"{name}(0) has shape {first.shape}; a step schedule must give one number.")
        check.number(f"{name}(0)", first, least=0)
        return value if isinstance(value, jax.tree_util.Partial) else jax.tree_util.Partial(value)
    check.number(name, value, least=0)
    return check.run_scalar(name, value)
