"""brax."""

import functools
import importlib
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from a3cjax._core import check
from a3cjax._core.tree import static
from a3cjax.environments.adapters.library import Library
from a3cjax.environments.protocol import AbstractEnvironment, Step

LIBRARY = Library("brax", "brax", "0.14", "0.12")


class BraxState(NamedTuple):
    """brax' own state, and the steps since the start."""

    own: Any
    steps: Int[Array, ""]


class Brax(AbstractEnvironment):
    """A robot of brax, without its wrappers, so continuous actions in ±1: needs ``pip install 'a3cjax[brax]'``.

    Args:
        name: as brax has it, such as "inverted_pendulum".
        max_steps: episodes are truncated after so many steps.
        backend: "generalized", "positional", "spring" or "mjx"; None for the one that brax chooses.

    Raises:
        ValueError: if brax is not installed or too old, or has no such environment.

    Warns:
        UserWarning: if brax has another version than 0.14; and brax itself, that it is hardly maintained.
    """

    name: str = static()
    own: Any = static()
    max_steps: int = static()

    action_size: ClassVar[Any] = property(lambda self: int(self.own.action_size))

    def __init__(self, name: str, max_steps: int = 1000, backend: str | None = None) -> None:
        put = functools.partial(object.__setattr__, self)
        LIBRARY.load(f"Brax({name!r})")
        envs = importlib.import_module("brax.envs")
        there = sorted(envs._envs)
        if name not in there:
            raise ValueError(f"name is {name!r}, but brax has {', '.join(there)}.")
        put("name", name)
        put("own", _made(name, backend))
        put("max_steps", check.integer("max_steps", max_steps, 1))

    def reset(self, key: jax.Array) -> tuple[BraxState, Any]:
        """brax' own."""
        state = self.own.reset(key)
        return BraxState(state, jnp.int32(0)), state.obs

    def step(self, key: jax.Array, state: BraxState, action: Any) -> Step:
        """brax' own, which draws nothing."""
        del key
        own, steps = self.own.step(state.own, action), state.steps + 1
        return Step(BraxState(own, steps), own.obs, own.reward, own.done > 0, steps >= self.max_steps)


@functools.lru_cache(maxsize=64)
def _made(name: str, backend: str | None) -> Any:
    """One object for all who ask for the same, so that what was compiled for one serves all."""
    envs = importlib.import_module("brax.envs")
    return envs.get_environment(name, **({} if backend is None else {"backend": backend}))
