"""A CPU on which a whole loop over updates is one function of machine code.

Within it a few operations are not supported (``fitting.py``), scatters among them, so rows of tables are read and
written in a way of their own (``rows.py``), and a product is not rounded by itself. Between stages what is short lies
with its lanes last (``lanes.py``).
"""

import functools
import math
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer, eval_jaxpr
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Bool, Int, Num

from a3cjax._xla import rows, version_store
from a3cjax._xla.backend import FEW_LANES, Backend, shared_by_few
from a3cjax._xla.compiler import FOR_KERNELS, FOR_LITTLE
from a3cjax._xla.lanes import LANES_AT_ONCE, lane_axis, lanes_in_place
from a3cjax._xla.stored import set_xla_metadata, stored

T = TypeVar("T")

_zero: ContextVar[Any] = ContextVar("zero")  # within a kernel: an integer 0 that the compiler does not know to be one
_SMALL = 1024  # elements

_MANY_WORKERS, _LANES_OF_MANY = 2048, 64  # beyond, slots leave the cache anyway, and of fewer runs more stay
_LEAST_LANES = 32  # a larger tile has at least as many: shorter loops are unrolled by the compiler and not vectorised


class CPUKernel(Backend):
    """One kernel a tile."""

    name = "kernel"
    compiler_options = FOR_KERNELS
    pads_blocks = True
    maps_sequentially = True
    versions_beside = True
    most_lanes = {"mailbox": 128, "ring": 32, "versions": 32}  # noqa: RUF012

    @property
    def for_little(self) -> Backend:
        """The same kernels."""
        return _FOR_LITTLE

    def tiles(self, runs: int, shares: int, history: str, num_workers: int) -> tuple[int, int]:
        """Few lanes as a power of two, more in whole groups of those that a loop over lanes takes at once."""
        most = self.most_lanes[history]
        if num_workers > _MANY_WORKERS:
            most = min(most, _LANES_OF_MANY)
        tiles = math.ceil(math.ceil(runs / most) / shares) * shares
        lanes = shared_by_few(math.ceil(runs / tiles))
        if lanes > FEW_LANES:
            lanes = math.ceil(max(lanes, min(_LEAST_LANES, most)) / LANES_AT_ONCE) * LANES_AT_ONCE
        return tiles, lanes

    def stage(self, function: Callable[..., Any], *args: Any) -> Any:
        """A stored call, whose arrays have their lanes where they belong."""
        return _stage(function, *args)

    def stage_words(self, function: Callable[..., tuple[Array, Array]], *args: Any) -> tuple[Array, Array]:
        """As one array: the compiler writes a loop for each result, and would compute both words in each.

        As the two parts of a complex number they are one result.
        """

        def as_complex(*args):
            return lax.complex(*(lax.bitcast_convert_type(word, jnp.float32) for word in function(*args)))

        both = self.stage(as_complex, *args)
        first, second = (lax.bitcast_convert_type(part, jnp.uint32) for part in (lax.real(both), lax.imag(both)))
        return first, second

    def kernel(self, function: Callable[..., T], count: Int[Array, ""], *args: Any) -> T:
        """One function of machine code."""
        return _kernel(function, count, *args)

    def rounded(self, product: Array) -> Array:
        """Exclusive or with a zero that the compiler does not know keeps it from making one operation with a sum."""
        zero = _zero.get(None)
        if zero is None:
            return product
        bits = jnp.int32 if product.dtype.itemsize == 4 else jnp.int64
        return lax.bitcast_convert_type(lax.bitcast_convert_type(product, bits) ^ zero.astype(bits), product.dtype)

    def opaque(self, tree: T) -> T:
        """A random number below 2³¹ is never 2³¹ or more; the compiler does not look that far."""
        never = lax.rng_uniform(jnp.uint32(0), jnp.uint32(1 << 31), ()) >= jnp.uint32(1 << 31)
        return jax.tree.map(lambda x: _unless(never, x), tree)

    def read_row(self, table: Array, index: Int[Array, ""]) -> Array:
        """Entry by entry, where rows are short."""
        return rows.read(table, index)

    def write_row(self, table: Array, index: Int[Array, ""], row: Array) -> Array:
        """Likewise."""
        return rows.write(table, index, row)

    def read_difference(
        self, table: Num[Array, "n d"], index: Int[Array, ""], other: Num[Array, "m d"], other_index: Int[Array, ""]
    ) -> Num[Array, " d"]:
        """Both rows in one loop over lanes."""
        return rows.read_difference(table, index, other, other_index)

    def reshape(self, x: Array, shape: tuple[int, ...]) -> Array:
        """Lanes stay last."""
        return rows.reshape(x, shape)

    def row_of(self, entries: Sequence[Array]) -> Array:
        """Lanes stay last."""
        return rows.stack(*entries)

    def all_runs(self, store: Array) -> tuple[Array, int, Any]:
        """As the store lies."""
        everything, lane = version_store.all_runs(store)
        return everything, everything.shape[0] // store.shape[0], lane

    def read_version(self, store: Array, version: Int[Array, ""]) -> Array:
        """One stretch of memory, if it is the same version for all."""
        return version_store.read(store, version)

    def read_versions(self, store: Array, first: Int[Array, ""], count: int) -> Array:
        """One stretch of memory."""
        return version_store.read_several(store, first, count)

    def write_versions(self, store: Array, first: Int[Array, ""], values: Array) -> Array:
        """One stretch of memory."""
        return version_store.write_several(store, first, values)

    def write_each(self, store: Array, versions: Int[Array, " r"], values: Array) -> Array:
        """A row for each lane."""
        return version_store.write_each(store, versions, values)

    def read_entries(self, store: Array, version: Int[Array, ""], first: Int[Array, ""], count: int) -> Array:
        """A block of all lanes' rows."""
        return version_store.read_entries(store, version, first, count)

    def write_entries(self, store: Array, version: Int[Array, ""], first: Int[Array, ""], entries: Array) -> Array:
        """A block of all lanes' rows."""
        return version_store.write_entries(store, version, first, entries)


