"""What a law of delays is."""

from typing import Any, Protocol, runtime_checkable

from jaxtyping import Array, Int32, Key


@runtime_checkable
class DelayLaw(Protocol):
    """A law of delays: anything with a ``mean`` and a ``sample(key, num_updates)``.

    This is the abstract model of staleness, in which delays do not come from workers: nothing keeps two updates from
    being computed from the same version. Where a law is a pytree its parameters are leaves, so that changing them
    compiles nothing and a law can be passed through ``jax.vmap``; ``sample`` is then compiled. A plain class is called
    as it stands, and may use NumPy. What it draws must follow from the key alone: it is asked twice, and refused if the
    answers differ.
    """

    @property
    def mean(self) -> Any:
        """The mean delay, in updates."""
        ...

    def sample(self, key: Key[Array, ""], num_updates: int) -> Int32[Array, "updates"]:
        """The delays of updates 0, …, num_updates − 1, before the start of the run cuts them to what exists."""
        ...
