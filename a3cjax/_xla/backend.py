"""What a program is compiled for, and how its marks (``marks.py``) are carried out there.

A backend is an object; the one that is meant is set by ``compiling_for`` while a program is traced. ``Backend`` itself
is plain JAX, which is what an accelerator gets. A new kind of compiler is one file: a subclass of it that overrides
what is done in another way there.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, ClassVar, TypeVar

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Int, Num

from a3cjax._xla.repeated import one_by_one

T = TypeVar("T")

FEW_LANES = 16  # up to here a tile costs as much as its runs four by four

# Indices come from the schedule and from samplers, which stay in range; checking them again costs as much as the work.
IN_BOUNDS: Any = {"mode": "promise_in_bounds"}


class Backend:
    """Plain JAX: operations are fused as XLA finds best. Meant for accelerators."""

    name: ClassVar[str] = "accelerator"
    compiler_options: ClassVar[dict[str, Any] | None] = None
    pads_blocks: ClassVar[bool] = False  # so that runs of about the same length share a program
    draws_in_place: ClassVar[bool] = False  # whether random words are made update by update, and not for a chunk
    maps_sequentially: ClassVar[bool] = False  # whether the caller's vmap over runs has to become a loop
    versions_beside: ClassVar[bool] = False  # whether the same version of all runs lies side by side
    most_lanes: ClassVar[Mapping[str, int]] = {}  # the most runs in a tile, for each history; as many as there are

    def __repr__(self) -> str:
        return f"<backend: {self.name}>"

    @property
    def for_little(self) -> "Backend":
        """The same for programs that have little to do, which is not worth the time to compile them well."""
        return self

    def tiles(self, runs: int, shares: int, history: str, num_workers: int) -> tuple[int, int]:
        """How many tiles of how many lanes hold ``runs`` runs, as many for each of the ``shares``.

        Where tiles have a greatest size, it is such that what an update touches stays in a core's cache.
        """
        del num_workers
        most = self.most_lanes.get(history)
        tiles = shares if most is None else math.ceil(math.ceil(runs / most) / shares) * shares
        return tiles, max(math.ceil(runs / tiles), 2)  # a single lane would round otherwise, being another program

    def stage(self, function: Callable[..., Any], *args: Any) -> Any:
        """See ``marks.stage``."""
        return function(*args)

    def stage_words(self, function: Callable[..., tuple[Array, Array]], *args: Any) -> tuple[Array, Array]:
        """See ``marks.stage_words``."""
        return self.stage(function, *args)

    def kernel(self, function: Callable[..., T], count: Int[Array, ""], *args: Any) -> T:
        """See ``marks.kernel``."""
        return function(count, *args)

    def rounded(self, product: Array) -> Array:
        """See ``marks.rounded``."""
        return product

    def opaque(self, tree: T) -> T:
        """See ``marks.opaque``."""
        return lax.optimization_barrier(tree)

    def read_row(self, table: Array, index: Int[Array, ""]) -> Array:
        """See ``marks.read_row``."""
        return self.stage(gathered, table, index)

    def write_row(self, table: Array, index: Int[Array, ""], row: Array) -> Array:
        """See ``marks.write_row``."""
        return table.at[index].set(row, unique_indices=True, **IN_BOUNDS)

    def read_difference(
        self, table: Num[Array, "n d"], index: Int[Array, ""], other: Num[Array, "m d"], other_index: Int[Array, ""]
    ) -> Num[Array, " d"]:
        """See ``marks.read_difference``."""
        return self.read_row(table, index) - self.read_row(other, other_index)

    def reshape(self, x: Array, shape: tuple[int, ...]) -> Array:
        """See ``marks.reshape``."""
        return x.reshape(shape)

    def row_of(self, entries: Sequence[Array]) -> Array:
        """See ``marks.row_of``."""
        return jnp.stack(entries)

    def all_runs(self, store: Array) -> tuple[Array, int, Any]:
        """See ``versions.all_runs``."""
        return store, 1, 0

    def read_version(self, store: Array, version: Int[Array, ""]) -> Array:
        """See ``versions.read_version``."""
        return self.read_row(store, version)

    def read_versions(self, store: Array, first: Int[Array, ""], count: int) -> Array:
        """See ``versions.read_versions``."""
        return lax.dynamic_slice_in_dim(store, first, count)

    def write_versions(self, store: Array, first: Int[Array, ""], values: Array) -> Array:
        """See ``versions.write_versions``."""
        return lax.dynamic_update_slice_in_dim(store, values, first, 0)

    def write_each(self, store: Array, versions: Int[Array, " r"], values: Array) -> Array:
        """See ``versions.write_each``."""
        return one_by_one(versions.shape[0], lambda i, store: self.write_row(store, versions[i], values[i]), store)

    def read_entries(self, store: Array, version: Int[Array, ""], first: Int[Array, ""], count: int) -> Array:
        """See ``versions.read_entries``."""
        return lax.dynamic_slice(store, (version, first), (1, count))[0]

    def write_entries(self, store: Array, version: Int[Array, ""], first: Int[Array, ""], entries: Array) -> Array:
        """See ``versions.write_entries``."""
        return lax.dynamic_update_slice(store, entries[None], (version, first))


ACCELERATOR = Backend()


def shared_by_few(lanes: int) -> int:
    """The next power of two up to 16, so that batches of about as many runs share a program; more stay as they are.

    Loops over a multiple of four lanes are vectors: a fifth slower at most, with five runs, and often quicker.
    """
    return 1 << (lanes - 1).bit_length() if lanes <= FEW_LANES else lanes


_backend: ContextVar[Backend] = ContextVar("backend", default=ACCELERATOR)


def current() -> Backend:
    """What is traced now is meant for this."""
    return _backend.get()


@contextlib.contextmanager
def compiling_for(backend: Backend) -> Iterator[None]:
    """What is traced within is meant for this backend."""
    token = _backend.set(backend)
    try:
        yield
    finally:
        _backend.reset(token)


def gathered(table: Array, index: Int[Array, "..."]) -> Array:
    """Rows ``index`` of a table, as they lie."""
    return table.at[index].get(**IN_BOUNDS)
