"""What a law of compute times is."""

from typing import Any, Protocol, runtime_checkable

from jaxtyping import Array, Float, Key


@runtime_checkable
class ComputeTime(Protocol):
    """How long a worker takes to compute one gradient: anything with a ``mean`` and a ``sample(key)``.

    Times are positive and in any unit, the same for all workers; the schedule's ``time`` is in that unit too.
    Where a law is a pytree its parameters are leaves, so that changing them compiles nothing and a law can be passed
    through ``jax.vmap``. A plain class is part of the program instead, which is compiled anew in each call. Either way
    ``sample`` is compiled: it uses ``jax.numpy``, and draws from the key alone.
    """

    @property
    def mean(self) -> Any:
        """The mean compute time."""
        ...

    def sample(self, key: Key[Array, ""]) -> Float[Array, ""]:
        """One compute time; it is called inside a scan, once per update."""
        ...
