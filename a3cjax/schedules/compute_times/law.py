"""What a law of compute times is."""

from typing import Any, Protocol, runtime_checkable

from jaxtyping import Array, Float, Key


@runtime_checkable
class ComputeTime(Protocol):
    """How long a worker takes to compute one gradient: any pytree with a ``mean`` and a ``sample(key)``.

    Times are positive and in any unit, the same for all workers; the schedule's ``time`` is in that unit too.
    Parameters are leaves, so that changing them compiles nothing and a law can be passed through ``jax.vmap``.
    """

    @property
    def mean(self) -> Any:
        """The mean compute time."""
        ...

    def sample(self, key: Key[Array, ""]) -> Float[Array, ""]:
        """One compute time; it is called inside a scan, once per update."""
        ...
