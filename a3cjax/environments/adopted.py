"""An environment as the user gave it, looked at before anything is compiled."""

import functools
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from a3cjax._core import check
from a3cjax._core.tree import static
from a3cjax.environments.protocol import AbstractEnvironment, Step


class Shapes(NamedTuple):
    """Of an environment's states and observations."""

    state: Any
    observation: Any


class OpaqueEnvironment(AbstractEnvironment):
    """An environment that JAX cannot look inside: a part of the program."""

    own: Any = static()

    num_actions: ClassVar[Any] = property(lambda self: getattr(self.own, "num_actions", None))
    action_size: ClassVar[Any] = property(lambda self: getattr(self.own, "action_size", None))
    endless: ClassVar[Any] = property(lambda self: getattr(self.own, "endless", True))

    def reset(self, key: jax.Array) -> tuple[Any, Any]:
        """The environment's own."""
        return self.own.reset(key)

    def step(self, key: jax.Array, state: Any, action: Any) -> Step:
        """The environment's own."""
        return self.own.step(key, state, action)


def adopted(environment: Any) -> Any:
    """``environment``, or what holds one that JAX cannot look inside.

    Raises:
        ValueError: if it is none, or if its spaces or shapes break the contract.
    """
    name = name_of(environment)
    if isinstance(environment, type):
        raise ValueError(f"environment is the class {name}; give an instance, such as {name}().")
    missing = [method for method in ("reset", "step") if not callable(getattr(environment, method, None))]
    if missing:
        raise ValueError(
            f"environment is a {name}, which has no method {' nor '.join(missing)}; derive it from "
            "a3cjax.environments.AbstractEnvironment, or use one of those that are there, such as CartPole()."
        )
    if not all(_is_number(leaf) for leaf in jax.tree.leaves(environment)):
        try:
            hash(environment)
        except TypeError as error:
            raise ValueError(
                f"environment is a {name}, which JAX cannot look inside and which cannot be hashed; derive it from "
                "a3cjax.environments.AbstractEnvironment."
            ) from error
        environment = OpaqueEnvironment(environment)
    check_space(environment)
    shapes_of(environment)
    return environment


def check_space(environment: Any) -> None:
    """Refuse an environment without actions, or with two kinds of them."""
    name = name_of(environment)
    given = {
        space: getattr(environment, space)
        for space in ("num_actions", "action_size")
        if getattr(environment, space, None) is not None
    }
    if len(given) != 1:
        has = "neither num_actions nor action_size" if not given else "both num_actions and action_size"
        raise ValueError(
            f"environment is a {name}, which has {has}; give it num_actions if its actions are 0, 1, 2, …, or "
            "action_size if they are vectors."
        )
    for space, value in given.items():
        check.integer(f"{space} of {name}", value, 1)


def shapes_of(environment: Any) -> Shapes:
    """The shapes of states and observations, if they stay what they were.

    Raises:
        ValueError: if a method returns something else than the contract asks for.
    """
    name = name_of(environment)
    key = jax.random.key(0)
    begun = _traced(f"reset of {name}", environment.reset, key)
    if not isinstance(begun, tuple) or len(begun) != 2:
        raise ValueError(f"reset of {name} must return a pair, (state, observation), but returns {_kind(begun)}.")
    begun = Shapes(*begun)
    step = _traced(f"step of {name}", environment.step, key, begun.state, action_like(environment))
    if not isinstance(step, tuple) or len(step) != len(Step._fields):
        raise ValueError(
            f"step of {name} must return an a3cjax.environments.Step({', '.join(Step._fields)}), but returns "
            f"{_kind(step)}."
        )
    step = Step(*step)
    for what in Shapes._fields:
        _same(name, what, getattr(begun, what), getattr(step, what))
    for what in ("reward", "terminated", "truncated"):
        leaf = getattr(step, what)
        if not hasattr(leaf, "shape") or leaf.shape != ():
            raise ValueError(f"step of {name} returns {what} as {_kind(leaf)}, but it must be one number.")
    return begun


def action_like(environment: Any) -> Any:
    """The shape of an action."""
    if environment.num_actions is not None:
        return jax.ShapeDtypeStruct((), jnp.int32)
    return jax.ShapeDtypeStruct((environment.action_size,), jnp.result_type(float))


def stepped(environment: Any, key: jax.Array, state: Any, action: Any) -> Step:
    """One step, its reward a float of the default precision and its ends booleans."""
    step = Step(*environment.step(key, state, action))
    return step._replace(
        reward=jnp.asarray(step.reward, jnp.result_type(float)),
        terminated=jnp.asarray(step.terminated, bool),
        truncated=jnp.asarray(step.truncated, bool),
    )


def name_of(environment: Any) -> str:
    """What a user calls the environment's class."""
    if isinstance(environment, OpaqueEnvironment):
        environment = environment.own
    return environment.__name__ if isinstance(environment, type) else type(environment).__name__


def _is_number(leaf: Any) -> bool:
    try:
        jnp.result_type(leaf)
    except (TypeError, ValueError):
        return False
    return not isinstance(leaf, str | type)


def _traced(what: str, method: Any, *args: Any) -> Any:
    """The shapes of what a method returns."""
    call = functools.partial(jax.eval_shape, method, *args)
    try:
        return check.traceable(what, call, "use jnp.where in place of if")
    except TypeError as error:
        first = str(error).splitlines()[0].rstrip(".")
        raise ValueError(f"{what} failed: {first}; it must be a pure function that returns arrays.") from error


def _same(name: str, what: str, first: Any, later: Any) -> None:
    """Refuse a state or an observation that is not what ``reset`` gave."""
    structures = jax.tree.structure(first), jax.tree.structure(later)
    if structures[0] != structures[1]:
        raise ValueError(
            f"step of {name} returns {_article(what)} of another structure than reset does: {structures[1]} instead "
            f"of {structures[0]}; return one of the same structure."
        )
    for (path, want), leaf in zip(jax.tree_util.tree_leaves_with_path(first), jax.tree.leaves(later), strict=True):
        if (leaf.shape, leaf.dtype) != (want.shape, want.dtype):
            where = jax.tree_util.keystr(path)
            raise ValueError(
                f"step of {name} returns {what}{where} as {_kind(leaf)}, but reset gives {_kind(want)}; shapes and "
                "dtypes must stay, so pad what grows."
            )


def _article(what: str) -> str:
    return f"an {what}" if what[0] in "aeiou" else f"a {what}"


def _kind(value: Any) -> str:
    if hasattr(value, "shape"):
        return f"{value.dtype}{list(value.shape)}"
    return f"a tuple of {len(value)}" if isinstance(value, tuple) else f"a {type(value).__name__}"
