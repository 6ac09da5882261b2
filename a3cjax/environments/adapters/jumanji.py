"""jumanji."""

import functools
import importlib
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from a3cjax._core.tree import static
from a3cjax.environments.adapters.library import Library
from a3cjax.environments.protocol import AbstractEnvironment, Step

LIBRARY = Library("jumanji", "jumanji", "1.1", "1.0")
_LAST = 2  # the step type of an episode's last


class Jumanji(AbstractEnvironment):
    """An environment of jumanji with one whole number for an action: needs ``pip install 'a3cjax[jumanji]'``.

    A last step with discount 0 terminates its episode, one with another discount truncates it. An observation may hold
    an action mask, which a network may look at; nothing here keeps it from other actions.

    Args:
        name: as jumanji has it, such as "Snake-v1".

    Raises:
        ValueError: if jumanji is not installed or too old, has no such environment, or one with several actions at
            once.

    Warns:
        UserWarning: if jumanji has another version than 1.1.
    """

    name: str = static()
    own: Any = static()

    num_actions: ClassVar[Any] = property(lambda self: int(self.own.action_spec.num_values))

    def __init__(self, name: str) -> None:
        put = functools.partial(object.__setattr__, self)
        jumanji = LIBRARY.load(f"Jumanji({name!r})")
        there = sorted(jumanji.registered_environments())
        if name not in there:
            raise ValueError(f"name is {name!r}, but jumanji has {', '.join(there)}.")
        own = _made(name)
        if own.action_spec.shape != () or not hasattr(own.action_spec, "num_values"):
            raise ValueError(
                f"{name} has actions of {own.action_spec!r}, but here an action of jumanji's is one whole number; wrap "
                "it in an environment of your own that makes them of one."
            )
        put("name", name)
        put("own", own)

    def reset(self, key: jax.Array) -> tuple[Any, Any]:
        """jumanji's."""
        state, first = self.own.reset(key)
        return state, first.observation

    def step(self, key: jax.Array, state: Any, action: Any) -> Step:
        """jumanji's; its states hold a key of their own."""
        del key
        state, after = self.own.step(state, action)
        last, ended = after.step_type == _LAST, after.discount == 0
        return Step(state, after.observation, jnp.asarray(after.reward), last & ended, last & ~ended)


@functools.lru_cache(maxsize=64)
def _made(name: str) -> Any:
    """One object for all who ask for the same, so that what was compiled for one serves all."""
    return importlib.import_module("jumanji").make(name)
