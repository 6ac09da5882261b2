"""Frozen dataclasses that JAX can look inside."""

import dataclasses
from typing import Any, TypeVar, dataclass_transform

import jax

from a3cjax._core.interning import interned
from a3cjax._core.text import summary

T = TypeVar("T")

_made: set[type] = set()


def static(**kwargs: Any) -> Any:
    """A field that is part of the program (hashed, compiled in) rather than data."""
    return dataclasses.field(metadata={"static": True}, **kwargs)


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field, static))
def pytree(cls: type[T]) -> type[T]:
    """Make ``cls`` a frozen dataclass and a pytree: fields are children, ``static()`` fields are structure.

    Rebuilding an instance from its children skips ``__init__``, because JAX also puts tracers and placeholders
    there: validation happens where a user builds the object, and nowhere else. Functions among the static fields that
    do the same count as the same (``_core/interning.py``). Its ``repr`` is a summary (``_core/text.py``). Subclasses of
    an ``AbstractLearner`` are pytrees already.
    """
    if cls in _made:
        return cls
    cls = dataclasses.dataclass(frozen=True, eq=False, repr=False)(cls)
    if cls.__repr__ is object.__repr__:
        cls.__repr__ = summary  # pyright: ignore[reportAttributeAccessIssue]
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]
    children = tuple(f.name for f in fields if not f.metadata.get("static"))
    structure = tuple(f.name for f in fields if f.metadata.get("static"))

    def flatten_with_keys(node):
        keyed = tuple((jax.tree_util.GetAttrKey(name), getattr(node, name)) for name in children)
        return keyed, tuple(interned(getattr(node, name)) for name in structure)

    def flatten(node):
        statics = tuple(interned(getattr(node, name)) for name in structure)
        return tuple(getattr(node, name) for name in children), statics

    def unflatten(aux, leaves):
        node = object.__new__(cls)
        for name, value in zip(children + structure, (*leaves, *aux), strict=True):
            object.__setattr__(node, name, value)
        return node

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
    _made.add(cls)
    return cls
