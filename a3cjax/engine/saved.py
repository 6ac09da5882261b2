"""Where a simulation stands, in memory and as a file."""

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from a3cjax._core import check, files
from a3cjax._core.tree import pytree, static
from a3cjax.engine.origin import Origin, Part, differences

_ABOUT = "about"  # what of a saved state is no array, as JSON
_FREE = ("learner", "key")


@pytree
class SavedState:
    """Where a simulation stands: enough to continue it to the same bits.

    ``leaves`` are the arrays of parameters, workers and history in a fixed order, each with a leading run axis.

    A state knows what it was made from, in memory and in its file: a fingerprint of the learner, the key and the
    schedule's rows so far. ``simulate(..., resume=state)`` refuses another one of them and says which; a schedule may
    go on differently after ``updates``, and so may a step function. See ``regardless_of`` for a change on purpose.
    A state that came out of your own ``jit`` or went through a tree map has no fingerprint and is taken on trust.

    Raises:
        ValueError: if ``updates`` or ``depth`` is negative, ``history`` is not one or ``leaves`` disagree on the runs.

    >>> import a3cjax, jax, tempfile, pathlib
    >>> schedule = a3cjax.Schedule.sequential(40)
    >>> learner = a3cjax.QuadraticSGD(curvature=[1.0], step=0.1, noise=1.0)
    >>> half = a3cjax.simulate(learner, schedule[:20], jax.random.key(0))
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "half.npz"
    >>> half.state.save(path)
    >>> rest = a3cjax.simulate(learner, schedule, jax.random.key(0), resume=a3cjax.SavedState.load(path))
    >>> bool((rest.params.x == a3cjax.simulate(learner, schedule, jax.random.key(0)).params.x).all())
    True
    """

    leaves: tuple[Array, ...]
    updates: int = static()
    history: str = static()
    depth: int = static()  # of the ring, or slots of versions; 0 for the mailbox

    # No field: the digests of two results would make pytrees of two kinds of them, which could not be stacked.
    _origin: ClassVar[Origin] = {}

    def __post_init__(self):
        check.integer("updates", self.updates, 0)
        check.choice("history", self.history, ("mailbox", "ring", "versions"))
        check.integer("depth", self.depth, 0)
        runs = {np.shape(leaf)[:1] for leaf in self.leaves}
        if len(runs) != 1 or () in runs:
            raise ValueError("leaves have no common leading axis, of runs; give the .state of a result.")

    @classmethod
    def put_off(
        cls, leaves: Callable[[], tuple[Array, ...]], updates: int, history: str, depth: int, origin: Origin
    ) -> "SavedState":
        """A state whose leaves are put together when they are first asked for: most are not, and they can be large."""
        state = object.__new__(cls)
        given = {"_leaves": leaves, "updates": updates, "history": history, "depth": depth, "_origin": origin}
        for name, value in given.items():
            object.__setattr__(state, name, value)
        return state

    def __getattr__(self, name: str) -> Any:
        if name != "leaves" or "_leaves" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        object.__setattr__(self, "leaves", self._leaves())
        object.__delattr__(self, "_leaves")
        return self.leaves

    def __getstate__(self) -> dict[str, Any]:
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**fields, "_origin": self.fingerprint}

    def __setstate__(self, state: dict[str, Any]) -> None:
        origin = {name: Part.known(digest) for name, digest in state["_origin"].items()}
        self.__dict__.update(state | {"_origin": origin})

    @property
    def fingerprint(self) -> dict[str, str]:
        """By name, digests of what the state was made from; of nothing if that is not known."""
        return {name: part.digest for name, part in self._origin.items()}

    def regardless_of(self, *names: str) -> "SavedState":
        """The same state, to be continued with another "learner" or "key" on purpose, such as a smaller step.

        The result is then not that of any one learner or key from the start. The schedule cannot be let go: delays
        count from its updates.

        >>> import a3cjax, jax
        >>> schedule, key = a3cjax.Schedule.sequential(2), jax.random.key(0)
        >>> first = a3cjax.simulate(a3cjax.QuadraticSGD(curvature=[1.0], step=0.5), schedule[:1], key)
        >>> slower = a3cjax.QuadraticSGD(curvature=[1.0], step=0.1)
        >>> float(a3cjax.simulate(slower, schedule, key, resume=first.state.regardless_of("learner")).params.x[0])
        0.44999998807907104
        """
        for name in names:
            check.choice("names", name, _FREE)
        kept = {name: part for name, part in self._origin.items() if name.split(".")[0] not in names}
        return SavedState.put_off(lambda: self.leaves, self.updates, self.history, self.depth, kept)

    def check_origin(self, now: Origin) -> None:
        """Refuse to be continued with what the state was not made from."""
        others = differences(now, self._origin)
        if not others:
            return
        kinds = dict.fromkeys(name.split(".")[0] for name in others)
        rows = f" (in its first {self.updates} rows)" if "schedule" in kinds else ""
        free = [kind for kind in kinds if kind in _FREE]
        remedy = f"give the {' and '.join(kinds)} that it was made with"
        if "precision" in kinds:
            remedy = f"set jax_enable_x64 as it was: it holds {self._origin['precision'].digest}"
        elif len(free) == len(kinds):
            listed = ", ".join(map(repr, free))
            remedy += f", or go on with another on purpose: resume=state.regardless_of({listed})"
        else:
            remedy += ", or start anew without resume"
        raise ValueError(f"resume was made with another {' and another '.join(others)}{rows}; {remedy}.")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write an ``.npz`` file, complete or not at all."""
        arrays: dict[str, Any] = arrays_of(self, self.fingerprint)
        files.write_whole(path, lambda file: np.savez(file, **arrays))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "SavedState":
        """Read what ``save`` wrote.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is another kind of file, is damaged, or holds a state that cannot be.
        """
        arrays = files.read_arrays(path, "a saved simulation", "give a file that SavedState.save wrote")
        return state_of(arrays, os.fspath(path))


def arrays_of(state: SavedState, fingerprint: Mapping[str, str]) -> dict[str, np.ndarray]:
    """A state as named arrays for ``np.savez``; NumPy does not know all of JAX's types, so their names go along."""
    about = {
        "updates": state.updates,
        "history": state.history,
        "depth": state.depth,
        "types": [type_name(leaf) for leaf in state.leaves],
        "fingerprint": dict(fingerprint),
    }
    arrays = {f"leaf_{i}": as_plain(leaf) for i, leaf in enumerate(state.leaves)}
    return arrays | {_ABOUT: np.array(json.dumps(about))}


