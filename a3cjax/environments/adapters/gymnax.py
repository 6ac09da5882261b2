"""gymnax, and MinAtar through it."""

import dataclasses
import functools
import importlib
from typing import Any, ClassVar, Literal

import jax

from a3cjax._core import check
from a3cjax._core.tree import static
from a3cjax.environments.adapters.library import Library
from a3cjax.environments.protocol import AbstractEnvironment, Step

LIBRARY = Library(
    "gymnax",
    "gymnax",
    "1.0",
    "1.0",
    " (its version 1.0 needs jax below 0.12; with a later jax, pip falls back to a version before 1.0)",
)
_GAMES = {
    "asterix": "Asterix-MinAtar",
    "breakout": "Breakout-MinAtar",
    "freeway": "Freeway-MinAtar",
    "seaquest": "Seaquest-MinAtar",
    "space_invaders": "SpaceInvaders-MinAtar",
}


class Gymnax(AbstractEnvironment):
    """An environment of gymnax, without its automatic resets: needs ``pip install 'a3cjax[gymnax]'``.

    Args:
        name: as gymnax has it, such as "CartPole-v1".
        settings: fields of the environment's parameters, such as ``max_steps_in_episode=200``.

    Raises:
        ValueError: if gymnax is not installed or too old, or has no such environment or parameter.

    Warns:
        UserWarning: if gymnax has another version than 1.0.
    """

    name: str = static()
    own: Any = static()
    params: Any

    num_actions: ClassVar[Any] = property(lambda self: getattr(self._space, "n", None))
    action_size: ClassVar[Any] = property(lambda self: _size_of(self._space))

    def __init__(self, name: str, **settings: Any) -> None:
        put = functools.partial(object.__setattr__, self)
        gymnax = LIBRARY.load(f"Gymnax({name!r})")
        if name not in gymnax.registered_envs:
            raise ValueError(f"name is {name!r}, but gymnax has {', '.join(gymnax.registered_envs)}.")
        own, params = _made(name)
        known = [field.name for field in dataclasses.fields(params)]
        for setting in settings:
            if setting not in known:
                raise ValueError(f"{setting} is no parameter of {name}; it has {', '.join(known)}.")
        put("name", name)
        put("own", own)
        put("params", params.replace(**settings))
        if self.num_actions is None and self.action_size is None:
            raise ValueError(
                f"{name} has actions of {self._space!r}; an environment's are whole numbers or vectors, so wrap it in "
                "one of your own."
            )

    @property
    def _space(self) -> Any:
        return self.own.action_space(self.params)

    def reset(self, key: jax.Array) -> tuple[Any, Any]:
        """gymnax's ``reset_env``."""
        observation, state = self.own.reset_env(key, self.params)
        return state, observation

    def step(self, key: jax.Array, state: Any, action: Any) -> Step:
        """gymnax's ``step_env``, and its time limit apart."""
        observation, state, reward, terminated, _ = self.own.step_env(key, state, action, self.params)
        return Step(state, observation, reward, terminated, self.own.is_truncated(state, self.params))


class MinAtar(Gymnax):
    """A game of MinAtar (Young and Tian 2019), as gymnax has it: needs ``pip install 'a3cjax[gymnax]'``.

    Observations are [10, 10, channels]; a network has to be told what to do with two dimensions, and
    ``networks.MLP`` lays them out in a row.

    Args:
        game: "asterix", "breakout", "freeway", "seaquest" or "space_invaders".
        settings: as for ``Gymnax``.

    Raises:
        ValueError: as ``Gymnax``, or if there is no such game.
    """

    def __init__(
        self, game: Literal["asterix", "breakout", "freeway", "seaquest", "space_invaders"], **settings: Any
    ) -> None:
        check.choice("game", game, tuple(_GAMES))
        super().__init__(_GAMES[game], **settings)


@functools.lru_cache(maxsize=64)
def _made(name: str) -> tuple[Any, Any]:
    """One object for all who ask for the same, so that what was compiled for one serves all."""
    return importlib.import_module("gymnax").make(name)


def _size_of(space: Any) -> int | None:
    shape = getattr(space, "shape", None)
    return shape[0] if not hasattr(space, "n") and shape is not None and len(shape) == 1 else None
