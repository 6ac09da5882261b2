"""What a saved state was made from: a fingerprint of the learner, the key and the schedule as far as it was replayed.

Nothing is hashed before somebody asks, that is before a state is saved, copied, or continued with other arrays than
those that it was made from: a simulation does not wait for it.
"""

import dataclasses
import functools
import hashlib
import os
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_PIECE = 1 << 16  # update counts for which a step function is looked at in one go
_DEEPEST = 8  # of what is described; what refers to itself ends there


class Part:
    """One thing that a state was made from: equal to another if both are the same arrays, or have one digest."""

    def __init__(self, things: Sequence[Any], digest: Callable[[], str]) -> None:
        self._things, self._make = tuple(things), digest

    @classmethod
    def known(cls, digest: str) -> "Part":
        """A part of which no more than the digest is left."""
        return cls((), lambda: digest)

    @functools.cached_property
    def digest(self) -> str:
        """32 hexadecimal digits, or a few words."""
        return self._make()

    def agrees(self, other: "Part") -> bool:
        """Whether both are of the same bits."""
        ours, theirs = self._things, other._things
        if ours and len(ours) == len(theirs) and all(map(_is_same, ours, theirs)):
            return True
        return self.digest == other.digest


Origin = Mapping[str, Part]


def origin_of(learner: Any, keys: Any, columns: Iterable[Any], updates: int, counted: int) -> Origin:
    """By name, the parts that the first ``updates`` rows of a simulation depend on.

    ``precision``; ``learner``, its class, and ``learner.<field>``; ``key``; ``schedule``, its rows so far. A step that
    is a function of the update count is what it gives for the counts so far, ``counted``: a function that agrees with
    it there leads to the same state.

    Args:
        learner: of all runs.
        keys: the runs' key words [B, 2].
        columns: of the schedule, [1 or B, K] each; None for one that it does not have.
        updates: rows that were replayed.
        counted: updates that the learner has counted, at most.
    """
    rows = [column[:, :updates] for column in columns if column is not None]
    return {
        "precision": Part.known("float64" if _is_double() else "float32"),
        **learner_parts(learner, counted),
        "key": Part([keys], lambda: _hashed([keys])),
        "schedule": Part(rows, lambda: _rows_digest(rows)),
    }


def learner_parts(learner: Any, counted: int = 0) -> dict[str, Part]:
    """``learner``, its class, and ``learner.<field>`` for the fields of a dataclass, in order."""
    kind = type(learner)
    parts = {"learner": Part.known(f"{kind.__module__}.{kind.__qualname__}")}
    x64 = _is_double()  # now: digests may be asked for where it is otherwise
    of_dataclass = [field.name for field in dataclasses.fields(learner)] if dataclasses.is_dataclass(learner) else []
    values = {f"learner.{name}": getattr(learner, name) for name in of_dataclass} or {"learner": learner}

    def digest_of(value):
        return lambda: _tree_digest(value, counted, x64)

    return parts | {name: Part([value], digest_of(value)) for name, value in values.items()}


def differences(now: Origin, before: Origin) -> list[str]:
    """The names in ``before`` whose part is another now; of a learner's fields, the first."""
    names = [name for name in before if name not in now or not now[name].agrees(before[name])]
    of_learner = [name for name in names if name.split(".")[0] == "learner"]
    return [name for name in names if name not in of_learner[1:]]


def _is_double() -> bool:
    return bool(jnp.result_type(float) == jnp.float64)


def _is_same(ours: Any, theirs: Any) -> bool:
    if ours is theirs:
        return True
    if not (isinstance(ours, np.ndarray) and isinstance(theirs, np.ndarray)):
        return False
    return ours.__array_interface__ == theirs.__array_interface__


def _hashed(arrays: Iterable[Any]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        array = np.asarray(array)
        digest.update(f"{array.dtype.name}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _rows_digest(columns: Sequence[Any]) -> str:
    """Of the distinct schedules, so that one shared by all runs is the same as a batch of equal ones."""
    columns = [np.asarray(column) for column in columns]
    runs = max(column.shape[0] for column in columns)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        rows = list(pool.map(lambda b: _hashed(column[b % column.shape[0]] for column in columns), range(runs)))
    return rows[0] if len(set(rows)) == 1 else _hashed([np.array(rows)])


def _tree_digest(tree: Any, counted: int, x64: bool) -> str:
    """Of a pytree's structure and leaves, the same in every process."""
    is_function = functools.partial(_is_instance, jax.tree_util.Partial)
    leaves, structure = jax.tree.flatten(tree, is_leaf=is_function)
    told = [_structure_text(structure)]
    told += [_values(leaf, counted, x64) if is_function(leaf) else _text(leaf) for leaf in leaves]
    return hashlib.blake2b("\n".join(told).encode(), digest_size=16).hexdigest()


def _is_instance(kind: type, value: Any) -> bool:
    return isinstance(value, kind)


def _values(function: Any, counted: int, x64: bool) -> str:
    """What a step function gives for the update counts so far; its description if it is another kind of function."""
    try:
        with jax.enable_x64(x64):
            pieces = [jnp.arange(k, min(k + _PIECE, counted), dtype=jnp.int32) for k in range(0, counted, _PIECE)]
            return _hashed([np.asarray(jax.vmap(function)(counts), np.float64) for counts in pieces])
    except Exception:  # whatever a function of other arguments raises
        return _text((function.func, function.args, function.keywords))


def _structure_text(structure: Any) -> str:
    data = structure.node_data()
    if data is None:
        return "*"
    kind, static = data
    return f"{_text(kind)}({_text(static)})[{', '.join(map(_structure_text, structure.children()))}]"


def _text(value: Any, depth: int = 0) -> str:
    """A description that does not depend on where in memory anything is."""
    deeper = functools.partial(_text, depth=depth + 1)
    if depth > _DEEPEST:
        return type(value).__qualname__
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        value = jax.random.key_data(value)
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        return _hashed([value])
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, types.FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        return f"{value.__module__}.{value.__qualname__}{deeper((value.__code__, cells, value.__defaults__))}"
    if isinstance(value, types.CodeType):
        return deeper((value.co_code, value.co_names, value.co_consts))
    if isinstance(value, functools.partial | types.MethodType):
        inside = (value.func, value.args, value.keywords) if isinstance(value, functools.partial) else (
            value.__func__, value.__self__)  # fmt: skip
        return deeper(inside)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{deeper(name)}: {deeper(entry)}' for name, entry in value.items())}}}"
    if isinstance(value, list | tuple | set | frozenset):
        entries = map(deeper, value)
        ordered = sorted(entries) if isinstance(value, set | frozenset) else entries
        return f"{type(value).__qualname__}({', '.join(ordered)})"
    if dataclasses.is_dataclass(value):
        return deeper((type(value), {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}))
    said = repr(value)
    return type(value).__qualname__ if " at 0x" in said else said