def state_of(arrays: Mapping[str, np.ndarray], path: str) -> SavedState:
    """The inverse of ``arrays_of``, or a sentence that names ``path``."""
    if {"history", "updates", "depth"} <= arrays.keys():
        raise ValueError(
            f"{path} was saved by an earlier version, which did not keep what the simulation was made from; start anew."
        )
    if _ABOUT not in arrays:
        raise ValueError(
            f"{path} is not a saved simulation (it holds other arrays); give a file that SavedState.save wrote."
        )
    try:
        about = json.loads(str(arrays[_ABOUT]))
        if "parts" in about:
            raise ValueError("it holds a result, of which a3cjax.Result.load(path).state is the state")
        leaves = tuple(from_plain(arrays[f"leaf_{i}"], name) for i, name in enumerate(about["types"]))
        state = SavedState(leaves, about["updates"], about["history"], about["depth"])
        origin = {str(name): Part.known(str(digest)) for name, digest in about["fingerprint"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = str(error).rstrip(".") if isinstance(error, ValueError) else f"it lacks some of its parts, {error}"
        raise ValueError(
            f"{path} does not hold a whole saved simulation: {reason}; give a file as SavedState.save wrote it."
        ) from error
    object.__setattr__(state, "_origin", origin)
    return state


def type_name(leaf: Any) -> str:
    """What ``from_plain`` needs to know of an array."""
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return f"key {jax.random.key_impl(leaf)}"
    return np.asarray(leaf).dtype.name


def as_plain(leaf: Any) -> np.ndarray:
    """The bits of an array as one of NumPy's own types."""
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return np.asarray(jax.random.key_data(leaf))
    array = np.asarray(leaf)
    return array.view(f"u{array.dtype.itemsize}") if array.dtype.kind == "V" else array


def from_plain(array: np.ndarray, name: str) -> Any:
    """The inverse of ``as_plain``, where ``type_name`` has given ``name``."""
    if name.startswith("key "):
        return jax.random.wrap_key_data(jnp.asarray(array), impl=name.removeprefix("key "))
    dtype = jnp.dtype(name)
    if array.dtype.itemsize != dtype.itemsize:
        raise ValueError(f"an array holds {array.dtype}, not {name}")
    return array if array.dtype == dtype else array.view(dtype)