class _ForLittle(CPUKernel):
    """Compiled quickly."""

    compiler_options = FOR_LITTLE


CPU_KERNEL = CPUKernel()
_FOR_LITTLE = _ForLittle()


def _stage(function: Callable[..., Any], *args: Any) -> Any:
    # Values that the function closes over are arguments too: a rule for lanes may be applied where they are unknown.
    # A new function each time, for what JAX has traced before was perhaps not meant for this target.
    program, shapes = jax.make_jaxpr(lambda *args: function(*args), return_shape=True)(*args)
    places = [lane_axis(one.shape) for one in jax.tree.leaves(shapes)]

    def of_one(*inputs):
        count = len(program.consts)
        return eval_jaxpr(program.jaxpr, inputs[:count], *inputs[count:])

    def of_all(lanes, batched, *inputs):
        del lanes
        axes = [lane_axis(x.shape[1:]) if differs else None for x, differs in zip(inputs, batched, strict=True)]
        given = [lanes_in_place(x) if differs else x for x, differs in zip(inputs, batched, strict=True)]
        results = stored(jax.vmap(of_one, axes, places), *given)
        return [jnp.moveaxis(x, place, 0) for x, place in zip(results, places, strict=True)], [True] * len(places)

    call = custom_vmap(functools.partial(stored, of_one))
    call.def_vmap(of_all)
    return jax.tree.unflatten(jax.tree.structure(shapes), call(*program.consts, *jax.tree.leaves(args)))


def _kernel(function: Callable[..., T], count: Int[Array, ""], *args: Any) -> T:
    """``function(count, *args)`` as one function of machine code.

    Its compiler stops the process if an input is used by nothing, which a constant soon is, and so is what a loop that
    changes nothing was given. So ``count`` is made to depend on each input and is a result of its own, and small inputs
    are made to depend on ``count``; larger ones that may be constants have to be ``opaque``.
    """

    def body(count, *args):
        token = _zero.set(count >> 31)
        try:
            return function(count, *args)
        finally:
            _zero.reset(token)

    program, result = jax.make_jaxpr(body, return_shape=True)(count, *args)
    # Arrays without elements are neither passed in nor out.
    inputs = [x if math.prod(x.shape) else _empty(x) for x in (*program.consts, *jax.tree.leaves(args))]
    passed = [isinstance(x, Tracer) for x in inputs]

    def with_all_in_use(count, given):
        looks = sum((x[(0,) * x.ndim] == 0).astype(jnp.int32) for x in given)
        given = iter(given)
        everything = [next(given) if passes else x for x, passes in zip(inputs, passed, strict=True)]
        consts, rest = everything[: len(program.consts)], everything[len(program.consts) :]
        count = count + (count >> 31) * looks
        return [x for x in eval_jaxpr(program.jaxpr, consts, count, *rest) if x.size], count

    given = [x if x.size > _SMALL else _unless(count < 0, x) for x, p in zip(inputs, passed, strict=True) if p]
    marks = {"inlineable": "false", "xla_cpu_small_call": "true"}
    # What nobody uses would be left out of the program, ``count`` for one; a barrier asks for all of it together.
    results = iter(lax.optimization_barrier(set_xla_metadata(jax.jit(with_all_in_use)(count, given), **marks))[0])
    return jax.tree.map(lambda x: next(results) if x.size else _empty(x), result)


def _unless(never: Bool[Array, ""], x: Array) -> Array:
    """``x``, or if ``never`` something else everywhere."""
    return jnp.where(never, (x == 0).astype(x.dtype), x)


def _empty(like: Any) -> Any:
    """Without elements, and known to the program."""
    return np.zeros(like.shape, like.dtype)
