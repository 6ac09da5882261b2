"""What a pytree is but for its arrays, as JSON; and a pytree again, whose classes need not be known any more."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from a3cjax._core.text import text_of


class Loaded:
    """What a loaded result has in the place of an object: the arrays in it, under the names that they had there.

    The object's class is not looked for: a file that is old, or another's, must not run anything. Lists, tuples and
    dicts come back as they are; an object's methods, and what of it is no array, do not.

    >>> Loaded("Params", {"theta": 0.5, "omega": 2.0})
    Params(theta=0.5, omega=2.0)
    >>> Loaded("Params", {"theta": 0.5, "omega": 2.0}).theta
    0.5
    """

    def __init__(self, name: str, fields: Mapping[str, Any]) -> None:
        self.__dict__.update({"_name": name, "_fields": dict(fields)})

    def __getattr__(self, name: str) -> Any:
        fields = self.__dict__.get("_fields", {})
        if name in fields:
            return fields[name]
        raise AttributeError(
            f"a loaded {self.__dict__.get('_name')} has no {name!r}; of an object a file keeps the arrays, here "
            f"{', '.join(fields) or 'none'}"
        )

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{name!r} cannot be set: what was loaded stays as it is")

    def __getitem__(self, name: Any) -> Any:
        return self._fields[str(name)]

    def __dir__(self) -> list[str]:
        return sorted(self._fields)

    def __repr__(self) -> str:
        return f"{self._name}({', '.join(f'{name}={text_of(value)}' for name, value in self._fields.items())})"


jax.tree_util.register_pytree_with_keys(
    Loaded,
    lambda node: (
        [(jax.tree_util.GetAttrKey(name), value) for name, value in node._fields.items()],
        (node._name, tuple(node._fields)),
    ),
    lambda aux, values: Loaded(aux[0], dict(zip(aux[1], values, strict=True))),
)


def described(node: Any, path: str, leaf: Callable[[str, Any], Any]) -> Any:
    """A pytree as JSON; ``leaf(path, array)`` says what stands for an array, whose path is as in "params.theta".

    Raises:
        ValueError: if a dict has keys that JSON does not tell apart.
    """
    if jax.tree_util.all_leaves([node]):
        return leaf(path, node)
    if node is None:
        return None
    if isinstance(node, dict):  # in its own order, which JAX sorts
        named = [(_key(key, path), part) for key, part in node.items()]
    else:
        children = jax.tree_util.tree_flatten_with_path(node, is_leaf=lambda part: part is not node)[0]
        named = [(_key(word(step), path), part) for (step,), part in children]
    parts = [[key, described(part, f"{path}.{key}".lstrip("."), leaf)] for key, part in named]
    if isinstance(node, dict):
        return {"dict": parts}
    if isinstance(node, list) or type(node) is tuple:
        return {"list" if isinstance(node, list) else "tuple": [part for _, part in parts]}
    return {"object": node._name if isinstance(node, Loaded) else type(node).__name__, "parts": parts}


def rebuilt(told: Any, leaf: Callable[[Any], Any]) -> Any:
    """The inverse of ``described``; an object comes back as a ``Loaded``."""
    if told is None:
        return None
    if "dict" in told:
        return {key: rebuilt(part, leaf) for key, part in told["dict"]}
    for name, kind in (("list", list), ("tuple", tuple)):
        if name in told:
            return kind(rebuilt(part, leaf) for part in told[name])
    if "object" in told:
        return Loaded(str(told["object"]), {str(key): rebuilt(part, leaf) for key, part in told["parts"]})
    return leaf(told)


def word(step: Any) -> Any:
    """Of a path's step: a field, a key of a dict, or a place."""
    return next(getattr(step, kind) for kind in ("name", "key", "idx") if hasattr(step, kind))


def _key(key: Any, path: str) -> str | int:
    if isinstance(key, np.integer):
        key = int(key)
    if type(key) not in (str, int):
        raise ValueError(
            f"{path} has the key {key!r}, a {type(key).__name__}, which no file keeps; use words or whole numbers."
        )
    return key
